"""Keys of the mixture: what documents are told apart by, and how often those of each key are to be seen.

A *group* is what weights are given to: a source, or a source and a language. Where a curve or the number of copies
says how often a document is seen, a group has a key for each bucket and each range of copies; without these, a group
is one key.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.mix.curve import exact

BETWEEN = "/"
"""Stands between the values of several columns in the name of a key."""


@dataclass(frozen=True)
class Repeats:
    """How often documents of each key may be seen; an entry for each key.

    group   the number of its group
    rate    how often, beside the other keys of its group; 0: never
    usual   how often, if no budget says otherwise
    limit   how often at most
    """

    group: list[int]
    rate: list[Fraction]
    usual: list[Fraction]
    limit: list[Fraction]

    @classmethod
    def of(cls, choice: dict, names: list[str], groups: list[str]) -> "Repeats":
        """What `Mixture.choice()` says of keys with these names, of these groups."""
        place, most = {name: number for number, name in enumerate(groups)}, choice["repeats"]
        found, told = cls([], [], [], []), tables(choice)
        for name in names:
            group, *classes = parts(choice, name)
            rate = Fraction(1)
            for table, value in zip(told, classes, strict=True):
                rate *= exact(table.get(value, 1))
            limit = Fraction(most.get(group, 1) if isinstance(most, dict) else most) if most else rate
            found.group.append(place[group])
            found.rate.append(rate)
            found.limit.append(limit if rate else rate)
            found.usual.append(min(rate, limit) if classes else limit)
        return found

    @classmethod
    def same(cls, keys: int, repeats: int) -> "Repeats":
        """Each key a group of its own, and all documents seen at most so often."""
        limit = [Fraction(repeats)] * keys
        return cls([*range(keys)], [Fraction(1)] * keys, limit, limit)

    @property
    def epochs(self) -> list[int]:
        """How often each document of each key may be seen, as a whole number."""
        return [ceil(limit) for limit in self.limit]

    def by_group(self, amount: list, groups: int) -> list:
        """Sums of amounts of keys."""
        sums = [0] * groups
        for group, value in zip(self.group, amount, strict=True):
            sums[group] += value
        return sums

    def spread(self, there: list[int], asked: list[Fraction], together: bool = False) -> list[Fraction]:
        """How much of each key is taken, where so much of each group is asked for: in proportion to `rate`, and of
        none more than `limit` allows.

        there     amount of each key, seen once
        together  whether all keys are one group
        """
        taken = [Fraction(0)] * len(there)
        members: list[list[int]] = [[] for _ in asked]
        for key, group in enumerate(self.group):
            if self.rate[key] and there[key]:
                members[0 if together else group].append(key)
        for keys, left in zip(members, asked, strict=True):
            keys.sort(key=lambda key: self.limit[key] / self.rate[key])
            open_ = sum(there[key] * self.rate[key] for key in keys)
            for key in keys:
                amount = there[key] * self.rate[key]
                taken[key] = min(left * amount / open_, there[key] * self.limit[key])
                left, open_ = left - taken[key], open_ - amount
        return taken


def tables(choice: dict) -> list[dict[str, float]]:
    """How often documents are seen by what they are called in the name of a key: buckets, then numbers of copies."""
    found = [choice["curve"]["repeats"]] if "curve" in choice else []
    if "rehydrate" in choice:
        labels, times = copies_labels(choice["rehydrate"]), [times for _, times in choice["rehydrate"]]
        found.append(dict(zip(labels, times, strict=True)))
    return found


def parts(choice: dict, name: str) -> list[str]:
    """The group that a key is of, and its bucket and number of copies, where it has such."""
    return name.rsplit(BETWEEN, ("curve" in choice) + ("rehydrate" in choice))


def groups_of(choice: dict, names: list[str]) -> list[str]:
    """All groups, sorted: of keys with these names, and those that have a weight."""
    found = {parts(choice, name)[0] for name in names}
    return sorted(found | {name for want in choice["wants"] for name in want["weights"]})


def keys_of(docs: pa.Table, by: str | list[str], bucket: str | None = None) -> pa.ChunkedArray:
    """The group of each document, with its bucket where there is a curve over such: string[n].

    by  one column or several, whose values stand side by side, with `%2F` for a `/` in one
    """
    values = [pc.fill_null(docs[name].cast(pa.string()), "null") for name in ([by] if isinstance(by, str) else by)]
    if len(values) > 1:
        values = [pc.replace_substring(column, BETWEEN, "%2F") for column in values]
    if bucket:
        values.append(pc.fill_null(docs[bucket].cast(pa.string()), "null"))
    return pc.binary_join_element_wise(*values, BETWEEN) if len(values) > 1 else values[0]


def copies_class(copies: np.ndarray, rehydrate: list) -> np.ndarray:
    """int64[n]: which range of `rehydrate`, the first of which begins at 1, so many copies are in."""
    return np.searchsorted([first for first, _ in rehydrate], np.maximum(copies, 1), side="right") - 1


def copies_labels(rehydrate: list) -> list[str]:
    """`1`, `5-99`, `100+`: the ranges by name."""
    firsts = [first for first, _ in rehydrate]
    inner = [str(first) if after == first + 1 else f"{first}-{after - 1}" for first, after in pairwise(firsts)]
    return [*inner, f"{firsts[-1]}+"]


def names_of(docs: pa.Table, columns: list[str], curve: bool, rehydrate: list | None) -> pa.ChunkedArray:
    """The name of the key of each document: string[n].

    columns  what keys are made of: last the bucket of the curve and the number of copies, where there are such
    """
    count = len(columns) - curve - bool(rehydrate)
    found = keys_of(docs, columns[:count], columns[count] if curve else None)
    if not rehydrate:
        return found
    ranges = copies_class(docs[columns[-1]].fill_null(1).to_numpy(), rehydrate)
    return pc.binary_join_element_wise(found, pa.array(copies_labels(rehydrate)).take(pa.array(ranges)), BETWEEN)


def told_apart(
    code: np.ndarray, known: dict[str, int], copies: np.ndarray | None, rehydrate: list | None
) -> tuple[np.ndarray, list[str]]:
    """The number of each document's key (int32[n]), and what the numbers stand for, sorted.

    code    of `keys_of` of each document, as `known` has it
    copies  int64[n], by whose ranges in `rehydrate` they are told apart too, if there are such
    """
    names = sorted(known, key=known.__getitem__)
    if rehydrate and copies is not None:
        labels = copies_labels(rehydrate)
        found, code = np.unique(
            code.astype(np.int64) * len(labels) + copies_class(copies, rehydrate), return_inverse=True
        )
        names = [f"{names[each // len(labels)]}{BETWEEN}{labels[each % len(labels)]}" for each in found.tolist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int32)
    rank[order] = np.arange(len(names))
    return rank[code.ravel()], [names[each] for each in order]
