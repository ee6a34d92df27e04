"""Signals: the kernels against plain Python on strings, and on bytes that are no text."""

import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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

WORDS = re.compile(r"\w+|[^\w\s]")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
NEWER = tuple(map(int, unicodedata.unidata_version.split("."))) > tuple(map(int, VERSION.split(".")))
EMPTY = dict.fromkeys((signal.name for signal in SIGNALS), 0)

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


# --- the reference


def has(character: str, flag: int) -> bool:
    return bool(character_classes()[ord(character)] & flag)


def over(count: float, whole: float) -> float:
    return count / whole if whole else 0.0


def length(parts) -> int:
    return sum(map(len, parts))


def repeats(parts: list[str]) -> list[str]:
    return [part for i, part in enumerate(parts) if part in parts[:i]]


def copies(parts: list[str]) -> list[str]:
    return [part for part in parts if parts.count(part) > 1]


def n_grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def duplicate_n_gram_characters(words: list[str], n: int) -> int:
    seen, total, i = set(), 0, 0
    while i + n <= len(words):
        gram = "".join(words[i : i + n])
        total += len(gram) if gram in seen else 0
        i += n if gram in seen else 1
        seen.add(gram)
    return total


def top_n_gram_characters(words: list[str], n: int) -> int:
    counts = Counter(n_grams(words, n))
    top = max(counts, key=counts.get, default=())
    return len(" ".join(top)) * counts[top]


def dclm_top_n_gram_characters(words: list[str], n: int) -> int:
    counts = Counter(n_grams(words, n))
    most = max(counts.values(), default=0)
    return max((length(gram) * most for gram, count in counts.items() if count == most > 1), default=0)


def dclm_covered_characters(words: list[str], n: int) -> int:
    grams = n_grams(words, n)
    counts = Counter(grams)
    covered = {k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(i, i + n)}
    return length(words[k] for k in covered)


def sentences(line: str) -> int:
    count, ended = 1, False
    for word in WORDS.findall(line):
        if len(word) == 1 and has(word, TERMINAL):
            ended = True
        elif ended and any(unicodedata.category(character)[0] != "P" for character in word):
            count, ended = count + 1, False
    return count


def c4(text: str, terminal: bool) -> dict[str, int]:
    lines = 0
    found = {"n_lines": 0, "n_sentences": 0, "n_lorem_ipsum_lines": 0, "n_curly_bracket_lines": 0}
    for line in map(str.strip, text.splitlines()):
        bare = CITATION.sub("", line)
        ends = bare.endswith((".", "?", "!", '"', "'")) and not bare.endswith("...")
        words = line.split()
        if max(map(len, words), default=0) > 1000 or len(words) < 3 or (terminal and not ends):
            continue
        small = bare.lower()
        found["n_lorem_ipsum_lines"] += "lorem ipsum" in small
        if "javascript" in small:
            continue
        found["n_curly_bracket_lines"] += "{" in line
        if not any(phrase in small for phrase in POLICY):
            lines += 1
            found["n_sentences"] += sentences(line)
    return found | {"n_lines": lines}


def reference(text: str, stop_words: set[str], short_line: int = 30) -> dict[str, float]:
    if not text:
        return EMPTY
    spans = WORDS.findall(text)
    words = [word for word in spans if not all(has(character, MARK) for character in word)]
    plain = text.split()
    lines = text.splitlines()
    runs = re.split(r"\n+", text)
    filled = [line for line in text.split("\n") if line.strip()]
    stripped = [line.strip() for line in filled]
    paragraphs = re.split(r"\n{2,}", text.strip())
    filled_paragraphs = [part.strip() for part in paragraphs if part.strip()]
    dclm_words = [word for word in spans if word[0].isalnum()]
    dots = text.count("...") + text.count("…")
    bare = [CITATION.sub("", line).lower() for line in lines]
    dclm_ends = ("...", ". . .", "…")

    def share(test) -> float:
        return sum(map(test, text)) / len(text)

    found = {
        "n_characters": len(text),
        "letter_share": share(str.isalpha),
        "digit_share": share(lambda c: c.isnumeric() or c.isdigit()),
        "upper_case_share": share(str.isupper),
        "punctuation_share": share(lambda c: unicodedata.category(c)[0] == "P"),
        "white_space_share": share(str.isspace),
        "alphanumeric_share": share(str.isalnum),
        "n_lines": len(lines),
        "max_line_length": max(map(len, lines)),
        "mean_line_length": over(length(lines), len(lines)),
        "n_words": len(words),
        "n_words_and_marks": len(spans),
        "mean_word_length": over(length(words), len(words)),
        "letter_word_share": over(sum(any(map(str.isalpha, word)) for word in spans), len(spans)),
        "n_stop_words": len(stop_words & set(spans)),
        "hash_ratio": over(text.count("#"), len(spans)),
        "ellipsis_ratio": over(dots, len(spans)),
        "bullet_line_share": over(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_line_share": over(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "n_paragraphs": len(filled_paragraphs),
        "duplicate_line_share": over(len(repeats(runs)), len(runs)),
        "duplicate_line_character_share": over(length(repeats(runs)), len(text)),
        "duplicate_paragraph_share": over(len(repeats(paragraphs)), len(paragraphs)),
        "duplicate_paragraph_character_share": over(length(repeats(paragraphs)), len(text)),
        "n_lorem_ipsum_lines": sum("lorem ipsum" in line for line in bare),
        "n_curly_bracket_lines": sum("{" in line for line in lines),
        "n_javascript_lines": sum("javascript" in line for line in bare),
        "n_policy_lines": sum(any(phrase in line for phrase in POLICY) for line in bare),
        "n_long_word_lines": sum(max(map(len, line.split()), default=0) > 1000 for line in lines),
        "n_few_word_lines": sum(len(line.split()) < 3 for line in lines),
        "newline_ratio": over(text.count("\n"), len(spans)),
        "n_newline_lines": len(filled),
        "terminal_line_share": over(sum(has(line[-1], TERMINAL) for line in filled), len(filled)),
        "short_line_share": over(sum(len(line) <= short_line for line in filled), len(filled)),
        "duplicate_newline_line_character_share": over(length(repeats(filled)), len(text.replace("\n", ""))),
        "dclm_n_words": len(dclm_words),
        "dclm_n_plain_words": len(plain),
        "dclm_mean_word_length": over(length(plain), len(plain)),
        "dclm_symbol_ratio": over(text.count("#") + dots + text.count(". . ."), len(plain)),
        "dclm_letterless_word_share": over(sum(not any(map(str.isalpha, word)) for word in plain), len(plain)),
        "dclm_n_stop_words": sum(word.lower() in stop_words for word in plain),
        "dclm_bullet_line_share": over(sum(line.startswith(("●", "•", "*", "-")) for line in stripped), len(filled)),
        "dclm_ellipsis_line_share": over(sum(line.endswith(dclm_ends) for line in stripped), len(filled)),
        "dclm_duplicate_line_share": over(len(copies(stripped)), len(filled)),
        "dclm_duplicate_line_character_share": over(length(copies(stripped)), length(stripped)),
        "dclm_duplicate_paragraph_share": over(len(copies(filled_paragraphs)), len(filled_paragraphs)),
        "dclm_duplicate_paragraph_character_share": over(length(copies(filled_paragraphs)), length(filled_paragraphs)),
    }
    for n in (2, 3, 4):
        found[f"top_{n}_gram_character_ratio"] = over(top_n_gram_characters(spans, n), len(text))
        dclm_top = dclm_top_n_gram_characters(dclm_words, n)
        found[f"dclm_top_{n}_gram_character_ratio"] = over(dclm_top, length(dclm_words))
    for n in range(5, 11):
        found[f"duplicate_{n}_gram_character_share"] = duplicate_n_gram_characters(spans, n) / len(text)
        covered = dclm_covered_characters(dclm_words, n)
        found[f"dclm_duplicate_{n}_gram_character_share"] = over(covered, length(dclm_words))
    for prefix, terminal in (("c4", True), ("c4_any_end", False)):
        found |= {f"{prefix}_{name}": value for name, value in c4(text, terminal).items()}
    return found


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
