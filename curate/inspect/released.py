"""A release as `explain` and `sample` look at it: its rows, its evidence, one document in it."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.base import urls
from curate.documents import hashed
from curate.errors import CurateError
from curate.inspect.causes import Causes, causes
from curate.inspect.followed import PROVENANCE, shown
from curate.inspect.opened import TABLES
from curate.manifest.manifest import Manifest
from curate.release.fetched import READ, Held, hold, is_published
from curate.release.typed_lock import Stage

REMOVED = "evidence/removed"


class Place(NamedTuple):
    """A row of a file of a release."""

    path: str
    row: int


def is_release(place: str | Path | Manifest) -> TypeGuard[str | Path]:
    """Whether this is a release; else it is a manifest."""
    return not isinstance(place, Manifest) and (is_published(place) or Path(place, "lock.json").is_file())


def released(place: str | Path) -> "Rows":
    """The rows of a release. Raises CurateError where there is none, or its lock is invalid."""
    return Rows(hold(place, READ))


class Rows:
    """The rows of a release and of its evidence."""

    def __init__(self, held: Held):
        self.held = held

    def columns(self, table: str, names: Collection[str]) -> Iterator[tuple[str, pa.Table]]:
        """(path, these columns of all rows, as far as there are such) of each file of `documents`, `rejected` and so
        on; none where the release has no such. Raises CurateError where a file is missing."""
        start = TABLES.get(table, REMOVED)
        for path in (file.path for file in self.held.lock.files if file.path.startswith(start)):
            if path.endswith(".parquet"):
                held = self._open(path)
                yield path, held.read(columns=[name for name in names if name in held.schema_arrow.names])

    def first(self, table: str, most: int) -> Iterator[tuple[str, pa.Table]]:
        """(path, all columns of its first rows) of each file, as many rows of each, `most` in all or one of each."""
        paths = [path for path, _ in self.columns(table, [])]
        each = -(-most // max(len(paths), 1))
        for path in paths[:most]:
            batch = next(self._open(path).iter_batches(each), None)
            if batch is not None:
                yield path, pa.table(batch)

    def _open(self, path: str) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.held.file(path))
        except (OSError, pa.ArrowInvalid) as error:
            what = f"a file of the release cannot be read: {error}"
            raise CurateError(what, str(self.held.folder / path), "run `curate verify` on the release") from error

    def where(self, table: str, column: str, wanted: Collection[str]) -> Iterator[Place]:
        """The rows that have one of these values in a column."""
        values = pa.array(sorted(wanted), pa.string())
        for path, held in self.columns(table, [column]) if len(values) else ():
            if held.num_columns:
                mask = pc.is_in(held[column].cast(pa.string()), values)
                yield from (Place(path, row) for row in pc.indices_nonzero(mask).to_pylist())

    def row(self, place: Place) -> dict[str, Any]:
        """All columns of one row."""
        held, before = self._open(place.path), 0
        for group in range(held.num_row_groups):
            count = held.metadata.row_group(group).num_rows
            if place.row < before + count:
                return held.read_row_group(group).slice(place.row - before, 1).to_pylist()[0]
            before += count
        raise IndexError(place)

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """The texts of these documents, as far as they are in the release."""
        rows = (self.row(place) for place in self.where("documents", "id", ids))
        return {row["id"]: row["text"] for row in rows}

    def urls(self) -> pa.ChunkedArray:
        """Of all documents, in the release or rejected."""
        found = [held["url"] for table in ("documents", "rejected") for _, held in self.columns(table, ["url"])]
        return pa.chunked_array([chunk for column in found for chunk in column.cast(pa.string()).chunks], pa.string())

    def stage(self, source: str, label: str) -> Stage | None:
        """A stage as the lock has it."""
        mine = (stage for stage in self.held.lock.stages if stage.label == label)
        return min(
            (one for one in mine if one.scope in (source, "all")), key=lambda one: one.scope == "all", default=None
        )

    def causes(self, row: dict[str, Any], kept_text: str | None = None) -> Causes:
        """What caused the verdict on a row of the evidence, which has no text."""
        stage = self.stage(row["source"], row["stage"])
        if stage is None:
            return Causes()
        return causes(None, stage.stage, stage.params, row["reason"], row | {"kept_text": kept_text})

    def explain(self, document: str, is_id: bool) -> list[dict]:
        """What the release knows of the documents of an id or a URL: see `curate.explain`."""
        found: dict[str, dict] = {}
        for id, place in self._matching("documents", document, is_id):
            if id in found:
                found[id]["places"].append({"shard": place.path, "row": place.row})
            else:
                found[id] = self._kept(self.row(place), place)
        for id, place in self._matching("rejected", document, is_id):
            if id not in found:
                found[id] = self._rejected(self.row(place))
        return [*found.values()] or self._removed(document, is_id)

    def _matching(self, table: str, document: str, is_id: bool) -> Iterator[tuple[str, Place]]:
        for path, held in self.columns(table, ["id", "url"]):
            mask = pc.starts_with(held["id"], document) if is_id else pc.equal(held["url"].cast(pa.string()), document)
            for row in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
                yield held["id"][row].as_py(), Place(path, row)

    def _kept(self, row: dict, place: Place) -> dict:
        stages = [stage.label for stage in self.held.lock.stages if stage.scope in (row["source"], "all")]
        columns = {name: shown(value) for name, value in row.items() if name not in (*PROVENANCE, "text")}
        columns = {name: value for name, value in columns.items() if value is not None}
        at = {"shard": place.path, "row": place.row}
        steps = [{"stages": stages, "columns": columns, "reject": None}]
        found = _provenance(row) | {"steps": steps, "reason": None, "places": [at], "released": at, "removed": None}
        return found | {"text": row["text"], "marks": [], "url_marks": [], "signals": []}

    def _rejected(self, row: dict) -> dict:
        reason = f"{row['stage']}.{row['reason']}"
        columns = {name: value for name, value in row.items() if name not in (*PROVENANCE, "stage", "reason")}
        step = {
            "stages": [row["stage"]],
            "columns": {name: shown(one) for name, one in columns.items() if one is not None},
        }
        found = _provenance(row) | {"steps": [step | {"reject": reason}], "reason": reason, "places": []}
        found |= {"released": None, "removed": None, "text": None}
        if kept := row.get("duplicate_of"):
            text = self.texts([kept]).get(kept)
            found["kept"] = {"id": kept, "similarity": row.get("similarity"), "text": text, "against": None}
        told = self.causes(row)
        return found | {"marks": [], "url_marks": [*map(list, told.url)], "signals": told.signals}

    def _removed(self, document: str, is_id: bool) -> list[dict]:
        """A document that is out on request, of which only digests are known."""
        name, key = ("id_sha256", hashed(document)) if is_id else ("url_sha256", hashed(urls.page(document)))
        for place in self.where("removed", name, [key]):
            row = self.row(place)
            reason, list_ = f"removed.{row['list']}", {"version": row["version"], "list": row["list"]}
            found: dict[str, Any] = dict.fromkeys(PROVENANCE) | {"id" if is_id else "url": document}
            found |= {"steps": [{"stages": ["removed"], "columns": {}, "reject": reason}], "reason": reason}
            found |= {"places": [], "released": None, "removed": list_, "text": None}
            return [found | {"marks": [], "url_marks": [], "signals": []}]
        return []


def _provenance(row: dict) -> dict:
    return {name: row.get(name) for name in PROVENANCE}
