"""`curate calibrate`: from releases to a folder with a recipe's files, a card and a lock.

    calibration/NAME-VERSION/RECIPE/
      ...                what `forms` says of the recipe
      documents.parquet  whose tokens are where
      tokenizer.json     what the ids mean
      README.md          the card
      lock.json          release, options, counts, sha256 of the files

The same releases and options give the same bytes, wherever and however often.
"""

import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from curate.base import licenses
from curate.base.terminal import shown
from curate.calibration import shards
from curate.calibration.coverage import coverage
from curate.calibration.drawn_from import decontaminated, each_of, exposed, license_of, named_after, released
from curate.calibration.exclude import Exclusion, described, evaluation_sets
from curate.calibration.forms import FORMS, Form, check_ids, write
from curate.calibration.row_tokens import Template, row_tokens
from curate.calibration.windows import Asked, Drawing, Drawn, Short
from curate.errors import CurateError, did_you_mean
from curate.manifest.yaml_tree import read_tree
from curate.models import tokenizer as tokenizers
from curate.models.resources import locate, noted_places, read_text, sha256
from curate.models.tokenizer import Tokenizer
from curate.release.build import replacing
from curate.release.lock import digest_of, dumps, made_before
from curate.release.pages import environment
from curate.tokens import chat

FORMAT = 2
CONTEXT = 2048
MOST = np.iinfo(np.int32).max
"""Most sequences, tokens of one, and tokens of a set of `kernel`."""

PACKAGES = ("numpy", "pyarrow", "safetensors", "tokenizers", "tokie")

ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<｜end▁of▁sentence｜>", "<|im_end|>")
"""What tokenizers call the end of a text; the first that one has stands between joined documents."""


@dataclass(frozen=True)
class Calibrated:
    """The set is there. changed: whether it was made anew."""

    path: Path
    lock: dict
    changed: bool


def calibrate(
    release: str | Path | Sequence[str | Path],
    recipe: str = "gptq",
    *,
    weights: Sequence[float] | None = None,
    tokenizer: str | None = None,
    chat_template: str | None = None,
    date: str | None = None,
    sequences: int | None = None,
    length: int | None = None,
    tokens: int | None = None,
    seed: int = 0,
    phase: str | None = None,
    join: bool = True,
    end: str | None = None,
    against: list[str] | None = None,
    to: str | Path | None = None,
    work: str | Path = "work",
) -> Calibrated:
    """Draw a calibration set from releases, or keep an existing one of the same releases and options.

    release    folder, or hf://datasets/ORG/NAME@vVERSION; or several
    recipe     gptq, awq, imatrix or kernel
    weights    share of each of several releases; None: in proportion to their tokens
    tokenizer  path, folder, URL or name; None: the one that a release counted tokens with
    chat_template  tokenizer_config.json or .jinja file that turns conversations into text before windows are cut
    date       what the template writes as the current date, YYYY-MM-DD
    sequences  number of sequences; for imatrix, use `tokens` instead
    length     tokens per sequence; for kernel, the maximum
    seed       random seed
    phase      draw only from the shards of this phase
    join       whether documents shorter than a sequence are joined, or left out
    end        token between joined documents, not after conversations that a template writes; None: that of the
               release's token shards, or else the tokenizer's end-of-text token, if it has a common name
    against    evaluation sets, Parquet or JSONL, whose questions must not be in the set
    to         folder of the set; None: calibration/NAME-VERSION/RECIPE in `work`

    Raises CurateError if any of these is wrong, or the releases have too few tokens.
    """
    form = _form(recipe)
    pool = shards.open_pool([release] if isinstance(release, str | Path) else release, phase, weights)
    loaded = tokenizers.load(str(tokenizer or _tokenizer_of(pool)))
    check_ids(form, loaded)
    template = _template(pool, loaded, chat_template, date)
    ending = _end(pool.releases[0], loaded, end)
    length = length if length is not None else form.length or _context(pool, phase)
    asked = _asked(recipe, form, sequences, length, tokens, join, None if template else ending)
    sets = evaluation_sets(against or ())
    options = {"seed": seed, "phase": phase, "end": ending[0] if ending else None}
    identity = _identity(pool, recipe, asked, options, loaded, template, sets)
    home = (Path(to) if to else Path(work) / "calibration" / named_after(pool) / recipe).absolute()
    if made := made_before(home, identity["fingerprint"]):
        return Calibrated(home, made, False)
    if home.exists() and not _only(home, _made(home)):
        raise CurateError("the output folder is not empty", str(home), "choose another folder with --to")
    docs = shards.documents(pool, seed, None if form.fill else asked.length)
    exclusion = Exclusion(shards.held_out(pool), sets)
    with row_tokens(loaded, template, ending[1] if ending else None) as encode:
        try:
            drawn = Drawing(pool, docs, encode, exclusion, asked).draw()
        except Short as short:
            raise _too_few(short, form, asked, docs, pool.where) from None
        covered = coverage(pool, docs, drawn, encode, loaded.ids)
    with replacing(home) as draft:
        counts = write(form, draft, drawn.sequences, loaded, docs.sources)
        lock = identity | {"license": license_of(pool), "counts": counts}
        lock |= {"sources": _sources(docs, drawn), "strata": _strata(drawn), "left_out": drawn.left_out}
        lock |= {"held_out": exclusion.compared, "decontaminated": decontaminated(pool), "coverage": covered}
        (draft / "README.md").write_text(shown(card(lock)), encoding="utf-8")
        lock["files"] = {path.name: sha256(path) for path in sorted(draft.iterdir())}
        lock["digest"] = digest_of(lock["files"].items())
        (draft / "lock.json").write_text(dumps(lock), encoding="utf-8")
    return Calibrated(home, lock, True)


def card(lock: dict) -> str:
    """The card of a set, from its lock."""
    facts = {
        "lock": lock,
        "license": licenses.fields(lock["license"]),
        "data_file": FORMS[lock["recipe"]].data_file,
        "releases": each_of(lock),
        "exposed": exposed(lock),
        "short": [name for name, source in lock["sources"].items() if source["sequences"] < source["asked"]],
    }
    return environment().get_template("calibration.md.jinja").render(facts)


def _form(recipe: str) -> Form:
    if recipe not in FORMS:
        raise CurateError(f"no recipe `{recipe}`", "--recipe", did_you_mean(recipe, list(FORMS)))
    return FORMS[recipe]


def _template(pool: shards.Pool, tokenizer: Tokenizer, name: str | None, date: str | None) -> Template | None:
    """The chat template that is asked for. Raises CurateError for one that cannot be used."""
    if name is None:
        if date is not None:
            raise CurateError("--date needs a chat template", "--date", "add --chat-template, or remove --date")
        return None
    if not any("messages" in release.lock.columns for release in pool.releases):
        fix = "remove --chat-template, or use a release of conversations"
        raise CurateError("the release has no column `messages`", pool.where, fix)
    try:
        day = date and datetime.date.fromisoformat(date).isoformat()
    except ValueError:
        raise CurateError(f"`{date}` is not a date", "--date", "write it as 2025-01-31") from None
    files = chat.files(name)
    chat.check(chat.read(files, day), files, tokenizer)
    return Template(files, day)


def _tokenizer_of(pool: shards.Pool) -> Path:
    """The tokenizer of the first release that says which it is. Raises CurateError where none does."""
    for release in pool.releases[:-1]:
        try:
            return _its_tokenizer(release)
        except CurateError:
            continue
    return _its_tokenizer(pool.releases[-1])


def _its_tokenizer(release: shards.Shards) -> Path:
    """The tokenizer of a release's tokens, by the digest in its lock: where its manifest says, which names no place of
    the machine it was made on, or where the work folder around the release has it noted."""
    fix = "pass one with --tokenizer: a tokenizer.json, its folder, or hf://OWNER/MODEL/tokenizer.json"
    where = str(release.folder)
    digests = {stage.params["tokenizer"] for stage in release.lock.stages if stage.stage == "tokens"}
    if release.lock.tokens:
        digests.add(f"sha256:{release.lock.tokens.tokenizer.sha256}")
    if not digests:
        raise CurateError("the release has no token counts, so it specifies no tokenizer", where, fix)
    path = release.folder / "manifest.yaml"
    manifest = read_tree(read_text(path, "the release's manifest")).value if path.is_file() else None
    noted = noted_places(release.folder.absolute().parents[2]) if len(release.folder.absolute().parents) > 2 else {}
    for name in [*(noted[digest] for digest in sorted(digests & noted.keys())), *_named(manifest)]:
        try:
            path = locate(name, "tokenizer")
        except CurateError:
            continue
        if f"sha256:{sha256(path)}" in digests:
            return path
    raise CurateError(
        f"the tokenizer of the release ({', '.join(sorted(digests))}) was not found on this machine", where, fix
    )


def _named(value: Any) -> list[str]:
    """The tokenizers of all that is called `tokens` in a manifest: stages, and its token shards."""
    if isinstance(value, list):
        return [name for one in value for name in _named(one)]
    if not isinstance(value, dict):
        return []
    call = value.get("tokens")
    call = call.get("tokenizer") if isinstance(call, dict) else call
    return [*([call] if isinstance(call, str) else []), *_named(list(value.values()))]


def _context(pool: shards.Pool, phase: str | None) -> int:
    """Length of the sequences of a phase, or the longest of all."""
    held = [part for release in pool.releases for part in (release.lock.mixture, release.lock.tokens) if part]
    known = [split.context for part in held for split in part.splits if split.context and phase in (None, split.phase)]
    return max(known, default=CONTEXT)


def _end(release: shards.Shards, tokenizer: Tokenizer, name: str | None) -> tuple[str, int] | None:
    """The token between documents, and its id."""
    if name is not None:
        return name, tokenizer.id_of(name)
    encoded = release.lock.tokens
    if encoded and encoded.tokenizer.sha256 == sha256(tokenizer.path):
        return (encoded.eos.token, encoded.eos.id) if encoded.eos else None
    for usual in ENDS:
        if (found := tokenizer.exact.token_to_id(usual)) is not None:
            return usual, found
    return None


def _asked(
    recipe: str,
    form: Form,
    sequences: int | None,
    context: int,
    tokens: int | None,
    join: bool,
    ending: tuple[str, int] | None,
) -> Asked:
    """What is to be drawn. Raises CurateError for an option that the recipe has not, or that is out of range."""
    takes_tokens = form.tokens is not None
    if (sequences if takes_tokens else tokens) is not None:
        wrong, right = ("--sequences", "--tokens") if takes_tokens else ("--tokens", "--sequences")
        raise CurateError(f"recipe `{recipe}` does not accept {wrong}", wrong, f"use {right} instead")
    for option, value in (("--sequences", sequences), ("--length", context), ("--tokens", tokens)):
        if value is not None and not 1 <= value <= MOST:
            raise CurateError(f"{option} {value} is out of range", option, f"use 1 to {MOST:,}")
    length, tokens = context, tokens or form.tokens
    if tokens:
        total = ceil(tokens / length)
        length = tokens // total
    else:
        assert form.sequences, "a recipe counts tokens or sequences"
        total = sequences or form.sequences
    if total * length > MOST and form.dtype is np.int32:
        what = f"{total:,} sequences of up to {length:,} tokens do not fit cu_seqlens, int32"
        raise CurateError(what, "--sequences", f"use at most {MOST // length:,}, or a lower --length")
    return Asked(total, length, form.fill, join, ending[1] if ending else None)


def _identity(
    pool: shards.Pool,
    recipe: str,
    asked: Asked,
    options: dict,
    tokenizer: Tokenizer,
    template: Template | None,
    sets: dict,
) -> dict:
    """All that affects the set. options: beside what is in `asked`."""
    sizes = {"sequences": asked.total, "length": asked.length, "join": asked.join}
    identity: dict[str, Any] = {
        "calibration": FORMAT,
        "recipe": recipe,
        **released(pool),
        "options": sizes | options | ({"chat_template": template.identity} if template else {}),
        "tokenizer": {"sha256": sha256(tokenizer.path), "ids": tokenizer.ids},
        "against": described(sets),
        "versions": {name: version(name) for name in (*PACKAGES, *(["jinja2"] if template else []))},
    }
    key = json.dumps(identity, sort_keys=True).encode()
    return identity | {"fingerprint": hashlib.blake2b(key, digest_size=16).hexdigest()}


def _made(home: Path) -> dict | None:
    """The lock of the set that is there, if there is one."""
    try:
        lock = json.loads((home / "lock.json").read_text(encoding="utf-8"))
        return lock if lock["calibration"] <= FORMAT and lock["fingerprint"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _only(home: Path, lock: dict | None) -> bool:
    """Whether nothing is in a folder but what a set has, so that another one may take its place."""
    known = {"lock.json", *lock["files"]} if lock else set()
    return home.is_dir() and all(path.name in known for path in home.iterdir())


def _too_few(short: Short, form: Form, asked: Asked, docs: shards.DocumentColumns, where: str) -> CurateError:
    if not short.there and not asked.join and short.longest:
        what = f"the longest document has {short.longest:,} tokens, fewer than the {asked.length:,} of a sequence"
        return CurateError(
            what, where, f"use a --length of at most {short.longest}, or let documents be joined (--join)"
        )
    what = f"{asked.total:,} sequences of {asked.length:,} tokens requested, only {short.there:,} can be drawn from"
    what += f" {len(docs.line):,} documents, each drawn once"
    fewer = f"--tokens {short.there * asked.length}" if form.tokens else f"--sequences {short.there}"
    fixes = [f"request fewer ({fewer})"] if short.there else []
    fixes += ["for shorter ones (--length)"] if asked.fill else []
    return CurateError(what, where, ", or ".join([*fixes, "draw from a larger release"]))


def _sources(docs: shards.DocumentColumns, drawn: Drawn) -> dict[str, dict]:
    """By source: its share of the release, the sequences asked of it and made, and what is in them."""
    made = [[one for one in drawn.sequences if one.source == place] for place, _ in enumerate(docs.sources)]
    return {
        name: {
            "share": round(int(docs.total[place]) / int(docs.total.sum()), 6),
            "asked": int(drawn.quotas[place]),
            "sequences": len(made[place]),
            "documents": sum(len(one.pieces) for one in made[place]),
            "tokens": sum(len(one.ids) for one in made[place]),
        }
        for place, name in enumerate(docs.sources)
    }


def _strata(drawn: Drawn) -> list[dict]:
    """From short documents to long: how many, of which lengths, and how many tokens they gave."""
    pieces = [piece for sequence in drawn.sequences for piece in sequence.pieces]
    return [
        {
            "stratum": stratum,
            "documents": len(mine),
            "shortest": min(piece.tokens for piece in mine),
            "longest": max(piece.tokens for piece in mine),
            "tokens": sum(len(piece.ids) for piece in mine),
        }
        for stratum in sorted({piece.stratum for piece in pieces})
        for mine in [[piece for piece in pieces if piece.stratum == stratum]]
    ]
