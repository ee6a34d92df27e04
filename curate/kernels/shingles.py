"""64-bit hashes of word and character n-grams, read from the bytes in one pass.

A document's shingles are its runs of n tokens, and a token is a word (as `words` defines it) or a character
(one code point, spaces and punctuation included). A document of fewer than n tokens has one shingle: all its
tokens; one without any word has one too: its bytes. So no document is without a shingle, and two documents
without words are alike only if they are the same.

The hash of an n-gram is a polynomial of its tokens' hashes modulo 2^64, rolled from one n-gram to the next
(Karp and Rabin 1987), then spread by MurmurHash3's finalizer.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.words import character, next_word

_BASE = np.uint64(0xD6E8FEB86659FD93)
_BYTES = np.uint64(0xA0761D6478BD642F)
_ONE = np.uint64(1)


@device
def _next_token(data, i, end, characters, fold):
    """(start, stop, hash) of the next word or character; ``start == end`` when there is none."""
    if not characters:
        return next_word(data, i, end, fold)
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
def read_shingles(data, begin, end, characters, fold, state, ring, block):
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
    while written < len(block) and position < end:
        start, position, token = _next_token(data, position, end, characters, fold)
        if start == end:
            break
        rolling = rolling * _BASE + token - ring[slot] * leaving
        ring[slot] = token
        slot = slot + 1 if slot + 1 < n else 0
        tokens += 1
        if tokens >= n:
            block[written] = mix64(rolling)
            written += 1
    if position >= end and tokens < n:
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
def shingle_hashes(data, offsets, n, characters=False, fold=True):
    """Hashes of the n-grams of every document, in the order of the text.

    ``characters`` takes n-grams of characters instead of words; ``fold`` makes them independent of case (one
    code point for one, so that ß and SS differ). Returns (hashes uint64[s], doc_offsets int64[docs + 1]).
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
        count += read_shingles(data, offsets[doc], offsets[doc + 1], characters, fold, state, ring, hashes[count:])
        doc_offsets[doc + 1] = count
    return hashes[:count].copy(), doc_offsets


@kernel
def shingle_sets(data, offsets, n, characters=False, fold=True):
    """The same hashes as sets: sorted and without repetition inside each document.

    Returns (hashes uint64[s], doc_offsets int64[docs + 1]).
    """
    hashes, doc_offsets = shingle_hashes(data, offsets, n, characters, fold)
    count = 0
    for doc in range(len(doc_offsets) - 1):
        begin, end = doc_offsets[doc], doc_offsets[doc + 1]
        hashes[begin:end].sort()
        doc_offsets[doc] = count
        for i in range(begin, end):
            if i == begin or hashes[i] != hashes[i - 1]:
                # Overwrites only what was read: count never runs ahead of i.
                hashes[count] = hashes[i]
                count += 1
    doc_offsets[-1] = count
    return hashes[:count].copy(), doc_offsets
