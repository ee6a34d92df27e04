"""The same text is written in one way."""

import re
import time
import unicodedata

import ftfy
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import ALPHABET, assigned

from curate.stages import normalize as module
from curate.stages.normalize import normalize
from curate.testing import docs

NEWLINES = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")


def run(*texts, **params):
    return normalize(docs(*texts), **params)["text"].to_pylist()


def reference(text: str) -> str:
    return unicodedata.normalize("NFC", CONTROLS.sub("", NEWLINES.sub("\n", text)))


mixed = st.text(st.sampled_from("a e\u0301\u0327\u1100\u1161\u11a8\u0958\u212b\r\n\t\v\x00\x85\u2028\ufeff\u200d"))
texts = st.lists(st.none() | st.text(alphabet=ALPHABET) | st.text(alphabet=assigned) | mixed, max_size=6)


@given(texts)
def test_equals_the_reference(texts):
    found = run(*texts)
    assert found == [None if text is None else reference(text) for text in texts]
    assert run(*found) == found


@given(texts)
def test_ftfy_is_what_slimpajama_runs(texts):
    expected = [text and ftfy.fix_text(text, normalization="NFC") for text in texts]
    assert run(*texts, ftfy=True) == expected


def test_ftfy_repairs_what_normalization_leaves():
    assert run("donâ€™t &amp; ﬁnd “it”\r\n") == ["donâ€™t &amp; ﬁnd “it”\n"]
    assert run("donâ€™t &amp; ﬁnd “it”\r\n", ftfy=True) == ['don\'t & find "it"\n']


def test_no_character_that_normalization_may_change_is_passed_over():
    """The stage looks for these before it normalizes; what it does not find stays as it is."""
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    characters = pa.array([chr(code) for code in codes])
    passed = set(characters.filter(pc.invert(pc.match_substring_regex(characters, module._NOT_NFC))).to_pylist())
    decomposed = [unicodedata.normalize("NFD", chr(code)) for code in codes if unicodedata.decomposition(chr(code))]
    composing = {char for text in decomposed for char in text[1:] if unicodedata.normalize("NFC", text) != text}
    unstable = {char for char in passed if unicodedata.normalize("NFC", char) != char or unicodedata.combining(char)}
    assert not unstable
    assert not passed & composing
    hangul = {
        char for syllable in range(0xAC00, 0xD7A4, 27) for char in unicodedata.normalize("NFD", chr(syllable))[1:]
    }
    assert not passed & hangul


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_newlines(newline):
    assert run(f"one{newline}two{newline}") == ["one\ntwo\n"]


def test_controls_and_byte_order_marks_go_and_tabs_and_joiners_stay():
    assert run("\ufeffa\x00b\x1bc\x9d\td\u200de\u200cf\u00adg\u200bh") == ["abc\td\u200de\u200cf\u00adg\u200bh"]


def test_what_stands_between_a_letter_and_its_accent_goes_before_they_are_composed():
    assert run("e\x00\u0301") == ["é"]


def test_strip_lines():
    assert run("a \t\n b  \n\n \nc ", strip_lines=True) == ["a\n b\n\n\nc"]
    assert run("a \n") == ["a \n"]


def test_max_newlines():
    assert run("a\r\n\r\n\r\n\r\nb\n\nc\n", max_newlines=2) == ["a\n\nb\n\nc\n"]


def test_blank_lines_count_as_newlines_in_a_row_once_they_are_stripped():
    assert run("a\n \n \n \nb", strip_lines=True, max_newlines=2) == ["a\n\nb"]


@settings(deadline=None)
@given(st.text(st.sampled_from("e\u0301\u0345\u0344\u0f73\u0f75\u0f81\u0327"), max_size=200))
def test_marks_are_in_the_order_of_nfc_however_many(text):
    assert normalize(docs(text))["text"][0].as_py() == unicodedata.normalize("NFC", text)


def test_marks_take_no_quadratic_time():
    text, start = "e" + "\u0301\u0345" * 100_000, time.process_time()
    assert normalize(docs(text))["text"][0].as_py() == "é" + "\u0301" * 99_999 + "\u0345" * 100_000
    assert time.process_time() - start < 5
