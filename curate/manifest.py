"""What a release is made of: YAML in, a checked Manifest out, or all of its mistakes at once.

A manifest is written by a person. Every mistake names the line, the place in the document and the mend, and all of
them are reported together.
"""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field

from curate.errors import CurateError, ManifestError, did_you_mean
from curate.mix import tokens as token_shards
from curate.mix.settings import Mixture, mistakes
from curate.mix.tokens import Tokens
from curate.stage import Stage, find_stage, stage_homes
from curate.vocabulary import card as cards
from curate.vocabulary.licenses import canonical
from curate.vocabulary.names import checked_name, checked_repository

Place = tuple[str | int, ...]

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(value: Any) -> int:
    """Bytes of `256MB`, `1.5 GiB` or a plain number. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if not match or match[2].upper() not in UNITS:
        raise ValueError("a size is a number with KB, MB, GB, KiB, MiB or GiB, such as 256MB")
    return int(float(match[1]) * UNITS[match[2].upper()])


Size = Annotated[
    int, pydantic.BeforeValidator(parse_size), Field(gt=0), pydantic.WithJsonSchema({"type": ["string", "integer"]})
]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.-]+)?$")]
License = Annotated[str, pydantic.AfterValidator(canonical)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class CommonCrawl(Strict):
    """A number of files of one crawl, taken by hash."""

    crawl: str = Field(description="name of the crawl, such as CC-MAIN-2024-22")
    files: int = Field(ge=1, description="how many of its files to take")
    seed: int = Field(0, description="another seed takes other files")
    kind: Literal["warc", "wet"] = Field("warc", description="raw archives, or CommonCrawl's own text")
    base: str = Field("https://data.commoncrawl.org/", description="where the crawl is served")


class CommonCrawlInput(Strict):
    commoncrawl: CommonCrawl


class PathsInput(Strict):
    """A list of files, one a line, plain or compressed."""

    paths: str = Field(description="where the list is")
    base: str | None = Field(None, description="what its lines are relative to")


StageList = list[str | dict[str, Any]]


class Source(Strict):
    """Where documents come from, and what is done to them alone."""

    inputs: list[str | CommonCrawlInput | PathsInput] = Field(
        min_length=1, description="files, globs, folders, lists of paths, https://, s3://, hf://, commoncrawl"
    )
    format: Literal["warc", "arc", "wet", "jsonl", "parquet"] | None = Field(
        None, description="of the files; by default told from their names"
    )
    layout: str | None = Field(None, description="a known dataset whose columns these are")
    columns: dict[str, Any] | None = Field(
        None, description="our column: theirs, for rows that are no known layout; meta: a list"
    )
    max_bad_rows: float = Field(0.01, ge=0, le=1, description="share of rows of a file that may be unreadable")
    max_damaged: float = Field(
        0.01, ge=0, le=1, description="share of the bytes of its files that may be unreadable; more stops the run"
    )
    pipeline: str | StageList = Field([], description="stages for this source: a pipeline's name, or a list")
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` in place of the pipeline's own")
    priority: int = Field(0, description="which copy of a duplicate is kept: that of the lowest number")
    license: License | None = Field(None, description="license of its documents, where they name none themselves")
    description: str = Field("", description="a sentence for the card")


class Shards(Strict):
    """How the release is cut into files."""

    size: Size = Field("256MB", validate_default=True, description="text in a shard, before compression")
    columns: list[str] = Field([], description="columns to publish beside the usual ones")


class Publish(Strict):
    """Where the release goes."""

    repo: Annotated[str, pydantic.AfterValidator(checked_repository)] | None = None
    private: bool = False


class Document(Strict):
    """A manifest, as it stands in its file."""

    name: Annotated[Name, pydantic.AfterValidator(checked_name)] = Field(description="of the release")
    version: Version = Field(description="of the release: MAJOR.MINOR.PATCH")
    license: License = Field(description="license of the release, as SPDX or the Hub names it")
    description: str = Field("", description="a paragraph for the card")
    card: str = Field("", description="more of your own for the card: Markdown, or the path of a .md file")
    seed: int = Field(0, description="of the shuffle and of every sample")
    sources: dict[Name, Source] = Field(min_length=1)
    stages: str | StageList = Field(
        [], description="stages over the documents of all sources together: a pipeline's name, or a list"
    )
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` for those stages, in place of their own")
    removed: list[str] = Field(
        [], description="lists of what is to stay out: ids, URLs or domains, or evidence/removed.parquet of a release"
    )
    extends: str | None = Field(
        None, description="earlier release whose shards stay as they are; only what does not resemble it is added"
    )
    against: list[str] = Field([], description="earlier releases: what resembles their documents goes")
    mixture: Annotated[Mixture, pydantic.BeforeValidator(lambda given: {} if given == "everything" else given)] = Field(
        default_factory=Mixture, description="which documents are released: everything, or some in shares"
    )
    shards: Shards = Field(default_factory=Shards)
    tokens: Tokens | None = Field(None, description="token shards beside the Parquet, for trainers")
    publish: Publish = Field(default_factory=Publish)


@dataclass(frozen=True)
class Call:
    """A stage with its parameters, defaults filled in. label: its name; the second of a pipeline is `name.2`."""

    stage: Stage
    params: dict[str, Any]
    label: str
    place: str

    @property
    def identity(self) -> dict:
        return self.stage.identity(self.params)


@dataclass(frozen=True)
class Manifest:
    """A manifest that holds: every name in it is known, every parameter has its type.

    pipelines  the configured stages of each source
    stages     those over all sources
    folder     what relative inputs are relative to
    """

    document: Document
    pipelines: dict[str, list[Call]]
    stages: list[Call]
    folder: Path
    path: Path | None
    text: str

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def version(self) -> str:
        return self.document.version

    @property
    def card(self) -> str:
        """The person's own part of the card: Markdown."""
        text = self.document.card
        return (self.folder / text).read_text(encoding="utf-8") if cards.is_file(text) else text

    @property
    def indexed(self) -> Call | None:
        """The stage over all sources that later releases are compared by, if there is one."""
        return next((call for call in reversed(self.stages) if call.stage.index), None)


def library(kind: Literal["pipelines", "classifiers", "manifests"]) -> Path:
    """The folder of pipelines, classifiers or manifests that come with curate."""
    installed = Path(__file__).parent / "_library" / kind
    return installed if installed.exists() else Path(__file__).parents[1] / kind


def find(kind: Literal["pipelines", "classifiers", "manifests"], name: str, folder: Path) -> Path:
    """The file that `name` means: a path to a `.yaml` file, else `KIND/NAME.yaml` in the folder or beside it, else what
    comes with curate."""
    if name.endswith((".yaml", ".yml")):
        candidates = [folder / name]
    else:
        candidates = [home / f"{name}.yaml" for home in (folder / kind, folder.parent / kind, library(kind))]
    for path in candidates:
        if path.is_file():
            return path
    known = {path.stem for path in library(kind).glob("*.yaml")}
    raise CurateError(f"no {kind[:-1]} `{name}`", fix=did_you_mean(name, known) if known else "")


def load(path: str | Path) -> Manifest:
    """Read the manifest at a path, or the one of that name that comes with curate.

    Raises ManifestError with all mistakes, CurateError if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        try:
            path = find("manifests", str(path), Path.cwd())
        except CurateError as error:
            raise CurateError(f"no manifest {path}", fix=error.fix) from None
    return loads(path.read_text(encoding="utf-8"), path=path)


def loads(text: str, *, path: Path | None = None, folder: Path | None = None) -> Manifest:
    """Read a manifest from its text. folder: what relative inputs are relative to, else that of the path."""
    if folder is None:
        folder = path.parent if path and path.parent != library("manifests") else Path.cwd()
    file = YamlFile(str(path or "manifest"), folder)
    value = file.parse(text)
    pipelines: dict[str, list[Call]] = {}
    stages: list[Call] = []
    if isinstance(value, dict):
        for name, source in _mapping(value.get("sources")).items():
            pipelines[name] = file.pipeline(_mapping(source), "pipeline", ("sources", name), folder)
        taken = [call.label for calls in pipelines.values() for call in calls]
        stages = file.pipeline(value, "stages", (), folder, taken)
    document = file.validate(Document, value)
    if document and document.removed:
        from curate.stages.removed import list_names

        lists = list_names(document.removed)
        call = file.call("removed", {"lists": lists}, ("removed",), "removed", {}, {})
        stages += [call] if call else []
    if document:
        for name, source in document.sources.items():
            file.check_source(source, ("sources", name))
        if document.extends and not any(call.stage.index for call in stages):
            file.wrong(("extends",), "`extends` needs a stage that compares with it", "add `near_dedup` to `stages:`")
        if document.extends and not (document.mixture.takes_everything and not document.mixture.validation):
            file.wrong(("extends",), "`extends` takes everything that is new", "leave out `mixture:`")
        if mistake := cards.mistake(document.card, folder):
            file.wrong(("card",), *mistake)
        for place, what, fix in mistakes(document.mixture, document.sources):
            file.wrong(("mixture", *place), what, fix)
        for place, what, fix in token_shards.mistakes(document.tokens, document.mixture) if document.tokens else ():
            file.wrong(("tokens", *place), what, fix)
    file.check()
    return Manifest(document, pipelines, stages, folder.resolve(), path, text)


def _mapping(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


class YamlFile:
    """A YAML file while it is read: where everything stands, and what is wrong so far."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder  # folder: what relative paths of resources start at
        self.lines: dict[Place, int] = {}
        self.problems: list[tuple[int, CurateError]] = []
        self.wrong_places: set[Place] = set()

    def wrong(self, place: Place, what: str, fix: str = "") -> None:
        self.wrong_places.add(place)
        known = place
        while known not in self.lines and known:
            known = known[:-1]
        line = self.lines.get(known, 1)
        self.problems.append((line, CurateError(what, f"{self.name}:{line}  {dotted(place)}".rstrip(), fix)))

    def check(self) -> None:
        """Raise ManifestError if anything is wrong, the problems in the order of the lines."""
        if self.problems:
            raise ManifestError([problem for _, problem in sorted(self.problems, key=lambda found: found[0])])

    def parse(self, text: str) -> Any:
        try:
            node = yaml.compose(text, yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self.lines[()] = mark.line + 1 if mark else 1
            what = getattr(error, "problem", None) or str(error)
            self.wrong((), f"not YAML: {what}", "check the indentation and the quotes around this line")
            return None
        try:
            return self._value(node, ()) if node else None
        except RecursionError:
            self.wrong((), "not a tree: an anchor holds itself, or lists are nested too deep", "write it out")
            return None

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*place, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            result = {}
            for key_node, child in node.value:
                key = str(key_node.value)
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                if key in result:
                    self.wrong((*place, key), f"`{key}` stands here twice", "keep one of them")
                result[key] = self._value(child, (*place, key))
            return result
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError):  # such as the 31st of February, or a tag of another program
            self.wrong(place, f"`{node.value}` is not a value of YAML", "put it in quotes to take it as text")
            return None

    def validate(self, model: type[BaseModel], value: Any) -> BaseModel | None:
        if value is None and self.problems:
            return None
        try:
            return model.model_validate(value if value is not None else {}, context=self.folder)
        except pydantic.ValidationError as error:
            self.blame(error, (), model)
            return None

    def blame(
        self,
        error: pydantic.ValidationError,
        under: Place,
        model: type[BaseModel],
        of: str = "",
        elsewhere: dict[str, tuple["YamlFile", Place]] = MappingProxyType({}),
    ) -> None:
        """One problem for each of pydantic's, in words of the manifest, where none is named yet.

        elsewhere  file and place of what does not stand under `under`
        """
        details = [
            (tuple(part for part in detail["loc"] if not _is_tag(part)), detail)
            for detail in error.errors(include_url=False)
        ]
        inner = {loc[:length] for loc, _ in details for length in range(len(loc))}
        for loc, detail in details:
            file, place = elsewhere.get(loc[0], (self, under + loc)) if loc else (self, under)
            key = str(loc[-1]) if loc else ""
            if loc in inner or place in file.wrong_places:  # of a union the branch that came furthest tells most
                continue
            if detail["type"] == "extra_forbidden":
                known = _fields_at(model, loc[:-1])
                kind = f"unknown parameter `{key}` for stage `{of}`" if of else f"unknown key `{key}`"
                file.wrong(place, kind, did_you_mean(key, known) if known else "remove it")
            elif detail["type"] == "missing":
                file.wrong(place, f"`{key}` is missing", f"add `{key}:`")
            else:
                given = repr(detail["input"])
                given = given if len(given) <= 60 else given[:57] + "..."
                fix = ""
                if key == "version":
                    fix = 'write it as "1.0.0", in quotes'
                file.wrong(place, f"{detail['msg']}, not {given}", fix)

    def pipeline(self, within: dict, key: str, place: Place, folder: Path, taken: list[str] = ()) -> list[Call]:
        """The stages under a key: a list, or that of the pipeline it names, with `set:` beside it laid over."""
        given, file, at = within.get(key) or [], self, (*place, key)
        if isinstance(given, str):
            try:
                path = find("pipelines", given, folder)
            except CurateError as error:
                self.wrong(at, error.what, error.fix)
                return []
            file, at = YamlFile(str(path), folder), ("stages",)
            given = _mapping(file.parse(path.read_text(encoding="utf-8"))).get("stages") or []
        calls = file.calls(given, at, _mapping(within.get("set")), (self, (*place, "set")), taken)
        if file is not self:
            self.problems += file.problems
        return calls

    def calls(
        self,
        given: Any,
        place: Place,
        changes: dict | None = None,
        changes_at: tuple = (),
        taken: list[str] = (),
    ) -> list[Call]:
        """Configure a list of stages.

        changes  {`label.parameter`: value}, which stands at changes_at: a file and a place
        taken    labels that stages before these have
        """
        if not isinstance(given, list):
            return []
        entries, labels = [], []
        for index, entry in enumerate(given):
            at = (*place, index)
            if isinstance(entry, dict) and len(entry) == 1:
                name, params = next(iter(entry.items()))
            elif isinstance(entry, str):
                name, params = entry, None
            else:
                self.wrong(at, "a stage is a name, or one name with its parameters", "write `- name: {...}`")
                continue
            numbered = (name if count == 1 else f"{name}.{count}" for count in itertools.count(1))
            labels.append(next(label for label in numbered if label not in (*taken, *labels)))
            entries.append((name, params, at))
        overrides: dict[str, dict] = {}
        for key, value in (changes or {}).items():
            label, _, parameter = key.rpartition(".")
            if label not in labels:
                file, where = changes_at
                file.wrong((*where, key), f"`{key}` sets no stage of this pipeline", did_you_mean(label, labels))
            overrides.setdefault(label, {})[parameter] = value
        calls = []
        for label, (name, params, at) in zip(labels, entries, strict=True):
            mine = overrides.get(label, {})
            set_at = {key: (changes_at[0], (*changes_at[1], f"{label}.{key}")) for key in mine}
            call = self.call(name, params, at, label, mine, set_at)
            calls += [call] if call else []
        return calls

    def call(self, name: str, params: Any, at: Place, label: str, overrides: dict, set_at: dict) -> Call | None:
        try:
            stage = find_stage(name)
        except CurateError as error:
            self.wrong(at, error.what, did_you_mean(name, stage_homes()))
            return None
        if params is not None and not isinstance(params, dict):
            first = next(iter(stage.params.model_fields), None)
            if first is None:
                self.wrong((*at, name), f"stage `{name}` takes no parameter", f"write `- {name}`")
                return None
            params = {first: params}
        try:
            configured = stage.configure({**(params or {}), **overrides}, self.folder)
            stage.reads(configured)  # a stage may look closer at its parameters than types can say
        except pydantic.ValidationError as error:
            self.blame(error, (*at, name), stage.params, of=name, elsewhere=set_at)
            return None
        except ManifestError as error:
            for problem in error.problems:
                file, place = set_at.get(problem.where, (self, (*at, name, problem.where)))
                file.wrong(place, problem.what, problem.fix)
            return None
        where = f"{self.name}:{self.lines.get(at, 1)}  {dotted((*at, name))}"
        return Call(stage, configured, label, where)

    def check_source(self, source: Source, place: Place) -> None:
        from curate.sources.layouts import LAYOUTS

        if source.layout and source.layout not in LAYOUTS:
            self.wrong((*place, "layout"), f"unknown layout `{source.layout}`", did_you_mean(source.layout, LAYOUTS))
        if source.layout and source.columns:
            self.wrong((*place, "columns"), "a source has a layout or columns, not both", "remove one of them")


def _is_tag(part: Any) -> bool:
    """Whether pydantic put this into a location to say which branch of a union it tried."""
    return isinstance(part, str) and bool(re.search(r"[\[\]()]|^(str|CommonCrawlInput|PathsInput)$", part))


def _fields_at(model: Any, loc: Place) -> list[str]:
    """The names that may stand at a place of a model."""
    for part in loc:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else None
        model = _model_in(annotation) if annotation else model
    return list(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The first model in a type such as dict[str, Source]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found:
            return found
    return None


def dotted(place: Place) -> str:
    """`stages[0].near_dedup.band` of ("stages", 0, "near_dedup", "band")."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
