"""Draw for each phase its share of each source or other key, exact to one document.

A *key* is what weights are given to: a source, a language. The documents of a key lie side by side in the order of the
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


@dataclass(frozen=True)
class Want:
    """What a phase asks for.

    weights  share of each key, adding up to 1; None: as much of each as there is of it
    budget   in the unit of the sizes; None: as much as the weights allow
    again    whether it may take documents of earlier phases; those that no phase has come first
    """

    weights: tuple[Fraction, ...] | None = None
    budget: int | None = None
    again: bool = False


class Short(Exception):
    """There is too little of a key.

    phases   that want it, by number
    key      number of the key that limits
    asked    how much they want of it; None: a phase without a budget finds nothing left
    there    how much there is, seen once
    scale    what all their budgets must be multiplied with to be met; None where that does not help
    repeats  from which number of repeats they are met; None where that does not help
    """

    def __init__(self, phases, key, asked=None, there=0, scale=None, repeats=None):
        super().__init__(phases, key, asked, there, scale, repeats)
        self.phases, self.key, self.asked, self.there = phases, key, asked, there
        self.scale, self.repeats = scale, repeats


@dataclass(frozen=True)
class Drawn:
    """What the phases get: `row` (int64[m]), `phase` and `copy` (int16[m]), one entry for each time a document is seen,
    and the budget and weights that each phase came to."""

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
    """What the phases take, and the budget and weights that each came to."""

    spans: list[Span]
    budgets: list[int]
    weights: list[list[Fraction]]


def draw(size: np.ndarray, start: np.ndarray, wants: list[Want], repeats: int) -> Drawn:
    """Choose the documents of each phase.

    size     int64[n], of documents that are sorted by key and then by their place on the line; not negative
    start    int64[keys + 1], where each key begins among them
    repeats  maximum number of times a phase may use a document

    Each key of a phase is met to half a document and what the key before it is off by, each budget to half a document
    (unless all that may be seen of its last key is taken). Raises Short.
    """
    found = shares(Sums(size), start, wants, repeats)
    return Drawn(*expand(found.spans), found.budgets, found.weights)


def shares(before: Before, start: np.ndarray, wants: list[Want], repeats: int) -> Shares:
    """The rows that each phase takes: as `draw`, but where only the sums of sizes are known. Raises Short."""
    start = [int(row) for row in start]
    there = [before[stop] - before[first] for first, stop in pairwise(start)]
    weights = [_weights(want, there) for want in wants]
    apart = [phase for phase, want in enumerate(wants) if not want.again]
    budgets = _budgets(there, {phase: wants[phase].budget for phase in apart}, weights, repeats)
    wanted = [sum(budgets[phase] * weights[phase][key] for phase in apart) for key in range(len(there))]
    spans: list[Span] = []
    ranges = {}
    position, so_far = start[:-1], [Fraction(0)] * len(there)
    for phase in apart:
        pools, epochs = [], []
        for key, total in enumerate(there):
            so_far[key] += budgets[phase] * weights[phase][key]
            stop = start[key + 1]
            if wanted[key] > total:
                stop = max(position[key], _nearest(before, start[key], stop, so_far[key] * total / wanted[key]))
            pools.append([(position[key], stop)])
            epochs.append(repeats if wanted[key] > total else 1)
        taken = _take(before, pools, epochs, budgets[phase], weights[phase], wants[phase])
        for key, total in enumerate(there):
            ends = [stop for _, of, _, stop in taken if of == key]
            end = pools[key][0][1] if wanted[key] > total else max(ends, default=position[key])
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
            budgets |= _budgets(held, {phase: want.budget}, weights, repeats)
            taken = _take(before, pools, [repeats] * len(there), budgets[phase], weights[phase], want)
            spans += [Span(phase, *taking) for taking in taken]
    return Shares(spans, [budgets[phase] for phase in range(len(wants))], weights)


def _weights(want: Want, there: list[int]) -> list[Fraction]:
    if want.weights is not None:
        return list(want.weights)
    return [Fraction(amount, max(sum(there), 1)) for amount in there]


def _budgets(there: list[int], asked: dict[int, int | None], weights: list[list[Fraction]], repeats: int) -> dict:
    """{phase: its budget}: as asked, or as much as the others leave it. Raises Short."""
    known = {phase: budget for phase, budget in asked.items() if budget is not None}
    demand = [sum(budget * weights[phase][key] for phase, budget in known.items()) for key in range(len(there))]
    scarce = [key for key, amount in enumerate(demand) if amount > repeats * there[key]]
    if scarce:
        scale = min(repeats * there[key] / demand[key] for key in scarce)
        key = min(scarce, key=lambda key: repeats * there[key] / demand[key])
        enough = max(ceil(demand[key] / there[key]) for key in scarce) if all(there[key] for key in scarce) else None
        phases = [phase for phase in known if weights[phase][key]]
        raise Short(phases, key, ceil(demand[key]), there[key], scale or None, enough)
    for phase in asked.keys() - known.keys():
        mine = [key for key, weight in enumerate(weights[phase]) if weight]
        left = {key: (repeats * there[key] - demand[key]) / weights[phase][key] for key in mine}
        known[phase] = floor(min(left.values(), default=0))
        if mine and known[phase] <= 0:
            key = min(left, key=left.get)
            raise Short([phase], key, there=there[key])
        demand = [amount + known[phase] * weights[phase][key] for key, amount in enumerate(demand)]
    return known


def _take(
    before: Before, pools, epochs, budget: int, weights: list[Fraction], want: Want
) -> list[tuple[int, int, int, int]]:
    """(copy, key, first row, last row + 1) of what a phase takes from the pieces that are open to it, key by key."""
    spans, taken, share = [], 0, Fraction(0)
    for key, pieces in enumerate(pools):
        if want.weights is not None and not weights[key]:
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
