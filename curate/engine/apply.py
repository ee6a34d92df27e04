"""Put a block of documents through map stages: live rows go on, every row comes back, every loss has its reason."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import REJECT, TRANSIENT
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
            return self.stage.function(docs, **self.params)
        except CurateError as error:
            error.label = self.label  # so that the manifest's place can be named where the manifest is known
            raise


def apply(block: pa.Table, stages: list[Configured], counts: dict, guard: Callable | None = None) -> pa.Table:
    """The block with what the stages added and changed, and `reject` for those that are out.

    block   rows of a partition, with a `reject` column: null where a row is live
    counts  {label: {in, kept, bytes, reasons}}, added to; bytes: UTF-8 bytes of the text of the kept
    guard   called as guard(stage, docs) in place of stage(docs): see `curate.engine.guard`
    """
    out = block[REJECT.name].is_valid()
    rows = np.arange(block.num_rows)
    settled, places = [], []
    live = block
    if pc.any(out).as_py():
        live, rows = _split(block, rows, out, settled, places)
    live = live.drop_columns(REJECT.name)
    reading = [place for place, stage in enumerate(stages) if TRANSIENT.keys() & {*stage.stage.reads(stage.params)}]
    live = live if reading else _stored(live)
    for place, stage in enumerate(stages):
        old = [name for name in stage.stage.adds(stage.params) if name in live.column_names]
        live = live.drop_columns(old)  # of an earlier stage that adds the same
        result = guard(stage, live) if guard else stage(live)
        if result.num_rows != live.num_rows:
            raise AssertionError(f"stage {stage.label} returned {result.num_rows} rows of {live.num_rows}")
        count = counts.setdefault(stage.label, {"in": 0, "kept": 0, "bytes": 0, "reasons": {}})
        count["in"] += result.num_rows
        live = result if place < max(reading, default=0) else _stored(result)  # payloads are large to copy
        if REJECT.name in live.column_names:
            reasons = live[REJECT.name].cast(pa.string())
            out = reasons.is_valid()
            live = set_column(live, REJECT.name, pc.binary_join_element_wise(stage.label, reasons, "."))
            tally = Counter(count["reasons"])
            tally.update(pc.drop_null(reasons).to_pylist())
            count["reasons"] = dict(sorted(tally.items()))
            if pc.any(out).as_py():
                live, rows = _split(live, rows, out, settled, places)
            live = live.drop_columns(REJECT.name)
        count["kept"] += live.num_rows
        count["bytes"] += _text_bytes(live)
    live = live.append_column(REJECT.name, pa.nulls(live.num_rows, pa.string()))
    if not settled:
        return live
    order = np.argsort(np.concatenate([*places, rows]), kind="stable")
    settled = [_of_types(table, live.schema) for table in settled]
    return pa.concat_tables([*settled, live], promote_options="default").take(pa.array(order))


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


def _split(table: pa.Table, rows: np.ndarray, out: pa.ChunkedArray, settled: list, places: list) -> tuple:
    """Set aside the rows that are out; return those that are not, and their places."""
    mask = out.to_numpy()
    dead = _stored(table).filter(out)
    settled.append(set_column(dead, REJECT.name, dead[REJECT.name].cast(pa.string())))
    places.append(rows[mask])
    return table.filter(pc.invert(out)), rows[~mask]


def _stored(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in TRANSIENT if name in table.column_names])


def _text_bytes(docs: pa.Table) -> int:
    size = pc.binary_length(docs["text"]) if "text" in docs.column_names else docs["n_bytes"]
    return pc.sum(size).as_py() or 0
