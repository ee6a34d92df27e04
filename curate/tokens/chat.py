"""Chat templates: find a model's own, read it, check it.

A template is Jinja2, as `transformers` stores it: the key `chat_template` of a `tokenizer_config.json` (a template or a
list of named ones), or a file `chat_template.jinja`, beside which `chat_templates/` may hold more. The configuration
also says what `bos_token` and its like are.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, Stopped, did_you_mean
from curate.models.resources import locate, read_text, sha256
from curate.models.tokenizer import Tokenizer

CONFIG, FILE, FOLDER = "tokenizer_config.json", "chat_template.jinja", "chat_templates"
"""What the files of a template are called beside a `tokenizer.json`."""

DEFAULT, WITH_TOOLS = "default", "tool_use"
"""Names of templates: the one that is used, and the one that is used instead where a conversation has tools."""

MOST_CHARS = 1 << 20
"""Characters that the files of a template may have."""

GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template.

    sources  {name: Jinja2}, one of them `default`
    special  {"bos_token": "<s>", ...}
    date     what `strftime_now` says, YYYY-MM-DD
    """

    sources: dict[str, str]
    special: dict[str, str]
    date: str | None = None

    def source(self, tools: list | None) -> str:
        """The template of a conversation: that for tools where it has some."""
        named = WITH_TOOLS if tools is not None and WITH_TOOLS in self.sources else DEFAULT
        return self.sources[named]


def files(name: str) -> dict[str, Path]:
    """The files of a template: {"config": its configuration, name of a template: its own file}.

    name  a tokenizer_config.json, its folder, or a .jinja file; a path or an address. What belongs to it is taken from
          beside it, and a file of its own goes before what the configuration has, as in `transformers`.

    Raises CurateError where there is no such file.
    """
    path = locate(name, "chat template")
    if path.suffix != ".jinja":
        found = {"config": path}
        own = _beside(name, path, FILE, needed="chat_template" not in _config(path))
    else:
        config = _beside(name, path, CONFIG, needed=False)
        found, own = {"config": config} if config else {}, path
    if own:
        found[DEFAULT] = own
        more = sorted((own.parent / FOLDER).glob("*.jinja")) if "://" not in name else []
        found |= {path.stem: path for path in more if path.stem not in found}
    return found


def read(files: Mapping[str, Path | str], date: str | None = None) -> ChatTemplate:
    """The template in files, as `files` finds them. date: YYYY-MM-DD, what `strftime_now` is to say.

    Raises CurateError for a configuration without one, or with several of which none is the default.
    """
    config = _config(Path(files["config"])) if "config" in files else {}
    sources = {name: read_text(Path(path), "a chat template") for name, path in files.items() if name != "config"}
    where = str(next(iter(files.values())))
    if not sources:
        sources = _sources(config.get("chat_template"), where)
    if DEFAULT not in sources:
        what = f"no chat template named `{DEFAULT}`; there are {', '.join(sources) or 'none'}"
        raise CurateError(what, where, f"use the .jinja file of one, or name one `{DEFAULT}`")
    if sum(map(len, sources.values())) > MOST_CHARS:
        raise CurateError(f"a chat template of more than {MOST_CHARS:,} characters", where, "use a smaller one")
    special = {key: text for key, value in config.items() if key.endswith("_token") and (text := _token(value))}
    return ChatTemplate(sources, special, date)


def check(template: ChatTemplate, files: dict[str, Path], tokenizer: Tokenizer) -> None:
    """Raise CurateError for a template that is not Jinja2, that would write the day of the run, that names special
    tokens of which nothing says what they are, or that writes some that the tokenizer does not have."""
    from curate.tokens.chat_rendering import names_in  # Jinja2 is loaded where there is a template

    where = str(files.get(DEFAULT) or files["config"])
    try:
        names = names_in(template)
    except ValueError as error:
        fix = "use a model's template as published"
        raise CurateError(f"the chat template is not valid Jinja2 for `transformers`: {error}", where, fix) from None
    if "strftime_now" in names and template.date is None:
        what = "the chat template writes the current date, so no two runs would be the same"
        raise CurateError(what, where, "set the date that it should write: `date: 2025-01-31`")
    unknown = sorted(name for name in names if re.fullmatch(r"(bos|eos|pad|unk)_token", name))
    if "config" not in files and unknown:
        what = f"the chat template uses `{unknown[0]}`, which is not defined"
        raise CurateError(what, where, f"put the model's {CONFIG} next to it")
    for name, token in sorted(template.special.items()):
        if name in names and tokenizer.exact.token_to_id(token) is None:
            what = f"the chat template writes `{token}`, which the tokenizer does not have"
            raise CurateError(what, where, "use the template and the tokenizer of the same model")


def digests(files: dict[str, Path]) -> dict[str, str]:
    """{name: `sha256:` and the digest of its file}."""
    return {name: f"sha256:{sha256(path)}" for name, path in sorted(files.items())}


def marks_answers(template: ChatTemplate) -> bool:
    """Whether the templates say themselves, by `{% generation %}`, what the assistant has written."""
    return all(GENERATION.search(source) for source in template.sources.values())


def _beside(name: str, path: Path, file: str, needed: bool) -> Path | None:
    """The file of this name beside another. needed: without it there is no template, so look for it on a server too."""
    if "://" not in name:
        found = path.parent / file
        return found if found.is_file() else None
    if not needed and path.suffix != ".jinja":
        return None
    address = f"{name.partition('?')[0].rpartition('/')[0]}/{file}"
    try:
        return locate(address, "chat template")
    except Stopped:
        raise
    except CurateError:
        return None


def _config(path: Path) -> dict:
    fix = f"use the {CONFIG} of a model, or a .jinja file"
    try:
        config = json.loads(read_text(path, "a chat template"))
    except (ValueError, RecursionError) as error:
        raise CurateError(f"the chat template file is not JSON: {error}", str(path), fix) from None
    if not isinstance(config, dict):
        raise CurateError("the chat template file is not a JSON object", str(path), fix)
    return config


def _sources(value: object, where: str) -> dict[str, str]:
    """The templates of the key `chat_template`: a string, or a list of {name, template}."""
    if value is None:
        fix = f"use the {CONFIG} of a chat model, or a .jinja file"
        raise CurateError(f"no key `chat_template`, and no {FILE} next to it", where, fix)
    named = [{"name": DEFAULT, "template": value}] if isinstance(value, str) else value
    if isinstance(named, dict):
        named = [{"name": name, "template": source} for name, source in named.items()]
    fields = ("name", "template")
    if isinstance(named, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(field), str) for field in fields) for one in named
    ):
        return {one["name"]: one["template"] for one in named}
    fix = did_you_mean("chat_template", []) or "use a string, or a list of {name, template}"
    raise CurateError("`chat_template` is neither a template nor a list of named ones", where, fix)


def _token(value: object) -> str | None:
    """The text of a special token: a string, or an object with its `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None
