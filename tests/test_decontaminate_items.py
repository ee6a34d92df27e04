"""Items of evaluation sets are found however they are written, and nothing else is."""

import json
import math
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.documents import utf8
from curate.errors import CurateError
from curate.kernels import items as kernels
from curate.stage_api import find_stage
from curate.stages import _items
from curate.testing import check, docs

DECONTAMINATE = find_stage("decontaminate")
PROSE = "The council met on Tuesday to hear about the new bridge, and adjourned before noon. " * 3
LONG = (
    "A train leaves the station at noon and travels north at 60 miles an hour for 2.5 hours. Another train leaves the "
    "same station an hour later and follows at 80 miles an hour. How many miles from the station does the second train "
    "catch up with the first, and what time is it then?"
)
SHORT = "Which planet is the third from the Sun today?"
TINY = "Which gas do plants absorb?"
SOLUTION = (
    "The first train has a lead of 60 miles when the second one starts, which gains 20 miles on it in every hour, so "
    "it needs 3 hours, and by then both have gone 240 miles."
)
ROWS = [
    {"question": LONG, "answer": SOLUTION},
    {"question": SHORT, "answer": "Earth"},
    {"question": TINY, "answer": "carbon dioxide"},
    {"question": "Why?", "answer": ""},
]


@pytest.fixture
def sets(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return {"test": {"path": str(path), "columns": ["question"], "answer": "answer"}}


def found(sets, *texts, **params):
    params = DECONTAMINATE.configure({"sets": sets} | params)
    check("decontaminate", docs(*texts), params)
    return DECONTAMINATE(docs(*texts), **params)


WAYS = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "other numbers": lambda text: re.sub(r"\d+", "1,234", text),
    "lines": lambda text: text.replace(" ", "\n"),
    "escapes": lambda text: json.dumps(text.replace(" ", "\n").replace("leaves", "leaves\t\t")),
    "soft hyphens": lambda text: re.sub(r"(\w{3})(\w{3})", "\\1\u00ad\\2", text),
    "spaces": lambda text: text.replace(" ", "\u00a0\u2009\u200b"),
    "ligatures": lambda text: text.replace("fi", "\ufb01"),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "no punctuation": lambda text: re.sub(r"[^\w\s]", "", text.replace("2.5", "2")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("item", "number"), [(LONG, 0), (SHORT, 1), (SOLUTION, 0)])
def test_an_item_is_found_however_it_is_written(sets, item, number, way):
    result = found(sets, f"{PROSE}\n{WAYS[way](item)}\n{PROSE}", PROSE)
    assert result["reject"].to_pylist() == ["test", None]
    assert result["contamination"].to_pylist() == [f"test/{number}", None]
    assert result["contamination_share"].to_pylist() == [1, 0]


def test_the_passage_is_evidence(sets):
    result = found(sets, f"{PROSE} {SHORT} {PROSE}")
    assert result["contamination_ngram"].to_pylist() == [SHORT.rstrip("?")]


def test_a_short_item_must_be_there_as_a_whole_and_a_long_one_for_the_most_part(sets):
    most, half = " ".join(LONG.split()[6:]), " ".join(LONG.split()[:27])
    result = found(sets, most, half, SHORT.replace("today", "now"), f"{PROSE} {' '.join(SHORT.split()[:8])}")
    assert result["reject"].to_pylist() == ["test", None, None, None]
    assert found(sets, half, rule="strict")["reject"].to_pylist() == [None]
    most = " ".join(LONG.split()[:40])
    assert found(sets, most, rule="balanced")["reject"].to_pylist() == [None]
    assert found(sets, most, rule="strict")["reject"].to_pylist() == ["test"]


def test_an_answer_near_a_question_makes_less_of_it_enough(sets):
    part = SHORT.replace("today", "")
    result = found(sets, f"{PROSE} {part} {PROSE}", f"{PROSE} {part} Earth. {PROSE}", f"{part} {PROSE * 5} Earth")
    assert result["reject"].to_pylist() == [None, "test", None]
    result = found(sets, f"{PROSE} {TINY}", f"{PROSE} {TINY} Carbon dioxide!", "Carbon dioxide")
    assert result["reject"].to_pylist() == [None, "test", None]


def test_what_stands_apart_is_not_added_up(sets):
    words = LONG.split()
    scattered = f" {PROSE} ".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9))
    assert found(sets, scattered)["reject"].to_pylist() == [None]


def test_formulas_and_numbers_alone_are_no_item(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"q": "x + y = 3, a - b = 5, c * d = 7, x y z 1 2 3 4 5 6"}))
    sets = {"math": {"path": str(path), "columns": ["q"]}}
    assert found(sets, "x + y = 9, a - b = 1, c * d = 8, x y z 6 5 4 3 2 1", rule="strict")["reject"].to_pylist() == [
        None
    ]
    notes = DECONTAMINATE.notes(DECONTAMINATE.configure({"sets": sets}))
    assert notes == ["math: 1 texts, of which 1 are too short to be told from other text and are not searched for"]


def test_choices_are_answers_too(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"q": TINY, "choices": {"text": ["oxygen", "carbon dioxide"], "label": ["A", "B"]}}))
    sets = {"sci": {"path": str(path), "columns": ["q"], "answer": "choices.text"}}
    texts = f"{TINY} A) oxygen B) carbon dioxide", TINY
    assert found(sets, *texts)["reject"].to_pylist() == ["sci", None]


@pytest.mark.parametrize("name", ["n", "share", "min_words"])
def test_a_setting_of_another_rule_is_an_error(sets, name):
    params = DECONTAMINATE.configure({"sets": sets, name: 1})
    with pytest.raises(CurateError, match=f"`{name}` has no effect with `rule: balanced`"):
        DECONTAMINATE(docs("a"), **params)


# The kernel beside a plain reference


def plain_words(text: str) -> list[tuple[str, int]]:
    """(folded word, strength) of ASCII text."""
    found = []
    text = re.sub(r"\\[nrt]", "\\\\", text)
    for word in re.findall(r"\d+(?:[.,]\d+)*(?![a-z\d])|[a-z\d]+", unicodedata.normalize("NFKC", text).casefold()):
        letters = re.sub(r"[\d.,]", "", word)
        if not letters:
            found.append(("0", 0))
        else:
            found.append((re.sub(r"\d+", "0", word), 3 if len(letters) > 1 else 0))
    return found


def plain_grams(words: list[tuple[str, int]]) -> list[tuple | None]:
    """Each n-gram of words, None for one that says too little."""
    n = _items.N
    grams = [words[at : at + n] for at in range(len(words) - n + 1)]
    return [tuple(word for word, _ in gram) if sum(s for _, s in gram) >= min(6, n) else None for gram in grams]


def reference(texts: list[str], document: str, rule: str) -> float:
    """By how much the best item of a document is more than enough; negative: none is."""
    share, alone, _ = _items.LEAST[rule]
    grams = [{*plain_grams(plain_words(text))} - {None} for text in texts]
    times: dict[tuple, int] = {}
    for mine in grams:
        for gram in mine:
            times[gram] = times.get(gram, 0) + 1
    here, best = plain_grams(plain_words(document)), -1.0
    for text, mine in zip(texts, grams, strict=True):
        words = plain_words(text)
        strong, size = sum(s for _, s in words) / 3, len(words)
        total = sum(math.log((len(texts) + 1) / times[gram]) for gram in mine)
        if strong < alone or not mine:
            continue
        least = np.interp(strong, [_items.SHORT, _items.LONG], [1, share])
        slack = 5 + size // 4
        for first in range(-size, len(here) + 1):
            window = {*here[max(first - slack, 0) : max(first + size + slack, 0)]} & mine
            best = max(best, sum(math.log((len(texts) + 1) / times[gram]) for gram in window) / total - least)
    return best


vocabulary = ["alpha", "beta", "gamma", "delta", "x", "7", "1,000.5", "b12", "12b", "omega", "\\nbeta", "\\t", "\\\\n"]
written = st.lists(st.sampled_from(vocabulary), min_size=1, max_size=24).map(" ".join)


@given(st.lists(written, min_size=1, max_size=5), written, st.data())
def test_equals_a_plain_reference(texts, document, data):
    if data.draw(st.booleans()):
        document = f"{document} {data.draw(st.sampled_from(texts))} {document}"
    rule = data.draw(st.sampled_from(["balanced", "strict"]))
    indexed = _items.indexed([("s", str(number), text, []) for number, text in enumerate(texts)], rule)
    doc, *_ = kernels.find_items(*utf8(pa.array([document])), indexed.items)
    margin = reference(texts, document, rule)
    if abs(margin) > 1e-6:
        assert len(doc) == (margin > 0)
    elif margin >= 0:
        assert len(doc) == 1


def test_a_set_of_nothing_finds_nothing():
    indexed = _items.indexed([], "balanced")
    assert len(kernels.find_items(*utf8(pa.array(["some text of a few words"])), indexed.items)[0]) == 0
