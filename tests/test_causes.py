"""What caused a verdict: thresholds that give the reasons of their stages, and places of the text."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.base.terminal import Marked
from curate.errors import CurateError
from curate.inspect.causes import causes
from curate.inspect.marked_text import AROUND, excerpt, pieces
from curate.inspect.repeated_spans import in_characters, joined, repeated_n_grams
from curate.stage_api import find_stage
from curate.stages._bounds import bounds_of, find_bound, measured
from curate.testing import docs

LINES = [
    "# the menu #",
    "• a list of things",
    "about this and that...",
    "über naïve words, with 数据 to have.",
    "short",
    "",
]
LINES += ["the very same line stands here twice and more", "1 2 3 4 5 6 7 8 9 10", "incomprehensibilities"]
TEXTS = st.lists(st.sampled_from(LINES), min_size=1, max_size=30).map("\n".join).filter(str.strip)
UNMEASURED = {"empty", "too_many_words_removed"}


@pytest.mark.parametrize("stage", ["length", "gopher_quality", "gopher_repetition", "fineweb", "dclm_heuristics"])
@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_the_first_threshold_that_is_broken_gives_the_reason(stage, texts):
    found = find_stage(stage)
    params = found.configure({"min_words": 12} if "min_words" in found.params.model_fields else {})
    table = docs(*texts)
    verdicts = found.function(table, **params)["reject"].to_pylist()
    bounds, values = bounds_of(stage, params), measured(table["text"], stage, params)
    broken = {bound: bound.broken(values[bound.signal], bound.limit(params)).to_pylist() for bound in bounds}
    for row, verdict in enumerate(verdicts):
        first = next((bound.reason for bound in bounds if broken[bound][row]), None)
        assert verdict == first or (first is None and verdict in UNMEASURED)


def test_every_threshold_names_a_parameter_and_a_reason_of_its_stage():
    for stage in ("code", "conversation", "language", "quality", "near_dedup", "gopher_quality", "fineweb"):
        found = find_stage(stage)
        for bound in bounds_of(stage, {}):
            assert bound.reason in found.declared.reasons
            assert bound.parameter.partition(".")[0] in found.params.model_fields


def test_a_threshold_is_found_by_its_parameter_or_its_reason():
    labels = {"length.2": ("length", {})}
    assert find_bound(labels, "length.2.min_words") == find_bound(labels, "length.2.too_few_words")
    with pytest.raises(CurateError, match="not a threshold") as caught:
        find_bound(labels, "length.2.min_word")
    assert "length.2.min_words" in caught.value.fix


def marked(text: str, stage: str, reason: str, evidence: dict | None = None, **given) -> list[str]:
    """What is marked in a text that a stage rejects."""
    params = find_stage(stage).configure(given)
    return [text[start:stop] for start, stop in causes(text, stage, params, reason, evidence or {}).marks]


REPEATS = "Home\nüber uns\nHome\nsomething else\nHome"
GRAM = "one two three four five six. One more time: one two three four five six"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (marked(REPEATS, "gopher_repetition", "duplicate_lines"), ["Home", "Home"]),
        (marked(REPEATS, "dclm_heuristics", "duplicate_lines"), ["Home", "Home", "Home"]),
        (marked("a b\n\nc\n\na b", "gopher_repetition", "duplicate_paragraphs"), ["a b"]),
        (marked(GRAM, "gopher_repetition", "duplicate_5_grams"), ["one two three four five"]),
        (marked("ä b, ä b c d", "gopher_repetition", "top_2_gram"), ["ä b", "ä b"]),
        (marked("the # and ##", "gopher_quality", "too_many_hashes"), ["#", "#", "#"]),
        (marked("• one\ntwo\n- three", "gopher_quality", "bullet_lines"), ["• one", "- three"]),
        (marked("ends.\nhas no end", "fineweb", "few_terminal_lines"), ["has no end"]),
        (marked("so Lorem Ipsum it is", "c4", "lorem_ipsum"), ["Lorem Ipsum"]),
        (marked("write to me@mail.com now", "pii", "email", mode="reject"), ["me@mail.com"]),
        (marked("I’m just an AI.", "conversation", "phrase"), ["I’m just an AI"]),
        (
            marked(
                "How many  legs\nhas it?",
                "decontaminate",
                "exam",
                {"contamination_ngram": "how many legs has"},
                sets={},
            ),
            ["How many  legs\nhas"],
        ),
        (marked("so a b c d", "near_dedup", "near_duplicate", {"kept_text": "a b c e"}), ["a b c"]),
        (
            marked(
                "ü12345",
                "substring_dedup",
                "mostly_repeated",
                {"repeated_passages": json.dumps([{"start": 2, "stop": 5, "of": "x", "at": 0}])},
            ),
            ["123"],
        ),
    ],
)
def test_the_places_that_caused_a_verdict(found, expected):
    assert found == expected


def test_what_of_a_url_is_on_a_list(tmp_path):
    (tmp_path / "hosts").write_text("bad.example\n")
    (tmp_path / "words").write_text("casino\n")
    lists = {"domains": [str(tmp_path / "hosts")], "strict_words": [str(tmp_path / "words")]}
    params = find_stage("url_filter").configure(lists)
    url = "https://www.Bad.example/my-casino/x"
    for reason, expected in (("domain", "Bad.example"), ("strict_word", "casino")):
        [(start, stop)] = causes("text", "url_filter", params, reason, {"url": url}).url
        assert url[start:stop] == expected


def test_a_list_that_is_gone_leaves_the_url_unmarked(tmp_path):
    params = find_stage("url_filter").configure({"domains": []}) | {"domains": [str(tmp_path / "gone")]}
    assert causes("text", "url_filter", params, "domain", {"url": "https://a.example/"}).url == []


def test_a_rule_in_sql_shows_the_columns_it_reads():
    [signal] = causes("text", "filter", {"odd": "n_words > 3"}, "odd", {"n_words": 4}).signals
    assert (signal["signal"], signal["value"], signal["limit"], signal["caused"]) == ("n_words", 4, "n_words > 3", True)


def test_the_cause_comes_first_among_the_signals():
    params = find_stage("gopher_quality").configure({})
    found = causes("of it", "gopher_quality", params, "too_few_stop_words", {}).signals
    assert (
        [signal["parameter"] for signal in found if signal["caused"]] == ["min_stop_words"] == [found[0]["parameter"]]
    )
    assert curate.apply_stages(["of it"], [{"gopher_quality": {"min_words": 0}}])["reject"][0].as_py() is not None


@given(text=st.text(max_size=40), cuts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_pieces_are_the_text(text, cuts):
    marks = [(a, b) for a, b in joined([(a, b) for a, b in cuts if a < b <= len(text)])]
    found = pieces(text, marks)
    assert "".join(piece for piece, _ in found) == text
    assert [piece for piece, marked in found if marked] == [text[a:b] for a, b in marks]


@given(text=st.text(min_size=1, max_size=60), data=st.data())
def test_spans_in_bytes_are_spans_in_characters(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start, len(text)))
    in_bytes = (len(text[:start].encode()), len(text[:stop].encode()))
    assert in_characters(text, [in_bytes]) == [(start, stop)]


def test_an_excerpt_is_what_is_around_a_mark():
    text = "x" * 500 + "\nHERE\n" + "y" * 500
    lines = excerpt(text, [(501, 505)])
    assert lines[1] == Marked([("HERE", True)])
    assert lines[0][0] == ("…", False)
    assert sum(len(piece) for line in lines for piece, _ in line) < 2 * AROUND + 10


def test_n_grams_that_repeat_are_as_long_as_the_signal_says():
    text = "a b c d e a b c d e f g a b c d e"
    [share] = measured(pa.chunked_array([[text]]), "gopher_repetition", find_stage("gopher_repetition").configure({}))[
        "duplicate_5_gram_character_share"
    ].to_pylist()
    spans = repeated_n_grams(text, 5)
    assert sum(len(text[a:b].replace(" ", "")) for a, b in spans) / len(text) == pytest.approx(share)
