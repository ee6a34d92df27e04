"""Read a YAML file with the position of every value, configure its stages, collect its mistakes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel

from curate.errors import CurateError, ManifestError, did_you_mean, shown
from curate.manifest.call import Call, Checks
from curate.manifest.library import find
from curate.manifest.mistakes import dotted, fields_at, is_tag, mismatch
from curate.manifest.models import Source
from curate.manifest.settings import Environment
from curate.manifest.yaml_tree import Place, read_tree
from curate.models.resources import read_text
from curate.stage_api import find_stage, stage_homes

Model = TypeVar("Model", bound=BaseModel)


def mapping(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def labeled(names: Iterable[str]) -> list[str]:
    """The labels of stages: their names; the second of a name is `NAME.2`."""
    seen: Counter[str] = Counter()
    labels: list[str] = []
    for name in names:
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return labels


class YamlFile:
    """A YAML file while it is read: where everything stands, and what is wrong so far. given: {place: path} of what
    `--set` puts in place of what is written."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder  # folder: what relative paths of resources start at
        self.lines: dict[Place, int] = {}
        self.written: dict[Place, str] = {}
        self.given: dict[Place, str] = {}
        self.environment = Environment()
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
        """`FILE:LINE  PLACE`, as errors name it, or `--set PATH`."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.given:
                return f"--set {self.given[place[:length]]}"
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

    def validate(self, model: type[Model], value: Any) -> Model | None:
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

    def named(self, name: str) -> tuple["YamlFile", Any]:
        """The file of a pipeline, and its list of stages. Raises CurateError."""
        path = find("pipelines", self.environment.expand(name), self.folder)
        file = YamlFile(str(path), self.folder)
        file.environment = self.environment
        try:
            text = read_text(path, "the pipeline")
        except CurateError as error:
            raise CurateError(f"{error.what} ({path.name})", fix=error.fix) from None
        return file, mapping(file.parse(text)).get("stages") or []

    def labels(self, given: Any) -> list[str]:
        """The labels of the stages of a list, or of the pipeline that it names; of what is wrong none."""
        if isinstance(given, str):
            try:
                _, given = self.named(given)
            except CurateError:
                return []
        entries = given if isinstance(given, list) else []
        names = [next(iter(entry), "") if isinstance(entry, dict) else entry for entry in entries]
        return labeled(name for name in names if isinstance(name, str))

    def pipeline(self, within: dict, key: str, place: Place) -> list[Call]:
        """The stages under a key: a list, or that of the pipeline it names, with `set:` beside it laid over."""
        given, file, at = within.get(key) or [], self, (*place, key)
        if isinstance(given, str):
            try:
                file, given = self.named(given)
            except CurateError as error:
                self.wrong(at, error.what, error.fix)
                return []
            at = ("stages",)
        calls = file.calls(given, at, mapping(within.get("set")), (self, (*place, "set")))
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
        entries = []
        for index, entry in enumerate(given):
            at = (*place, index)
            if isinstance(entry, dict) and len(entry) == 1:
                name, params = next(iter(entry.items()))
            elif isinstance(entry, str):
                name, params = entry, None
            else:
                self.wrong(at, "a stage must be a name, or a name with parameters", "write `- name: {...}`")
                continue
            entries.append((name, params, at))
        labels = labeled(name for name, _, _ in entries)
        overrides: dict[str, dict] = {}
        for key, value in (changes or {}).items():
            label, _, parameter = key.rpartition(".")
            if label not in labels:
                file, where = changes_at
                file.wrong((*where, key), f"`{key}` matches no stage of this pipeline", did_you_mean(label, labels))
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
                self.wrong((*at, name), f"stage `{name}` has no parameters", f"write `- {name}`")
                return None
            params = {first: params}
        given = {**(params or {}), **overrides}
        if name == "near_dedup" and "alarm" in given:  # what it was called there
            given.setdefault("max_removed", given.pop("alarm"))
        checked = {key: given.pop(key) for key in Checks.model_fields if key in given}
        try:
            given = given if stage.free else self.environment.expand_parameters(given)
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

    def check_format(self, source: Source, place: Place) -> None:
        """Options must be those of the format; without `format:`, of any there is."""
        from curate.sources.format_api import formats

        if source.format and source.format not in formats():
            fix = did_you_mean(source.format, formats())
            self.wrong((*place, "format"), f"unknown format `{source.format}`", fix)
            return
        kinds = [formats()[source.format]] if source.format else [*formats().values()]
        known = {name: kind for kind in kinds for name in kind.own_options}
        for name, value in source.options.items():
            if name not in known:
                whose = f"format `{source.format}` has no" if source.format else "no format has an"
                self.wrong((*place, "options", name), f"{whose} option `{name}`", did_you_mean(name, known))
                continue
            try:
                known[name].configure({name: value})
            except pydantic.ValidationError as error:
                self.blame(error, (*place, "options"), known[name].options)

    def check_source(self, source: Source, place: Place) -> None:
        from curate.sources.layouts import SETTABLE
        from curate.sources.row_mapping import known_layouts

        self.check_format(source, place)
        if source.layout and source.layout not in known_layouts():
            fix = did_you_mean(source.layout, known_layouts())
            self.wrong((*place, "layout"), f"unknown layout `{source.layout}`", fix)
        if source.layout and source.columns:
            self.wrong((*place, "columns"), "a source can have a layout or columns, not both", "remove one of them")
        if unknown := [name for name in source.columns or () if name not in SETTABLE]:
            fix = did_you_mean(unknown[0], SETTABLE)
            self.wrong((*place, "columns", unknown[0]), f"`columns` cannot set `{unknown[0]}`", fix)
        for name, column in (source.columns or {}).items():
            named = list(column.values()) if isinstance(column, dict) else column if name == "meta" else [column]
            if not (isinstance(named, list) and all(isinstance(one, str) and one for one in named)):
                wanted = "a list of columns, or a mapping from names to columns" if name == "meta" else "a column name"
                fix = "write `meta: [COLUMN, ...]`" if name == "meta" else f"write `{name}: COLUMN`, or leave it out"
                self.wrong((*place, "columns", name), f"`{name}` must be {wanted}, not {shown(column)}", fix)
