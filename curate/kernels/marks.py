"""Cut text into words and punctuation marks, as Penn Treebank and spaCy tokenizers do.

Gopher's rules, as people run them, count punctuation among the words, which lowers the share of words with
a letter and fills the n-grams. A word is a run of letters, digits, combining marks and ``_``, also across one
of ``. , : @`` before another of them (3.5, example.org); an apostrophe with the letters after it is a word of
its own ('s), and so is each ideograph. Of other characters but white space, a run of the same one is a mark.
"""

import numpy as np

from curate.kernels import device, kernel
from curate.kernels.characters import SPACE
from curate.kernels.words import IDEOGRAPH, LETTER, MARK, character

_UNDERSCORE, _APOSTROPHE, _QUOTE = 0x5F, 0x27, 0x2019
_PLAIN = np.zeros(256, np.bool_)  # bytes that are in a word wherever they stand
_PLAIN[list(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")] = True
_ENDS = ~_PLAIN  # bytes that end one wherever they stand: ASCII's others but the signs that join
_ENDS[128:] = False
_ENDS[[ord(sign) for sign in ".,:@"]] = False


@device
def _in_word(kind, code):
    return kind == LETTER or code == _UNDERSCORE


@device
def _letter_at(data, i, end):
    if i >= end:
        return False
    kind, code, _, _ = character(data, i, end)
    return _in_word(kind, code)


@device
def _joins(code):
    return code in (0x2E, 0x2C, 0x3A, 0x40)


@device
def _end_of_run(data, i, end, across):
    """Where a word that goes on at ``i`` ends; ``across`` the signs that join, or before them."""
    while i < end:
        byte = data[i]
        if _PLAIN[byte]:
            i += 1
            continue
        if _ENDS[byte]:
            break
        kind, code, _, size = character(data, i, end)
        joins = across and _joins(code) and _letter_at(data, i + 1, end)
        if not (joins or kind == MARK or _in_word(kind, code)):
            break
        i += size
    return i


@device
def _end_of_same(data, i, end, kind, code):
    """Where a run of the character ``code`` ends that goes on at ``i``; of an ideograph, its marks alone."""
    while i < end:
        next_kind, next_code, _, size = character(data, i, end)
        if next_kind != MARK if kind == IDEOGRAPH else next_code != code:
            break
        i += size
    return i


@kernel
def word_and_mark_spans(data, offsets, classes):
    """Byte positions of all words and marks of all documents, given ``character_classes()``.

    Returns (starts int64[w], ends int64[w], doc_offsets int64[docs + 1]), as ``words.word_spans`` does.
    """
    docs = len(offsets) - 1
    most = offsets[-1] - offsets[0]
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    doc_offsets = np.zeros(docs + 1, np.int64)
    count = 0
    for doc in range(docs):
        i, end = offsets[doc], offsets[doc + 1]
        while i < end:
            start = i
            byte = data[i]
            if byte < 0x80 and classes[byte] & SPACE:
                i += 1
                continue
            kind, code, _, size = character(data, i, end)
            i += size
            if _in_word(kind, code):
                i = _end_of_run(data, i, end, True)
            elif code in (_APOSTROPHE, _QUOTE) and _letter_at(data, i, end):
                i = _end_of_run(data, i, end, False)
            elif classes[code] & SPACE:
                continue
            else:
                i = _end_of_same(data, i, end, kind, code)
            starts[count] = start
            ends[count] = i
            count += 1
        doc_offsets[doc + 1] = count
    return starts[:count], ends[:count], doc_offsets
