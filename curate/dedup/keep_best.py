"""Keep the best of each group of documents, such as several answers to one question."""

from functools import partial
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from curate.base.parameters import Bins, Column, Positive
from curate.dedup import _keep_order as keep_order
from curate.dedup._by_key import Groups, by_key
from curate.stage_api import Step, group, reject


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
    return by_key(
        partial(keys, by=by),
        partial(decide, count=count),
        reads=(keep_order.column(by),),
        order=(*order, "priority", "id"),
        bins=bins,
    )


def keys(docs: pa.Table, *, by: str) -> pa.ChunkedArray:
    """What names the group of each document."""
    return keep_order.strings(docs, by)


def decide(rows: pa.Table, groups: Groups, *, count: int) -> pa.Table:
    """Verdicts: the first of each group stay."""
    rows = rows.append_column("group_rank", pa.array(groups.rank + 1))
    return reject(rows.append_column("group_size", pa.array(groups.size)), not_best=groups.rank >= count)
