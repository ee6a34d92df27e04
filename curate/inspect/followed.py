"""A document followed through what a run left: its steps, its columns, and what decided on it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import COLUMNS, REJECT
from curate.engine.lane import Lane
from curate.engine.plan import Plan
from curate.engine.store import Store
from curate.errors import CurateError
from curate.inspect.causes import Causes, causes
from curate.manifest.call import Call
from curate.manifest.manifest import Manifest, load
from curate.release.make import recall

PROVENANCE = tuple(name for name in COLUMNS if name not in ("text", "n_bytes"))


@dataclass(frozen=True)
class Followed:
    """A document and what happened to it.

    lane, row  where it is in the store
    steps      each with the labels of its `stages`, the `columns` added or changed, `reject`: why it was rejected there
    values     the latest value of every column, `text` among them: what the stage that rejected it saw
    reason     `LABEL.reason`; None if it is in
    call       the stage that rejected it; None if it is in, or could not be read
    """

    lane: Lane
    row: int
    steps: list[dict]
    values: dict[str, Any]
    reason: str | None
    call: Call | None

    @property
    def provenance(self) -> dict[str, Any]:
        return {name: self.values.get(name) for name in PROVENANCE}

    def causes(self, kept_text: str | None = None) -> Causes:
        """What caused the verdict. kept_text: of the document that it is a duplicate of."""
        if self.call is None or self.reason is None:
            return Causes()
        evidence = self.values | ({} if kept_text is None else {"kept_text": kept_text})
        reason = self.reason.removeprefix(f"{self.call.label}.")
        return causes(self.values.get("text"), self.call.stage.name, self.call.params, reason, evidence)


class Work:
    """What the latest run of a manifest left in a work folder, finished or not.

    lanes  the partitions that have been read. Raises CurateError where there is none
    """

    def __init__(self, manifest: str | Path | Manifest, work: str | Path, whole: bool = False):
        """whole: whether all partitions must have been read."""
        manifest = manifest if isinstance(manifest, Manifest) else load(manifest)
        self.plan: Plan = recall(manifest, work)
        self.store = Store(Path(work) / "store")
        lanes = self.plan.lanes
        self.made = self.store.markers(fp for lane in lanes for fp in {*lane.parts, *lane.columns.values()})
        self.lanes = [lane for lane in lanes if lane.parts[0] in self.made]
        if not self.lanes or (whole and len(self.lanes) < len(lanes)):
            raise CurateError("this manifest has not run yet", str(work), "run `curate run` first")

    def columns(self, lane: Lane, names: Collection[str]) -> pa.Table:
        """Columns of all documents of a partition, as far as they are made; `reject` is the latest verdict."""
        found: dict[str, Any] = {}
        for name in names:
            fp = self._latest(lane) if name == REJECT.name else lane.columns.get(name)
            if fp in self.made:
                found[name] = self.store.open(fp).read(columns=[name])[name]
        return pa.table(found)

    def _latest(self, lane: Lane) -> str:
        return next(fp for fp in reversed(lane.parts) if fp in self.made)

    def follow(self, lane: Lane, row: int) -> Followed:
        """A document, by its partition and row."""
        steps: list[dict] = []
        known: dict[str, Any] = {}
        reason = None
        for fp in lane.parts:
            if fp not in self.made:
                break
            values = self.store.row(fp, row)
            job, reason = self.plan.jobs[fp], values.pop(REJECT.name)
            known |= values
            text = values.get("text")
            columns = {name: shown(value) for name, value in values.items() if name not in COLUMNS}
            columns = {name: value for name, value in columns.items() if value is not None}
            failures = [one for found in self.store.counts(fp).get("failures", {}).values() for one in found]
            said = [one["error"] for one in failures if one["id"] == known["id"]]
            step = {"stages": labels_of(job.args), "columns": columns | ({"error": said[0]} if said and reason else {})}
            steps.append(step | {"reject": reason})
            if text is not None:
                steps[-1]["text"] = {"characters": len(text), "start": text[:200]}
            if reason:
                return Followed(lane, row, steps, known, reason, self._call(job.scope, reason))
        return Followed(lane, row, steps, known, None, None)

    def _call(self, scope: str, reason: str) -> Call | None:
        label = reason.rpartition(".")[0]
        return next((call for at, call in self.plan.manifest.calls if (at, call.label) == (scope, label)), None)

    def find(self, ids: Collection[str]) -> Iterator[tuple[str, Lane, int]]:
        """(id, partition, row) of these documents, of this run or of an earlier release."""
        wanted = pa.array(sorted(ids), pa.string())
        for lane in [*self.lanes, *self.plan.references] if len(wanted) else ():
            held = self.store.open(lane.parts[0]).read(columns=["id"])["id"]
            for row in pc.indices_nonzero(pc.is_in(held, wanted)).to_pylist():
                yield held[row].as_py(), lane, row

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """The latest text of these documents."""
        found = {}
        for id, lane, row in self.find(ids):
            earlier = lane.partition is None
            values = self.store.row(lane.columns["text"], row) if earlier else self.follow(lane, row).values
            found[id] = values["text"]
        return found


def labels_of(args: dict) -> list[str]:
    """The stages that a job carries out."""
    if "label" in args:
        return [args["label"]]
    return [*(["read"] if "read" in args else []), *(stage["label"] for stage in args["stages"])]


def shown(value: Any) -> Any:
    """A value as JSON can say it: of bytes, such as those of a picture, how many there are."""
    if isinstance(value, dict):
        return {key: shown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shown(inner) for inner in value]
    return f"{len(value):,} bytes" if isinstance(value, bytes) else value
