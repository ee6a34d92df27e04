"""Words: the kernel against a reference that decodes to Python strings."""

import sys
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.unicode_table import VERSION
from curate.kernels.words import IDEOGRAPH, LETTER, MARK, OTHER, character, next_word, word_spans

IDEOGRAPHIC_NAMES = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HALFWIDTH KATA", "IDEOGRAPHIC", "HENTAIGANA")

# Enough scripts for every branch: one to four bytes, marks, joiners, ideographs, symbols.
ALPHABET = "aZ9_- \n.éßİΣςждक्षिम๏ไทยمرح‌بًا한국中文ひカー々㐀𠀋𝔸🙂️\u0000\u00ad\u3099"
# The bounds of well-formed UTF-8 and what lies just outside.
PIECES = [bytes([byte]) for byte in b"a \x80\x8f\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff"]
assigned = st.characters(exclude_categories=["Cs", "Cn"])
texts = st.lists(st.text(alphabet=ALPHABET) | st.text(alphabet=assigned), max_size=8)
noise = st.lists(st.lists(st.sampled_from(PIECES)).map(b"".join), max_size=8)


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
    return IDEOGRAPH if name.startswith(IDEOGRAPHIC_NAMES) and "TALLY" not in name else LETTER


def fold(char: str) -> str:
    return next((folded for folded in (char.casefold(), char.lower()) if len(folded) == 1), char)


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


def words_of(documents: list[bytes]) -> list[list[str]]:
    data, offsets = columns(documents)
    starts, ends, doc_offsets = word_spans(data, offsets)
    words = [bytes(data[s:e]).decode() for s, e in zip(starts, ends, strict=True)]
    return [words[a:b] for a, b in pairwise(doc_offsets)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.14, isn_t it?", ["It", "s", "3", "14", "isn", "t", "it"]),
        ("東京タワーへ行く", ["東", "京", "タ", "ワ", "ー", "へ", "行", "く"]),
        ("अनुच्छेद १: सभी", ["अनुच्छेद", "१", "सभी"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("대한민국 헌법", ["대한민국", "헌법"]),
        ("naïve cafe\u0301", ["naïve", "cafe\u0301"]),
        ("❤\ufe0f \u0301x", ["x"]),
        ("葛\U000e0100城が\u3099", ["葛\U000e0100", "城", "が\u3099"]),
    ],
)
def test_what_a_word_is(text, words):
    assert words_of([text.encode()]) == [words]


@given(texts.map(lambda documents: [text.encode() for text in documents]) | noise)
def test_words_equal_the_reference(documents):
    assert words_of(documents) == [reference_words(document) for document in documents]


def test_a_character_cut_by_a_document_end_is_not_completed_from_the_next():
    assert words_of([b"a\xe4\xb8", b"\xad\xe6\x96\x87"]) == [["a"], ["文"]]


def test_classes_and_folding_agree_with_this_python():
    newer = tuple(map(int, unicodedata.unidata_version.split("."))) > tuple(map(int, VERSION.split(".")))
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in ("Cn", "Cs"):
            continue
        data = np.frombuffer(char.encode(), np.uint8)
        kind, decoded, folded, size = character(data, 0, len(data))
        assert (decoded, size) == (code, len(data))
        if newer and kind == OTHER and folded == code:
            continue  # perhaps assigned after the table was made
        assert kind == class_of(char), hex(code)
        assert chr(folded) == fold(char), hex(code)


@pytest.mark.parametrize(("left", "right"), [("Straße", "STRAẞE"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ДОМ", "дом")])
def test_hash_of_a_word_folds_case_only_when_asked(left, right):
    a, b = (np.frombuffer(word.encode(), np.uint8) for word in (left, right))
    assert next_word(a, 0, len(a), True)[2] == next_word(b, 0, len(b), True)[2]
    assert next_word(a, 0, len(a), False)[2] != next_word(b, 0, len(b), False)[2]


@pytest.mark.parametrize("unit", [b"x", "文".encode(), b"\xff", b"\xe4", b" ", "\u0301".encode()])
def test_five_megabytes_of_one_thing(unit):
    repeats = 5_000_000 // len(unit)
    starts, ends, _ = word_spans(*columns([unit * repeats]))
    assert len(starts) == {b"x": 1, "文".encode(): repeats}.get(unit, 0)
    assert (starts < ends).all()


def test_no_documents_and_empty_documents():
    assert words_of([]) == []
    assert words_of([b"", b"a", b""]) == [[], ["a"], []]
