"""The best of each group of documents, such as several answers to one question."""

import json
from functools import partial
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.parameters import Bins, Column, Positive
from curate.dedup import _keep_order as keep_order
from curate.documents import hashes128
from curate.stage_api import Step, group

META = "meta."
"""What begins the name of a number in `meta`."""


@group(
    version=1, new_only=True, reads_from=lambda by, order, **_: tuple(dict.fromkeys([*by_column(by), *columns(order)]))
)
def keep_best(
    *,
    order: Annotated[list[Column], Field(min_length=1)],
    by: Column = "group",
    count: Positive = 1,
    bins: Bins = 0,
) -> list[Step]:
    """Keep the best documents of each group, such as the verified and shortest of several answers to one question.

    order  columns that decide which is best: the lowest, or with a `-` the highest; `meta.NAME` is a number, or true or
           false, in `meta`. A document without a value comes after all that have one; ties go to the priority of the
           source, then to the lowest id
    by     the column whose values are groups; documents without one stay
    count  how many of each group to keep
    bins   number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.

    Adds: group_rank (int64, place in the group, from 1), group_size (int64, documents)

    Reasons: not_best
    """
    reads = ("id", "priority", *dict.fromkeys([*by_column(by), *columns(order)]))
    return [
        Step(partial(ranked, by=by, order=order), "docs", bins, reads=reads),
        Step(partial(decide, order=order, count=count), "bins"),
    ]


def by_column(by: str) -> tuple[str]:
    """The column that has the groups."""
    return ("meta" if by.startswith(META) else by,)


def columns(order: list[str]) -> tuple[str, ...]:
    """The columns that `order` looks at."""
    return tuple("meta" if name.startswith(META) else name for name in keep_order.columns(order))


def ranked(docs: pa.Table, *, by: str, order: list[str]) -> pa.Table:
    """The documents that have a group, with what decides between them."""
    held = list(map(_object, docs["meta"].to_pylist())) if "meta" in {*columns(order), *by_column(by)} else []
    groups = _strings(held, by.removeprefix(META)) if by.startswith(META) else docs[by].cast(pa.string())
    high, low = hashes128(groups)
    found = {"doc": docs["doc"], "high": high, "low": low, "bin": high}
    found |= {"priority": docs["priority"], "id": docs["id"]}
    for place, name in enumerate(keep_order.columns(order)):
        found[str(place)] = _numbers(held, name.removeprefix(META)) if name.startswith(META) else docs[name]
    return pa.table(found).filter(groups.is_valid())


def decide(rows: pa.Table, *, order: list[str], count: int) -> pa.Table:
    """Verdicts: the first of each group stay."""
    keys = [(str(place), direction) for place, direction in enumerate(keep_order.directions(order))]
    best = [*keys, ("priority", "ascending"), ("id", "ascending")]
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


def _object(text: str | None) -> dict:
    """What `meta` holds; nothing where it is no object."""
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(held: list[dict], name: str) -> pa.Array:
    """float64[rows]: truth is 1 and 0; null for what is no number."""
    return pa.array([_number(one.get(name)) for one in held], pa.float64())


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, bool | int | float) and value == value else None
    except OverflowError:
        return None


def _strings(held: list[dict], name: str) -> pa.Array:
    """string[rows]: null for what is neither text nor a number."""
    values = (one.get(name) for one in held)
    return pa.array([str(value) if isinstance(value, str | int) else None for value in values], pa.string())
