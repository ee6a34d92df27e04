"""Items of evaluation sets, indexed for `curate.kernels.items`."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import flat, utf8
from curate.kernels.items import STRONG, Items, folded_words, word_grams
from curate.kernels.ngrams import index_ngrams
from curate.stages._text import in_order

N = 5
"""Words of an n-gram, as in decon."""

SEEDED = 8
"""Items that may share an n-gram for it to be where the search begins. Of an item all of whose n-grams more have, the
rarest is."""

SHORT, LONG = 20, 50
"""Words up to which an item must be there as a whole, and from which on the lowest share is enough."""

LEAST = {"balanced": (0.8, 6, 0.2), "strict": (0.6, 5, 0.2)}
"""Of each rule: the share that is enough of a long item; words that an item must have unless its answer follows; and by
how much less is enough where its answer follows."""

SOLUTION = 20
"""Words from which on an answer is searched for like a question."""

_HIDDEN = r"[\x{ad}\x{200b}-\x{200d}\x{2060}\x{feff}]"
"""What is in words and cannot be seen: soft hyphens, spaces of no width, joiners."""


@dataclass(frozen=True)
class Indexed:
    """names: `SET/ITEM` of each item; sets: its set; items: for the kernel."""

    names: pa.Array
    sets: pa.Array
    items: Items

    @property
    def searched(self) -> np.ndarray:
        """bool[items]: which are long enough to be found, alone or with their answer."""
        answered = np.diff(self.items.answers) > 0
        return np.isfinite(self.items.least) | answered & np.isfinite(self.items.supported)


def plain(text: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Texts in one form (NFKC), without what cannot be seen."""
    if pc.all(pc.fill_null(pc.string_is_ascii(text), True)).as_py():
        return text
    text = in_order(flat(text) if isinstance(text, pa.ChunkedArray) else text)
    return pc.replace_substring_regex(pc.utf8_normalize(text, "NFKC"), _HIDDEN, "")


def indexed(rows: list[tuple[str, str, str, list[str]]], rule: str) -> Indexed:
    """Index items. rows: (set, item, text, its answers)."""
    share, alone, support = LEAST[rule]
    sets, names, texts, answers = ([row[place] for row in rows] for place in range(4))
    tokens, strengths, bounds = _words(texts)
    hashes, places, of = word_grams(tokens, strengths, bounds, N)
    item = np.repeat(np.arange(len(texts)), np.diff(of))
    item, places, hashes = item[hashes != 0], places[hashes != 0], hashes[hashes != 0]
    distinct, gram = np.unique(hashes, return_inverse=True)
    once = np.unique(item * np.int64(len(distinct) + 1) + gram, return_index=True)[1]
    item, places, gram = item[once], places[once], gram[once]
    times = np.bincount(gram, minlength=len(distinct))
    weights = np.log((len(texts) + 1) / times)
    totals = np.bincount(item, weights[gram], minlength=len(texts))
    strong = np.diff(np.append(0, np.cumsum(strengths))[bounds]) / STRONG
    answer_words, _, answer_bounds = _words([one for mine in answers for one in mine])
    least = np.interp(strong, [SHORT, LONG], [1.0, share]) - 1e-9  # sums in another order may come to less
    supported = least - np.where(strong >= alone, support, 0)
    least[(strong < alone) | (totals == 0)] = np.inf
    supported[(strong < alone / 2) | (totals == 0)] = np.inf
    seed = _seeds(gram, item, times)
    seed = seed[np.argsort(gram[seed], kind="stable")]
    slots, bits = index_ngrams(distinct, distinct)
    items = Items(
        n=N,
        hashes=distinct,
        slots=slots,
        bits=bits,
        weights=weights,
        seeds=_bounds(gram[seed], len(distinct)),
        seed_items=item[seed],
        seed_places=places[seed],
        bounds=_bounds(item, len(texts)),
        grams=gram,
        sizes=np.diff(bounds),
        totals=np.maximum(totals, 1e-9),
        least=least,
        supported=supported,
        answers=np.append(0, np.cumsum([len(mine) for mine in answers], dtype=np.int64)),
        answer_bounds=answer_bounds,
        answer_words=answer_words,
    )
    return Indexed(pa.array(names, pa.string()), pa.array(sets, pa.string()), items)


def _words(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return folded_words(*utf8(plain(pa.array(texts, pa.large_string()))))


def _bounds(which: np.ndarray, count: int) -> np.ndarray:
    """Where those of each begin, of numbers that rise: int64[count + 1]."""
    return np.append(0, np.cumsum(np.bincount(which, minlength=count)))


def _seeds(gram: np.ndarray, item: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Which n-grams of which items a search may begin at: int64, of those that few items have, or the rarest."""
    rare = times[gram] <= SEEDED
    order = np.lexsort((times[gram], item))
    rarest = order[np.flatnonzero(np.diff(item[order], prepend=-1))]
    return np.unique(np.concatenate([np.flatnonzero(rare), rarest]))
