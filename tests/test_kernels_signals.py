"""Signals: the kernels against plain Python on strings, and on bytes that are no text."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from signals_reference import WORDS, has, reference

from curate.kernels.characters import (
    BREAK,
    DECIMAL,
    LETTER,
    MARK,
    NUMERIC,
    PUNCTUATION,
    SPACE,
    TERMINAL,
    UPPER,
    character_classes,
)
from curate.kernels.marks import word_and_mark_spans
from curate.kernels.signal_table import GOPHER_STOP_WORDS, SIGNALS, signals, stop_word_hashes
from curate.kernels.tables.character_table import VERSION

Spans = tuple[np.ndarray, np.ndarray, np.ndarray]
NEWER = tuple(map(int, unicodedata.unidata_version.split("."))) > tuple(map(int, VERSION.split(".")))
PIECES = (
    *(
        "the",
        "be",
        "To",
        "with",
        "cat",
        "cat sat",
        "a b c d e f",
        "1",
        "²",
        "Ⅷ",
        "42",
        "Éa",
        "ждать",
        "שלום",
        "漢字",
    ),
    *(
        " ",
        " ",
        " ",
        " ",
        "  ",
        "\t",
        "\u00a0",
        "\u2003",
        "\n",
        "\n",
        "\n",
        "\n\n",
        "\n\n\n",
        "\r\n",
        "\r",
        "\x85",
    ),
    *(
        "\u2028",
        "\x1c",
        "\x1f",
        "\x00",
        "\ufeff",
        "\u200b",
        "🙂",
        "e\u0301",
        "#",
        "...",
        "…",
        ". . .",
        ".",
        ".",
        "!",
    ),
    *(
        "?",
        '"',
        "'",
        "。",
        "؟",
        "-",
        "•",
        "●",
        "*",
        "{",
        "}",
        ",",
        "１",
        "[",
        "]",
        "[1]",
        "[٣]",
        "[]",
        "[edit]",
        "[Edit]",
    ),
    *(
        "[citation needed]",
        "Lorem ipsum",
        "lorem[2] ipsum",
        "JavaScript",
        "java",
        "Privacy Policy",
        "use cookies",
    ),
    *(
        "uses cookies",
        "use of cookies",
        "terms of [edit]use",
        "cookie policy",
        "The end. Then it goes on.",
        "x" * 1001,
    ),
)
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
loops = st.lists(st.sampled_from(["a", "b", "ab", "-", "\n", "\n\n"]), max_size=80).map(" ".join)
shifts = st.lists(st.sampled_from(["once", "upon", "on", "ceupon", "midnight", "-", "\n"]), max_size=80).map(" ".join)
any_texts = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=30).map(
    lambda text: "".join(char for char in text if not NEWER or character_classes()[ord(char)])
)


def pack(documents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Documents as kernels take them; a pad before the first shows that offsets need not begin at 0."""
    offsets = np.cumsum([3, *map(len, documents)], dtype=np.int64)
    return np.frombuffer(b"pad" + b"".join(documents), np.uint8), offsets


def cut(documents: list[str], offsets: np.ndarray, pattern: re.Pattern = WORDS) -> Spans:
    """Byte positions of what a pattern finds."""
    spans, counts = [], [0]
    for text, offset in zip(documents, offsets, strict=False):
        at = [0, *np.cumsum([len(character.encode()) for character in text])]
        spans += [(offset + at[match.start()], offset + at[match.end()]) for match in pattern.finditer(text)]
        counts.append(len(spans))
    starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
    return starts.copy(), ends.copy(), np.array(counts)


def signals_of(documents: list[str], stop_words=GOPHER_STOP_WORDS, **options) -> dict[str, np.ndarray]:
    data, offsets = pack([text.encode() for text in documents])
    return signals(data, offsets, *cut(documents, offsets), stop_word_hashes(stop_words), **options)


def signals_of_bytes(documents: list[bytes]) -> dict[str, np.ndarray]:
    data, offsets = pack(documents)
    return signals(data, offsets, *word_and_mark_spans(data, offsets, character_classes()), stop_word_hashes())


# --- the tests


def assert_in_range(values: dict[str, np.ndarray]) -> None:
    for signal in SIGNALS:
        column = values[signal.name]
        low, high = signal.range
        assert column.dtype == signal.dtype, signal.name
        assert np.isfinite(column).all(), signal.name
        assert (column >= low).all(), signal.name
        assert (column <= high).all(), signal.name


@settings(deadline=None)  # compilation falls into the first example
@given(st.lists(texts | loops | shifts | any_texts, max_size=2))
@example(["", "\n", "\n\n", " \n \n", "🙂", "a\n\n\nb\n\na", "\na\n", "- - -", "...", "- a...\n- a...\n"])
def test_every_signal_is_what_plain_python_computes(documents):
    values = signals_of(documents)
    assert list(values) == [signal.name for signal in SIGNALS]
    assert_in_range(values)
    for i, text in enumerate(documents):
        assert {name: column[i] for name, column in values.items()} == reference(text, set(GOPHER_STOP_WORDS))


@settings(deadline=None)  # compilation falls into the first example
@given(st.lists(st.binary(max_size=60) | texts.map(str.encode).map(lambda text: text[1:-1]), max_size=2))
def test_bytes_that_are_no_text_give_values_in_range(documents):
    assert_in_range(signals_of_bytes(documents))


@pytest.mark.parametrize("text", [b"x" * 5_000_000, b"]" * 2_000_000 + b"[" * 2_000_000, b"." * 5_000_000])
def test_five_megabytes_without_a_space(text):
    values = signals_of_bytes([text, b"and then"])
    assert_in_range(values)
    assert values["n_characters"].tolist() == [len(text), 8]
    assert values["dclm_n_plain_words"].tolist() == [1, 2]


def test_a_document_does_not_depend_on_its_neighbours():
    documents = ["the cat\n" * 20, "", "the cat\n", "One. Two three four five six. " * 30]
    together = signals_of(documents)
    for i, text in enumerate(documents):
        alone = signals_of([text])
        assert {name: column[i] for name, column in together.items()} == {
            name: column[0] for name, column in alone.items()
        }


def test_no_documents_have_no_signals():
    assert all(len(column) == 0 for column in signals_of([]).values())


def test_stop_words_are_the_callers():
    german = signals_of(["Der Hund und die Katze und der Igel", "the dog"], ["der", "die", "und", "für"])
    assert german["n_stop_words"].tolist() == [3, 0]
    assert german["dclm_n_stop_words"].tolist() == [5, 0]
    assert signals_of(["the dog"], [])["n_stop_words"].tolist() == [0]


def test_the_length_of_a_short_line_can_be_set():
    assert signals_of(["12345\n123456"], short_line=5)["short_line_share"].tolist() == [0.5]
    assert signals_of(["12345\n123456"])["short_line_share"].tolist() == [1.0]


def test_character_classes_are_those_of_str():
    classes = character_classes()
    tests = (
        (LETTER, str.isalpha),
        (LETTER | NUMERIC, str.isalnum),
        (DECIMAL, str.isdecimal),
        (UPPER, str.isupper),
        (SPACE, str.isspace),
        (BREAK, lambda char: len(f"a{char}a".splitlines()) == 2),
        (PUNCTUATION, lambda char: unicodedata.category(char)[0] == "P"),
    )
    for code in range(0x20000):
        char = chr(code)
        if unicodedata.category(char) == "Cn" or (NEWER and not classes[code]):
            continue  # assigned in one of the two Unicode versions alone, or perhaps
        for flag, test in tests:
            assert has(char, flag) == test(char), hex(code)


def test_classes_and_repetition_agree_with_datatrove():
    text = pytest.importorskip("datatrove.utils.text")
    classes = character_classes()
    assert {chr(code) for code in np.flatnonzero(classes & TERMINAL)} == text.TERMINAL_PUNCTUATION
    assert {chr(code) for code in np.flatnonzero(classes & MARK)} == text.PUNCTUATION_SET


@settings(deadline=None)  # compilation falls into the first example
@given((loops | shifts).filter(str.strip))
def test_repetition_agrees_with_datatrove(document):
    gopher = pytest.importorskip("datatrove.pipeline.filters.gopher_repetition_filter")
    values = {name: column[0] for name, column in signals_of([document]).items()}
    words = WORDS.findall(document)
    for n in range(5, 11):
        expected = gopher.find_all_duplicate(words, n) / len(document)
        assert values[f"duplicate_{n}_gram_character_share"] == expected
    for n in (2, 3, 4):
        if grams := gopher.get_n_grams(words, n):
            assert values[f"top_{n}_gram_character_ratio"] == gopher.find_top_duplicate(grams) / len(document)
    lines = re.split("\n+", document)
    assert values["duplicate_line_share"] == gopher.find_duplicates(lines)[0] / len(lines)
