"""Words and marks: the kernel against a regular expression."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.characters import character_classes
from curate.kernels.marks import word_and_mark_spans

IDEOGRAPHS = "漢字かー"
COMBINING = "\u0301\u3099"
LETTERS = f"(?:[^\\W{IDEOGRAPHS}])"
REFERENCE = re.compile(
    rf"{LETTERS}(?:{LETTERS}|[{COMBINING}]|[.,:@](?={LETTERS}))*"
    rf"|['’]{LETTERS}(?:{LETTERS}|[{COMBINING}])*"
    rf"|[{IDEOGRAPHS}][{COMBINING}]*"
    r"|([^\w\s])\1*"
)
texts = st.text("aZ9_éж한²Ⅷ" + IDEOGRAPHS + COMBINING + ".,:@'’-#…🙂 \n\t\u00a0\u2028\x00\x1c", max_size=30)


def spans_of(documents: list[bytes]) -> list[list[bytes]]:
    offsets = np.cumsum([3, *map(len, documents)], dtype=np.int64)
    data = np.frombuffer(b"pad" + b"".join(documents), np.uint8)
    starts, ends, counts = word_and_mark_spans(data, offsets, character_classes())
    found = [bytes(data[start:end]) for start, end in zip(starts, ends, strict=True)]
    return [found[counts[i] : counts[i + 1]] for i in range(len(documents))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 3.14, isn't it?", "It 's 3.14 , isn 't it ?"),
        ("see example.org:80, ok...", "see example.org:80 , ok ..."),
        ("-- (a-b) me@x.org 10,000 'tis ’90s", "-- ( a - b ) me@x.org 10,000 'tis ’90s"),
        ("漢字cafe\u0301", "漢 字 cafe\u0301"),
        ("end.Next .5 a..b snake_case", "end.Next . 5 a .. b snake_case"),
        ("שלום, עולם!", "שלום , עולם !"),
        (" \n\t ", ""),
    ],
)
def test_what_words_and_marks_are(text, expected):
    assert spans_of([text.encode()]) == [expected.encode().split()]


@settings(deadline=None)  # compilation falls into the first example
@given(st.lists(texts, max_size=3))
def test_spans_are_what_the_expression_finds(documents):
    expected = [[match[0].encode() for match in REFERENCE.finditer(text)] for text in documents]
    assert spans_of([text.encode() for text in documents]) == expected


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=3))
def test_spans_of_any_bytes_leave_out_white_space_alone(documents):
    for document, spans in zip(documents, spans_of(documents), strict=True):
        pieces = document.decode("utf-8", "surrogateescape").split()
        assert b"".join(spans) == "".join(pieces).encode("utf-8", "surrogateescape")
