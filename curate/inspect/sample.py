"""`curate sample`: read some documents that were kept, or that are out, and what decided on them."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import REJECT
from curate.engine.lane import Lane
from curate.errors import CurateError, did_you_mean
from curate.inspect.causes import Causes, causes
from curate.inspect.followed import PROVENANCE, Followed, Work, shown
from curate.inspect.query import only_release
from curate.inspect.released import Place, Rows, is_release, released
from curate.manifest.manifest import Manifest
from curate.release.make import WORK
from curate.stages._bounds import MEASURED, Bound, find_bound, measured

LOOKED_AT = 2_000
"""Documents whose signals are measured to find those near a threshold, where no column has them."""

Found = tuple[str, Any, int]
"""The id of a document, the partition or file that it is in, its row there."""


Near = tuple[str, Bound]
"""The label of a stage and one of its thresholds."""


@dataclass(frozen=True)
class Asked:
    """Which documents are wanted. stage: a label, or a name for all its labels."""

    stage: str | None = None
    reason: str | None = None
    source: str | None = None
    rejected: bool = False
    pairs: bool = False

    @property
    def out(self) -> bool:
        return self.rejected or self.pairs or bool(self.stage or self.reason)

    def of(self, verdict: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which documents are wanted, by `LABEL.reason` (null: kept): bool[documents]."""
        if not self.out:
            return verdict.is_null()
        stage = rf"{re.escape(self.stage)}(?:\.\d+)?" if self.stage else r".*"
        reason = re.escape(self.reason) if self.reason else r"[^.]*"
        return pc.fill_null(pc.match_substring_regex(verdict, rf"^{stage}\.{reason}$"), False)


def sample(
    place: str | Path | Manifest | None = None,
    work: str | Path = WORK,
    *,
    stage: str | None = None,
    reason: str | None = None,
    source: str | None = None,
    rejected: bool = False,
    near: str | None = None,
    pairs: bool = False,
    limit: int = 10,
) -> list[dict]:
    """Some documents that were kept, or that are out, each with what decided on it. The same ones every time.

    place     a release, by its folder or hf:// address, which has no texts of what is out; or a manifest, for the
              results of its latest run in the work folder, finished or not. Default: the only release in the work
              folder
    stage, reason
              documents that are out by this stage, for this reason
    source    documents of this source
    rejected  documents that are out, for whatever reason; default: some that were kept
    near      `STAGE.PARAMETER` of a threshold, such as `gopher_quality.min_words`: the documents whose signal is
              nearest to it, half of them out, half not. Where no column has the signal, it is measured on a sample
    pairs     near-duplicates, each with the document that was kept
    limit     how many: those with the lowest ids, which are hashes

    Returns a dictionary per document: its provenance, `stage` and `reason` (None: kept), `columns` (what stages
    computed), `text` as the stage saw it, `marks` and `url_marks` ([start, stop] of what caused the verdict, in
    characters of the text and the URL), `signals` ({"signal", "value", "op", "limit", "parameter", "caused"}), and for
    a duplicate `kept` ({"id", "similarity", "text"} of the document that was kept).

    Raises CurateError for a stage, source or threshold that there is not, and if nothing has run.

        for row in curate.sample("manifest.yaml", reason="too_few_words"):
            print(row["text"][:80], row["signals"][0]["value"])
    """
    place = only_release(Path(work)) if place is None else place
    asked = Asked(stage, reason, source, rejected, pairs)
    if not is_release(place):
        looked: _OfWork | _OfRelease = _OfWork(Work(place, work))
    else:
        looked = _OfRelease(released(place))
    _check(asked, looked)
    if pairs:
        asked = Asked("near_dedup", reason, source, True, True)
    if near is None:
        return looked.told(_lowest(looked.matching(asked), limit))
    label, bound = find_bound(looked.stages(source), near)
    return looked.told(looked.near(label, bound, source, limit), (label, bound))


def _check(asked: Asked, looked: "_OfWork | _OfRelease") -> None:
    """Raise CurateError for a source or a stage that there is not."""
    if asked.source and asked.source not in looked.sources:
        raise CurateError(f"no source `{asked.source}`", "--source", did_you_mean(asked.source, looked.sources))
    known = {"read", "mixture", *looked.stages(None)}
    wanted = "near_dedup" if asked.pairs else asked.stage
    if wanted and not any(re.fullmatch(rf"{re.escape(wanted)}(\.\d+)?", label) for label in known):
        fix = "add `near_dedup` to the stages" if asked.pairs else did_you_mean(wanted, known)
        raise CurateError(f"no stage `{wanted}`", "--pairs" if asked.pairs else "--stage", fix)


def _lowest(tables: Iterator[tuple[Any, pa.Table]], limit: int) -> list[Found]:
    """Of tables with `id` and `row`, each of a partition or file, the documents with the lowest ids."""
    found: dict[str, Found] = {}
    for where, table in tables:
        few = table.take(pc.select_k_unstable(table, min(limit, table.num_rows), [("id", "ascending")]))
        rows = few.select(["id", "row"]).to_pydict()
        found |= {id: (id, where, row) for id, row in zip(rows["id"], rows["row"], strict=True)}
        found = {id: found[id] for id in sorted(found)[:limit]}
    return list(found.values())


def _nearest(found: list[tuple[float, bool, Found]], limit: int) -> list[Found]:
    """Of (distance, whether it is out, document) the nearest on both sides: as many of each as there are."""
    ranked = sorted(found, key=lambda one: (one[0], one[2][0]))
    out, kept = ([one for _, is_out, one in ranked if is_out is side] for side in (True, False))
    half = max(limit - len(kept), min(len(out), limit // 2))
    return [*out[:half], *kept[: limit - min(half, len(out))]]


def _ranked(
    where: Any, table: pa.Table, values: pa.ChunkedArray, out: np.ndarray, limit: float, most: int
) -> list[tuple[float, bool, Found]]:
    """The documents of a table (`id`, `row`) nearest to a limit on either side. out: bool[documents]."""
    distance = np.abs(values.cast(pa.float64()).to_numpy() - limit)
    found = []
    for side in (True, False):
        mine = np.flatnonzero((out == side) & ~np.isnan(distance))
        few = table.take(pa.array(mine)).append_column("distance", pa.array(distance[mine]))
        keys = [("distance", "ascending"), ("id", "ascending")]
        few = few.take(pc.select_k_unstable(few, min(most, len(mine)), keys)).select(["distance", "id", "row"])
        found += [(one["distance"], side, (one["id"], where, one["row"])) for one in few.to_pylist()]
    return found


def _numbered(table: pa.Table) -> pa.Table:
    return table.append_column("row", pa.array(np.arange(table.num_rows)))


def _set(bound: Bound, params: dict, label: str) -> float:
    """The value of a threshold. Raises CurateError where the rule is off."""
    limit = bound.limit(params)
    if limit is None:
        raise CurateError(f"`{label}.{bound.parameter}` is off", "--near", "set it in the manifest")
    return limit


class _OfWork:
    """The documents of a run."""

    def __init__(self, ran: Work):
        self.ran, self.sources = ran, {lane.source for lane in ran.lanes}

    def stages(self, source: str | None) -> dict[str, tuple[str, dict]]:
        """{label: (stage, parameters)}, of one source or all."""
        calls = self.ran.plan.manifest.calls
        return {call.label: (call.stage.name, call.params) for scope, call in calls if scope in ("", source or scope)}

    def _lanes(self, source: str | None) -> Iterator[Lane]:
        return (lane for lane in self.ran.lanes if source in (None, lane.source))

    def _verdicts(self, lane: Lane, *more: str) -> tuple[pa.Table, pa.ChunkedArray]:
        held = self.ran.columns(lane, ["id", REJECT.name, *more])
        return _numbered(held), held[REJECT.name].cast(pa.string())

    def matching(self, asked: Asked) -> Iterator[tuple[Lane, pa.Table]]:
        """The documents that are asked for, by partition."""
        for lane in self._lanes(asked.source):
            held, verdict = self._verdicts(lane)
            yield lane, held.filter(asked.of(verdict))

    def near(self, label: str, bound: Bound, source: str | None, limit: int) -> list[Found]:
        """The documents nearest to a threshold."""
        found, looked_at = [], 0
        for lane in self._lanes(source):
            stage, params = self.stages(lane.source).get(label, ("", {}))
            if not stage or (stage in MEASURED and looked_at >= LOOKED_AT):
                continue
            value, why = _set(bound, params, label), f"{label}.{bound.reason}"
            held, verdict = self._verdicts(lane, *(() if stage in MEASURED else (bound.signal,)))
            labels = [*self.stages(lane.source)]
            later = pa.array(labels[labels.index(label) + 1 :], pa.string())
            mine = pc.fill_null(pc.equal(verdict, why), False)
            passed = pc.or_(verdict.is_null(), pc.is_in(pc.replace_substring_regex(verdict, r"\.[^.]*$", ""), later))
            reached = pc.or_(mine, passed)
            held, out = held.filter(reached), mine.filter(reached).to_numpy()
            if stage in MEASURED:
                few = pc.select_k_unstable(held, min(LOOKED_AT, held.num_rows), [("id", "ascending")])
                held, out = held.take(few), out[few.to_numpy()]
                text = self.ran.columns(lane, ["text"])["text"].take(held["row"])
                values, looked_at = measured(text, stage, params, [bound])[bound.signal], looked_at + held.num_rows
                values = pa.chunked_array([values])
            elif bound.signal not in held.column_names:
                continue
            else:
                values = held[bound.signal]
            found += _ranked(lane, held, values, out, value, limit)
        return _nearest(found, limit)

    def told(self, found: list[Found], near: Near | None = None) -> list[dict]:
        """What there is to tell of these documents. near: the threshold that is told first of kept ones."""
        followed = [self.ran.follow(lane, row) for _, lane, row in found]
        originals: set[str] = {kept for one in followed if one.reason and (kept := one.values.get("duplicate_of"))}
        texts = self.ran.texts(originals)
        return [self._told(one, texts, near) for one in followed]

    def _told(self, one: Followed, texts: dict[str, str], near: Near | None) -> dict:
        kept = one.values.get("duplicate_of") if one.reason else None
        why, values = one.causes(texts.get(kept or "")), one.values
        if near and not (one.call and one.call.label == near[0]):
            why = _about(near, *self.stages(one.lane.source)[near[0]], values)
        verdict = (one.reason or ".").rpartition(".")[::2]
        found = {"id": kept, "similarity": values.get("similarity"), "text": texts.get(kept)} if kept else None
        return _row(values, *verdict, why, found)


class _OfRelease:
    """The documents of a release. Of those that are out it has evidence and no text."""

    def __init__(self, rows: Rows):
        self.rows, self.sources = rows, {*rows.held.lock.sources}

    def stages(self, source: str | None) -> dict[str, tuple[str, dict]]:
        """{label: (stage, parameters)}, of one source or all."""
        stages = self.rows.held.lock.stages
        return {one.label: (one.stage, one.params) for one in stages if one.scope in ("all", source or one.scope)}

    def matching(self, asked: Asked) -> Iterator[tuple[str, pa.Table]]:
        """The documents that are asked for, by file."""
        table, names = (
            ("rejected", ["id", "source", "stage", "reason"]) if asked.out else ("documents", ["id", "source"])
        )
        for path, held in self.rows.columns(table, names):
            numbered = _numbered(held)
            if asked.out:
                verdict = pc.binary_join_element_wise(*(held[name].cast(pa.string()) for name in names[2:]), ".")
                wanted = asked.of(verdict)
                numbered, held = numbered.filter(wanted), held.filter(wanted)
            if asked.source:
                numbered = numbered.filter(pc.equal(held["source"].cast(pa.string()), asked.source))
            yield ("out." if asked.out else "in.") + path, numbered

    def near(self, label: str, bound: Bound, source: str | None, limit: int) -> list[Found]:
        """The documents nearest to a threshold: of those that were kept the first of each shard, since shards are
        shuffled, and of those that are out where the evidence has the signal."""
        found: list[tuple[float, bool, Found]] = []
        stage, params = self.stages(source)[label]
        value, names = _set(bound, params, label), ["id", "source", "stage", "reason", bound.signal]
        for path, held in self.rows.columns("rejected", names):
            if bound.signal in held.column_names and stage not in MEASURED:
                mine = pc.and_(pc.equal(held["stage"].cast(pa.string()), label), _of(held, source))
                mine = pc.and_(mine, pc.equal(held["reason"].cast(pa.string()), bound.reason))
                few = _numbered(held).filter(mine)
                out = np.ones(few.num_rows, bool)
                found += _ranked(f"out.{path}", few, few[bound.signal], out, value, limit)
        for path, held in self.rows.first("documents", LOOKED_AT):
            few = _numbered(held).filter(_of(held, source))
            values = {} if stage in MEASURED or bound.signal not in few.column_names else few
            values = values or measured(few["text"], stage, params, [bound])
            if bound.signal in values:
                column = pa.chunked_array([values[bound.signal]])
                found += _ranked(f"in.{path}", few, column, np.zeros(few.num_rows, bool), value, limit)
        return _nearest(found, limit)

    def told(self, found: list[Found], near: Near | None = None) -> list[dict]:
        """What there is to tell of these documents. near: the threshold that is told first of kept ones."""
        rows = [
            (where.startswith("out."), self.rows.row(Place(where.partition(".")[2], row))) for _, where, row in found
        ]
        texts = self.rows.texts({row["duplicate_of"] for out, row in rows if out and row.get("duplicate_of")})
        return [self._told(row, out, texts, near) for out, row in rows]

    def _told(self, row: dict, out: bool, texts: dict[str, str], near: Near | None) -> dict:
        why = Causes()
        if out:
            why = self.rows.causes(row)
        elif near:
            why = _about(near, *self.stages(row["source"])[near[0]], row)
        kept = row.get("duplicate_of") if out else None
        found = {"id": kept, "similarity": row.get("similarity"), "text": texts.get(kept)} if kept else None
        return _row(row, row.get("stage", "") if out else "", row.get("reason", "") if out else "", why, found)


def _of(held: pa.Table, source: str | None) -> pa.ChunkedArray | pa.Array:
    """Which rows are of a source: bool[rows]."""
    return pc.equal(held["source"].cast(pa.string()), source) if source else pa.array(np.ones(held.num_rows, bool))


def _about(near: Near, stage: str, params: dict, values: dict[str, Any]) -> Causes:
    """The signals of a document that the stage kept, the one that is held against this threshold first."""
    signals = causes(values.get("text"), stage, params, None, values).signals
    return Causes(signals=sorted(signals, key=lambda signal: signal["parameter"] != near[1].parameter))


def _row(values: dict[str, Any], stage: str, reason: str, why: Causes, kept: dict | None) -> dict:
    """A document as `sample` returns it."""
    apart: Collection[str] = {*PROVENANCE, "text", "stage", "reason", REJECT.name}
    columns = {name: shown(value) for name, value in values.items() if name not in apart and value is not None}
    found = {name: values.get(name) for name in PROVENANCE} | {"stage": stage or None, "reason": reason or None}
    found |= {"columns": columns, "text": values.get("text")}
    found |= {"marks": [*map(list, why.marks)], "url_marks": [*map(list, why.url)], "signals": why.signals}
    return found | ({"kept": kept} if kept else {})
