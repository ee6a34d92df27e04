"""The pages of the reference, generated from the code."""

from collections.abc import Iterator

from reference import (
    EXIT_CODES,
    VARIABLES,
    code,
    columns,
    commands,
    error_classes,
    format_row,
    functions,
    layout,
    manifest,
    messages,
    options,
    own_formats,
    own_stages,
    reading_reasons,
    reasons,
    row_layout,
    stage_page,
    table,
)

from curate.documents import COLUMNS, REJECT, TRANSIENT
from curate.engine.plan import EVIDENCE, PUBLISHED
from curate.engine.profile import Profile
from curate.manifest.models import UNITS
from curate.sources import COMPRESSIONS
from curate.sources.layouts import LAYOUTS
from curate.sources.row_layouts import ROW_LAYOUTS

PAGES = {
    "commands": "Commands and environment variables",
    "python": "Python",
    "manifest": "Manifest",
    "sources": "Sources: formats and layouts",
    "stages": "Stages",
    "columns": "Columns",
    "reasons": "Reasons",
    "errors": "Errors and exit codes",
}


def pages() -> dict[str, str]:
    """The text of every page, by its path in docs/."""
    makers = (_commands, _python, _manifest, _sources, _stages, _columns, _reasons, _errors)
    made = {
        f"reference/{name}.md": [f"# {title}", *make()]
        for (name, title), make in zip(PAGES.items(), makers, strict=True)
    }
    made |= {f"reference/stages/{stage.name}.md": [*stage_page(stage)] for stage in own_stages()}
    made["reference.md"] = [
        "# Reference",
        "Written by `python tools/regenerate.py` from the code; do not edit. "
        "To get started, see the [tutorial](tutorial.md); for terms and guarantees, [concepts](concepts.md).",
        "\n".join(f"- [{title}](reference/{name}.md)" for name, title in PAGES.items()),
    ]
    return {name: "\n\n".join(parts) + "\n" for name, parts in made.items()}


def _commands() -> Iterator[str]:
    yield from commands()
    yield "## Environment variables"
    yield table(("variable", "meaning"), ((f"`{name}`", meaning) for name, meaning in VARIABLES.items()))
    yield "## Profiles"
    yield "`--profile` takes a YAML file with the Dask cluster to use; see [how to](../how-to/slurm.md)."
    yield from manifest(Profile)


def _python() -> Iterator[str]:
    yield "`import curate`; every [command](commands.md) is one of these functions."
    yield from functions()


def _manifest() -> Iterator[str]:
    sizes = ", ".join(f"`{unit.replace('I', 'i')}`" for unit in UNITS if unit)
    yield f"Keys with a default are optional. Sizes are a number of bytes or end in {sizes}."
    yield from manifest()


def _sources() -> Iterator[str]:
    endings = ", ".join(f"`{ending}`" for ending in COMPRESSIONS)
    yield f"The format is inferred from the file extension, which a compression extension may follow ({endings})."
    yield (
        "In a folder, only files of the formats marked `yes` are found by their extension. For others, set `format:`, "
        "or list the files explicitly."
    )
    yield table(("format", "extensions", "in folders"), map(format_row, own_formats()))
    yield "## Options of formats"
    yield "Set under `options:` of a source."
    yield table(("format", "option", "type", "default", "meaning"), options())
    yield "## Layouts"
    yield (
        "`column.field` is a field of a struct, of an object, or of a string that contains JSON. Of names joined by "
        "`|`, the first that is not null is used. `columns:` in a manifest has the same form."
    )
    yield table(
        ("layout", "curate's column: the source's"), ((name, layout(places)) for name, places in LAYOUTS.items())
    )
    yield "## Layouts of conversations"
    yield (
        "Rows with more than text: conversations, preferences, images. `text` is built from their contents, see "
        "[concepts](../concepts.md#rows-with-more-than-text); columns that a layout does not use are in `meta`. "
        "Messages are objects with `role` and `content`, or with `from` and `value`, or a JSON string of such objects; "
        "roles such as `human`, `gpt` and `observation` become `user`, `assistant` and `tool`. The content of a "
        "message is text, or a list of parts: text, reasoning, tool calls, images."
    )
    rows = ((f"`{name}`", _first(one.read.__doc__), *row_layout(one)) for name, one in ROW_LAYOUTS.items())
    yield table(("layout", "rows", "columns needed", "columns produced"), rows)


def _first(doc: str | None) -> str:
    """The first paragraph of a docstring."""
    return " ".join((doc or "").split("\n\n")[0].split())


def _stages() -> Iterator[str]:
    yield (
        "A stage is written as its name, or as its name with parameters. A value that is not a mapping sets the "
        "first parameter: `exact_dedup: url` is `exact_dedup: {by: url}`. The second use of a stage in one list "
        "is called `NAME.2` in counts and in `set:`."
    )
    limits = ", ".join(f"{stage.max_removed} for `{stage.name}`" for stage in own_stages() if stage.max_removed)
    yield (
        "Every stage also accepts `max_removed`, the share of a source (0 to 1) that it may remove; exceeding it stops "
        f"the run before the release. Default: {limits}; otherwise no limit, but a warning if a stage removes nearly "
        "all of a source. A document on which a map stage raises an exception is rejected as `NAME_failed`, one that "
        "crashes or hangs it as `NAME_crashed`."
    )
    rows = ((f"[`{stage.name}`](stages/{stage.name}.md)", stage.kind, _summary(stage)) for stage in own_stages())
    yield table(("stage", "kind", "what it does"), rows)


def _summary(stage) -> str:
    return stage.function.__doc__.strip().split("\n\n")[0].replace("\n", " ")


def _columns() -> Iterator[str]:
    yield "Columns of a document table. Stages add others, listed with each [stage](stages.md)."
    yield table(("column", "type", "meaning"), columns(COLUMNS))
    yield (
        f"`{REJECT.name}` is the stage and the reason, `STAGE.REASON`, of a rejected document; it is null for one that "
        "is kept. Archives also have these columns, for stages of the same job; these are never stored:"
    )
    yield table(("column", "type", "meaning"), columns(TRANSIENT))
    yield (
        f"Published, if the documents have them: {code(PUBLISHED)}, and the columns in `shards.columns`. Recorded "
        f"for rejected documents: {code(EVIDENCE)}, `stage`, `reason`."
    )


def _reasons() -> Iterator[str]:
    yield "Every rejected document has a stage and a reason."
    yield "## Reading"
    yield "In a release, the stage of these reasons is `read`."
    yield table(("format", "reason", "meaning"), reading_reasons())
    yield "## Stages"
    named = ((f"[`{stage.name}`](stages/{stage.name}.md)", code(reasons(stage))) for stage in own_stages())
    yield table(("stage", "reasons"), ((name, found) for name, found in named if found))


def _errors() -> Iterator[str]:
    yield (
        "An error states what is wrong, where, and how to fix it. With `--json` it is "
        '`{"error": {"what", "where", "fix"}}`, and `{"error": {"problems": [...]}}` for all mistakes '
        "in a manifest. `…` stands for the parts that vary."
    )
    yield "## Exit codes"
    yield table(("code", "meaning"), EXIT_CODES.items())
    yield "## Classes"
    yield table(("class", "exit code", "meaning"), error_classes())
    yield "## Messages"
    yield table(("error", "fix"), messages())
