"""Signals counted over characters, and over words as `str.split` makes them (DCLM)."""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.characters import ALL, LETTER, NUMERIC, PUNCTUATION, SPACE, UPPER
from curate.kernels.hash_table import add, append, append_byte, draw_secret, find, table_size
from curate.kernels.words import decode

_FIELDS = "characters newlines inline hashes ellipses spaced_ellipses"
SIGNS = np.dtype([(name, np.int64) for name in _FIELDS.split()])
"""One record a document. ``inline`` are all characters but newlines; ``ellipses`` are ``...`` and ``…``, and
``spaced_ellipses`` ``. . .``, neither overlapping its like."""

_FIELDS = """
    letters numerics alphanumerics upper punctuation spaces
    plain_words plain_word_characters plain_letterless_words plain_stop_words
"""
COUNTS = np.dtype([(name, np.int64) for name in _FIELDS.split()])
"""One record a document: characters by class, and plain words, which are those of ``str.split``."""

_NEWLINE, _HASH, _DOT, _ELLIPSIS = 0x0A, 0x23, 0x2E, 0x2026
_PLAIN = np.arange(256) < 0x80  # bytes that no sign begins with
_PLAIN[[_NEWLINE, _HASH, _DOT]] = False


@device
def read(data, i, end, classes, h, fold):
    """(classes, bytes, hash) of the character at ``i < end``: ``h`` with it, small if ``fold`` and ASCII."""
    byte = data[i]
    if byte < 0x80:
        kind = classes[byte]
        return kind, 1, append_byte(h, byte + 32 if fold and kind & UPPER else byte)
    code, size = decode(data, i, end)
    return classes[code], size, append(h, data, i, i + size)


@device
def dots(data, i, end, step):
    """Whether three dots, ``step`` bytes apart with only spaces between, begin at ``i``."""
    k = 0
    while k <= 2 * step and i + k < end and data[i + k] == (0x20 if k % step else _DOT):
        k += 1
    return k > 2 * step


@device
def ends_with_ellipsis(data, first, last):
    """Whether ``data[first:last]`` ends with ``...`` or ``…``."""
    start = last - 3
    return start >= first and (dots(data, start, last, 1) or decode(data, start, last)[0] == _ELLIPSIS)


@device
def ends_with_spaced_ellipsis(data, first, last):
    """Whether ``data[first:last]`` ends with ``. . .``."""
    return last - 5 >= first and dots(data, last - 5, last, 2)


@kernel
def count_signs(data, offsets, rows):
    """Fill ``rows`` (``SIGNS``)."""
    for doc in range(len(rows)):
        row = rows[doc]
        i, end = offsets[doc], offsets[doc + 1]
        next_dots = next_spaced = i
        characters, newlines = end - i, 0
        while i < end:
            byte = data[i]
            if _PLAIN[byte]:
                i += 1
                continue
            if byte >= 0x80:
                code, size = decode(data, i, end)
                row.ellipses += code == _ELLIPSIS
                characters -= size - 1
                i += size
                continue
            if byte == _NEWLINE:
                newlines += 1
            elif byte == _HASH:
                row.hashes += 1
            elif byte == _DOT:
                if i >= next_dots and dots(data, i, end, 1):
                    row.ellipses += 1
                    next_dots = i + 3
                if i >= next_spaced and dots(data, i, end, 2):
                    row.spaced_ellipses += 1
                    next_spaced = i + 5
            i += 1
        row.characters, row.newlines, row.inline = characters, newlines, characters - newlines


@kernel
def count_characters(data, offsets, stop_hashes, classes, rows):
    """Fill ``rows`` (``COUNTS``). Plain words meet the stop words with ASCII's capitals made small."""
    slots = table_size(8 * len(stop_hashes))  # wide, so that most words meet a free slot
    keys, counts, secret = np.empty(slots, np.uint64), np.zeros(slots, np.int32), draw_secret()
    for key in stop_hashes:
        add(keys, counts, slots, key, secret)
    of_class = np.empty(ALL + 1, np.int64)

    for doc in range(len(rows)):
        row = rows[doc]
        i, end = offsets[doc], offsets[doc + 1]
        of_class[:] = 0
        while i < end:
            length = 0
            some = np.uint16(0)
            h = np.uint64(0)
            while i < end:
                kind, size, h = read(data, i, end, classes, h, True)
                i += size
                of_class[kind] += 1
                if kind & SPACE:
                    break
                length += 1
                some |= kind
                word = h
            if length:
                row.plain_words += 1
                row.plain_word_characters += length
                row.plain_letterless_words += some & LETTER == 0
                row.plain_stop_words += find(keys, counts, slots, word, secret) >= 0
        for kind in range(ALL + 1):
            n = of_class[kind]
            if n:
                row.letters += n if kind & LETTER else 0
                row.numerics += n if kind & NUMERIC else 0
                row.alphanumerics += n if kind & (LETTER | NUMERIC) else 0
                row.upper += n if kind & UPPER else 0
                row.punctuation += n if kind & PUNCTUATION else 0
                row.spaces += n if kind & SPACE else 0
