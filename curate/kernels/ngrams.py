"""Find the word n-grams that documents share with fixed texts, such as benchmarks.

A word is what `words` says it is, whatever its case; punctuation, spaces and symbols do not count. The hash of an
n-gram is the polynomial of `shingles`, of any number of words: the difference of two prefix sums. What is found is
compared character by character, so that no accident of hashing is ever reported.
"""

from typing import NamedTuple

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.words import character, next_word

BASE = np.uint64(0xD6E8FEB86659FD93)
_ONE = np.uint64(1)
_BITS_PER_NGRAM = 16


class Ngrams(NamedTuple):
    """N-grams to look for."""

    data: np.ndarray  # uint8, the texts
    hashes: np.ndarray  # uint64[ngrams], distinct
    starts: np.ndarray  # int64[ngrams], byte of `data` where its first occurrence begins
    ends: np.ndarray  # int64[ngrams], and where it ends
    words: np.ndarray  # int64[ngrams], how many words it has
    slots: np.ndarray  # int64[power of two], open-addressed by hash: n-gram or -1
    sizes: np.ndarray  # int64, the distinct values of `words`, rising
    tail: int  # words, at most the least of `sizes`
    bits: np.ndarray  # uint64[power of two], a bit set for the hash of the last `tail` words of each n-gram


@kernel
def text_ngrams(data, offsets, n, least):
    """All n-grams of each text; of a text of fewer than ``n`` words but ``least`` or more, all words as one.

    ``1 <= least <= n``. Returns (hashes uint64[g], tails uint64[g] of the last ``least`` words, texts int64[g],
    places int64[g] of the first word in its text, starts int64[g] and ends int64[g] in bytes, words int64[g]; and
    the number of words of each text, int64[texts]).
    """
    docs = len(offsets) - 1
    most = offsets[-1] - offsets[0]
    hashes, tails = np.empty(most, np.uint64), np.empty(most, np.uint64)
    texts, places, words = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    lengths = np.zeros(docs, np.int64)
    powers, ring = _powers(n), n + 1
    prefix, begins = np.zeros(ring, np.uint64), np.zeros(ring, np.int64)
    count = 0
    for doc in range(docs):
        position, end, seen = offsets[doc], offsets[doc + 1], 0
        prefix[0] = 0
        while True:
            start, stop, token = next_word(data, position, end, True)
            last = start == end
            if not last:
                position = stop
                begins[seen % ring] = start
                prefix[(seen + 1) % ring] = prefix[seen % ring] * BASE + token
                seen += 1
            size = min(seen, n)
            if least <= size < n if last else size == n:
                now, first, tail = seen % ring, (seen - size) % ring, (seen - least) % ring
                hashes[count] = mix64(prefix[now] - prefix[first] * powers[size])
                tails[count] = mix64(prefix[now] - prefix[tail] * powers[least])
                texts[count], places[count], words[count] = doc, seen - size, size
                starts[count], ends[count] = begins[first], position
                count += 1
            if last:
                break
        lengths[doc] = seen
    return (
        hashes[:count].copy(),
        tails[:count].copy(),
        texts[:count].copy(),
        places[:count].copy(),
        starts[:count].copy(),
        ends[:count].copy(),
        words[:count].copy(),
        lengths,
    )


@kernel
def index_ngrams(hashes, tails):
    """(slots, bits) of distinct n-grams, as `Ngrams` has them."""
    size = 2
    while size < 2 * len(hashes):
        size *= 2
    n_bits = 64
    while n_bits < _BITS_PER_NGRAM * len(hashes):
        n_bits *= 2
    slots, bits = np.full(size, -1, np.int64), np.zeros(n_bits // 64, np.uint64)
    for i in range(len(hashes)):
        slot = np.int64(hashes[i] & np.uint64(size - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = i
        bit = tails[i] >> np.uint64(32)
        bits[np.int64(bit >> np.uint64(6)) & (len(bits) - 1)] |= _ONE << (bit & np.uint64(63))
    return slots, bits


@kernel
def find_ngrams(data, offsets, ngrams):
    """Every place where a document has one of the ``ngrams``, in the order of its end.

    Returns (docs int64[h], starts int64[h] and ends int64[h] in bytes of ``data``, found int64[h]: which n-gram).
    """
    room = 1024
    docs, starts = np.empty(room, np.int64), np.empty(room, np.int64)
    ends, found = np.empty(room, np.int64), np.empty(room, np.int64)
    count = 0
    if len(ngrams.hashes) == 0:
        return docs[:0], starts[:0], ends[:0], found[:0]
    texts, words, sizes, tail = ngrams.data, ngrams.words, ngrams.sizes, ngrams.tail
    hashes, slots, bits = ngrams.hashes, ngrams.slots, ngrams.bits
    ring = sizes[-1] + 1
    powers = _powers(sizes[-1])
    prefix, begins = np.zeros(ring, np.uint64), np.zeros(ring, np.int64)
    for doc in range(len(offsets) - 1):
        position, end, seen, slot = offsets[doc], offsets[doc + 1], 0, 0
        prefix[0] = 0
        while True:
            start, position, token = next_word(data, position, end, True)
            if start == end:
                break
            begins[slot] = start
            following = slot + 1 if slot + 1 < ring else 0
            prefix[following] = prefix[slot] * BASE + token
            slot = following
            seen += 1
            if seen < tail:
                continue
            first = slot - tail if slot >= tail else slot - tail + ring
            if not may_have(bits, mix64(prefix[slot] - prefix[first] * powers[tail])):
                continue
            for size in sizes:
                if size > seen:
                    break
                first = slot - size if slot >= size else slot - size + ring
                key = mix64(prefix[slot] - prefix[first] * powers[size])
                ngram = lookup(hashes, slots, key)
                if ngram < 0 or words[ngram] != size:
                    continue
                if not _same_words(data, begins[first], position, texts, ngrams.starts[ngram], ngrams.ends[ngram]):
                    continue
                if count == room:
                    room *= 2
                    docs, starts = _grown(docs, room), _grown(starts, room)
                    ends, found = _grown(ends, room), _grown(found, room)
                docs[count], starts[count], ends[count], found[count] = doc, begins[first], position, ngram
                count += 1
    return docs[:count].copy(), starts[:count].copy(), ends[:count].copy(), found[:count].copy()


@kernel
def _powers(n):
    powers = np.ones(n + 1, np.uint64)
    for i in range(n):
        powers[i + 1] = powers[i] * BASE
    return powers


@kernel
def _grown(array, room):
    larger = np.empty(room, array.dtype)
    larger[: len(array)] = array
    return larger


@device
def may_have(bits, key):
    """Whether a hash may be that of an n-gram's last words: never false where it is, and true for few others."""
    bit = key >> np.uint64(32)
    return (bits[np.int64(bit >> np.uint64(6)) & (len(bits) - 1)] >> (bit & np.uint64(63))) & _ONE != 0


@device
def lookup(hashes, slots, key):
    """The n-gram of that hash, or -1."""
    mask = len(slots) - 1
    slot = np.int64(key & np.uint64(mask))
    while slots[slot] >= 0 and hashes[slots[slot]] != key:
        slot = (slot + 1) & mask
    return slots[slot]


@device
def _same_words(data, start, end, other, there, there_end):
    """Whether two pieces of text have the same words."""
    while True:
        i, start, _hash = next_word(data, start, end, True)
        j, there, _hash = next_word(other, there, there_end, True)
        if i == start or j == there:
            return i == start and j == there
        while i < start and j < there:
            _, _, ours, width = character(data, i, start)
            _, _, theirs, their_width = character(other, j, there)
            if ours != theirs:
                return False
            i += width
            j += their_width
        if i != start or j != there:
            return False
