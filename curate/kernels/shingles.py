"""64-bit hashes of word and character n-grams, read from the bytes in one pass.

A document's shingles are its runs of n tokens. A token is a word (as `words` defines it), a character (one code point,
spaces and punctuation included), or a piece: what lies between two characters other than ASCII's letters, digits and
`_`, so that pieces may be empty and indentation counts, as in BigCode's ``re.split("[^A-Za-z_0-9]", text)``.

A document of fewer than n tokens has one shingle: all its tokens; one without any word has one too: its bytes. So no
document is without a shingle, and two documents without words are alike only if they are the same.

The hash of an n-gram is a polynomial of its tokens' hashes modulo 2^64, rolled from one n-gram to the next
(Karp and Rabin 1987), then spread by MurmurHash3's finalizer.
"""

from itertools import pairwise

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.words import character, next_word

WORDS, CHARACTERS, PIECES = range(3)
_SEED = np.uint64(0x2545F4914F6CDD1D)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_IN_PIECE = np.zeros(256, np.bool_)
_IN_PIECE[list(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")] = True
_BASE = np.uint64(0xD6E8FEB86659FD93)
_BYTES = np.uint64(0xA0761D6478BD642F)
_ONE = np.uint64(1)


@device
def _next_piece(data, i, end):
    """(start, where the next one begins, hash) of the piece at ``i <= end``; after the last one that is ``end + 1``."""
    start, h = i, _SEED
    while i < end and _IN_PIECE[data[i]]:
        h = (h ^ np.uint64(data[i])) * _STEP
        i += 1
    size = character(data, i, end)[3] if i < end else 1
    return start, i + size, mix64(h)


@device
def _next_token(data, i, end, unit, fold):
    """(start, where to go on, hash) of the next token; ``start == end`` when there is no word or character left."""
    if unit == WORDS:
        return next_word(data, i, end, fold)
    if unit == PIECES:
        return _next_piece(data, i, end)
    if i >= end:
        return end, end, np.uint64(0)
    _, code, folded, size = character(data, i, end)
    return i, i + size, mix64(np.uint64(folded if fold else code) + _ONE)


@device
def open_document(begin, state, ring):
    """Set ``state`` (int64[2]: next byte, tokens read) and ``ring`` (uint64[n + 1]: the last n token hashes,
    then the rolling hash) to the start of a document."""
    state[0] = begin
    state[1] = 0
    ring[:] = 0


@device
def read_shingles(data, begin, end, unit, fold, state, ring, block):
    """Write the next shingle hashes of the document ``data[begin:end]`` into ``block`` (uint64[:]).

    Returns how many were written, 0 when the document has no more.
    """
    n = len(ring) - 1
    position, tokens, rolling = state[0], state[1], ring[n]
    leaving = _ONE
    for _ in range(n):
        leaving *= _BASE
    slot = tokens % n
    written = 0
    limit = end + np.int64(unit == PIECES)  # the last piece may be empty, at the end
    while written < len(block) and position < limit:
        start, position, token = _next_token(data, position, end, unit, fold)
        if start == limit:
            break
        rolling = rolling * _BASE + token - ring[slot] * leaving
        ring[slot] = token
        slot = slot + 1 if slot + 1 < n else 0
        tokens += 1
        if tokens >= n:
            block[written] = mix64(rolling)
            written += 1
    if position >= limit and tokens < n:
        if tokens == 0:
            rolling = _BYTES
            for i in range(begin, end):
                rolling = (rolling ^ np.uint64(data[i])) * _BASE
        block[written] = mix64(rolling)
        written += 1
        tokens = n
    state[0], state[1], ring[n] = position, tokens, rolling
    return written


@kernel
def shingle_hashes(data, offsets, n, unit=WORDS, fold=True):
    """Hashes of the n-grams of every document, in the order of the text.

    ``unit`` is WORDS, CHARACTERS or PIECES; ``fold`` makes words and characters independent of case (one code point for
    one, so that ß and SS differ). Returns (hashes uint64[s], doc_offsets int64[docs + 1]).
    """
    docs = len(offsets) - 1
    hashes = np.empty(offsets[-1] - offsets[0] + docs, np.uint64)  # never more shingles than bytes, or one
    doc_offsets = np.zeros(docs + 1, np.int64)
    state = np.empty(2, np.int64)
    ring = np.empty(n + 1, np.uint64)
    count = 0
    for doc in range(docs):
        open_document(offsets[doc], state, ring)
        # The room left is at least one hash a byte still to come and one a document: one call reads all.
        count += read_shingles(data, offsets[doc], offsets[doc + 1], unit, fold, state, ring, hashes[count:])
        doc_offsets[doc + 1] = count
    return hashes[:count].copy(), doc_offsets


def shingle_sets(data, offsets, n, unit=WORDS, fold=True):
    """The same hashes as sets: sorted and without repetition inside each document.

    Returns (hashes uint64[s], doc_offsets int64[docs + 1]).
    """
    hashes, doc_offsets = shingle_hashes(data, offsets, n, unit, fold)
    for begin, end in pairwise(doc_offsets.tolist()):
        hashes[begin:end].sort()  # NumPy's sort is several times as fast as Numba's
    count = _without_repetition(hashes, doc_offsets)
    return hashes[:count].copy(), doc_offsets


@kernel
def _without_repetition(hashes, doc_offsets):
    """Move the sorted hashes of documents together, each once. Returns how many there are."""
    count = 0
    for doc in range(len(doc_offsets) - 1):
        begin, end = doc_offsets[doc], doc_offsets[doc + 1]
        doc_offsets[doc] = count
        for i in range(begin, end):
            if i == begin or hashes[i] != hashes[i - 1]:
                # Overwrites only what was read: count never runs ahead of i.
                hashes[count] = hashes[i]
                count += 1
    doc_offsets[-1] = count
    return count
