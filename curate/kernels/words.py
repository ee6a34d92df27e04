"""Words of UTF-8 text in any script, without decoding it to Python strings.

A word is a longest run of letters, digits and other numbers (Unicode categories L and N) with the combining
marks and joiners among them, so that Indic and Arabic words stay whole. In scripts that put no spaces
between words (Han, Hiragana, Katakana, Bopomofo, Thai, Lao, Khmer, Myanmar and their like) each letter with its
marks is a word of its own, so that an n-gram of words is one of characters there; Hangul forms runs, and Tibetan
syllables are words. A mark belongs to the character before it and never begins a word. Everything else separates:
spaces, punctuation, symbols (`_` too), controls, and every byte that is not part of well-formed UTF-8.

The character classes are those of one Unicode version, ``unicode_table.VERSION``, under every Python.
"""

import base64
import json
import zlib

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.tables.unicode_table import PACKED

OTHER, LETTER, IDEOGRAPH, MARK = range(4)
_BLOCK = 256
_SEED = np.uint64(0x2545F4914F6CDD1D)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Two-level table: ``entries[(blocks[code >> 8] << 8) + (code & 255)]`` is ``step << 2 | class``,
    where ``code + step`` is the case-folded code point."""
    classes, folds = json.loads(zlib.decompress(base64.b85decode(PACKED)))
    lengths, kinds = np.array(classes).T
    entries = np.repeat(kinds, lengths)
    distances, steps = np.array(folds).T
    entries[np.cumsum(distances)] += steps << 2
    unique, blocks = np.unique(entries.reshape(-1, _BLOCK), axis=0, return_inverse=True)
    return blocks.ravel().astype(np.uint16), unique.ravel().astype(np.int32)


_BLOCKS, _ENTRIES = _tables()
_ASCII = _ENTRIES[_BLOCKS[0] * _BLOCK :][:128].copy()


@device
def _follow(data, i, n, end):
    """The payload of n continuation bytes from i on, or -1 when they are not there."""
    if i + n > end:
        return -1
    code = 0
    for k in range(i, i + n):
        byte = np.int64(data[k])
        if byte & 0xC0 != 0x80:
            return -1
        code = code << 6 | byte & 0x3F
    return code


@device
def decode(data, i, end):
    """Code point at ``i < end`` and the number of its bytes.

    A byte that is not part of well-formed UTF-8 counts alone, as 0xDC00 + byte: the lone surrogate that
    Python's ``surrogateescape`` makes of it.
    """
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if 0xC2 <= lead < 0xE0:
        rest = _follow(data, i + 1, 1, end)
        if rest >= 0:
            return (lead & 0x1F) << 6 | rest, 2
    elif 0xE0 <= lead < 0xF0:
        rest = _follow(data, i + 1, 2, end)
        code = (lead & 0x0F) << 12 | rest
        if rest >= 0 and code >= 0x800 and not 0xD800 <= code < 0xE000:
            return code, 3
    elif 0xF0 <= lead < 0xF5:
        rest = _follow(data, i + 1, 3, end)
        code = (lead & 0x07) << 18 | rest
        if rest >= 0 and 0x10000 <= code < 0x110000:
            return code, 4
    return 0xDC00 + lead, 1


@device
def _entry(code):
    return np.int64(_ENTRIES[np.int64(_BLOCKS[code >> 8]) * _BLOCK + (code & 0xFF)])


@device
def character(data, i, end):
    """Character at ``i < end``: (class, code point, case-folded code point, bytes)."""
    byte = np.int64(data[i])
    if byte < 0x80:
        entry = np.int64(_ASCII[byte])
        return entry & 3, byte, byte + (entry >> 2), 1
    code, size = decode(data, i, end)
    entry = _entry(code)
    return entry & 3, code, code + (entry >> 2), size


@device
def next_word(data, i, end, fold):
    """First word that begins in ``data[i:end]``, where ``i`` is not inside a character.

    Returns (start, stop, hash): byte positions, and a 64-bit hash of its code points, case-folded (one code
    point for one) when ``fold``. Without a word, ``start == stop == end``.
    """
    kind = OTHER
    while i < end:
        kind, code, folded, size = character(data, i, end)
        if kind in (LETTER, IDEOGRAPH):
            break
        i += size
    if i >= end:
        return end, end, np.uint64(0)
    start = i
    run = kind == LETTER
    h = _SEED
    while True:
        h = (h ^ np.uint64(folded if fold else code)) * _STEP
        i += size
        if i >= end:
            break
        kind, code, folded, size = character(data, i, end)
        if kind != MARK and not (run and kind == LETTER):
            break
    return start, i, mix64(h)


@kernel
def word_spans(data, offsets):
    """Byte positions of all words of all documents.

    Returns (starts int64[w], ends int64[w], doc_offsets int64[docs + 1]): word ``k`` is
    ``data[starts[k]:ends[k]]`` and those of document ``i`` are ``doc_offsets[i]`` to ``doc_offsets[i + 1]``.
    """
    docs = len(offsets) - 1
    most = offsets[-1] - offsets[0] + docs
    starts = np.empty(most, np.int64)
    ends = np.empty(most, np.int64)
    doc_offsets = np.zeros(docs + 1, np.int64)
    count = 0
    for doc in range(docs):
        end = offsets[doc + 1]
        start, stop, _ = next_word(data, offsets[doc], end, False)
        while start < end:
            starts[count] = start
            ends[count] = stop
            count += 1
            start, stop, _ = next_word(data, stop, end, False)
        doc_offsets[doc + 1] = count
    return starts[:count].copy(), ends[:count].copy(), doc_offsets
