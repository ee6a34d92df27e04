"""Cut the documents into buckets by exact quantiles of a column."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from curate.base.parameters import Column, NotTruth
from curate.dedup.keep_top import gathered, members, rank
from curate.errors import CurateError
from curate.stage_api import Step, group

CHUNK = 1 << 20
"""Documents that are sent on at a time."""

MOST = 1000
FINEST = 10**6
"""Parts of a percent that a percentile may be written in: counts of documents times this fit 64 bits."""

Percentile = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False), NotTruth]
Buckets = (
    Annotated[int, Field(ge=2, le=MOST), NotTruth] | Annotated[list[Percentile], Field(min_length=1, max_length=MOST)]
)


def edges(buckets: int | list[float]) -> list[Fraction]:
    """The percentiles at which buckets begin and end, from 0 to 100. Raises CurateError where they do not ascend."""
    if isinstance(buckets, int):
        return [Fraction(100 * number, buckets) for number in range(buckets + 1)]
    inner = [Fraction(str(percentile)) for percentile in buckets]
    if any(one >= other for one, other in pairwise(inner)):
        raise CurateError(f"the percentiles {buckets} do not ascend", fix="sort them, and write each once")
    if any(FINEST % percentile.denominator for percentile in inner):
        raise CurateError("a percentile has at most 6 decimal places", fix="round it")
    return [Fraction(0), *inner, Fraction(100)]


def reads(column: str, buckets: int | list[float], within: str | None, **_) -> tuple[str, ...]:
    edges(buckets)
    return (column, within) if within else (column,)


def named(column: str, name: str | None, **_) -> str:
    """The column that the stage adds."""
    return name or f"{column}_bucket"


@group(version=1, new_only=True, reads_from=reads, adds_from=lambda **params: {named(**params): "int32"})
def bucket(
    *, column: Column = "quality", buckets: Buckets = 20, within: Column | None = None, name: Column | None = None
) -> list[Step]:
    """Number documents by the quantile of a column that they are in, from 1 for the lowest values; rejects nothing.

    The percentile of a document is the percentage of documents with lower values, computed exactly over the whole
    corpus. Documents with equal values have the same percentile, so they are in one bucket. Documents without a value,
    or with NaN, have no bucket and do not count. Values are compared as float64. One worker holds all documents in
    memory, at some 60 bytes each.

    column   a column of numbers
    buckets  how many buckets, each with the same number of documents; or the percentiles, above 0 and below 100, at
             which buckets 2, 3 and so on begin: [40, 95] makes three
    within   a column, such as `language` or `source`: quantiles are computed separately for each of its values; null:
             over all documents
    name     name of the column it adds; null: that of `column` and `_bucket`, such as `quality_bucket`

    Adds: quality_bucket (int32, from 1)
    """
    return [
        Step(partial(rank, column=column, by=within), "docs", 1, reads=(column, within) if within else (column,)),
        Step(partial(place, buckets=buckets, name=named(column, name)), "all"),
    ]


def place(
    tables: Iterator[pa.Table], sizes: np.ndarray, *, buckets: int | list[float], name: str
) -> Iterator[pa.Table]:
    """The bucket of each document that `rank` sent."""
    docs, keys, codes, groups = gathered(tables)
    found, inner = np.empty(len(docs), np.int32), [edge / 100 for edge in edges(buckets)[1:-1]]
    shares = np.array([[share.numerator, share.denominator] for share in inner], np.int64).T
    for mine in members(codes, groups) if groups else [slice(None)]:
        found[mine] = buckets_of(keys[mine], shares)
    for start in range(0, max(len(docs), 1), CHUNK):
        rows = slice(start, start + CHUNK)
        mine = found[rows]
        columns = {"doc": docs[rows], "reject": pa.nulls(len(mine), pa.string())}
        yield pa.table(columns | {name: pa.array(mine, mask=mine == 0)})


def buckets_of(keys: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The bucket of each document, 0 for one without a value: integers [n].

    keys    uint64[n], in the order of the values; 0 stands for none
    shares  int64[2, buckets - 1], numerators and denominators: which share of documents has values lower than those of
            bucket 2, 3 and so on
    """
    values = np.sort(keys)
    values = values[np.searchsorted(values, np.uint64(1)) :]
    lower = -(-len(values) * shares[0] // shares[1])  # how many at least
    last = values[lower - 1] if len(values) else values
    return np.where(keys == 0, 0, np.searchsorted(last, keys) + 1)
