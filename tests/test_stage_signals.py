"""Signals as columns: what is asked for, by name, and decided on later."""

import pytest

from curate.errors import ManifestError
from curate.kernels.signal_table import SIGNALS
from curate.manifest.manifest import loads
from curate.stage_api import find_stage
from curate.testing import docs

SIGNALS_STAGE, FILTER = find_stage("signals"), find_stage("filter")
TEXTS = ("The cat sat with the dog.\n# A title\n", "", None, "Der Hund und die Katze.")


def run(*texts, **params):
    return SIGNALS_STAGE(docs(*texts), **SIGNALS_STAGE.configure(params))


def test_adds_every_signal_unless_told_which():
    names = [name for name in run(*TEXTS).column_names if name not in docs().column_names]
    assert names == [signal.name for signal in SIGNALS]


def test_one_alone_is_what_it_is_among_all():
    every = run(*TEXTS)
    for signal in SIGNALS:
        alone = run(*TEXTS, only=[signal.name])
        assert alone[signal.name].equals(every[signal.name]), signal.name
        assert alone[signal.name].null_count == 0


def test_counts_the_stop_words_of_another_language():
    found = run(*TEXTS, only=["n_stop_words"], stop_words=["der", "Der", "und", "die"])
    assert found["n_stop_words"].to_pylist() == [0, 0, 0, 3]


def test_short_lines_are_as_short_as_one_says():
    found = run("four\nlonger", only=["short_line_share"], short_line=4)
    assert found["short_line_share"].to_pylist() == [0.5]


def test_a_filter_decides_on_them():
    scored = run(*TEXTS, only=["n_words", "hash_ratio"])
    decided = FILTER(scored, too_short="n_words < 5", headings="hash_ratio > 0.05")
    assert decided["reject"].to_pylist() == ["headings", "too_short", "too_short", None]


def test_an_unknown_signal_is_told_with_the_nearest_before_anything_runs():
    text = """
name: r
version: 0.1.0
license: mit
sources:
  a: {inputs: [a.jsonl]}
stages:
  - signals: [n_words, n_wrods, letter_share]
"""
    with pytest.raises(ManifestError) as caught:
        loads(text)
    (problem,) = caught.value.problems
    assert "n_wrods" in problem.what
    assert "n_words" in problem.fix
    assert "signals.only" in problem.where
