"""Locality-sensitive hashing: band keys of signatures, and the documents that share one.

A signature's first ``bands * rows`` places are cut into bands; documents that agree in all rows of a band are
proposed as similar (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, chapter 3).
"""

from functools import cache

import numpy as np

from curate.kernels import kernel
from curate.kernels.hash_table import draw_secret, slot_of
from curate.kernels.hashing import mix64

_STEP = np.uint64(0x9E3779B97F4A7C15)
_BUCKET = 4096  # keys grouped at a time: their hash table stays in the processor's cache


def proposal_probability(similarity, bands: int, rows: int):
    """Chance that two documents of a Jaccard similarity (0 to 1, number or array) share a band."""
    return 1 - (1 - np.asarray(similarity, np.float64) ** rows) ** bands


@cache
def optimal_bands(
    threshold: float, num_perm: int, false_positive_weight: float = 0.5, false_negative_weight: float = 0.5
) -> tuple[int, int]:
    """The (bands, rows) that datasketch chooses for a threshold.

    It minimises the weighted sum of two areas at the curve of `proposal_probability`: what is proposed below
    the threshold, and what is missed above it. Both are integrals of polynomials of degree ``num_perm`` at
    most, for which Gauss-Legendre quadrature with half as many nodes is exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss(num_perm // 2 + 1)
    below, above = threshold * (nodes + 1) / 2, 1 - (1 - threshold) * (nodes + 1) / 2
    least, best = np.inf, (0, 0)
    for bands in range(1, num_perm + 1):
        for rows in range(1, num_perm // bands + 1):
            proposed = threshold / 2 * weights @ proposal_probability(below, bands, rows)
            missed = (1 - threshold) / 2 * weights @ (1 - proposal_probability(above, bands, rows))
            error = false_positive_weight * proposed + false_negative_weight * missed
            if error < least:
                least, best = error, (bands, rows)
    return best


@kernel
def band_keys(signatures, bands, rows):
    """A 64-bit key of each band of each signature: uint64[docs, bands].

    ``signatures`` is uint32[docs, num_perm] with ``bands * rows <= num_perm``. Equal rows in different bands
    give different keys, so that the keys of all bands can be grouped together.
    """
    keys = np.empty((len(signatures), bands), np.uint64)
    for doc in range(len(signatures)):
        for band in range(bands):
            key = _STEP * np.uint64(band + 1)
            end = (band + 1) * rows
            for row in range(band * rows, end, 2):  # two rows to a 64-bit word
                word = np.uint64(signatures[doc, row])
                if row + 1 < end:
                    word |= np.uint64(signatures[doc, row + 1]) << np.uint64(32)
                key = mix64(key ^ word) + _STEP
            keys[doc, band] = key
    return keys


@kernel
def partition(keys, docs, shift, bits):
    """Sort keys (uint64[n]), with their documents, by the ``bits`` bits above the lowest ``shift``.

    Keeps the order of equal ones. Returns (keys, docs, bounds int64[2**bits + 1]).
    """
    shift, mask = np.uint64(shift), (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    bounds = np.zeros((1 << bits) + 1, np.int64)
    for key in keys:
        bounds[np.int64(key >> shift & mask) + 1] += 1
    bounds = np.cumsum(bounds)
    free = bounds[:-1].copy()
    sorted_keys, sorted_docs = np.empty_like(keys), np.empty_like(docs)
    for i in range(len(keys)):
        part = np.int64(keys[i] >> shift & mask)
        sorted_keys[free[part]] = keys[i]
        sorted_docs[free[part]] = docs[i]
        free[part] += 1
    return sorted_keys, sorted_docs, bounds


@kernel
def group_edges(keys, docs):
    """Edges that join documents of equal keys: from the first document of a key, in the order given, to each
    later one.

    ``keys`` is uint64[n] and well mixed, as those of `band_keys`; ``docs`` is any integer[n], ascending if
    the first is to be the least. Returns (first, other), one edge a repeated key; a document that repeats a
    key of its own makes no edge. Linear time whatever the groups' sizes.
    """
    bits = 0
    while len(keys) >> bits > _BUCKET:
        bits += 1
    keys, docs, bounds = partition(keys, docs, 0, bits)
    first, other = np.empty_like(docs), np.empty_like(docs)
    table = np.empty(2, np.int32)  # place in the bucket of a key's first document, plus one; 0 when free
    count, secret = 0, draw_secret()
    for bucket in range(len(bounds) - 1):
        begin, end = bounds[bucket], bounds[bucket + 1]
        while len(table) < 2 * (end - begin):
            table = np.empty(2 * len(table), np.int32)
        table[:] = 0
        mask = len(table) - 1
        for i in range(begin, end):
            slot = np.int64(slot_of(keys[i], np.uint64(mask), secret))
            while table[slot] and keys[begin + table[slot] - 1] != keys[i]:
                slot = (slot + 1) & mask
            if table[slot] == 0:
                table[slot] = i - begin + 1
            elif docs[begin + table[slot] - 1] != docs[i]:
                first[count] = docs[begin + table[slot] - 1]
                other[count] = docs[i]
                count += 1
    return first[:count].copy(), other[:count].copy()
