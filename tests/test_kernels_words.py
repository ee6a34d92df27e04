"""Words: the kernel against a reference that decodes to Python strings."""

import sys
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from texts import class_of, columns, documents, fold, reference_words, untimed

from curate.kernels.tables.unicode_table import VERSION
from curate.kernels.words import OTHER, character, next_word, word_spans


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
        ("ที่นี่ 123 ๑๒", ["ที่", "นี่", "123", "๑๒"]),
        ("ລາວ", ["ລ", "າ", "ວ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
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


@untimed
@given(documents)
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
