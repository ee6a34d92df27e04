"""Which documents to draw, and in which order: arrays in, arrays out.

Each source has its share of the sequences. Within a source the documents fall into strata, from short to long, that
hold equally many of its tokens; documents of all strata are drawn side by side, so that tokens come from short and
from long documents as they do in the release. Within a stratum the order is that of the hash line. So what is drawn
depends on the documents and the seed, never on where they lie.
"""

from dataclasses import dataclass

import numpy as np

from curate.mix.hash_line import shuffled

STRATA = 4


@dataclass(frozen=True)
class Order:
    """The documents in the order of drawing.

    row      int64[n], sorted by source
    start    int64[sources + 1], where each source begins among them
    stratum  int8[n], of each row, from 0, the shortest
    """

    row: np.ndarray
    start: np.ndarray
    stratum: np.ndarray


def quotas(weight: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to weights, adding up to `total`, by largest remainder; of equals the first.

    weight  int64[k], not negative, one at least above 0. Returns int64[k], each within 1 of its exact part.
    """
    parts = [divmod(total * int(one), int(weight.sum())) for one in weight]
    found = np.array([whole for whole, _ in parts], np.int64)
    largest = sorted(range(len(parts)), key=lambda place: (-parts[place][1], place))
    found[largest[: total - int(found.sum())]] += 1
    return found


def order(
    line: np.ndarray, source: np.ndarray, weight: np.ndarray, gives: np.ndarray, size: np.ndarray, sources: int
) -> Order:
    """In which order the documents of each source are drawn.

    line    uint64[n], distinct places on the hash line
    source  int32[n], below `sources`
    weight  int64[n], how much of its source a document is; above 0
    gives   int64[n], how much of it is taken when it is drawn; above 0
    size    int64[n], by which documents are short or long

    Each document of a stratum has a stretch as long as what it gives, one after another in the order of the line, and
    comes at a point of its stretch that its hash chooses. Strata go along their stretches as fast as they weigh, which
    is stride scheduling (Waldspurger, Weihl 1995) with points drawn at random.
    """
    by_size = np.lexsort((line, size, source))
    before, total = _before(weight[by_size], source[by_size])
    stratum = np.empty(len(line), np.int8)
    stratum[by_size] = STRATA * (2 * before + weight[by_size]) // (2 * total)
    cell = source.astype(np.int64) * STRATA + stratum
    by_line = np.lexsort((line, cell))
    before, _ = _before(gives[by_line], cell[by_line])
    _, held = _before(weight[by_line], cell[by_line])
    point = np.empty(len(line))
    point[by_line] = (before + uniform(line[by_line], 0) * gives[by_line]) / held
    row = np.lexsort((line, point, source))
    return Order(row, np.searchsorted(source[row], np.arange(sources + 1)), stratum)


def uniform(line: np.ndarray, number: int) -> np.ndarray:
    """float64[n] in [0, 1): the number-th random value of each document, from its place on the line."""
    value = shuffled(line, np.zeros(1, np.uint64), np.array([number], np.uint64))
    return (value >> np.uint64(11)) * 2.0**-53


def _before(amount: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rows that are sorted by group: the sum before each in its group, and that of its whole group; int64[n]."""
    after = np.cumsum(amount, dtype=np.int64)
    _, first, of, count = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    begin = (after - amount)[first]
    return after - amount - begin[of], (after[first + count - 1] - begin)[of]
