"""Run map stages on a block of documents: rejected rows stay in it, with their reasons."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import REJECT, TALLY, TRANSIENT
from curate.engine.by_message import acts_on_messages, by_message
from curate.errors import CurateError
from curate.stage_api import Stage, find_stage, set_column


@dataclass(frozen=True)
class Configured:
    """A stage with its parameters, as a job's args state it."""

    label: str
    stage: Stage
    params: dict

    @classmethod
    def of(cls, identity: dict) -> "Configured":
        return cls(identity["label"], find_stage(identity["stage"]), identity["params"])

    def __call__(self, docs: pa.Table) -> pa.Table:
        try:
            if acts_on_messages(self.stage, docs):
                return by_message(self.stage, self.params, docs)
            return self.stage.function(docs, **self.params)
        except CurateError as error:
            error.label = self.label  # so that the manifest's place can be named where the manifest is known
            raise


class _Rows:
    """The rows of a block: those that are live, and those set aside because something rejected them."""

    def __init__(self, block: pa.Table):
        self.live, self.places = block, np.arange(block.num_rows)
        self.aside: list[tuple[np.ndarray, pa.Table]] = []
        self.set_aside()

    def set_aside(self) -> None:
        """Set aside the live rows that have a reason in `reject`; the others lose that column."""
        out = self.live[REJECT.name].is_valid()
        if pc.any(out).as_py():
            mask, dead = out.to_numpy(), _stored(self.live).filter(out)
            self.aside.append((self.places[mask], set_column(dead, REJECT.name, dead[REJECT.name].cast(pa.string()))))
            self.live, self.places = self.live.filter(pc.invert(out)), self.places[~mask]
        self.live = self.live.drop_columns(REJECT.name)

    def all(self) -> pa.Table:
        """All rows in the order of the block, with `reject`."""
        live = self.live.append_column(REJECT.name, pa.nulls(self.live.num_rows, pa.string()))
        if not self.aside:
            return live
        order = np.argsort(np.concatenate([*(places for places, _ in self.aside), self.places]), kind="stable")
        dead = [_of_types(table, live.schema) for _, table in self.aside]
        return pa.concat_tables([*dead, live], promote_options="default").take(pa.array(order))


def apply(block: pa.Table, stages: list[Configured], guard: Callable | None = None) -> tuple[pa.Table, dict]:
    """The block with what the stages added and changed, and `reject` for those that are out; and what they counted.

    block  rows of a partition, with a `reject` column: null where a row is live
    guard  called as guard(stage, docs) in place of stage(docs): see `curate.engine.guard`

    The counts are {label: {in, kept, bytes, reasons}}; bytes: UTF-8 bytes of the text of the kept. Of a stage that
    gives a `tally`, also its sums.
    """
    rows, counts = _Rows(block), {}
    reading = [place for place, stage in enumerate(stages) if TRANSIENT.keys() & {*stage.stage.reads(stage.params)}]
    rows.live = rows.live if reading else _stored(rows.live)
    for place, stage in enumerate(stages):
        old = [name for name in stage.stage.adds(stage.params) if name in rows.live.column_names]
        result = _result(stage, rows.live.drop_columns(old), guard)  # old: of an earlier stage that adds the same
        tally = result[TALLY] if TALLY in result.column_names else None
        result = result.drop_columns(TALLY) if tally is not None else result
        rows.live = result if place < max(reading, default=0) else _stored(result)  # payloads are large to copy
        reasons: Counter = Counter()
        if REJECT.name in result.column_names:
            verdict = result[REJECT.name].cast(pa.string())
            tally = tally if tally is None else tally.filter(verdict.is_null())
            reasons.update(pc.drop_null(verdict).to_pylist())
            full = pc.binary_join_element_wise(stage.label, verdict, ".")
            rows.live = set_column(rows.live, REJECT.name, full)
            rows.set_aside()
        counts[stage.label] = {
            "in": result.num_rows,
            "kept": rows.live.num_rows,
            "bytes": _text_bytes(rows.live),
            "reasons": dict(sorted(reasons.items())),
        } | ({} if tally is None else {"tally": _sums(tally)})
    return rows.all(), counts


def _sums(tally: pa.ChunkedArray) -> dict[str, int]:
    """The sum of each field of a column of structs."""
    names = [field.name for field in tally.type]
    return {name: pc.sum(pc.struct_field(tally, name)).as_py() or 0 for name in names}


def _result(stage: Configured, docs: pa.Table, guard: Callable | None) -> pa.Table:
    result = guard(stage, docs) if guard else stage(docs)
    if result.num_rows != docs.num_rows:
        raise AssertionError(f"stage {stage.label} returned {result.num_rows} rows of {docs.num_rows}")
    return result


def _of_types(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with its columns of the types that a later stage, which adds the same ones, gives them."""
    for name in {*table.column_names} & {*schema.names}:
        table = set_column(table, name, of_type(table[name], schema.field(name).type))
    return table


def of_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column as another type; null, where it has no such values."""
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(column), kind)])


def _stored(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in TRANSIENT if name in table.column_names])


def _text_bytes(docs: pa.Table) -> int:
    size = pc.binary_length(docs["text"]) if "text" in docs.column_names else docs["n_bytes"]
    return pc.sum(size).as_py() or 0
