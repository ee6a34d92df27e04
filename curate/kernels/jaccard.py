"""Jaccard similarity of documents, and the rule that decides which near-duplicates go.

Similarities are whole millionths, rounded down: they compare the same everywhere, a reported similarity never
exceeds the true one, and only equal sets reach 1. Sets are the sorted, unique shingle hashes of
`shingles.shingle_sets`: document i has ``hashes[offsets[i]:offsets[i + 1]]``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hash_table import draw_secret, slot_of
from curate.kernels.hashing import mix64

_MILLION = 1_000_000
_WORDS = 16
"""64-bit words of a bitmap looked at together. A bitmap has a power of two times as many: 1,024 bits, or one for each
member of an average set."""

MET = 512
"""Kept documents of a band that a document is compared with, the latest first. Of more, whoever writes texts that agree
in a band and in nothing else would have all compared with all."""


class _Contents(NamedTuple):
    """What documents are compared by: their sets, with a bitmap of each, or else signatures. Empty arrays stand for the
    other."""

    hashes: np.ndarray
    offsets: np.ndarray
    bitmaps: np.ndarray
    signatures: np.ndarray
    exact: bool


@device
def _popcount(x):
    x -= x >> np.uint64(1) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + (x >> np.uint64(2) & np.uint64(0x3333333333333333))
    x = x + (x >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(x * np.uint64(0x0101010101010101) >> np.uint64(56))


@device
def _shared(hashes, a, a_end, b, b_end, least):
    """Size of the intersection of two sets, or -1 once it cannot reach ``least``."""
    shared = 0
    while a < a_end and b < b_end:
        x, y = hashes[a], hashes[b]
        shared += x == y
        a += x <= y
        b += y <= x
        if shared + min(a_end - a, b_end - b) < least:
            return -1
    return shared


@device
def _least_shared(millionths, size_a, size_b):
    """Smallest intersection with which two sets of these sizes are that similar."""
    return -(-millionths * (size_a + size_b) // (_MILLION + millionths))


@device
def _similarity(hashes, offsets, bitmaps, i, j, need):
    """Jaccard similarity of two documents in millionths, or -1 where it is below ``need``.

    Bits in which two bitmaps differ each stand for at least one hash that only one of the sets has, so their
    number bounds the intersection from above, at the price of a few instructions (Sandes et al. 2018, "Bitmap
    filter: speeding up exact set similarity joins with bitwise operations").
    """
    a, a_end, b, b_end = offsets[i], offsets[i + 1], offsets[j], offsets[j + 1]
    sizes = a_end - a + b_end - b
    least = _least_shared(need, a_end - a, b_end - b)
    differ = 0
    for first in range(0, bitmaps.shape[1], _WORDS):
        for word in range(first, first + _WORDS):
            differ += _popcount(bitmaps[i, word] ^ bitmaps[j, word])
        if (sizes - differ) // 2 < least:
            return -1
    shared = _shared(hashes, a, a_end, b, b_end, least)
    if shared < least:
        return -1
    return shared * _MILLION // (sizes - shared) if sizes else _MILLION


@device
def _agreement(signatures, i, j):
    """Share of places in which two signatures agree, in millionths."""
    equal = 0
    for p in range(signatures.shape[1]):
        equal += signatures[i, p] == signatures[j, p]
    return equal * _MILLION // signatures.shape[1]


@kernel
def jaccard(hashes, offsets, left, right):
    """True Jaccard similarity of the documents ``left[k]`` and ``right[k]``: float64[k], 0 to 1, whole
    millionths, rounded down. Two empty sets are equal."""
    out = np.empty(len(left), np.float64)
    none = np.empty((0, 0), np.uint64)
    for k in range(len(left)):
        out[k] = _similarity(hashes, offsets, none, left[k], right[k], 0) / _MILLION
    return out


@kernel
def estimated_jaccard(signatures, left, right):
    """Estimate of the same from signatures (uint32[docs, num_perm])."""
    out = np.empty(len(left), np.float64)
    for k in range(len(left)):
        out[k] = _agreement(signatures, left[k], right[k]) / _MILLION
    return out


@kernel
def _sketch(hashes, offsets, fingerprints, bitmaps):
    """Fill in for each set a hash of it (uint64[docs]), and the parity of the number of its members that fall on each
    bit of a bitmap (uint64[docs, words], a power of two)."""
    shift = 58
    while 1 << (64 - shift) < 64 * bitmaps.shape[1]:
        shift -= 1
    for doc in range(len(offsets) - 1):
        fingerprint = np.uint64(0)
        for i in range(offsets[doc], offsets[doc + 1]):
            bit = np.int64(hashes[i] >> np.uint64(shift))
            bitmaps[doc, bit >> 6] ^= np.uint64(1) << np.uint64(bit & 63)
            fingerprint = mix64(fingerprint ^ hashes[i])
        fingerprints[doc] = fingerprint


@kernel
def _signature_fingerprints(signatures):
    fingerprints = np.zeros(len(signatures), np.uint64)
    for doc in range(len(signatures)):
        for value in signatures[doc]:
            fingerprints[doc] = mix64(fingerprints[doc] ^ np.uint64(value))
    return fingerprints


@device
def _find(table_keys, table_heads, key, secret):
    """Slot of ``key`` in an open-addressed table, or the free slot (head 0) where it belongs."""
    slot = np.int64(slot_of(key, np.uint64(len(table_keys) - 1), secret))
    while table_heads[slot] and table_keys[slot] != key:
        slot = (slot + 1) & (len(table_keys) - 1)
    return slot


@kernel
def _greedy(order, keys, fingerprints, contents, threshold, tables):
    # For each key, a chain of the kept documents that have it, newest first: 1 + ``p * width + column`` stands for the
    # document at place p of the order; column 0 is its fingerprint, so that copies meet at once.
    table_keys, table_heads, links, last_seen_by = tables
    hashes, offsets, bitmaps, signatures, exact = contents
    docs, width, secret = len(order), keys.shape[1] + 1, draw_secret()
    duplicate_of = np.full(docs, -1, np.int64)
    similarity = np.zeros(docs, np.float64)
    for p in range(docs):
        i, leader, best = order[p], -1, threshold
        for column in range(width):
            key = keys[i, column - 1] if column else fingerprints[i]
            place, met = table_heads[_find(table_keys, table_heads, key, secret)], 0
            while place and met < MET and not (leader >= 0 and best == _MILLION):
                q, met = (place - 1) // width, met + 1
                place = links[place - 1]
                if last_seen_by[q] == p + 1:
                    continue
                last_seen_by[q] = p + 1
                need = best + 1 if 0 <= leader < q else best
                if exact:
                    found = _similarity(hashes, offsets, bitmaps, i, order[q], need)
                else:
                    found = _agreement(signatures, i, order[q])
                if found >= need:
                    leader, best = q, found
        if leader >= 0:
            duplicate_of[p], similarity[p] = leader, best / _MILLION
            continue
        for column in range(width):
            key = keys[i, column - 1] if column else fingerprints[i]
            slot = _find(table_keys, table_heads, key, secret)
            links[p * width + column] = table_heads[slot]
            table_keys[slot], table_heads[slot] = key, 1 + p * width + column
    return duplicate_of, similarity


def _decide(order, keys, fingerprints, contents, threshold, zeros):
    docs, width = len(keys), keys.shape[1] + 1
    slots = 1 << (2 * docs * width).bit_length()
    tables = zeros(slots, np.uint64), zeros(slots, np.int64), zeros(docs * width, np.int64), zeros(docs, np.int64)
    order = np.arange(docs) if order is None else order
    millionths = round(threshold * _MILLION)
    return _greedy(order, keys, fingerprints, contents, millionths, tables)


def greedy(
    keys: np.ndarray,
    hashes: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    order: np.ndarray | None = None,
    zeros: Callable = np.zeros,
) -> tuple[np.ndarray, np.ndarray]:
    """Drop each document that shares a band with a kept earlier one and is ``threshold`` similar to it.

    keys             uint64[docs, bands] as of `bands.band_keys`
    hashes, offsets  the sets from which the keys were made
    threshold        0 to 1, counts to six decimals
    order            int64[docs], the documents in keep order; None: as they come
    zeros            makes the arrays to work with, some 1.5 kB a document at 32 bands, as `np.zeros` does

    Returns (duplicate_of int64[docs], similarity float64[docs]) by place in the order: -1 and 0 for a kept document;
    for a dropped one the place of the kept document it is most similar to, of several the earliest.

    Any number of components may be given together, as documents without a common key never meet. A copy of a
    kept document costs one look-up. Otherwise a document is compared with the latest MET kept ones of each of its
    bands; nearly all comparisons of dissimilar ones end at the bitmaps (tens of millions a second) or early in the
    sets.
    """
    docs, words = len(keys), _WORDS
    while words * 64 * docs < offsets[-1] - offsets[0]:
        words *= 2
    fingerprints, bitmaps = zeros(docs, np.uint64), zeros((docs, words), np.uint64)
    _sketch(hashes, offsets, fingerprints, bitmaps)
    contents = _Contents(hashes, offsets, bitmaps, np.empty((0, 0), np.uint32), True)
    return _decide(order, keys, fingerprints, contents, threshold, zeros)


def greedy_by_signature(
    keys: np.ndarray,
    signatures: np.ndarray,
    threshold: float,
    order: np.ndarray | None = None,
    zeros: Callable = np.zeros,
) -> tuple[np.ndarray, np.ndarray]:
    """The same with similarities estimated from ``signatures`` (uint32[docs, num_perm])."""
    fingerprints = _signature_fingerprints(signatures)
    unused = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, 0), np.uint64)
    return _decide(order, keys, fingerprints, _Contents(*unused, signatures, False), threshold, zeros)
