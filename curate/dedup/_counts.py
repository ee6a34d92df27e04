"""Counts that travel: of how many copies, and from which sources, a kept document is the one that stayed."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup import _keep_order as keep_order
from curate.documents import COUNTED
from curate.stage_api import Step

ADDS = {"n_duplicates": "int64", "n_duplicate_sources": "int64", "duplicate_sources": "list[string]"}


def reads(column: str | None) -> tuple[str, ...]:
    """The columns that counting looks at, none where nothing is counted."""
    return (keep_order.column(column), *COUNTED) if column else ()


def last_step(column: str | None) -> list[Step]:
    """The step that gives every document its counts; none where nothing is counted."""
    return [Step(partial(counted, counts=column), "apply", reads=reads(column))] if column else []


def so_far(docs: pa.Table, column: str) -> dict[str, pa.Array]:
    """What each document stands for before this stage: `copies` (int64) and `sources` (list of string), itself alone
    where no earlier stage has counted."""
    values = keep_order.strings(docs, column).combine_chunks()
    ends = np.append(0, np.cumsum(values.is_valid().to_numpy(zero_copy_only=False)))
    copies = pa.array(np.ones(len(values), np.int64))
    sources = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values.drop_null())
    if "n_duplicates" in docs.column_names:
        copies = pc.coalesce(docs["n_duplicates"].combine_chunks(), copies)
        sources = pc.coalesce(docs["duplicate_sources"].combine_chunks(), sources)
    return {"copies": copies, "sources": sources}


def added_up(rows: pa.Table, kept: np.ndarray) -> dict[str, pa.Array]:
    """`copies` and `sources` of each kept row, those of all rows it stands for together; null for the other rows.

    rows  with what `so_far` gives
    kept  int64[n], the row that stands for each: its own place where it is kept itself
    """
    copies = np.zeros(len(kept), np.int64)
    np.add.at(copies, kept, rows["copies"].to_numpy())
    lists = rows["sources"].combine_chunks()
    names, code = np.unique(np.array(lists.flatten().to_pylist(), object), return_inverse=True)
    wide = max(len(names), 1)
    pairs = np.unique(kept[pc.list_parent_indices(lists).to_numpy()] * wide + code)
    ends = np.searchsorted(pairs, np.arange(len(kept) + 1) * wide)
    sources = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(names, pa.string()).take(pairs % wide))
    out = kept != np.arange(len(kept))
    return {"copies": pa.array(copies, mask=out), "sources": pc.if_else(pa.array(out), None, sources)}


def counted(docs: pa.Table, rows: pa.Table, *, counts: str) -> pa.Table:
    """All documents with their verdicts and counts. Those that no other is a copy of stand for what they did before."""
    found = rows.take(pc.index_in(docs["doc"].combine_chunks(), rows["doc"].combine_chunks()))
    copies, sources = (
        pc.coalesce(found[name].combine_chunks(), column) for name, column in so_far(docs, counts).items()
    )
    columns = (copies, pc.list_value_length(sources).cast(pa.int64()), sources)
    found = found.drop_columns(["doc", "copies", "sources"]).append_column("doc", docs["doc"])
    for name, column in zip(ADDS, columns, strict=True):
        found = found.append_column(name, column)
    return found
