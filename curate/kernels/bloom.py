"""A Bloom filter (Bloom 1970), and DCLM's rule for removing what it has seen.

The filter is an array of bits, uint64[words]. Its bit numbers for a hash are ``a + i * b``, two halves of one mixing
each (Kirsch and Mitzenmacher 2006, "Less hashing, same performance").
"""

import math

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.word_break import next_break

_BASE = np.uint64(0xD6E8FEB86659FD93)
_OTHER = np.uint64(0xA0761D6478BD642F)
_ONE, _SIX, _LOW = np.uint64(1), np.uint64(6), np.uint64(63)
_NEW_LINE = np.uint8(10)


def filter_size(expected: int, rate: float) -> tuple[int, int]:
    """(64-bit words, bit numbers a hash) for this many different hashes at this rate of false positives."""
    numbers = max(1, math.ceil(-math.log2(rate)))
    bits = -numbers * expected / math.log1p(-(rate ** (1 / numbers)))
    return math.ceil(bits / 64), numbers


@device
def contains(bits, numbers, h):
    """Whether all bits of a hash are set."""
    step, size = mix64(h ^ _OTHER) | _ONE, np.uint64(len(bits) * 64)
    for _ in range(numbers):
        bit = h % size
        if not bits[bit >> _SIX] >> (bit & _LOW) & _ONE:
            return False
        h += step
    return True


@device
def insert(bits, numbers, h):
    """Set all bits of a hash."""
    step, size = mix64(h ^ _OTHER) | _ONE, np.uint64(len(bits) * 64)
    for _ in range(numbers):
        bit = h % size
        bits[bit >> _SIX] |= _ONE << (bit & _LOW)
        h += step


@device
def _read_ngrams(data, begin, end, ring, hashes):
    """Write the hashes of a paragraph's n-grams into ``hashes``; returns how many there are, written or not.

    ``ring`` (uint64[n]) is room for the last n words.
    """
    n = len(ring)
    leaving = _ONE
    for _ in range(n):
        leaving *= _BASE
    ring[:] = 0
    rolling, words, i = np.uint64(0), 0, begin
    while i < end:
        i, word, blank = next_break(data, i, end)
        if blank:
            continue
        rolling = rolling * _BASE + word - ring[words % n] * leaving
        ring[words % n] = word
        words += 1
        if n <= words < n + len(hashes):
            hashes[words - n] = mix64(rolling)
    return max(words - n + 1, 0)


@kernel
def old_both(data, offsets, n, threshold, bits, numbers, room):
    """What DCLM's BFF removes with ``remove-type old-both``, document after document.

    A paragraph, which is a line, goes when more than ``threshold`` of its n-grams of words are in the filter; else they
    are put into it, in the same order. One of fewer than n words stays and does not count. ``bits`` is the filter,
    changed in place, ``numbers`` its bit numbers a hash, ``room`` how many n-grams that are not in it yet it may take.

    Returns (seen bool[paragraphs]; bounds int64[docs + 1]: document i has the paragraphs ``bounds[i]`` to
    ``bounds[i + 1]``; ngrams int64[docs]; known int64[docs]: of these in the filter when their paragraph came; room
    left, -1 where there was not enough: the rest is then not looked at).
    """
    docs = len(offsets) - 1
    bounds = np.zeros(docs + 1, np.int64)
    for doc in range(docs):
        count = 1
        for i in range(offsets[doc], offsets[doc + 1]):
            count += data[i] == _NEW_LINE
        bounds[doc + 1] = bounds[doc] + count
    seen = np.zeros(bounds[-1], np.bool_)
    ngrams, known = np.zeros(docs, np.int64), np.zeros(docs, np.int64)
    ring = np.empty(n, np.uint64)
    hashes = np.empty(1024, np.uint64)
    for doc in range(docs):
        begin = offsets[doc]
        for paragraph in range(bounds[doc], bounds[doc + 1]):
            end = begin
            while end < offsets[doc + 1] and data[end] != _NEW_LINE:
                end += 1
            count = _read_ngrams(data, begin, end, ring, hashes)
            if count > len(hashes):
                hashes = np.empty(count, np.uint64)
                _read_ngrams(data, begin, end, ring, hashes)
            found = 0
            for h in hashes[:count]:
                found += contains(bits, numbers, h)
            ngrams[doc] += count
            known[doc] += found
            if found > threshold * count:
                seen[paragraph] = True
            else:
                for h in hashes[:count]:
                    if not contains(bits, numbers, h):
                        room -= 1
                        insert(bits, numbers, h)
            if room < 0:
                return seen, bounds, ngrams, known, -1
            begin = end + 1
    return seen, bounds, ngrams, known, room
