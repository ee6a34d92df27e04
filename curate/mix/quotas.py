"""Draw for each phase its share of each source or other group, exact to one document.

A *group* is what weights are given to: a source, a language. It has one key, or several that are seen more and less
often: see `curate.mix.keys`. The documents of a key lie side by side in the order of the
line; a phase takes the next of them until its share is met. All shares are fractions and all sizes integers, so that
nothing is rounded but the choice of the last document, which the next key of the phase makes up for.

Where the phases together want more of a key than there is, each gets the part of its documents that it has in the
demand, and goes through that part more than once: whole epochs, then a partial one. So phases stay disjoint, and
what can be reached is what there is, times the most repeats.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple, Protocol

import numpy as np

from curate.mix.keys import Repeats


@dataclass(frozen=True)
class Want:
    """What a phase asks for.

    weights  share of each group, adding up to 1; None: as much of each as there is of it
    budget   in the unit of the sizes; None: as much as the weights allow
    again    whether it may take documents of earlier phases; those that no phase has come first
    """

    weights: tuple[Fraction, ...] | None = None
    budget: int | None = None
    again: bool = False


class Short(Exception):
    """There is too little of a group.

    phases   that want it, by number
    group    number of the group that limits; None: all together
    asked    how much they want of it; None: a phase without a budget finds nothing left
    there    how much there is, seen once
    most     how much there is, seen as often as it may be
    scale    what all their budgets must be multiplied with to be met; None where that does not help
    repeats  from which number of repeats they are met; None where that does not help
    """

    def __init__(self, phases, group, asked=None, there=0, most=0, scale=None, repeats=None):
        super().__init__(phases, group, asked, there, most, scale, repeats)
        self.phases, self.group, self.asked, self.there, self.most = phases, group, asked, there, most
        self.scale, self.repeats = scale, repeats


@dataclass(frozen=True)
class Drawn:
    """What the phases get: `row` (int64[m]), `phase` and `copy` (int16[m]), one entry for each time a document is seen,
    and the budget and share of each key that each phase came to."""

    row: np.ndarray
    phase: np.ndarray
    copy: np.ndarray
    budgets: list[int]
    weights: list[list[Fraction]]


class Before(Protocol):
    """The sizes of all documents before each row, as a sum: not decreasing, from 0. Rows are sorted by key and then by
    their place on the line."""

    def __getitem__(self, row: int) -> int:
        """The size of all rows before this one."""

    def last(self, first: int, stop: int, amount: int) -> int:
        """The last row from `first` to `stop` that has no more than an amount before it; `first` has not."""


class Sums:
    """`Before` of documents that are all in memory.

    size  int64[n], not negative
    """

    def __init__(self, size: np.ndarray):
        self.before = np.concatenate([[0], np.cumsum(size, dtype=np.int64)])

    def __getitem__(self, row: int) -> int:
        return int(self.before[row])

    def last(self, first: int, stop: int, amount: int) -> int:
        return first + int(np.searchsorted(self.before[first : stop + 1], amount, side="right")) - 1


class Span(NamedTuple):
    """Rows `first` to `stop` of a key, which a phase sees for the time `copy`, counted from 0."""

    phase: int
    copy: int
    key: int
    first: int
    stop: int


class Shares(NamedTuple):
    """What the phases take, and the budget and share of each key that each came to."""

    spans: list[Span]
    budgets: list[int]
    weights: list[list[Fraction]]


class Supply(NamedTuple):
    """What there is of each group: seen once, as often as usual, and as often as it may be."""

    there: list[int]
    usual: list[Fraction]
    most: list[Fraction]

    @classmethod
    def of(cls, there: list[int], repeats: Repeats, groups: int) -> "Supply":
        """there: amount of each key, seen once"""
        once = [amount if rate else 0 for amount, rate in zip(there, repeats.rate, strict=True)]
        times = (
            [amount * time for amount, time in zip(there, of, strict=True)] for of in (repeats.usual, repeats.limit)
        )
        return cls(*(repeats.by_group(amounts, groups) for amounts in (once, *times)))


def draw(size: np.ndarray, start: np.ndarray, wants: list[Want], repeats: Repeats) -> Drawn:
    """Choose the documents of each phase.

    size     int64[n], of documents that are sorted by key and then by their place on the line; not negative
    start    int64[keys + 1], where each key begins among them
    repeats  how often a phase may use the documents of each key

    Each key of a phase is met to half a document and what the key before it is off by, each budget to half a document
    (unless all that may be seen of its last key is taken). Raises Short.
    """
    found = shares(Sums(size), start, wants, repeats)
    return Drawn(*expand(found.spans), found.budgets, found.weights)


def shares(before: Before, start: np.ndarray, wants: list[Want], repeats: Repeats) -> Shares:
    """The rows that each phase takes: as `draw`, but where only the sums of sizes are known. Raises Short."""
    start = [int(row) for row in start]
    there = [before[stop] - before[first] for first, stop in pairwise(start)]
    groups = max([len(want.weights or ()) for want in wants] + [group + 1 for group in repeats.group], default=0)
    supply = Supply.of(there, repeats, groups)
    by_group = [_weights(phase, want, there, repeats, supply) for phase, want in enumerate(wants)]
    apart = [phase for phase, want in enumerate(wants) if not want.again]
    budgets = _budgets(supply, {phase: wants[phase].budget for phase in apart}, by_group)
    demand = [sum(budgets[phase] * by_group[phase][group] for phase in apart) for group in range(groups)]
    weights = {phase: _by_key(by_group[phase], demand, there, repeats) for phase in apart}
    wanted = [sum(budgets[phase] * weights[phase][key] for phase in apart) for key in range(len(there))]
    spans: list[Span] = []
    ranges, limits = {}, repeats.epochs
    position, so_far = start[:-1], [Fraction(0)] * len(there)
    for phase in apart:
        pools, epochs = [], []
        for key, total in enumerate(there):
            so_far[key] += budgets[phase] * weights[phase][key]
            stop = start[key + 1]
            if wanted[key] > total:
                stop = max(position[key], _nearest(before, start[key], stop, so_far[key] * total / wanted[key]))
            pools.append([(position[key], stop)])
            epochs.append(limits[key] if wanted[key] > total else min(limits[key], 1))
        taken = _take(before, pools, epochs, budgets[phase], weights[phase], wants[phase])
        ends: dict[int, int] = {}
        for _, key, _, stop in taken:
            ends[key] = max(stop, ends.get(key, 0))
        for key, total in enumerate(there):
            end = pools[key][0][1] if wanted[key] > total else ends.get(key, position[key])
            ranges[phase, key] = (position[key], end)
            position[key] = end
        spans += [Span(phase, *taking) for taking in taken]
    for phase, want in enumerate(wants):
        if want.again:
            later = [other for other in apart if other > phase]
            pools = []
            for key in range(len(there)):
                begin = ranges[later[0], key][0] if later else position[key]
                pools.append([(position[key], start[key + 1]), (start[key], begin)])
            held = [sum(before[stop] - before[first] for first, stop in pieces) for pieces in pools]
            budgets |= _budgets(Supply.of(held, repeats, groups), {phase: want.budget}, by_group)
            asked = [budgets[phase] * weight for weight in by_group[phase]]
            weights[phase] = _by_key(by_group[phase], asked, held, repeats)
            taken = _take(before, pools, limits, budgets[phase], weights[phase], want)
            spans += [Span(phase, *taking) for taking in taken]
    phases = range(len(wants))
    return Shares(spans, [budgets[phase] for phase in phases], [weights[phase] for phase in phases])


def _weights(phase: int, want: Want, there: list[int], repeats: Repeats, supply: Supply) -> list[Fraction]:
    """The share of each group: as given, or what there is of it, as often as that is seen. Raises Short."""
    if want.weights is not None:
        return list(want.weights)
    amounts, most = supply.usual, sum(supply.most)
    if want.budget and want.budget <= most:
        amounts = repeats.by_group(repeats.spread(there, [Fraction(want.budget)], together=True), len(supply.there))
    elif want.budget and sum(supply.there):
        once = sum(supply.there)
        raise Short(
            [phase], None, want.budget, once, most, Fraction(most, want.budget), ceil(Fraction(want.budget, once))
        )
    return [Fraction(amount, sum(amounts) or 1) for amount in amounts]


def _by_key(weights: list[Fraction], demand: list, there: list[int], repeats: Repeats) -> list[Fraction]:
    """The share of each key that a phase takes: of what it takes of a group the part that the key has in all that is
    asked of the group."""
    taken = repeats.spread(there, demand)
    return [
        weights[group] * amount / demand[group] if demand[group] else Fraction(0)
        for group, amount in zip(repeats.group, taken, strict=True)
    ]


def _budgets(supply: Supply, asked: dict[int, int | None], weights: list[list[Fraction]]) -> dict:
    """{phase: its budget}: as asked, or as much as the others leave it. Raises Short."""
    known = {phase: budget for phase, budget in asked.items() if budget is not None}
    groups, there, most = range(len(supply.there)), supply.there, supply.most
    demand = [sum(budget * weights[phase][group] for phase, budget in known.items()) for group in groups]
    scarce = [group for group in groups if demand[group] > most[group]]
    if scarce:
        scale = min(most[group] / demand[group] for group in scarce)
        group = min(scarce, key=lambda group: most[group] / demand[group])
        enough = max(ceil(demand[of] / there[of]) for of in scarce) if all(there[of] for of in scarce) else None
        phases = [phase for phase in known if weights[phase][group]]
        raise Short(phases, group, ceil(demand[group]), there[group], most[group], scale or None, enough)
    for phase in asked.keys() - known.keys():
        mine = [group for group, weight in enumerate(weights[phase]) if weight]
        left = {group: (supply.usual[group] - demand[group]) / weights[phase][group] for group in mine}
        known[phase] = floor(min(left.values(), default=0))
        if mine and known[phase] <= 0:
            group = min(left, key=left.get)
            raise Short([phase], group, there=there[group], most=most[group])
        demand = [amount + known[phase] * weights[phase][group] for group, amount in enumerate(demand)]
    return known


def _take(
    before: Before, pools, epochs, budget: int, weights: list[Fraction], want: Want
) -> list[tuple[int, int, int, int]]:
    """(copy, key, first row, last row + 1) of what a phase takes from the pieces that are open to it, key by key."""
    spans, taken, share = [], 0, Fraction(0)
    for key, pieces in enumerate(pools):
        if not epochs[key] or (want.weights is not None and not weights[key]):
            continue
        share += weights[key]
        target = max(floor(budget * share + Fraction(1, 2)) - taken, 0)
        total = sum(before[stop] - before[first] for first, stop in pieces)
        whole, rest = divmod(target, total) if total else (epochs[key], 0)  # what has no size costs nothing
        if whole >= epochs[key]:
            whole, rest = epochs[key], 0
        found = [(copy, key, *piece) for copy in range(whole) for piece in pieces]
        for first, stop in pieces:
            if rest <= 0:
                break
            end = _nearest(before, first, stop, rest)
            found.append((whole, key, first, end))
            rest -= before[stop] - before[first]
        taken += sum(before[stop] - before[first] for _, _, first, stop in found)
        spans += [span for span in found if span[3] > span[2]]
    return spans


def _nearest(before: Before, first: int, stop: int, amount: int | Fraction) -> int:
    """The end of the rows from `first` that come nearest to an amount; the earlier one of two."""
    goal = before[first] + amount
    end = before.last(first, stop, floor(goal))
    if end < stop and before[end + 1] - goal < goal - before[end]:
        end += 1
    return end


def expand(spans: list[Span]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`row`, `phase` and `copy` of spans, see `Drawn`."""
    phase, copy, _, first, stop = np.array(spans, np.int64).reshape(-1, 5).T
    count = stop - first
    row = np.arange(count.sum())
    row += np.repeat(first - (np.cumsum(count) - count), count)
    return row, np.repeat(phase.astype(np.int16), count), np.repeat(copy.astype(np.int16), count)
