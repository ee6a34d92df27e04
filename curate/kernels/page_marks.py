"""Character references (`&amp;`), and how superscripts and subscripts are written."""

import numpy as np

from curate.kernels import device
from curate.kernels.html_markup import HASH, is_letter, look_up
from curate.kernels.html_names import BASIS, PRIME
from curate.kernels.page_names import (
    C1,
    LONGEST_BARE_REFERENCE,
    LONGEST_REFERENCE,
    REFERENCE_BYTES,
    REFERENCE_KEYS,
    REFERENCE_NUMBERS,
)

_SEMICOLON, _X, _REPLACEMENT = ord(";"), ord("x"), 0xFFFD


@device
def is_digit(byte):
    return byte >= 0x30 and byte <= 0x39


@device
def is_word(byte):
    """Whether a byte is of a letter or digit, or of a character beyond ASCII."""
    return byte >= 0x80 or is_letter(byte) or is_digit(byte)


@device
def _write(code, glyph):
    """A code point as UTF-8 into `glyph`, behind its length."""
    if code < 0x80:
        glyph[0], glyph[1] = 1, code
    elif code < 0x800:
        glyph[0], glyph[1], glyph[2] = 2, 0xC0 | code >> 6, 0x80 | code & 63
    elif code < 0x10000:
        glyph[0], glyph[1], glyph[2], glyph[3] = 3, 0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63
    else:
        glyph[0], glyph[1], glyph[2] = 4, 0xF0 | code >> 18, 0x80 | code >> 12 & 63
        glyph[3], glyph[4] = 0x80 | code >> 6 & 63, 0x80 | code & 63


@device
def _numeric(page, i, n, glyph):
    """Where a reference by number ends that begins with ``&#`` at `i`; `i` if it is none."""
    j, code, digits = i + 2, 0, 0
    hexadecimal = j < n and page[j] | 0x20 == _X
    if hexadecimal:
        j += 1
    while j < n:
        byte = page[j]
        if is_digit(byte):
            digit = byte - 0x30
        elif hexadecimal and is_letter(byte) and byte | 0x20 <= 0x66:
            digit = (byte | 0x20) - 0x57
        else:
            break
        code = min(code * (16 if hexadecimal else 10) + digit, 0x110000)
        digits += 1
        j += 1
    if digits == 0:
        return i
    if j < n and page[j] == _SEMICOLON:
        j += 1
    if code >= 0x80 and code < 0xA0:
        code = C1[code - 0x80]
    elif code == 0 or code > 0x10FFFF or (code >= 0xD800 and code < 0xE000):
        code = _REPLACEMENT
    _write(code, glyph)
    return j


@device
def read_reference(page, i, n, glyph):
    """Read the character reference at an ampersand: where it ends, or `i` if it is none.

    glyph  uint8 of shape (8,): how many bytes of UTF-8, and these
    """
    if i + 1 < n and page[i + 1] == HASH:
        return _numeric(page, i, n, glyph)
    j, key, best, end = i + 1, BASIS, 0, i
    while j < n and j - i <= LONGEST_REFERENCE and (is_letter(page[j]) or is_digit(page[j])):
        key = (key ^ np.uint64(page[j])) * PRIME
        j += 1
        if j - i - 1 <= LONGEST_BARE_REFERENCE and j - i > 2:
            number = look_up(REFERENCE_KEYS, REFERENCE_NUMBERS, key)
            if number:
                best, end = number, j
    if j < n and page[j] == _SEMICOLON:
        number = look_up(REFERENCE_KEYS, REFERENCE_NUMBERS, (key ^ np.uint64(_SEMICOLON)) * PRIME)
        if number:
            best, end = number, j + 1
    if best:
        for k in range(REFERENCE_BYTES[best - 1, 0] + 1):
            glyph[k] = REFERENCE_BYTES[best - 1, k]
    return end


_CARET, _LOW_LINE, _OPENING, _CLOSING = ord("^"), ord("_"), ord("{"), ord("}")
_BRACKET, _CLOSING_BRACKET, _PARENTHESIS, _PLUS, _MINUS, _STAR = (ord(sign) for sign in "[](+-*")
_LONGEST = 40
"""Bytes from which on a text is small print, no script."""
_NO_SCRIPT_IN_WORDS = """
st nd rd th er ère re e o a os as ème ième eme te de ste ter mo ma tm sm mc md
"""
NO_SCRIPT = frozenset(_NO_SCRIPT_IN_WORDS.split())
"""Endings of ordinal numbers, abbreviations and marks, which stay as they stand: `1st`, `Nº`."""
_ORDINALS = np.array([int.from_bytes(word.encode(), "little") for word in sorted(NO_SCRIPT)], np.int64)
PLAIN, MARKED, NOTE, BRACED = range(4)
"""How a script is written: `1st`, `10^6`, `[1]`, `x^{n+1}`."""


@device
def _is_ordinal(text, start, end):
    if end - start > 7:
        return False
    value = 0
    for k in range(end - 1, start - 1, -1):
        byte = text[k]
        value = value << 8 | (byte | 0x20 if is_letter(byte) else byte)
    k = 0
    while k < len(_ORDINALS) and _ORDINALS[k] != value:
        k += 1
    return k < len(_ORDINALS)


@device
def script_kind(text, before, start, end, upper, linked, formula):
    """How a superscript or subscript is told from what stands before it, see PLAIN.

    text[start:end] is the script; `before` the byte before it, 0 at the beginning of a block or behind white space.
    """
    if end == start or end - start > _LONGEST or before == 0:
        return PLAIN
    first = text[start]
    if first in (_CARET, _LOW_LINE, _BRACKET, _PARENTHESIS, _OPENING) or before in (_CARET, _LOW_LINE, _BRACKET):
        return PLAIN
    digits, words, letters, others = 0, 0, 0, 0
    for k in range(start, end):
        byte = text[k]
        digits += is_digit(byte)
        letters += is_letter(byte)
        words += is_word(byte) and byte & 0xC0 != 0x80
        others += not is_word(byte) and not (k == start and byte in (_PLUS, _MINUS))
    signed = first in (_PLUS, _MINUS) or _is_minus(text, start, end)
    if upper:
        if _is_ordinal(text, start, end) or not (digits or words == 1 or signed or formula):
            return PLAIN
        note = end - start <= 3 and (digits == end - start or (end - start == 1 and (letters or first == _STAR)))
        if linked and (note or _is_dagger(text, start, end)):
            return NOTE
    elif words == 0:
        return PLAIN
    return BRACED if others else MARKED


@device
def _is_minus(text, start, end):
    """The minus sign U+2212, or plus-minus U+00B1."""
    if end - start < 2:
        return False
    if text[start] == 0xC2:
        return text[start + 1] == 0xB1
    return end - start > 2 and text[start] == 0xE2 and text[start + 1] == 0x88 and text[start + 2] in (0x92, 0x93)


@device
def _is_dagger(text, start, end):
    return end - start == 3 and text[start] == 0xE2 and text[start + 1] == 0x80 and text[start + 2] in (0xA0, 0xA1)


@device
def write_script(text, start, end, upper, kind):
    """Write the marks around text[start:end], in place. Gives the new end."""
    if kind == PLAIN:
        return end
    opening = 2 if kind == BRACED else 1
    k = end - 1
    while k >= start:
        text[k + opening] = text[k]
        k -= 1
    text[start] = _BRACKET if kind == NOTE else _CARET if upper else _LOW_LINE
    end += opening
    if kind == BRACED:
        text[start + 1] = _OPENING
    if kind != MARKED:
        text[end] = _CLOSING if kind == BRACED else _CLOSING_BRACKET
        end += 1
    return end


@device
def brace_script(text, start, end):
    """Put braces around a script that was written with a mark alone, `^ab` at text[start:end]. Gives the new end."""
    k = end - 1
    while k > start:
        text[k + 1] = text[k]
        k -= 1
    text[start + 1], text[end + 1] = _OPENING, _CLOSING
    return end + 2
