"""What a stage is, how to write one, and how a manifest finds it by name.

A `map` stage is a pure function on a document table, and row i of its result depends on row i alone. A `group`
stage makes documents that share a key meet: its function returns steps (see `Step` and `by_key`).
Both are configured by their keyword-only parameters and declare, in their docstring, the columns they read, add
or change and the reasons they may give:

    @stage(version=1)
    def length(docs: pa.Table, *, min_words: int = 50) -> pa.Table:
        '''Reject documents that are too short.

        Reads: text
        Adds: n_words (int32, words)
        Reasons: too_few_words
        '''

A stage never drops a row: it names a reason, with `reject`.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import entry_points
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from curate.base.features import element_type, struct_fields
from curate.errors import CurateError, did_you_mean
from curate.models.resources import each, sha256

HOMES = ("curate.stages", "curate.dedup")
ENTRY_POINTS = "curate.stages"


@dataclass(frozen=True)
class Step:
    """One round of a group stage.

    run   a function from table(s) to a table; its arguments depend on `over`:
          docs  run(docs) for each block of a partition: live rows, with `doc` and the columns in `reads`.
                From the second step on, run(docs, rows), with the rows that the previous step sent to them.
          bins  run(rows) for each bin: all rows sent to it, sorted by `doc`.
          all   run(tables, sizes) once: an iterator of tables, and the number of documents in each partition
                (int64). It yields tables.
          apply run(docs, rows) for each block of a partition, as the last step of a stage that changes documents:
                returns `docs` as a map stage does, with the columns it adds and changes, and `reject`.
    bins  number of bins for the resulting rows: the bin of a row is its column `bin` (uint32 or uint64) modulo
          this number. 0: back to their documents, by `doc`.
    reads for a step over docs or one that is applied, the columns it uses; over docs, `priority` (int32) is that of the
          document's source. Default: `id`, `priority` and all columns that the stage reads.

    `doc` (uint64) identifies a document between steps: partition << 32 | row. Unless the last step is over `apply`, its
    rows are verdicts: at most one per document, with `doc`, `reject` (a reason or null) and the columns the stage adds.

    A step runs again when something that affects it changes. If `run` is a module-level function, or a
    `functools.partial` of one with keywords that are JSON values or such functions, only these keywords affect it:

        Step(partial(decide, threshold=threshold), "bins")

    Any other function, such as one defined inside the stage, is assumed to depend on all parameters.
    """

    run: Callable
    over: Literal["docs", "bins", "all", "apply"]
    bins: int = 0
    reads: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Index:
    """What a release keeps of its documents, so that a later one can be compared with them.

    build   build(rows of a shard, **scheme): a table with one row a document
    reads   what it looks at of the rows; `text` is part of it
    scheme  scheme(**parameters): what must be equal for two indexes to be comparable, as JSON values
    column  of the table: what the stage's first step takes of an earlier document in place of all it reads
    more    more(**parameters): what else it looks at, of rows that have it
    """

    build: Callable
    reads: tuple[str, ...]
    scheme: Callable
    column: str
    more: Callable = lambda **_: ()


@dataclass(frozen=True)
class Declared:
    """What a docstring says of a stage: {column: type} read, added, changed; reasons; the sentence above them."""

    summary: str
    reads: tuple[str, ...] = ()
    adds: dict[str, str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A stage as the engine knows it. `reads` and `reasons` may depend on the parameters."""

    name: str
    kind: Literal["map", "group"]
    version: int
    function: Callable
    packages: tuple[str, ...] | Callable[..., tuple[str, ...]] = ()
    alone: bool = False
    hazard: bool = False
    dry: bool = False
    reads_from: Callable[..., tuple[str, ...]] | None = None
    adds_from: Callable[..., dict[str, str]] | None = None
    reasons_from: Callable[..., tuple[str, ...]] | None = None
    resources_from: Callable[..., dict[str, Any]] | None = None
    memory_from: Callable[..., int] | None = None
    notes_from: Callable[..., list[str]] | None = None
    code_from: Callable[..., tuple[str, ...]] | None = None
    warnings_from: Callable[..., list[str]] | None = None
    index: "Index | None" = None
    new_only: bool = False
    max_removed: float | None = None

    def __call__(self, /, *args: Any, **params: Any) -> Any:
        return self.function(*args, **params)

    @cached_property
    def declared(self) -> Declared:
        return read_declarations(inspect.getdoc(self.function) or "")

    @cached_property
    def params(self) -> type[pydantic.BaseModel]:
        """The keyword-only parameters as a model: types, defaults, what each means, and no other names."""
        fields: dict[str, Any] = {}
        extra: Literal["allow", "forbid"] = "forbid"
        parameters = inspect.signature(self.function).parameters
        meanings = read_parameters(inspect.getdoc(self.function) or "", parameters)
        for name, parameter in parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                default = ... if parameter.default is parameter.empty else parameter.default
                field = pydantic.Field(default, description=meanings[name]) if name in meanings else default
                fields[name] = (parameter.annotation, field)
            elif parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
        config = pydantic.ConfigDict(extra=extra, protected_namespaces=(), allow_inf_nan=False)
        return pydantic.create_model(self.name, __config__=config, **fields)

    @property
    def free(self) -> bool:
        """Whether its parameters have free names, such as rules."""
        return self.params.model_config["extra"] == "allow"

    def configure(self, given: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
        """All parameters, defaults filled in, as plain JSON values. Raises pydantic.ValidationError.

        folder  what relative paths of resources start at
        """
        return self.params.model_validate(given, context=folder).model_dump(mode="json")

    def reads(self, params: dict) -> tuple[str, ...]:
        return self.reads_from(**params) if self.reads_from else self.declared.reads

    def adds(self, params: dict) -> dict[str, str]:
        return self.adds_from(**params) if self.adds_from else self.declared.adds

    def reasons(self, params: dict) -> tuple[str, ...]:
        return self.reasons_from(**params) if self.reasons_from else self.declared.reasons

    def resources(self, params: dict) -> dict[str, str]:
        """{digest: path} of the files that parameters name. Raises CurateError where one is not at hand."""
        found: list[Path] = []
        each(lambda leaf: found.append(leaf) if isinstance(leaf, Path) else None, self._files(params))
        return {_digest(path): str(path) for path in found}

    def _files(self, params: dict) -> dict[str, Any]:
        return self.resources_from(**params) if self.resources_from else {}

    def located(self, params: dict) -> dict[str, Any]:
        """The parameters with the paths of the files they name. Raises CurateError where one is not at hand."""
        return params | each(lambda leaf: str(leaf) if isinstance(leaf, Path) else leaf, self._files(params))

    def notes(self, params: dict) -> list[str]:
        return self.notes_from(**params) if self.notes_from else []

    def code(self, params: dict) -> tuple[str, ...]:
        """What of the parameters is code that the stage runs: `module:name` of each."""
        return self.code_from(**params) if self.code_from else ()

    def warnings(self, params: dict) -> list[str]:
        return self.warnings_from(**params) if self.warnings_from else []

    def memory(self, params: dict) -> int:
        """Bytes a job of the stage needs beside the documents it is given."""
        return self.memory_from(**params) if self.memory_from else 0

    def identity(self, params: dict) -> dict:
        """All that affects the stage's result beside its input. A resource stands there by its digest."""
        identity = self._source(params) | {"params": params | each(_digest, self._files(params))}
        if self.free:  # which apply in order
            identity["order"] = list(params)
        return identity

    def _source(self, params: dict) -> dict:
        """What the stage is, whatever its parameters."""
        packages = self.packages(**params) if callable(self.packages) else self.packages
        versions = {name: package_version(name) for name in packages}
        return {"stage": self.name, "version": self.version, "packages": versions}

    def steps(self, params: dict) -> list[tuple[Step, dict]]:
        """The steps of a group stage, each with all that affects it beside its input: see `Step`."""
        found = []
        for number, step in enumerate(self.function(**params)):
            identity = self._named(step.run, params) or {"step": number, "params": self.identity(params)["params"]}
            found.append((step, self._source(params) | identity))
        return found

    def indexing(self, params: dict) -> dict:
        """All that affects the index of a shard beside its rows, of a stage that has one."""
        assert self.index
        return self._source(params) | {"params": self.index.scheme(**params)}

    def step(self, identity: dict) -> Callable:
        """What carries out the step of this identity, in any process."""
        if isinstance(identity["step"], int):
            return self.function(**identity["params"])[identity["step"]].run
        return self._found(identity)

    def _named(self, run: Callable, params: dict) -> dict | None:
        """A function by its name and the keywords that it is given, some of which may be functions; None if it has no
        name in its module. Functions of other modules than the stage's are named `module:name`."""
        function, given = (run.func, run.keywords) if isinstance(run, partial) else (run, {})
        name, home = getattr(function, "__name__", ""), getattr(function, "__module__", "")
        if getattr(importlib.import_module(self.function.__module__), name, None) is not function:
            if getattr(importlib.import_module(home), name, None) is not function:
                return None
            name = f"{home}:{name}"
        functions = {key: self._named(value, params) for key, value in given.items() if callable(value)}
        if None in functions.values():
            return None
        files = each(_digest, {key: file for key, file in self._files(params).items() if key in given})
        values = {key: value for key, value in given.items() if key not in functions}
        return {"step": name, "params": values | files} | ({"functions": functions} if functions else {})

    def _found(self, named: dict) -> Callable:
        home, _, name = named["step"].rpartition(":")
        functions = {key: self._found(value) for key, value in named.get("functions", {}).items()}
        function = getattr(importlib.import_module(home or self.function.__module__), name)
        return partial(function, **named["params"], **functions)


def stage(version: int, **options: Any) -> Callable[[Callable], Stage]:
    """Make a map stage from a function `(docs: pa.Table, *, ...) -> pa.Table`.

    version   bump it when the output changes for any input.
    packages  distributions whose version affects the result, or a function of the parameters that returns them.
    alone     always start a separate job, so that changing this stage does not rerun earlier ones.
    dry       cheap enough to try on an empty table during planning, which can find more mistakes.
    hazard    known to crash or hang on hostile input; the reference mentions it. This never stops a run: the document
              is rejected as `NAME_crashed`, or as `NAME_failed` if the stage raises an exception.
    reads_from, adds_from, reasons_from
              functions of the parameters, where the docstring cannot list the names.
    resources_from
              a function of the parameters: {parameter: the Path of the file it refers to, found by
              `resources.locate`}; a list or a mapping keeps its form, with paths in place of file names.
    code_from   a function of the parameters: `module:name` of each function or class that they refer to and the stage
              calls; it runs only if the user allows it, and nothing else in the stage may import it.
    notes_from  a function of the parameters: sentences for the plan and the card that explain the settings.
    warnings_from  the same, for settings that are allowed but most likely a mistake.
    max_removed  default share of a source that the stage may remove before a run stops.
    """
    return lambda function: Stage(function.__name__, "map", version, function, **options)


def group(version: int, **options: Any) -> Callable[[Callable], Stage]:
    """Make a group stage from a function `(*, ...) -> list[Step]`. Options as for `stage`, and:

    index        what a release keeps for later ones, see `Index`
    memory_from  bytes that a job needs besides its documents, as a function of the parameters
    new_only     ignore documents of earlier releases listed in `against:`, so a stage that keeps a number of documents
                 counts only those of this run
    """
    return lambda function: Stage(function.__name__, "group", version, function, alone=True, **options)


def reject(docs: pa.Table, /, **reasons: Any) -> pa.Table:
    """Set a reason on the rows where a mask is true: the first reason that applies wins. Null counts as false.

    docs     document table, n rows; its `reject` column, if any, is kept where it already has a reason.
    reasons  reason=mask, each a boolean array of n rows.
    """
    masks = [pc.fill_null(_array(mask), False) for mask in reasons.values()]
    column = pa.nulls(docs.num_rows, pa.string())
    for name, mask in reversed(list(zip(reasons, masks, strict=True))):
        column = pc.if_else(mask, pa.scalar(name), column)
    if "reject" in docs.column_names:
        column = pc.coalesce(_array(docs["reject"]).cast(pa.string()), column)
        docs = docs.drop_columns("reject")
    return docs.append_column("reject", column)


def set_column(docs: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with this column added, or changed where it already exists."""
    index = docs.column_names.index(name) if name in docs.column_names else -1
    return docs.append_column(name, values) if index < 0 else docs.set_column(index, name, values)


def _digest(leaf: Any) -> Any:
    return f"sha256:{sha256(leaf)}" if isinstance(leaf, Path) else leaf


def _array(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values if isinstance(values, pa.Array) else pa.array(values)


_SECTION = re.compile(r"^(Reads|Adds|Changes|Reasons):[ \n]", re.MULTILINE)
_PARAMETERS = re.compile(r"((?:\w+, )*\w+)(?:  +(\S.*))?")
_ADDED = re.compile(r"(?<!\w)(\w++) \(([^,()\[]++(?:\[[^\]()]*+\])?+)[^()]*+\)")


def read_declarations(doc: str) -> Declared:
    """Read the Reads, Adds, Changes and Reasons paragraphs of a stage's docstring."""
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", doc):
        parts = _SECTION.split(paragraph)
        found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    names = {key: tuple(re.findall(r"\w+", found.get(key, ""))) for key in ("Reads", "Changes", "Reasons")}
    return Declared(
        summary=doc.split("\n\n")[0].replace("\n", " ").strip(),
        reads=names["Reads"],
        adds=dict(_ADDED.findall(found.get("Adds", ""))),
        changes=names["Changes"],
        reasons=names["Reasons"],
    )


def read_parameters(doc: str, names: Collection[str]) -> dict[str, str]:
    """{parameter: what it means}, as a docstring lists them: `NAME, NAME  meaning`, continued in indented lines."""
    found: dict[str, str] = {}
    current: list[str] = []
    for line in doc.split("\n"):
        listed = _PARAMETERS.fullmatch(line)
        if listed and all(name in names for name in listed[1].split(", ")):
            current = listed[1].split(", ")
            meaning = listed[2] or ""
        elif current and line.startswith("  "):
            meaning = line.strip()
        else:
            current = []
            continue
        found |= {name: f"{found.get(name, '')} {meaning}".strip() for name in current}
    return {name: meaning for name, meaning in found.items() if meaning}


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type of a name: an alias of Arrow's, `list[...]` of one, or a list or struct as Arrow prints it."""
    if name.startswith("list["):
        return pa.list_(arrow_type(name[5:-1]))
    if (element := element_type(name)) and element[0] == "list":
        return pa.list_(arrow_type(element[1]))
    if name.startswith("struct<"):
        return pa.struct([(field, arrow_type(kind)) for field, kind in struct_fields(name)])
    return pa.type_for_alias(name)


@cache
def stage_homes() -> dict[str, str]:
    """{stage name: module} for all stages: ours, and those that installed packages add."""
    homes = {}
    for package in HOMES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not module.name.startswith("_"):
                homes[module.name] = f"{package}.{module.name}"
    for point in entry_points(group=ENTRY_POINTS):
        homes.setdefault(point.name, point.value)
    return homes


@cache
def find_stage(name: str) -> Stage:
    """The stage a manifest calls `name`. Raises CurateError that names the nearest one."""
    homes = stage_homes()
    if name not in homes:
        raise CurateError(f"unknown stage `{name}`", fix=did_you_mean(name, homes))
    module, _, attribute = homes[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)


def which_adds(column: str) -> str | None:
    """The first stage, by name, of those that come with curate which says that it adds this column."""
    ours = (name for name, home in sorted(stage_homes().items()) if home.startswith("curate."))
    return next((name for name in ours if column in find_stage(name).declared.adds), None)
