"""The stages that decide by Gopher's and FineWeb's rules, and C4's: each rule by example, and all against datatrove."""

import sys
from pathlib import Path
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import untimed

from curate.stage_api import find_stage
from curate.testing import docs

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PROSE = (
    "The committee of the town met on Tuesday with two guests, and it agreed that the work should go on.",
    "Nobody knew how long the second meeting would last, but most were ready to stay until supper.",
    "A report on the bridge, the roads and the school is to be read aloud before any vote is taken.",
    "Its authors have asked for more time, since the winter made it hard to reach half of the sites.",
    "In the end the chair promised to write to all who had come, and thanked them for their patience.",
)
GOOD = "\n".join(PROSE)


def reason(stage: str, text: str | None, **params) -> str | None:
    return run(stage, text, **params)["reject"].to_pylist()[0]


def run(stage: str, *texts, **params):
    found = find_stage(stage)
    return found(docs(*texts), **found.configure(params))


# Texts that one rule rejects, the rule's parameter, and a value of it that lets them pass.
RULES = [
    ("gopher_quality", "too_few_words", "the cat and the dog", "min_words", 5),
    ("gopher_quality", "too_many_words", f"{GOOD} " * 1200, "max_words", None),
    ("gopher_quality", "short_words", "a the b " * 30 + "and to be " * 40, "min_mean_word_length", 1.5),
    (
        "gopher_quality",
        "long_words",
        "incomprehensible " * 60 + "the of " * 20,
        "max_mean_word_length",
        14,
    ),
    ("gopher_quality", "too_many_hashes", f"{GOOD} " + "#tag " * 20, "max_symbol_ratio", 0.5),
    ("gopher_quality", "too_many_ellipses", f"{GOOD} " + "well... " * 20, "max_symbol_ratio", 0.5),
    ("gopher_quality", "bullet_lines", "\n".join(f"- {line}" for line in PROSE), "max_bullet_lines", 1.0),
    ("gopher_quality", "ellipsis_lines", "\n".join(f"{line[:-1]} ..." for line in PROSE), "max_ellipsis_lines", 1),
    ("gopher_quality", "too_few_letters", f"{GOOD} " + "1234 " * 40, "min_letter_words", 0.5),
    ("gopher_quality", "too_few_stop_words", "Der Hund sieht eine Katze im Garten. " * 10, "min_stop_words", 0),
    ("gopher_repetition", "duplicate_lines", f"{GOOD}\nyes\nyes\nyes\nyes", "max_duplicate_lines", 0.4),
    ("gopher_repetition", "duplicate_paragraphs", f"{GOOD}\n\nyes\n\nyes\n\nyes", "max_duplicate_paragraphs", None),
    ("gopher_repetition", "duplicate_5_grams", f"{GOOD} " + " ".join(PROSE[:2]), "max_duplicate_n_grams", [None] * 6),
    ("gopher_repetition", "top_2_gram", " of old, new, ".join(PROSE[0].split()) * 2, "max_top_n_grams", [None] * 3),
    ("fineweb", "few_terminal_lines", "\n".join(line[:-1] for line in PROSE), "min_terminal_lines", 0.0),
    ("fineweb", "short_lines", f"{GOOD}\n" + "Yes or no.\nMaybe.\nLater.\n" * 1 + "x.\n" * 9, "short_line", 2),
    ("fineweb", "duplicate_line_characters", f"{GOOD}\n{PROSE[0]}", "max_duplicate_line_characters", 0.3),
    (
        "fineweb",
        "list",
        "\n".join(f"Incomprehensibilit{w} immeasurableness." for w in ascii_letters),
        "max_newline_ratio",
        1,
    ),
    ("c4", "lorem_ipsum", f"{GOOD}\nThen lorem ipsum dolor.", "lorem_ipsum", False),
    ("c4", "curly_bracket", f"{GOOD}\nThen {{ came next.", "curly_bracket", False),
    ("c4", "too_few_sentences", PROSE[0], "min_sentences", 1),
]


@pytest.mark.parametrize(("stage", "name", "text", "parameter", "lenient"), RULES, ids=lambda v: str(v)[:24])
def test_a_rule_rejects_with_its_reason_and_can_be_changed(stage, name, text, parameter, lenient):
    assert reason(stage, text) == name
    assert reason(stage, text, **{parameter: lenient}) != name


@pytest.mark.parametrize("stage", ["gopher_quality", "gopher_repetition", "c4", "fineweb"])
def test_prose_passes(stage):
    assert reason(stage, GOOD) is None


@pytest.mark.parametrize("stage", ["gopher_quality", "gopher_repetition", "c4", "fineweb"])
@pytest.mark.parametrize("text", ["", None])
def test_nothing_at_all_does_not_pass(stage, text):
    assert reason(stage, text) is not None


def test_a_threshold_itself_passes():
    text = "the cat and the dog"
    assert reason("gopher_quality", text, min_words=5, max_words=5) is None
    assert reason("gopher_quality", text, min_words=6) == "too_few_words"


def test_c4_keeps_lines_of_prose_and_says_how_many_went():
    page = "\n".join(
        [
            "Menu",
            "  Home | About",
            *PROSE,
            "We use cookies on this site.",
            "Turn on JavaScript to see it all.",
            "Two words.",
        ]
    )
    found = run("c4", page.replace("Tuesday", "Tuesday[1][edit]"))
    assert found["text"].to_pylist() == [GOOD]
    assert found["c4_removed_lines"].to_pylist() == [5]


def test_c4_leaves_a_rejected_text_as_it_is():
    page = "One line.\n  Another one is here. \n"
    found = run("c4", page)
    assert found["reject"].to_pylist() == ["too_few_sentences"]
    assert found["text"].to_pylist() == [page]


CITATIONS = ("[1]", "[]", "[edit]", "[citation needed]")
PIECES = (
    *("The cat sat", "on it", "a", "x" * 30, " ", "  ", "\t", "\u00a0", ".", "!", '"', "...", "?", "Lorem ipsum", "{"),
    *(
        "JavaScript",
        "java[2]script",
        "use cookies",
        "Terms of[edit] Use",
        "[Edit]",
        "é",
        "漢字",
        "🙂",
        "[",
        "]",
        "\n",
        "\n",
    ),
    *("\r\n", "\u2028", "\x1c", *CITATIONS),
)
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def without_citations(line: str) -> str:
    place = 0
    while place < len(line):
        end = next((place + len(c) for c in CITATIONS if line.startswith(c, place)), 0)
        digits = place + 1
        while line[place] == "[" and digits < len(line) and line[digits].isdecimal():
            digits += 1
        if line[place] == "[" and line[digits : digits + 1] == "]":
            end = digits + 1
        line, place = (line[:place] + line[end:], place) if end else (line, place + 1)
    return line


def c4_reference(text: str, terminal: bool, max_word: int) -> tuple[str | None, str]:
    """C4's rules but that on sentences: the reason, and the text left."""
    kept = []
    for stripped in map(str.strip, text.splitlines()):
        words, line = stripped.split(), without_citations(stripped)
        lower = line.lower()
        if max((len(word) for word in words), default=0) > max_word or len(words) < 3:
            continue
        if terminal and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if "lorem ipsum" in lower:
            return "lorem_ipsum", text
        if "javascript" in lower:
            continue
        if "{" in line:
            return "curly_bracket", text
        if not any(phrase in lower for phrase in POLICY):
            kept.append(line)
    return None, "\n".join(kept).strip()


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), max_size=4), st.booleans())
@untimed
def test_c4_equals_the_reference(texts, terminal):
    found = run("c4", *texts, terminal_punctuation=terminal, max_word_length=40, min_sentences=0)
    expected = [c4_reference(text, terminal, 40) for text in texts]
    assert list(zip(found["reject"].to_pylist(), found["text"].to_pylist(), strict=True)) == expected


# datatrove's decisions on real documents, with datatrove's words.


@pytest.fixture(scope="module")
def parity():
    if not DATA.is_dir():
        pytest.skip("no real documents beside the project")
    pytest.importorskip("datatrove", reason="datatrove is not installed")
    pytest.importorskip("spacy", reason="spaCy is not installed")
    sys.path.insert(0, str(ROOT / "tests" / "bench"))
    import parity

    yield parity
    sys.path.remove(str(ROOT / "tests" / "bench"))


@pytest.fixture(scope="module")
def real(parity):
    return parity.documents(DATA, 15_000)


def test_decisions_equal_those_of_datatrove_given_its_words(parity, real):
    rows = parity.compare(real)
    assert {row["rule"]: row["differ"] for row in rows if row["differ"]} == {}
    assert sum(row["rejected"] for row in rows) > 100


@pytest.mark.parametrize("terminal", [True, False])
def test_c4_changes_text_as_datatrove_does(parity, real, terminal):
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter

    oracle = C4QualityFilter(filter_no_terminal_punct=terminal)
    expected = []
    for text in real:
        document = Document(text=text, id="")
        verdict = oracle.filter(document)
        expected.append((None if verdict is True else verdict[1], document.text))
    with parity.words_as(lambda data, offsets, classes: parity.datatrove_spans(real, offsets)):
        found = run("c4", *real, terminal_punctuation=terminal)
    assert list(zip(found["reject"].to_pylist(), found["text"].to_pylist(), strict=True)) == expected
