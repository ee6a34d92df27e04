"""Find items of evaluation sets in documents, however they are written there.

Words are those of `words`, case-folded. A number is one word, whatever its digits, so that an item with other numbers
is the same. Words differ in what they say: `strength` is 3 for a word of several letters, 1 for a letter of a script
without spaces, and 0 for numbers and single letters, of which formulas, tables and code are full.

An item is found where enough of its n-grams stand close together, in terms of their weights: an n-gram that few items
have weighs more, one with fewer than two strong words nothing. After "decon" of the Allen Institute for AI, which
scores clusters of n-grams by their inverse document frequency as well.
"""

from typing import NamedTuple

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.ngrams import BASE, lookup, may_have
from curate.kernels.words import IDEOGRAPH, character, next_word

_NUMBER = np.uint64(0xA0761D6478BD642F)
_ONE = np.uint64(1)
_ESCAPES = (110, 114, 116)  # n, r, t: after a backslash they are white space
STRONG = 3
"""The strength of a word of several letters."""

ANSWER_WITHIN = 60
"""Words after an item within which its answer supports it."""


class Items(NamedTuple):
    """What is looked for. n: words of an n-gram."""

    n: int
    hashes: np.ndarray  # uint64[grams], distinct
    slots: np.ndarray  # int64[power of two], open-addressed by hash: gram or -1
    bits: np.ndarray  # uint64[power of two], a bit set for each hash
    weights: np.ndarray  # float64[grams]
    seeds: np.ndarray  # int64[grams + 1]: which seeds are of a gram
    seed_items: np.ndarray  # int64[seeds]: the item that it may begin to be
    seed_places: np.ndarray  # int64[seeds]: the word of the item where the gram is
    bounds: np.ndarray  # int64[items + 1]: which of `grams` are of an item
    grams: np.ndarray  # int64, rising in an item
    sizes: np.ndarray  # int64[items], words
    totals: np.ndarray  # float64[items], weights of all its grams
    least: np.ndarray  # float64[items], the share of the weights at which it counts as found
    supported: np.ndarray  # float64[items], the same where its answer follows
    answers: np.ndarray  # int64[items + 1]: which answers are of an item
    answer_bounds: np.ndarray  # int64[answers + 1]: which words are of an answer
    answer_words: np.ndarray  # uint64, hashes of words


@device
def _digit(byte):
    return 48 <= byte <= 57


@device
def _without_digits(data, start, stop):
    """Hash of a word in which digits in a row are one."""
    h, i, before = _NUMBER, start, False
    while i < stop:
        _, _, folded, size = character(data, i, stop)
        digit = _digit(data[i])
        if not (digit and before):
            h = (h ^ np.uint64(48 if digit else folded)) * BASE
        before = digit
        i += size
    return mix64(h)


@device
def folded_word(data, i, end):
    """First word that begins in ``data[i:end]``: (start, stop, hash, strength). None: ``start == end``."""
    start, stop, token = next_word(data, i, end, True)
    while i < start < end and data[start - 1] == 92 and data[start] in _ESCAPES:  # of text within code or JSON
        start, stop, token = next_word(data, start + 1, end, True)
    if start == end:
        return start, stop, token, 0
    i, digits = start, 0
    while i < stop:
        digits += _digit(data[i])
        i += 1
    kind, _, _, size = character(data, start, end)
    if digits == 0:
        return start, stop, token, 1 if kind == IDEOGRAPH else STRONG if stop - start > size else 0
    if digits < stop - start:  # a word such as B12 or 5th: any digits in a row are one
        return start, stop, _without_digits(data, start, stop), STRONG if stop - start - digits > size else 0
    while stop + 1 < end and (data[stop] == 44 or data[stop] == 46) and _digit(data[stop + 1]):  # 1,000.5
        stop += 1
        while stop < end and _digit(data[stop]):
            stop += 1
    return start, stop, _NUMBER, 0


@kernel
def folded_words(data, offsets):
    """All words of all texts: (hashes uint64[w], strengths int64[w], bounds int64[texts + 1])."""
    room = offsets[-1] - offsets[0] + 1
    tokens, strengths, count = np.empty(room, np.uint64), np.empty(room, np.int64), 0
    bounds = np.zeros(len(offsets), np.int64)
    for text in range(len(offsets) - 1):
        i, end = offsets[text], offsets[text + 1]
        while True:
            start, i, token, strength = folded_word(data, i, end)
            if start == end:
                break
            tokens[count], strengths[count] = token, strength
            count += 1
        bounds[text + 1] = count
    return tokens[:count].copy(), strengths[:count].copy(), bounds


@device
def _weighs(strength, n):
    """Whether an n-gram of that strength says enough: two strong words, or a letter of a script without spaces each."""
    return strength >= min(2 * STRONG, n)


@kernel
def word_grams(tokens, strengths, bounds, n):
    """All n-grams of each text, in order: (hashes uint64[g], places int64[g], bounds int64[texts + 1]); a hash is 0 for
    one that says too little."""
    hashes, places, count = np.empty(len(tokens), np.uint64), np.empty(len(tokens), np.int64), 0
    found = np.zeros(len(bounds), np.int64)
    for text in range(len(bounds) - 1):
        for i in range(bounds[text], bounds[text + 1] - n + 1):
            h, strength = np.uint64(0), 0
            for k in range(i, i + n):
                h = h * BASE + tokens[k]
                strength += strengths[k]
            hashes[count] = mix64(h) if _weighs(strength, n) else np.uint64(0)
            places[count] = i - bounds[text]
            count += 1
        found[text + 1] = count
    return hashes[:count].copy(), places[:count].copy(), found


@device
def _answered(items, item, tokens, first, last):
    """Whether an answer of an item is among the words from ``first`` to ``last``, as a whole."""
    for answer in range(items.answers[item], items.answers[item + 1]):
        start, size = items.answer_bounds[answer], items.answer_bounds[answer + 1] - items.answer_bounds[answer]
        for i in range(first, last - size + 1 if size else first):
            k = 0
            while k < size and tokens[i + k] == items.answer_words[start + k]:
                k += 1
            if k == size:
                return True
    return False


@kernel
def find_items(data, offsets, items):
    """The item that each document has most of, if it has enough of any.

    Returns (docs int64[f], found int64[f], shares float64[f], starts int64[f], stops int64[f], counts int64[docs]):
    the document, its item, the share of the item's weight, the bytes of ``data`` from the first to the last of its
    n-grams there; and how many n-grams of any item a document has.
    """
    longest = 0
    for doc in range(len(offsets) - 1):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    room = longest // 2 + 2
    tokens, begins, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    strengths, grams = np.empty(room, np.int64), np.empty(room, np.int64)
    docs = len(offsets) - 1
    best, margin = np.full(docs, -1, np.int64), np.full(docs, -1.0)
    shares, starts, stops = np.zeros(docs), np.zeros(docs, np.int64), np.zeros(docs, np.int64)
    counts = np.zeros(docs, np.int64)
    looked, diagonal = np.full(len(items.sizes), -1, np.int64), np.zeros(len(items.sizes), np.int64)
    stamps, stamp, n = np.zeros(len(items.hashes), np.int64), 0, items.n
    power = _ONE
    for _ in range(n):
        power *= BASE
    for doc in range(docs):
        i, end, words, h, strength = offsets[doc], offsets[doc + 1], 0, np.uint64(0), 0
        while True:
            start, i, token, strong = folded_word(data, i, end)
            if start == end:
                break
            tokens[words], begins[words], ends[words], strengths[words] = token, start, i, strong
            h, strength = h * BASE + token, strength + strong
            words += 1
            if words > n:
                h, strength = h - tokens[words - n - 1] * power, strength - strengths[words - n - 1]
            if words >= n:
                key, weighs = mix64(h), _weighs(strength, n)
                grams[words - n] = (
                    lookup(items.hashes, items.slots, key) if weighs and may_have(items.bits, key) else -1
                )
                counts[doc] += grams[words - n] >= 0
        if counts[doc] == 0:
            continue
        for j in range(words - n + 1):
            if grams[j] < 0:
                continue
            for seed in range(items.seeds[grams[j]], items.seeds[grams[j] + 1]):
                item = items.seed_items[seed]
                size, first = items.sizes[item], j - items.seed_places[seed]
                slack = 5 + size // 4
                if looked[item] == doc and abs(diagonal[item] - first) <= slack // 2:
                    continue
                looked[item], diagonal[item] = doc, first
                stamp += 1
                total, from_, to = 0.0, -1, -1
                own = items.grams[items.bounds[item] : items.bounds[item + 1]]
                for k in range(max(first - slack, 0), min(first + size + slack, words - n + 1)):
                    if grams[k] < 0 or stamps[grams[k]] == stamp:
                        continue
                    place = np.searchsorted(own, grams[k])
                    if place < len(own) and own[place] == grams[k]:
                        stamps[grams[k]] = stamp
                        total += items.weights[grams[k]]
                        from_, to = k if from_ < 0 else from_, k + n
                share, least = min(total / items.totals[item], 1.0), items.least[item]
                near, far = max(from_ - ANSWER_WITHIN, 0), min(to + ANSWER_WITHIN, words)
                if items.supported[item] <= share < least and _answered(items, item, tokens, near, far):
                    least = items.supported[item]
                if share >= least and share - least > margin[doc]:
                    best[doc], margin[doc], shares[doc] = item, share - least, share
                    starts[doc], stops[doc] = begins[from_], ends[to - 1]
    found = np.flatnonzero(best >= 0)
    return found, best[found], shares[found], starts[found], stops[found], counts
