"""The mixture by ranges of the hash line, so that no process holds all documents.

The line is cut into 2**k ranges of one length. A *cell* is the documents of one key in one range. The sums of all cells
tell where a phase's share ends, but for the one cell in which the exact document lies: only the sizes of that one are
read. Then each range draws its own documents.
"""

from collections.abc import Callable

import numpy as np

from curate.mix.hash_line import shuffled
from curate.mix.quotas import Span, expand
from curate.mix.splits import Candidates

PARTITIONS = 16
"""About how many partitions' documents a range is to have."""

MOST = 256
"""Ranges at most: at a billion documents each has four million."""


def ranges_for(partitions: int) -> int:
    """How many ranges the line is cut into: a power of two, from the data alone."""
    return min(1 << max(0, (partitions - 1) // PARTITIONS).bit_length(), MOST)


def range_of(place: np.ndarray, ranges: int) -> np.ndarray:
    """uint32[n]: the range of places (uint64[n]) on a line that is cut into so many, a power of two."""
    if ranges == 1:
        return np.zeros(len(place), np.uint32)
    return (place >> np.uint64(65 - ranges.bit_length())).astype(np.uint32)


class Cells:
    """`curate.mix.quotas.Before` of documents that lie in cells.

    documents, amounts  int64[keys, ranges] of each cell
    sizes               of a key and a range, the sizes of the documents there, along the line: int64[n]
    """

    def __init__(self, documents: np.ndarray, amounts: np.ndarray, sizes: Callable[[int, int], np.ndarray]):
        self.ranges, self.sizes = documents.shape[1], sizes
        self.first, self.before = (np.concatenate([[0], np.cumsum(cells)]) for cells in (documents, amounts))
        self.read: dict[int, np.ndarray] = {}

    def base(self, number: int) -> np.ndarray:
        """int64[keys]: the first row of each key in a range."""
        return self.first[:-1].reshape(-1, self.ranges)[:, number]

    def __getitem__(self, row: int) -> int:
        cell = int(np.searchsorted(self.first, row, side="right")) - 1
        inside = row - int(self.first[cell])
        return int(self.before[cell]) + (int(self._within(cell)[inside]) if inside else 0)

    def last(self, first: int, stop: int, amount: int) -> int:
        amount = min(amount, int(self.before[-1]))
        cell = int(np.searchsorted(self.before, amount, side="right")) - 1
        row, rest = int(self.first[cell]), amount - int(self.before[cell])
        if row < stop and cell < len(self.first) - 1:
            row += int(np.searchsorted(self._within(cell), rest, side="right")) - 1
        return min(row, stop)

    def _within(self, cell: int) -> np.ndarray:
        """int64[n + 1]: the size of the documents of a cell before each of them. The last one read is kept."""
        if cell not in self.read:
            sizes = self.sizes(*divmod(cell, self.ranges))
            self.read = {cell: np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])}
        return self.read[cell]


def drawn_of(
    line: np.ndarray, count: np.ndarray, base: np.ndarray, spans: list[Span]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a range draws: `row` among its documents, `phase`, and `place` in the phase, in the order of the spans.

    line   uint64[n], of its documents by key and then along the line
    count  int64[keys], how many it has of each key
    base   int64[keys], the number of the first of them among the documents of all ranges
    """
    local = np.cumsum(count) - count
    mine = []
    for phase, copy, key, first, stop in spans:
        start, end = (min(max(row - int(base[key]), 0), int(count[key])) for row in (first, stop))
        if end > start:
            mine.append(Span(phase, copy, key, int(local[key]) + start, int(local[key]) + end))
    row, phase, copy = expand(mine)
    return row, phase, shuffled(line[row], phase, copy)


def totals_of(documents: Candidates, row: np.ndarray, amount: np.ndarray, keys: int) -> dict:
    """Sums over rows of one split of a range, which add up over ranges but for `longest`: lists, by key.

    amount  of all documents, in the unit of the mixture
    """
    seen = np.zeros(len(documents.doc), bool)
    seen[row] = True
    of = documents.key[row]

    def sums(values: np.ndarray) -> list[int]:
        return np.bincount(of, values[row], keys).astype(np.int64).tolist()  # float64 holds integers to 2**53

    found = {
        "documents": np.bincount(of, minlength=keys).tolist(),
        "unique": np.bincount(documents.key[seen], minlength=keys).tolist(),
        "bytes": sums(documents.bytes),
        "amount": sums(amount),
        "unique_amount": np.bincount(documents.key[seen], amount[seen], keys).astype(np.int64).tolist(),
    }
    if documents.tokens is not None:
        found |= {"tokens": sums(documents.tokens), "longest": int(documents.tokens[row].max(initial=0))}
    return found
