"""Keep the best of each group of documents, such as several answers to one question."""

from functools import partial
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.parameters import Bins, Column, Positive
from curate.dedup import _keep_order as keep_order
from curate.documents import hashes128
from curate.stage_api import Step, group


def reads(by: str, order: list[str], **_) -> tuple[str, ...]:
    """The columns that the stage looks at."""
    return tuple(dict.fromkeys([keep_order.column(by), *keep_order.columns(order)]))


@group(version=1, new_only=True, reads_from=reads)
def keep_best(
    *,
    order: Annotated[list[Column], Field(min_length=1)],
    by: Column = "group",
    count: Positive = 1,
    bins: Bins = 0,
) -> list[Step]:
    """Keep the best documents of each group, such as the verified and shortest of several answers to one question.

    order  columns that decide which is best: lowest value first, or with a `-` highest first; `meta.NAME` is a number
           or true/false value in `meta`. Documents without a value come last; ties are broken by the priority of the
           source, then by the lowest id
    by     column that defines the groups; documents without a value are kept
    count  number of documents to keep per group
    bins   number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.

    Adds: group_rank (int64, place in the group, from 1), group_size (int64, documents)

    Reasons: not_best
    """
    return [
        Step(partial(ranked, by=by, order=order), "docs", bins, reads=("id", "priority", *reads(by, order))),
        Step(partial(decide, order=order, count=count), "bins"),
    ]


def ranked(docs: pa.Table, *, by: str, order: list[str]) -> pa.Table:
    """The documents that have a group, with what decides between them."""
    groups = keep_order.strings(docs, by)
    high, low = hashes128(groups)
    found = {"doc": docs["doc"], "high": high, "low": low, "bin": high}
    found |= {"priority": docs["priority"], "id": docs["id"]} | keep_order.carried(docs, order)
    return pa.table(found).filter(groups.is_valid())


def decide(rows: pa.Table, *, order: list[str], count: int) -> pa.Table:
    """Verdicts: the first of each group stay."""
    best = [*keep_order.keys(order), ("priority", "ascending"), ("id", "ascending")]
    rows = rows.take(pc.sort_indices(rows, [("high", "ascending"), ("low", "ascending"), *best]))
    high, low = rows["high"].to_numpy(), rows["low"].to_numpy()
    new = np.append(True, (high[1:] != high[:-1]) | (low[1:] != low[:-1]))[: len(high)]
    begins = np.flatnonzero(new)
    size = np.diff(np.append(begins, len(high)))
    rank = np.arange(len(high)) - np.repeat(begins, size) + 1
    return pa.table(
        {
            "doc": rows["doc"],
            "reject": pa.array(np.where(rank > count, "not_best", None), pa.string()),
            "group_rank": pa.array(rank, pa.int64()),
            "group_size": pa.array(np.repeat(size, size), pa.int64()),
        }
    )
