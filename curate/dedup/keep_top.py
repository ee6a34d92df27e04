"""Keep exactly a given share of the documents: the best by the value of a column."""

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Bins, Column, Share
from curate.documents import coded
from curate.errors import CurateError
from curate.stage_api import Step, group

CHUNK = 1 << 16
"""Documents, or groups of them, that are sent on at a time."""


@group(version=1, new_only=True, reads_from=lambda column, by, **_: (column, by) if by else (column,))
def keep_top(*, fraction: Share, column: Column = "quality", by: Column | None = None, bins: Bins = 0) -> list[Step]:
    """Keep exactly a share of the documents: those with the highest values of a column; ties go to the lowest id.

    Of n documents, `fraction` times n are kept, rounded to the nearest integer, with halves rounded up. Documents
    without a value, or with NaN, are ranked last. Values are compared as float64. One worker holds all documents in
    memory, at 16 bytes each.

    fraction  share to keep, 0 to 1; DCLM: 0.1
    column    a column of numbers; higher is better
    by        a column, such as `source`: the share is kept separately for each of its values; null: one share of all
    bins      number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.

    Reasons: below_top
    """

    return [
        Step(partial(rank, column=column, by=by), "docs", 1, reads=(column, by) if by else (column,)),
        Step(partial(select, fraction=fraction), "all"),
        Step(identify, "docs", bins, reads=("id",)),
        Step(settle, "bins"),
    ]


def rank(docs: pa.Table, *, column: str, by: str | None) -> pa.Table:
    """Their values as sortable keys, and the groups they compete in."""
    kind = docs.schema.field(column).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise CurateError(f"only numbers can be ranked, but `{column}` is {kind}", fix="choose another column")
    rows = pa.table({"doc": docs["doc"], "key": _sortable(docs[column]), "bin": np.zeros(len(docs), np.uint32)})
    return rows.append_column("group", docs[by].cast(pa.string())) if by else rows


@lru_cache(1 << 10)
def kept(fraction: float, count: int) -> int:
    """How many of so many documents are kept: the nearest whole number, as a person would work it out."""
    return math.floor(Fraction(str(fraction)) * count + Fraction(1, 2))


def _sortable(values: pa.ChunkedArray) -> np.ndarray:
    """uint64 in the order of the values; 0 for null and NaN."""
    numbers = values.cast(pa.float64()).combine_chunks().fill_null(np.nan).to_numpy() + 0.0  # -0.0 is 0.0
    bits = numbers.view(np.uint64)
    sign = np.uint64(1 << 63)
    return np.where(np.isnan(numbers), np.uint64(0), np.where(bits & sign, ~bits, bits | sign))


def select(tables: Iterator[pa.Table], sizes: np.ndarray, *, fraction: float) -> Iterator[pa.Table]:
    """Who is out for certain, and who ties for the last places: `spare` is how many of these stay."""
    docs, keys, codes, groups = gathered(tables)
    held, size = [], 0
    for code, mine in enumerate(members(codes, groups) if groups else [slice(None)]):
        held.append(_out(docs[mine], keys[mine], code, kept(fraction, len(docs[mine]))))
        size += len(held[-1])
        if len(held) > CHUNK or size > CHUNK:
            yield pa.concat_tables(held).combine_chunks()
            held, size = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


def gathered(tables: Iterator[pa.Table]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """All that `rank` made: `doc`, `key` (both uint64[n]), the number of each one's group (int32[n], none where there
    are no groups), and how many groups there are."""
    docs, keys, codes, names = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)], [np.empty(0, np.int32)], {}
    for table in tables:
        docs.append(table["doc"].to_numpy())
        keys.append(table["key"].to_numpy())
        if "group" in table.column_names:
            codes.append(coded(table["group"], names))
    return np.concatenate(docs), np.concatenate(keys), np.concatenate(codes), len(names)


def members(codes: np.ndarray, count: int) -> list[np.ndarray]:
    """Which documents are of each of so many groups, in order. There may be as many groups as documents."""
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=count))[:-1])


def _out(docs: np.ndarray, keys: np.ndarray, code: int, wanted: int) -> pa.Table:
    last = len(keys) - wanted
    threshold = np.partition(keys, last)[last] if wanted else np.iinfo(np.uint64).max
    out, tied = keys < threshold, keys == threshold
    spare = wanted - int((keys > threshold).sum())
    if spare == tied.sum():
        tied[:] = False
    docs, tied = docs[out | tied], tied[out | tied]
    group = pa.array(np.full(len(docs), code, np.int32))
    return pa.table({"doc": docs, "group": group, "spare": pa.array(np.full(len(docs), spare), mask=~tied)})


def identify(docs: pa.Table, rows: pa.Table) -> pa.Table:
    """The ids of those that tie, which settle it."""
    place = np.searchsorted(docs["doc"].to_numpy(), rows["doc"].to_numpy())
    tied = rows["spare"].is_valid()
    ids = pc.if_else(tied, docs["id"].take(pa.array(place)), None)
    spread = pc.if_else(tied, rows["group"], place).to_numpy().astype(np.uint32)
    return rows.append_column("id", ids).append_column("bin", pa.array(spread))


def settle(rows: pa.Table) -> pa.Table:
    """Verdicts: of those that tie, the ones with the lowest ids stay."""
    rows = rows.sort_by([("group", "ascending"), ("id", "ascending")])
    group, spare = rows["group"].to_numpy(), rows["spare"].fill_null(0).to_numpy()
    begin = np.searchsorted(group, group)  # those without an id, which are out, come last
    stays = np.arange(len(group)) - begin < spare
    reject = pa.array(np.where(stays, None, "below_top"), pa.string())
    return rows.select(["doc"]).append_column("reject", reject)
