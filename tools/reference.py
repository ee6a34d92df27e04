"""Extracts the reference pages and the map in README.md from the code."""

import ast
import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pydantic
import typer
import yaml
from reference_examples import EXAMPLES, NEEDS, example

import curate
from curate import errors
from curate.cli import commands as cli
from curate.manifest.models import Spec
from curate.sources import picture_files
from curate.sources.conversations import RowLayout
from curate.sources.format_api import HOME, Format, formats, listed
from curate.stage_api import HOMES, Stage, find_stage, read_parameters, stage_homes

PACKAGE = Path(curate.__file__).parent

EXIT_CODES = {
    0: "done",
    1: "a check found something: `verify`, `diff`, `doctor`",
    2: "invalid input: the manifest, a file, or an argument (`CurateError`)",
    3: "stopped; the same command resumes (`Stopped`: Ctrl-C, a full disk, an unreachable server, lost workers)",
    70: "a bug in curate",
}

VARIABLES = {
    "CURATE_WORK": "the work folder; like `--work`",
    "CURATE_WORKERS": "number of worker processes; like `--workers`",
    "CURATE_PROFILE": "file with the Dask cluster to use; like `--profile`",
    "CURATE_ALLOW_CODE": "modules whose code manifests may run, separated by commas; like `--allow-code`",
    "CURATE_MODEL_DIR": "folder with models and tokenizers, searched before the user's cache",
    "CURATE_PATIENCE": "seconds to wait for a server that is busy or unreachable before the run stops [120]",
    "CURATE_HANG_SECONDS": "seconds before a block counts as hung; a tenth of that for one document; 0: never [300]",
    "CURATE_DEBUG": "any value: print a traceback with every error",
    "NO_COLOR": "any value: no colors on a terminal",
}


def table(head: tuple, rows) -> str:
    """A Markdown table; `|` inside a cell is escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


def code(names) -> str:
    return ", ".join(f"`{name}`" for name in names)


def commands() -> Iterator[str]:
    """One section a verb, from the command line itself."""
    group = typer.main.get_command(cli.app)
    for name, verb in group.commands.items():
        arguments = [param for param in verb.params if not param.opts[0].startswith("-")]
        usage = [param.name.upper() if param.required else f"[{param.name.upper()}]" for param in arguments]
        yield f"## `curate {name}`"
        yield f"`{' '.join(['curate', name, *usage])}`"
        yield verb.help.strip()
        shown = [param for param in verb.params if not getattr(param, "hidden", False)]
        yield table(("", "meaning"), ((f"`{_name_of(param)}`", param.help or "") for param in shown))
        yield f"In Python: [`curate.{name}`](python.md#{name})."


def _name_of(param) -> str:
    return ", ".join(param.opts) if param.opts[0].startswith("-") else param.name.upper()


def manifest(root: type[pydantic.BaseModel] = Spec) -> Iterator[str]:
    """One table for each mapping of a manifest, or of another file of ours."""
    waiting: list[tuple[str, type[pydantic.BaseModel]]] = [("", root)]
    for place, model in waiting:
        if place:
            yield f"## `{place}`"
            yield model.__doc__ or "A mapping:"
        rows = []
        for name, field in model.model_fields.items():
            under = f"{place}.{name}".lstrip(".") + (".NAME" if "dict" in str(field.annotation) else "")
            inner = _models(field.annotation)
            waiting += [(under, found) for found in inner]
            shown = words(field.annotation).replace("mapping of mapping", "mapping")
            shown += f", see `{under}`" if inner else ""
            rows.append((f"`{name}`", shown, default(field), field.description or ""))
        yield table(("key", "type", "default", "meaning"), rows)


def _models(annotation) -> list[type[pydantic.BaseModel]]:
    """The models within a type."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def words(annotation) -> str:
    """A type as YAML's user knows it."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return words(args[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(words(part) for part in args))
    if origin in (list, tuple):
        return f"list of {words(args[0])}"
    if origin is dict:
        return f"mapping of {words(args[1])}" if args[1] is not typing.Any else "mapping"
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return "mapping"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null"}
    return names.get(annotation, "anything")


def default(field) -> str:
    """The default of a field; empty where it must be given."""
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, pydantic.BaseModel):
        return "the defaults of its keys"
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def own_stages() -> list[Stage]:
    """The stages that come with curate, not those of other packages."""
    return [find_stage(name) for name, home in sorted(stage_homes().items()) if home.startswith(HOMES)]


def stage_page(stage: Stage) -> Iterator[str]:
    """What a stage's docstring says, its parameters, columns and reasons, and an example where it needs no model."""
    declared = stage.declared
    yield f"# `{stage.name}`"
    yield f"{stage.kind} stage, version {stage.version}. " + _prose(stage)
    if stage.params.model_fields:
        yield "## Parameters"
        fields = stage.params.model_fields.items()
        rows = ((f"`{name}`", words(f.annotation), default(f), f.description or "") for name, f in fields)
        yield table(("parameter", "type", "default", "meaning"), rows)
    yield "## Columns and reasons"
    facts = [
        f"Reads: {code(declared.reads) or 'columns that depend on its parameters'}.",
        *([f"Adds: {code(f'{name} ({kind})' for name, kind in declared.adds.items())}."] if declared.adds else []),
        *([f"Changes: {code(declared.changes)}."] if declared.changes else []),
        f"Reasons: {code(reasons(stage)) or ('names from its parameters' if stage.reasons_from else 'none')}.",
    ]
    yield " ".join(facts)
    yield "## Example"
    if stage.name not in EXAMPLES:
        assert stage.name in NEEDS, f"give `{stage.name}` an example in tools/reference_examples.py"
        yield f"This stage needs {NEEDS[stage.name]}."
        return
    call, before, after = example(stage.name, list(declared.adds))
    yield f"```yaml\nstages:\n{textwrap.indent(yaml.safe_dump([call], sort_keys=False), '  ')}```"
    yield from ("Before:", table(before[0], before[1:]), "After:", table(after[0], after[1:]))


def reasons(stage: Stage) -> list[str]:
    """The reasons a stage can give."""
    return [*stage.declared.reasons, *([f"{stage.name}_crashed"] if stage.hazard else [])]


def _prose(stage: Stage) -> str:
    """A docstring without its declarations and its list of parameters; other lists are blocks of their own."""
    kept = [
        f"```text\n{textwrap.dedent(part)}\n```" if re.match(r"\S.*?  +\S", part) else part.replace("\n", " ")
        for part in re.split(r"\n\s*\n", inspect.getdoc(stage.function))
        if not re.match(r"(Reads|Adds|Changes|Reasons):[ \n]", part)
        and not read_parameters(part, stage.params.model_fields)
    ]
    return "\n\n".join(kept)


def layout(places: dict) -> str:
    shown = [f"`{ours}: {theirs}`" for ours, theirs in places.items() if ours != "meta"]
    meta = places.get("meta", {})
    return ", ".join(shown) + (f"; in `meta`: {code(meta)}" if meta else "")


def row_layout(one: RowLayout) -> tuple[str, str]:
    """The columns that a layout of conversations needs, and those of ours that it gives."""
    return ", ".join(" or ".join(code([name]) for name in need.split("|")) for need in one.needs), code(one.gives)


def own_formats() -> list[Format]:
    """The formats that come with curate, not those of other packages."""
    return [one for one in formats().values() if one.read.__module__.startswith(HOME)]


def format_row(one: Format) -> tuple[str, str, str]:
    return f"`{one.name}`", code(one.endings), "yes" if one.in_folders else ""


def options() -> Iterator[tuple[str, str, str, str, str]]:
    """What each format has under `options:`."""
    for one in own_formats():
        for name, field in one.own_options.items():
            yield f"`{one.name}`", f"`{name}`", words(field.annotation), default(field), field.description or ""


def reading_reasons() -> Iterator[tuple[str, str, str]]:
    """(formats, reason, meaning) of rows and records that cannot be used."""
    meanings: dict[tuple[str, str], list[str]] = {}
    for one in own_formats():
        for reason, meaning in (one.reasons or {}).items():
            meanings.setdefault((reason, meaning), []).append(one.name)
    for reason, meaning in listed(picture_files.__doc__).items():
        meanings[reason, meaning] = [one.name for one in own_formats() if "layout" in one.options.model_fields]
    for (reason, meaning), names in meanings.items():
        yield ", ".join(names), f"`{reason}`", meaning


def columns(specs: dict) -> Iterator[tuple[str, str, str]]:
    return ((f"`{name}`", spec.type, spec.meaning) for name, spec in specs.items())


def error_classes() -> Iterator[tuple[str, int, str]]:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.CurateError):
            yield f"`{name}`", kind.exit_code, inspect.getdoc(kind).split("\n\n")[0].replace("\n", " ")


def messages() -> list[tuple[str, str]]:
    """(error, fix) of every error that the code can raise, in alphabetical order."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _called(node) in ("CurateError", "Stopped", "wrong"):
                args = node.args[1:] if _called(node) == "wrong" else node.args
                fix = next((word.value for word in node.keywords if word.arg == "fix"), None)
                fix = fix or (args[-1] if len(args) > 1 else None)
                what = _template(args[0]) if args else ""
                if re.search("[a-z]{4}", what):
                    found.add((what, _template(fix) if fix is not None else ""))
    return sorted(found)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _template(node: ast.expr) -> str:
    """The text of an expression, with `…` for what is known only when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) for part in node.values)
    if isinstance(node, ast.Call) and _called(node) == "did_you_mean":
        return "did you mean `…`?"
    return "…"


MODULES = re.compile(r"curate\.[a-z.]+\.|pathlib\.|collections\.abc\.|typing\.|(?<=pyarrow\.)lib\.")


def functions() -> Iterator[str]:
    """Signature and first sentence of everything `curate` exports."""
    verbs = typer.main.get_command(cli.app).commands
    for name in curate.__all__:
        thing = getattr(curate, name)
        if isinstance(thing, type) and issubclass(thing, errors.CurateError):
            continue
        signature = MODULES.sub("", str(inspect.signature(thing)))
        doc = inspect.getdoc(thing).split("\n\n")[0].replace("\n", " ")
        yield f"## `{name}`\n\n`{name}{signature}`\n\n{doc}"
        if name in verbs:
            yield f"On the command line: [`curate {name}`](commands.md#curate-{name})."


def file_map() -> str:
    """The folders of the package and the files in each, a line each: what it says of itself first."""
    paths = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".jinja")]
    files = [path for path in sorted(paths) if not {"_library", "tables"} & {*path.parts}]
    lines = []
    for folder in sorted({path.parent for path in files}, key=lambda folder: (folder != PACKAGE, folder)):
        name = folder.relative_to(PACKAGE.parent).as_posix() + "/"
        lines += ["", f"{name:<24} {first_line(folder / '__init__.py')}"]
        mine = [path for path in files if path.parent == folder and not path.name.startswith("__")]
        lines += [f"  {path.name:<22} {first_line(path)}" for path in mine]
    return "\n".join(lines[1:])


def first_line(path: Path) -> str:
    """The first line of a module's docstring, or the comment that a template begins with, without its period."""
    text = path.read_text(encoding="utf-8")
    found = re.match(r"{# (.*) #}\n", text) if path.suffix == ".jinja" else None
    doc = found[1] if found else ast.get_docstring(ast.parse(text)) or ""
    return doc.partition("\n")[0].removesuffix(".")


def with_stages(navigation: str) -> str:
    """The text of mkdocs.yml with the pages of all stages."""
    line = " *- reference/stages/.*\n"
    pages = "".join(f"          - reference/stages/{stage.name}.md\n" for stage in own_stages())
    return re.sub(f"(?:{line})+", pages, navigation)


def with_map(readme: str) -> str:
    """The README's text with the map as it should be."""
    block = f"```text\n{file_map()}\n```\n"
    return re.sub(r"(?<=<!-- map -->\n).*(?=<!-- end -->)", lambda _: block, readme, flags=re.DOTALL)
