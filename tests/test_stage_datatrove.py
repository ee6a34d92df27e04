"""Blocks of datatrove run as stages, with their own verdicts, reasons and texts."""

import pytest

from curate.errors import CurateError
from curate.stage_api import find_stage
from curate.stages.datatrove import datatrove
from curate.testing import docs

filters = pytest.importorskip("datatrove.pipeline.filters")
PROSE = "The committee met on Tuesday to consider the report, and it agreed that the work should go on with it. "
TEXTS = (PROSE * 8, "short", PROSE.upper() * 8, "a b c d e f g h i j " * 10, "- list\n" * 100, "", None)
HERE = "datatrove.pipeline"


class Marked(filters.base_filter.BaseFilter):
    """Drops by a word, in each of the ways that a filter may."""

    name = "marked"

    def __init__(self, word: str = "drop"):
        super().__init__()
        self.word = word

    def filter(self, doc):
        doc.text = doc.text.strip()
        if doc.metadata.get("url") == self.word:
            return False
        return (False, "Has the Word!") if self.word in doc.text else True


BLOCK = f"{__name__}.Marked"


@pytest.mark.parametrize(
    "block", ["GopherQualityFilter", "GopherRepetitionFilter", "FineWebQualityFilter", "C4QualityFilter"]
)
def test_verdicts_reasons_and_texts_are_the_filters_own(block):
    from datatrove.data import Document

    found = datatrove(docs(*TEXTS), block=f"{HERE}.filters.{block}")
    oracle = getattr(filters, block)()
    expected = []
    for text in TEXTS:
        document = Document(text=text or "", id="")
        verdict = oracle.filter(document)
        kept, reason = verdict if isinstance(verdict, tuple) else (verdict, "filtered")
        expected.append((None if text is None else document.text, None if kept else reason))
    assert list(zip(found["text"].to_pylist(), found["reject"].to_pylist(), strict=True)) == expected
    assert len({reason for _, reason in expected}) > 1


def test_a_filter_of_ones_own():
    table = docs(" keep ", "drop it", "", None, url=[None, None, "drop", None])
    found = datatrove(table, block=BLOCK)
    assert found["reject"].to_pylist() == [None, "has_the_word", "filtered", None]
    assert found["text"].to_pylist() == ["keep", "drop it", "", None]
    found = datatrove(table, block=BLOCK, params={"word": "keep"}, columns=[])
    assert found["reject"].to_pylist() == ["has_the_word", None, None, None]


def test_metadata_comes_from_columns_and_from_meta():
    table = docs("a", "b", meta=['{"url": "drop"}', '{"url": "drop"}'], url=[None, "else"])
    assert datatrove(table, block=BLOCK, columns=["meta", "url"])["reject"].to_pylist() == ["filtered", None]


def test_a_formatter_that_keeps_a_state_does_the_same_to_every_document():
    table = docs("jane@a.example.net and joe@b.example.net", "jane@a.example.net", None)
    found = datatrove(table, block=f"{HERE}.formatters.PIIFormatter")["text"].to_pylist()
    assert found == ["email@example.com and firstname.lastname@example.org", "email@example.com", None]


@pytest.mark.parametrize(
    ("block", "params", "what", "fix"),
    [
        (f"{HERE}.filters.GopherQualityFiltre", {}, "not a datatrove filter", "GopherQualityFilter"),
        ("datatrove.nothing.Filter", {}, "cannot import", "datatrove"),
        ("GopherQualityFilter", {}, "cannot import", "datatrove"),
        ("json.JSONDecoder", {}, "not a datatrove filter", "datatrove"),
        (f"{HERE}.filters.GopherQualityFilter", {"min_words": 3}, "does not accept", "min_doc_words"),
    ],
)
def test_mistakes_are_named_with_their_mend(block, params, what, fix):
    with pytest.raises(CurateError, match=what) as caught:
        datatrove(docs("a"), block=block, params=params)
    assert fix in caught.value.fix


def test_without_datatrove_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("curate.stages.datatrove.find_spec", lambda name: None)
    stage = find_stage("datatrove")
    with pytest.raises(CurateError, match="not installed") as caught:
        stage.identity(stage.configure({"block": BLOCK}))
    assert "pip install" in caught.value.fix


def test_its_version_bears_on_the_result():
    stage = find_stage("datatrove")
    assert "datatrove" in stage.identity(stage.configure({"block": BLOCK}))["packages"]
