"""Documents for the tests of kernels, and what a word is, said with Python strings."""

import unicodedata

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from curate.kernels.words import IDEOGRAPH, LETTER, MARK, OTHER

IDEOGRAPHIC_NAMES = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HALFWIDTH KATA", "IDEOGRAPHIC", "HENTAIGANA")
SPACELESS_NAMES = ("THAI", "LAO", "MYANMAR", "KHMER", "TAI ", "NEW TAI LUE", "AHOM", "BALINESE", "JAVANESE")

untimed = settings(deadline=None)  # the first call of a kernel compiles it

# Enough scripts for every branch: one to four bytes, marks, joiners, ideographs, symbols.
ALPHABET = "aZ9_- \n.éßİΣςждक्षिम๏ไทยกี่ລາວខ្មែរမြန်မာབོད་ཡིགمرح‌بًا한국中文ひカー々㐀𠀋𝔸🙂️\u0000\u00ad\u3099"
# The bounds of well-formed UTF-8 and what lies just outside.
PIECES = [bytes([byte]) for byte in b"a \x80\x8f\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff"]
# Assigned in Unicode 3.2 and so known to every Python.
assigned = st.characters(exclude_categories=["Cs"]).filter(lambda c: unicodedata.ucd_3_2_0.category(c) != "Cn")
texts = st.text(alphabet=ALPHABET) | st.text(alphabet=assigned)
noise = st.lists(st.sampled_from(PIECES)).map(b"".join)
documents = st.lists(texts.map(str.encode) | noise, max_size=8)


def columns(documents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Documents as the kernels take them; a leading pad makes sure that offsets need not begin at 0."""
    offsets = np.cumsum([3, *map(len, documents)], dtype=np.int64)
    return np.frombuffer(b"pad" + b"".join(documents), np.uint8), offsets


def class_of(char: str) -> int:
    category = unicodedata.category(char)
    if category[0] == "M" or char in "\u200c\u200d":
        return MARK
    if 0x20000 <= ord(char) < 0x40000 and ord(char) & 0xFFFE != 0xFFFE:
        return IDEOGRAPH
    if category[0] not in "LN":
        return OTHER
    name = unicodedata.name(char, "")
    if category[0] == "L" and name.startswith(SPACELESS_NAMES):
        return IDEOGRAPH
    return IDEOGRAPH if name.startswith(IDEOGRAPHIC_NAMES) and "TALLY" not in name else LETTER


def reference_words(document: bytes) -> list[str]:
    words, last = [], OTHER
    for char in document.decode("utf-8", "surrogateescape"):
        kind = class_of(char)
        if kind == MARK:
            if last != OTHER:
                words[-1] += char
            continue
        if kind == LETTER and last == LETTER:
            words[-1] += char
        elif kind != OTHER:
            words.append(char)
        last = kind
    return words


def fold(char: str) -> str:
    return next((folded for folded in (char.casefold(), char.lower()) if len(folded) == 1), char)
