"""DCLM's line modifiers: which lines of a page to remove.

arXiv:2406.11794, as its code applies them.

Lines lie between newlines. The rules are applied one after another to the whole page, and after each white
space around the page goes, so that the first and the last line may look different to the next rule.
"""

import numpy as np

from curate.kernels import kernel
from curate.kernels.characters import DECIMAL, LETTER, NUMERIC, SPACE, UPPER
from curate.kernels.repetition import strip
from curate.kernels.words import decode

_NEWLINE, _UNDERSCORE, _COMMA, _DOT = 0x0A, 0x5F, 0x2C, 0x2E
_FASTTEXT_SPACES = np.zeros(256, np.bool_)
_FASTTEXT_SPACES[list(b"\0\t\n\v\f\r ")] = True
_SCALES = np.frombuffer(b"kmb", np.uint8).copy()
_COUNTED = (
    b"likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers".split()
)
_TEXT = np.frombuffer(b"".join(_COUNTED), np.uint8)
_BOUNDS = np.cumsum([0, *map(len, _COUNTED)])


@kernel
def count_words(data, offsets, classes):
    """Words of each document as fastText splits them, that begin with a letter or digit: int32[docs]."""
    counts = np.zeros(len(offsets) - 1, np.int32)
    for doc in range(len(counts)):
        begins = True
        i, end = offsets[doc], offsets[doc + 1]
        while i < end:
            if _FASTTEXT_SPACES[data[i]]:
                begins = True
                i += 1
                continue
            code, size = decode(data, i, end)
            counts[doc] += begins and classes[code] & (LETTER | NUMERIC) != 0
            begins = False
            i += size
    return counts


@kernel
def _skip(data, i, end, classes, kinds, sign):
    """Where the characters of these classes, and ``sign``, end that begin at ``i``."""
    while i < end:
        code, size = decode(data, i, end)
        if not (classes[code] & kinds or code == sign):
            break
        i += size
    return i


@kernel
def _skip_no_word(data, i, end, classes):
    while i < end:
        code, size = decode(data, i, end)
        if classes[code] & (LETTER | NUMERIC) or code == _UNDERSCORE:
            break
        i += size
    return i


@kernel
def _lower(byte):
    return byte + 32 if 0x41 <= byte <= 0x5A else byte


@kernel
def _counted(data, i, end):
    """Where the name of what sites count ends that begins at ``i``, or -1."""
    for w in range(len(_BOUNDS) - 1):
        n = _BOUNDS[w + 1] - _BOUNDS[w]
        k = 0
        while k < n and i + k < end and _lower(data[i + k]) == _TEXT[_BOUNDS[w] + k]:
            k += 1
        if k == n:
            return i + n
    return -1


@kernel
def is_counter(data, i, end, classes):
    """Whether the line ``data[i:end]`` only counts something, as "3 likes" or "1.2K views"."""
    i = _skip_no_word(data, i, end, classes)
    after = _skip(data, i, end, classes, DECIMAL, -1)
    if after == i:
        return False
    while after > i:  # digits, commas and dots in any order
        i = after
        after = _skip(data, i, end, classes, DECIMAL, _COMMA)
        after = _skip(data, after, end, classes, DECIMAL, _DOT)
    if i < end and _lower(data[i]) in _SCALES:
        i += 1
    after = _skip(data, i, end, classes, SPACE, -1)
    if after == i:
        return False
    i = _counted(data, after, end)
    return i >= 0 and _skip_no_word(data, i, end, classes) == end


@kernel
def _shape(data, i, end, classes):
    """Characters of a line, those that are upper case, those that are decimal digits, and its plain words."""
    characters = upper = digits = words = 0
    inside = False
    while i < end:
        code, size = decode(data, i, end)
        kind = classes[code]
        characters += 1
        upper += kind & UPPER != 0
        digits += kind & DECIMAL != 0
        words += not inside and kind & SPACE == 0
        inside = kind & SPACE == 0
        i += size
    return characters, upper, digits, words


_UPPER, _DIGITS, _COUNTER, _WORDS = range(4)


@kernel
def _goes(data, first, last, classes, rule, max_upper, max_digits, min_words):
    if first == last:
        return False
    if rule == _COUNTER:
        return is_counter(data, first, last, classes)
    characters, upper, digits, words = _shape(data, first, last, classes)
    if rule == _UPPER:
        return upper / characters > max_upper
    if rule == _DIGITS:
        return digits / characters > max_digits
    return words < min_words


@kernel
def clean(data, offsets, classes, max_upper, max_digits, min_words):
    """Take out the lines with too many capitals or digits, the counters, and those of too few words.

    max_upper, max_digits  largest share of a line's characters that are upper case, or decimal digits
    min_words              fewest plain words of a line that is not empty

    Returns (out uint8[bytes], out_offsets int64[docs + 1]), the texts that are left.
    """
    docs = len(offsets) - 1
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    out_offsets = np.zeros(docs + 1, np.int64)
    most = 1
    for doc in range(docs):
        n = 1
        for i in range(offsets[doc], offsets[doc + 1]):
            n += data[i] == _NEWLINE
        most = max(most, n)
    firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64)

    for doc in range(docs):
        n = 0
        first = offsets[doc]
        for i in range(first, offsets[doc + 1] + 1):
            if i == offsets[doc + 1] or data[i] == _NEWLINE:
                firsts[n], lasts[n] = first, i
                n += 1
                first = i + 1
        begin = 0
        for rule in range(4):
            kept = 0
            for line in range(begin, n):
                if not _goes(data, firsts[line], lasts[line], classes, rule, max_upper, max_digits, min_words):
                    firsts[kept], lasts[kept] = firsts[line], lasts[line]
                    kept += 1
            begin, n = 0, kept
            while begin < n:
                first, last = strip(data, firsts[begin], lasts[begin], classes)
                if first < last:
                    firsts[begin] = first
                    break
                begin += 1
            while n > begin:
                first, last = strip(data, firsts[n - 1], lasts[n - 1], classes)
                if first < last:
                    lasts[n - 1] = last
                    break
                n -= 1
        at = out_offsets[doc]
        for line in range(begin, n):
            if line > begin:
                out[at] = _NEWLINE
                at += 1
            for i in range(firsts[line], lasts[line]):
                out[at] = data[i]
                at += 1
        out_offsets[doc + 1] = at
    return out[: out_offsets[-1]].copy(), out_offsets
