"""Documents that are too short or too long are named, and every document gets its length."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import reference_words, texts

from curate.stages.length import length
from curate.testing import docs


def reasons(*texts, **params):
    return length(docs(*texts), **params)["reject"].to_pylist()


@settings(deadline=None)
@given(st.lists(st.none() | texts, max_size=5))
def test_lengths(texts):
    result = length(docs(*texts))
    assert result["n_chars"].to_pylist() == [len(text or "") for text in texts]
    assert result["n_words"].to_pylist() == [len(reference_words((text or "").encode())) for text in texts]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"min_words": 3}, [None, None, "too_few_words"]),
        ({"min_words": 0, "max_words": 3}, ["too_many_words", None, None]),
        ({"min_words": 0, "max_words": None}, [None, None, None]),
        ({"min_words": 0, "min_chars": 11}, [None, "too_short", "too_short"]),
        ({"min_words": 0, "min_chars": 11, "max_chars": 12}, ["too_long", "too_short", "too_short"]),
        ({"min_words": 3, "min_chars": 4}, [None, None, "too_short"]),
        ({"min_words": 0, "min_chars": 7, "normalized": True}, [None, "too_short", "too_short"]),
    ],
)
def test_reasons(params, expected):
    assert reasons("one two three four", "a, b - c!", "été", **params) == expected


def test_the_defaults_are_gophers():
    assert reasons("word " * 49, "word " * 50, "word " * 100_000, "word " * 100_001) == [
        "too_few_words",
        None,
        None,
        "too_many_words",
    ]
