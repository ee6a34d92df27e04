"""What a release is made of: YAML in, a checked Manifest out, or all of its mistakes at once.

A manifest is written by a person. Every mistake names the line, the place in the document and the mend, and all of
them are reported together.
"""

import itertools
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from curate.call import Call, Checks
from curate.errors import CurateError, ManifestError, did_you_mean, shown
from curate.mistakes import dotted, fields_at, is_tag, mismatch
from curate.mix import tokens as token_shards
from curate.mix.settings import Mixture, mistakes
from curate.mix.tokens import Tokens
from curate.parameters import Large, Priority, Seed, Share
from curate.resources import read_text
from curate.stage import find_stage, stage_homes
from curate.vocabulary import card as cards
from curate.vocabulary.licenses import canonical
from curate.vocabulary.names import checked_name, checked_repository
from curate.yaml_tree import Place, read_tree

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(value: Any) -> int:
    """Bytes of `256MB`, `1.5 GiB` or a plain number. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if not match or match[2].upper() not in UNITS:
        raise ValueError("a size is a number with KB, MB, GB, KiB, MiB or GiB, such as 256MB")
    size = float(match[1]) * UNITS[match[2].upper()]
    return int(size) if math.isfinite(size) else LARGEST + 1


LARGEST = 2**50
"""Bytes that a size may be: a pebibyte."""


Size = Annotated[
    int,
    pydantic.BeforeValidator(parse_size),
    Field(gt=0, le=LARGEST),
    pydantic.WithJsonSchema({"type": ["string", "integer"]}),
]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}([-+][0-9A-Za-z.-]+)?$", max_length=96)]
License = Annotated[str, pydantic.AfterValidator(canonical)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class CommonCrawl(Strict):
    """A number of files of one crawl, taken by hash."""

    crawl: str = Field(description="name of the crawl, such as CC-MAIN-2024-22")
    files: Large = Field(description="how many of its files to take")
    seed: Seed = Field(0, description="another seed takes other files")
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

    inputs: list[Annotated[str, Field(min_length=1)] | CommonCrawlInput | PathsInput] = Field(
        min_length=1, description="files, globs, folders, lists of paths, https://, s3://, hf://, commoncrawl"
    )
    format: Literal["warc", "arc", "wet", "jsonl", "parquet"] | None = Field(
        None, description="of the files; by default told from their names"
    )
    follow_links: bool = Field(False, description="whether links in input folders may lead out of them")
    layout: str | None = Field(None, description="a known dataset whose columns these are")
    columns: dict[str, Any] | None = Field(
        None, description="our column: theirs, for rows that are no known layout; meta: a list"
    )
    max_bad_rows: Share = Field(
        0.01, description="share of the rows of a file that may be unusable; more stops the run"
    )
    max_damaged: Share = Field(
        0.01, description="share of the bytes of its files that may be unreadable; more stops the run"
    )
    pipeline: str | StageList = Field([], description="stages for this source: a pipeline's name, or a list")
    set: dict[str, Any] = Field({}, description="`stage.parameter: value` in place of the pipeline's own")
    priority: Priority = Field(0, description="which copy of a duplicate is kept: that of the lowest number")
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
    seed: Seed = Field(0, description="of the shuffle and of every sample")
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
        return read_text(self.folder / text, "the card") if cards.is_file(text) else text

    @property
    def calls(self) -> list[tuple[str, Call]]:
        """(source, stage) of the stages of each source, then ("", stage) of those over all."""
        own = [(name, call) for name, calls in self.pipelines.items() for call in calls]
        return [*own, *(("", call) for call in self.stages)]

    @property
    def warnings(self) -> list[str]:
        """What is allowed and most likely not meant."""
        return [f"`{call.label}`: {text}" for _, call in self.calls for text in call.stage.warnings(call.params)]

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
        if os.path.isfile(path):  # unlike that of Path also for a name too long for the disk
            return path
    known = {path.stem for path in library(kind).glob("*.yaml")}
    raise CurateError(f"no {kind[:-1]} `{name}`", fix=did_you_mean(name, known) if known else "")


def load(path: str | Path) -> Manifest:
    """Read the manifest at a path, or the one of that name that comes with curate.

    Raises ManifestError with all mistakes, CurateError if there is no such file.
    """
    path = Path(path)
    if not os.path.isfile(path):
        try:
            path = find("manifests", str(path), Path.cwd())
        except CurateError as error:
            raise CurateError(f"no manifest {path}", fix=error.fix) from None
    return loads(read_text(path, "the manifest"), path=path)


def loads(text: str, *, path: Path | None = None, folder: Path | None = None) -> Manifest:
    """Read a manifest from its text. folder: what relative inputs are relative to, else that of the path."""
    if folder is None:
        folder = path.parent if path and path.parent != library("manifests") else Path.cwd()
    file = YamlFile(str(path or "manifest"), folder)
    value = file.parse(text)
    pipelines: dict[str, list[Call]] = {}
    stages: list[Call] = []
    if isinstance(value, dict):
        value = {key: held for key, held in value.items() if not key.startswith("x-")}  # anchors for merge keys
        for name, source in _mapping(value.get("sources")).items():
            pipelines[name] = file.pipeline(_mapping(source), "pipeline", ("sources", name), folder)
        stages = file.pipeline(value, "stages", (), folder)
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
        self.written: dict[Place, str] = {}
        self.problems: list[tuple[int, CurateError]] = []
        self.wrong_places: set[Place] = set()

    def wrong(self, place: Place, what: str, fix: str = "") -> None:
        self.wrong_places.add(place)
        self.problems.append((self.line(place), CurateError(what, self.at(place), fix)))

    def line(self, place: Place) -> int:
        """The line of a place, or of what is around it where that is behind an alias or not there."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def at(self, place: Place) -> str:
        """`FILE:LINE  PLACE`, as errors name it."""
        return f"{self.name}:{self.line(place)}  {dotted(place)}".rstrip()

    def check(self) -> None:
        """Raise ManifestError if anything is wrong, the problems in the order of the lines."""
        if self.problems:
            raise ManifestError([problem for _, problem in sorted(self.problems, key=lambda found: found[0])])

    def parse(self, text: str) -> Any:
        tree = read_tree(text)
        self.lines, self.written = tree.lines, tree.written
        for problem in tree.problems:
            self.wrong(*problem)
        return tree.value

    def check_text(self, place: Place, path: Path, what: str) -> None:
        """Note that a file which stands at a place is not text, if so."""
        try:
            read_text(path, what)
        except CurateError as error:
            self.wrong(place, f"{error.what} ({path.name})", error.fix)

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
            (tuple(part for part in detail["loc"] if not is_tag(part)), detail)
            for detail in error.errors(include_url=False)
        ]
        inner = {loc[:length] for loc, _ in details for length in range(len(loc))}
        for loc, detail in details:
            file, place = elsewhere.get(loc[0], (self, under + loc)) if loc else (self, under)
            key = str(loc[-1]) if loc else ""
            if loc in inner or place in file.wrong_places:  # of a union the branch that came furthest tells most
                continue
            if detail["type"] == "extra_forbidden":
                known = fields_at(model, loc[:-1])
                kind = f"unknown parameter `{key}` for stage `{of}`" if of else f"unknown key `{key}`"
                file.wrong(place, kind, did_you_mean(key, known) if known else "remove it")
            elif detail["type"] == "missing":
                file.wrong(place, f"`{key}` is missing", f"add `{key}:`")
            else:
                text = file.written.get(place, file.written.get(place[:-1]))
                file.wrong(place, *mismatch(detail, model, loc, text))

    def pipeline(self, within: dict, key: str, place: Place, folder: Path) -> list[Call]:
        """The stages under a key: a list, or that of the pipeline it names, with `set:` beside it laid over."""
        given, file, at = within.get(key) or [], self, (*place, key)
        if isinstance(given, str):
            try:
                path = find("pipelines", given, folder)
            except CurateError as error:
                self.wrong(at, error.what, error.fix)
                return []
            file = YamlFile(str(path), folder)
            try:
                given = _mapping(file.parse(read_text(path, "the pipeline"))).get("stages") or []
            except CurateError as error:
                self.wrong(at, f"{error.what} ({path.name})", error.fix)
                return []
            at = ("stages",)
        calls = file.calls(given, at, _mapping(within.get("set")), (self, (*place, "set")))
        if file is not self:
            self.problems += file.problems
        return calls

    def calls(
        self,
        given: Any,
        place: Place,
        changes: dict | None = None,
        changes_at: tuple = (),
    ) -> list[Call]:
        """Configure a list of stages.

        changes  {`label.parameter`: value}, which stands at changes_at: a file and a place
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
            labels.append(next(label for label in numbered if label not in labels))
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
        given = {**(params or {}), **overrides}
        if name == "near_dedup" and "alarm" in given:  # what it was called there
            given.setdefault("max_removed", given.pop("alarm"))
        checked = {key: given.pop(key) for key in Checks.model_fields if key in given}
        try:
            checks = Checks.model_validate({"max_removed": stage.max_removed} | checked)
            configured = stage.configure(given, self.folder)
            stage.reads(configured)  # a stage may look closer at its parameters than types can say
        except pydantic.ValidationError as error:
            self.blame(error, (*at, name), stage.params, of=name, elsewhere=set_at)
            return None
        except CurateError as error:
            for problem in error.problems if isinstance(error, ManifestError) else [error]:
                place = (*at, name, problem.where) if problem.where else (*at, name)
                file, place = set_at.get(problem.where, (self, place))
                file.wrong(place, problem.what, problem.fix)
            return None
        places = {key: self.at((*at, name, key)) for key in params or ()}
        places |= {key: file.at(place) for key, (file, place) in set_at.items()}
        where = f"{self.name}:{self.lines.get(at, 1)}  {dotted((*at, name))}"
        return Call(stage, configured, label, where, checks.max_removed, places)

    def check_source(self, source: Source, place: Place) -> None:
        from curate.sources.layouts import LAYOUTS, SETTABLE

        if source.layout and source.layout not in LAYOUTS:
            self.wrong((*place, "layout"), f"unknown layout `{source.layout}`", did_you_mean(source.layout, LAYOUTS))
        if source.layout and source.columns:
            self.wrong((*place, "columns"), "a source has a layout or columns, not both", "remove one of them")
        for name, column in (source.columns or {}).items():
            named = list(column.values()) if isinstance(column, dict) else column if name == "meta" else [column]
            if not (isinstance(named, list) and all(isinstance(one, str) and one for one in named)):
                wanted = (
                    "a list of columns, or a mapping of names to them" if name == "meta" else "the name of a column"
                )
                fix = "write `meta: [COLUMN, ...]`" if name == "meta" else f"write `{name}: COLUMN`, or leave it out"
                self.wrong((*place, "columns", name), f"`{name}` is {wanted}, not {shown(column)}", fix)
        if unknown := [name for name in source.columns or () if name not in SETTABLE]:
            fix = did_you_mean(unknown[0], SETTABLE)
            self.wrong((*place, "columns", unknown[0]), f"`columns` cannot set `{unknown[0]}`", fix)
