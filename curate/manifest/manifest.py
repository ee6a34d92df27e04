"""`load` and `loads`: from YAML to a checked Manifest, or to all of its mistakes at once.

A manifest is written by a person. Every mistake names the line, the place in the document and the fix, and all of
them are reported together.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from curate.base import card_text as cards
from curate.errors import CurateError
from curate.manifest.call import Call
from curate.manifest.library import find, library
from curate.manifest.models import Spec
from curate.manifest.settings import lay_over, unshared, written
from curate.manifest.yaml_file import YamlFile, mapping
from curate.mix.mixture import mistakes
from curate.models.resources import read_text
from curate.stage_api import find_stage
from curate.tokens import requested as token_shards


@dataclass(frozen=True)
class Manifest:
    """A manifest that holds: every name in it is known, every parameter has its type.

    pipelines  the configured stages of each source
    stages     those over all sources
    folder     what relative inputs are relative to
    text       as it is written, or as it would be with the settings laid over it
    environment  {variable: value} of what its paths took from the environment
    """

    spec: Spec
    pipelines: dict[str, list[Call]]
    stages: list[Call]
    folder: Path
    path: Path | None
    text: str
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def version(self) -> str:
        return self.spec.version

    @property
    def card(self) -> str:
        """The person's own part of the card: Markdown."""
        text = self.spec.card
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

    def leaving_out(self, lists: dict[str, str]) -> "Manifest":
        """The manifest with these lists of what stays out, {name: path}, in place of its own."""
        stages = list(self.stages)
        place = next((place for place, call in enumerate(stages) if call.label == "removed"), None)
        if place is not None:
            stages[place] = replace(stages[place], params={"lists": lists})
        elif lists:
            where = f"{self.path or 'manifest'}  extends"
            stages.append(Call(find_stage("removed"), {"lists": lists}, "removed", where))
        return replace(self, stages=stages)

    @property
    def indexed(self) -> Call | None:
        """The stage over all sources that later releases are compared by, if there is one."""
        return next((call for call in reversed(self.stages) if call.stage.index), None)


def load(path: str | Path, set: Mapping[str, Any] | None = None) -> Manifest:
    """Load a manifest from a path, or a built-in one by name.

    set  values that override those in the file, by path: `{"near_dedup.threshold": 0.7, "sources.web.priority": 1}`

    Raises ManifestError with all mistakes, CurateError if there is no such file.
    """
    path = Path(path)
    if not os.path.isfile(path):
        try:
            path = find("manifests", str(path), Path.cwd())
        except CurateError as error:
            raise CurateError(f"no such manifest: {path}", fix=error.fix) from None
    return loads(read_text(path, "the manifest"), path=path, set=set)


def loads(
    text: str, *, path: Path | None = None, folder: Path | None = None, set: Mapping[str, Any] | None = None
) -> Manifest:
    """Load a manifest from its text. folder: base folder of relative inputs, default: that of the path; set: as for
    `load`."""
    if folder is None:
        folder = path.parent if path and path.parent != library("manifests") else Path.cwd()
    file = YamlFile(str(path or "manifest"), folder)
    value = file.parse(text)
    if set and isinstance(value, dict):
        value = unshared(value)
        file.given = lay_over(value, set, file.labels)
        text = written(value, set)
    if isinstance(value, dict):
        value = {key: held for key, held in value.items() if not key.startswith("x-")}  # anchors for merge keys
        value = file.environment.expand_paths(value, file.wrong)
    pipelines, stages = _stages(file, mapping(value))
    if spec := file.validate(Spec, value):
        stages += _removing(file, spec)
        _check(file, spec, stages)
    file.check()
    assert spec, "a manifest without a spec has mistakes"
    return Manifest(spec, pipelines, stages, folder.resolve(), path, text, file.environment.used)


def _stages(file: YamlFile, value: dict) -> tuple[dict[str, list[Call]], list[Call]]:
    """The stages of each source, and those over all."""
    pipelines = {
        name: file.pipeline(mapping(source), "pipeline", ("sources", name))
        for name, source in mapping(value.get("sources")).items()
    }
    return pipelines, file.pipeline(value, "stages", ())


def _removing(file: YamlFile, spec: Spec) -> list[Call]:
    """The stage that `removed:` stands for, if it names a list."""
    if not spec.removed:
        return []
    from curate.stages.removed import list_names

    call = file.call("removed", {"lists": list_names(spec.removed)}, ("removed",), "removed", {}, {})
    return [call] if call else []


def _check(file: YamlFile, spec: Spec, stages: list[Call]) -> None:
    """Note what is wrong between the keys of a manifest, each of which is right by itself."""
    for name, source in spec.sources.items():
        file.check_source(source, ("sources", name))
    if spec.extends and not any(call.stage.index for call in stages):
        what = "`extends` needs a stage that compares documents with the earlier release"
        file.wrong(("extends",), what, "add `near_dedup` to `stages:`")
    if spec.extends and not (spec.mixture.takes_everything and not spec.mixture.validation):
        what = "`extends` adds every new document, so it cannot be combined with `mixture`"
        file.wrong(("extends",), what, "leave out `mixture:`")
    if mistake := cards.mistake(spec.card, file.folder):
        file.wrong(("card",), *mistake)
    for place, what, fix in mistakes(spec.mixture, spec.sources):
        file.wrong(("mixture", *place), what, fix)
    for place, what, fix in token_shards.mistakes(spec.tokens, spec.mixture) if spec.tokens else ():
        file.wrong(("tokens", *place), what, fix)
