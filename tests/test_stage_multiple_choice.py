"""Questions of evaluation sets become the texts that a model learns from."""

import json

import pytest

from curate.stages.multiple_choice import multiple_choice
from curate.testing import docs


def written(text, meta, **params) -> tuple:
    made = multiple_choice(docs(text, meta=[meta if isinstance(meta, str) else json.dumps(meta)]), **params)
    return made["text"][0].as_py(), made["reject"][0].as_py()


OPTIONS = ["a stone", "a bird ", "a cloud"]


@pytest.mark.parametrize(("answer", "first"), [("B", 0), ("b", 1), (1, 0), ("1", 0), (2, 1), ("2", 1)])
def test_the_right_option_however_it_is_named(answer, first):
    made = written("What sings?", {"options": OPTIONS, "answer": answer}, first=first)
    assert made == ("What sings?\n\nA. a stone\nB. a bird\nC. a cloud\n\nAnswer: B. a bird", None)


def test_a_passage_with_a_question():
    text, _ = written("Birds sing.", {"question": "What sings?", "options": OPTIONS, "answer": "B"})
    assert text.startswith("Birds sing.\nWhat sings?\n\nA. a stone")


def test_endings_and_blanks():
    assert written("It sings like ", {"options": OPTIONS, "answer": "1"}, form="ending")[0] == "It sings like a bird"
    meta = {"option1": "bird", "option2": "stone", "answer": "2"}
    assert written("The _ fell.", meta, form="blank", first=1)[0] == "The stone fell."


@pytest.mark.parametrize(
    "meta",
    [
        "",
        "not JSON",
        "[1]",
        {},
        {"options": OPTIONS},
        {"options": OPTIONS, "answer": "D"},
        {"options": OPTIONS, "answer": 3},
        {"options": OPTIONS, "answer": ""},
        {"options": OPTIONS, "answer": "-1"},
        {"options": [1, 2], "answer": 0},
        {"options": "abc", "answer": 0},
    ],
)
def test_without_an_answer_the_text_stays_and_is_rejected(meta):
    assert written("What sings?", meta) == ("What sings?", "no_answer")


def test_half_a_character_in_an_option_is_replaced():
    """JSON can escape one, and UTF-8 has none."""
    text, _ = written("Which?", r'{"options": ["one \ud800", "two"], "answer": "A"}')
    assert text.endswith("Answer: A. one \ufffd")
