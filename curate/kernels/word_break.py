"""Words by Unicode Standard Annex 29, read from UTF-8 bytes.

A word is what lies between two word boundaries.

Unlike those of `words`, they include punctuation and symbols, each a word; "can't" and "3.14" are one word, and case
counts. Words of white space alone are passed over.
"""

import base64
import json
import zlib

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.hashing import mix64
from curate.kernels.tables.word_break_table import PACKED
from curate.kernels.words import decode

(_CR, _LF, _NEWLINE, _EXTEND, _ZWJ, _FORMAT, _SPACE, _LETTER, _HEBREW, _NUMERIC, _KATAKANA, _LOW_LINE) = range(1, 13)
(_MID_LETTER, _MID_NUM_LET, _QUOTE, _MID_NUM, _DOUBLE_QUOTE, _REGIONAL) = range(13, 19)
_CLASS, _PICTOGRAPHIC, _BLANK = 31, 32, 64
_BLOCK = 256
_SEED = np.uint64(0x9FB21C651E98DF25)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Two-level table: ``entries[(blocks[code >> 8] << 8) + (code & 255)]`` is a class and flags."""
    lengths, kinds = np.array(json.loads(zlib.decompress(base64.b85decode(PACKED)))).T
    unique, blocks = np.unique(np.repeat(kinds, lengths).reshape(-1, _BLOCK), axis=0, return_inverse=True)
    return blocks.ravel().astype(np.uint16), unique.ravel().astype(np.uint8)


_BLOCKS, _ENTRIES = _tables()


@device
def _character(data, i, end):
    """(code point, class and flags, bytes) of the character at ``i < end``."""
    code, size = decode(data, i, end)
    return code, np.int64(_ENTRIES[np.int64(_BLOCKS[code >> 8]) * _BLOCK + (code & 0xFF)]), size


@device
def _following(data, i, end):
    """Class of the first character from i on that is not passed over by rule WB4; 0: none."""
    while i < end:
        _, kind, size = _character(data, i, end)
        if not _EXTEND <= kind & _CLASS <= _FORMAT:
            return kind & _CLASS
        i += size
    return 0


@device
def _is_letter(kind):
    return _LETTER <= kind <= _HEBREW


@device
def _joined(before, last, kind, regionals, data, after, end):
    """Rules WB5 to WB16: whether there is no boundary between ``last`` and ``kind``.

    ``before`` is the class before ``last``, ``regionals`` how many regional indicators end with ``last``, and
    ``after`` where the text goes on.
    """
    if _is_letter(last):
        if _is_letter(kind) or kind in (_NUMERIC, _LOW_LINE):
            return True
        if kind == _QUOTE and last == _HEBREW:
            return True
        if _MID_LETTER <= kind <= _QUOTE:
            return _is_letter(_following(data, after, end))
        return last == _HEBREW and kind == _DOUBLE_QUOTE and _following(data, after, end) == _HEBREW
    if last == _NUMERIC:
        if _is_letter(kind) or kind in (_NUMERIC, _LOW_LINE):
            return True
        return _MID_NUM_LET <= kind <= _MID_NUM and _following(data, after, end) == _NUMERIC
    if last == _KATAKANA:
        return kind in (_KATAKANA, _LOW_LINE)
    if last == _LOW_LINE:
        return _is_letter(kind) or kind in (_NUMERIC, _KATAKANA, _LOW_LINE)
    if last == _REGIONAL:
        return kind == _REGIONAL and regionals % 2 == 1
    if last == _DOUBLE_QUOTE:
        return before == _HEBREW and kind == _HEBREW
    if _MID_LETTER <= last <= _QUOTE and _is_letter(before) and _is_letter(kind):
        return True
    return _MID_NUM_LET <= last <= _MID_NUM and before == _NUMERIC and kind == _NUMERIC


@device
def next_break(data, i, end):
    """The word that begins at ``i < end``, where a boundary is: (stop, hash of its code points, all white space)."""
    code, kind, size = _character(data, i, end)
    blank = kind & _BLANK
    raw = last = kind & _CLASS
    before = 0
    regionals = np.int64(last == _REGIONAL)
    h = (_SEED ^ np.uint64(code)) * _STEP
    i += size
    while i < end:
        code, kind, size = _character(data, i, end)
        now = kind & _CLASS
        passed = _EXTEND <= now <= _FORMAT
        if _CR <= raw <= _NEWLINE or _CR <= now <= _NEWLINE:  # WB3, WB3a, WB3b
            joined = raw == _CR and now == _LF
        elif (raw == _ZWJ and kind & _PICTOGRAPHIC) or (raw == _SPACE and now == _SPACE):  # WB3c, WB3d
            joined = True
        else:
            joined = passed or _joined(before, last, now, regionals, data, i + size, end)
        if not joined:
            break
        if not passed:
            before, last = last, now
            regionals = regionals + 1 if now == _REGIONAL else 0
        raw = now
        blank &= kind
        h = (h ^ np.uint64(code)) * _STEP
        i += size
    return i, mix64(h), blank != 0


@kernel
def broken_words(data, offsets):
    """Byte positions of all words of all documents that are not white space alone.

    Returns (starts int64[w], ends int64[w], doc_offsets int64[docs + 1]).
    """
    docs = len(offsets) - 1
    most = offsets[-1] - offsets[0]
    starts = np.empty(most, np.int64)
    ends = np.empty(most, np.int64)
    doc_offsets = np.zeros(docs + 1, np.int64)
    count = 0
    for doc in range(docs):
        i = offsets[doc]
        while i < offsets[doc + 1]:
            stop, _, blank = next_break(data, i, offsets[doc + 1])
            if not blank:
                starts[count], ends[count] = i, stop
                count += 1
            i = stop
        doc_offsets[doc + 1] = count
    return starts[:count].copy(), ends[:count].copy(), doc_offsets
