"""`curate sample`: the same documents every time, with what decided on them."""

import json
import re

import pytest
from releases import curate as command
from releases import one_source, release

import curate
from curate.errors import CurateError
from curate.inspect.released import released

URL = "https://e.example/"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(manifest, work folder, release) of 60 documents of 22 to 81 words, a page of menus, a near-duplicate."""
    folder = tmp_path_factory.mktemp("sampled")
    texts = [
        " ".join(["the", "of", *(f"w{document}x{word}" for word in range(20 + document))]) for document in range(60)
    ]
    texts.append(f"{texts[59]} more")
    texts.append("Home\nAbout us all and <b>what we do in the world\x1b\n" * 8 + texts[59])
    documents = [{"text": text, "url": f"{URL}{number}"} for number, text in enumerate(texts)]
    stages = [{"gopher_quality": {"min_words": 50}}, "gopher_repetition", {"length": {"min_words": 62}}, "near_dedup"]
    manifest = one_source(folder, documents, stages, stages=[{"filter": {"last": "url like '%/58'"}}])
    return manifest, folder / "work", release(manifest, folder / "work").path


def test_a_sample_is_the_same_every_time_and_a_larger_one_holds_it(made):
    manifest, work, _ = made
    few, again, more = (curate.sample(manifest, work, limit=limit) for limit in (4, 4, 9))
    assert few == again == more[:4]
    assert all(row["reason"] is None and row["text"] for row in more)


def test_documents_that_are_out_by_a_stage_or_a_reason(made):
    manifest, work, _ = made
    out = curate.sample(manifest, work, rejected=True, limit=100)
    kept = curate.sample(manifest, work, limit=100)
    assert len(out) + len(kept) == 62
    by_reason = curate.sample(manifest, work, reason="too_few_words", limit=100)
    by_stage = curate.sample(manifest, work, stage="length", limit=100)
    assert {(row["stage"], row["reason"]) for row in by_reason} == {
        (s, "too_few_words") for s in ("gopher_quality", "length")
    }
    assert by_stage == [row for row in by_reason if row["stage"] == "length"]
    for row in by_reason:
        cause = row["signals"][0]
        assert cause["caused"]
        assert cause["value"] < cause["limit"] == {"gopher_quality": 50, "length": 62}[row["stage"]]


def test_a_release_has_the_same_documents_and_no_texts_of_what_is_out(made):
    manifest, work, folder = made
    for asked in ({}, {"rejected": True}, {"stage": "length"}, {"pairs": True}):
        here, there = curate.sample(manifest, work, **asked), curate.sample(folder, **asked)
        assert [(row["id"], row["reason"]) for row in here] == [(row["id"], row["reason"]) for row in there]
        assert all((row["text"] is None) is bool(asked) for row in there)
    assert curate.sample(work=work) == curate.sample(folder)


@pytest.mark.parametrize("near", ["length.min_words", "gopher_quality.min_words", "length.too_few_words"])
def test_documents_on_both_sides_of_a_threshold(made, near):
    manifest, work, _ = made
    rows = curate.sample(manifest, work, near=near, limit=6)
    limit = 62 if near.startswith("length") else 50
    values = [(row["signals"][0]["value"], row["signals"][0]["caused"]) for row in rows]
    assert sorted(caused for _, caused in values) == [False] * 3 + [True] * 3
    assert all((value < limit) is caused and abs(value - limit) < 15 for value, caused in values)
    stage = near.partition(".")[0]
    passed = [row for row in rows if row["stage"] != stage]
    assert [row["signals"][0]["parameter"] for row in passed] == ["min_words"] * 3


def test_near_a_threshold_of_a_release(made):
    *_, folder = made
    rows = curate.sample(folder, near="gopher_quality.min_words", limit=3)
    assert len(rows) == 3
    assert all(row["signals"][0]["value"] >= 62 for row in rows)  # what is nearer is out, and has no text
    [pair] = curate.sample(folder, near="near_dedup.threshold", limit=3)
    assert pair["signals"][0]["value"] > 0.8


def test_near_duplicates_come_with_the_document_that_was_kept(made):
    manifest, work, folder = made
    [pair] = curate.sample(manifest, work, pairs=True)
    assert {pair["url"], curate.explain(manifest, pair["kept"]["id"], work)[0]["url"]} == {f"{URL}59", f"{URL}60"}
    shared = [pair["text"][start:stop] for start, stop in pair["marks"]]
    assert all(one in pair["kept"]["text"] for one in shared)
    assert len("".join(shared)) > 0.9 * len(pair["text"])
    assert curate.sample(folder, pairs=True)[0]["kept"] == pair["kept"]


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"stage": "lenght"}, "no stage"),
        ({"source": "web"}, "no source"),
        ({"near": "length.max_chars"}, "off"),
        ({"near": "filter.last"}, "not a threshold"),
    ],
)
def test_what_there_is_not(made, asked, what):
    manifest, work, folder = made
    for place in (manifest, folder):
        with pytest.raises(CurateError, match=what):
            curate.sample(place, work, **asked)


def test_the_command_marks_the_cause_and_sends_no_control_character(made):
    manifest, work, _ = made
    said = command("sample", manifest, "--work", work, "--stage", "gopher_repetition").stdout
    assert "[duplicate_line_share" in said
    assert "[Home]" in said
    assert "\x1b" not in said
    assert r"world\x1b" in said
    found = json.loads(command("sample", manifest, "--work", work, "--stage", "gopher_repetition", "--json").stdout)
    [row] = found["documents"]
    assert [row["text"][start:stop] for start, stop in row["marks"]][:2] == [
        "Home",
        "About us all and <b>what we do in the world\x1b",
    ]


def test_the_page_needs_no_other_file_and_holds_no_markup_of_the_data(made, tmp_path):
    manifest, work, _ = made
    page = tmp_path / "page.html"
    command("sample", manifest, "--work", work, "--rejected", "--limit", "100", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert "<mark>About us all and &lt;b&gt;what we do in the world" in text
    assert "<b>" not in text
    assert "\x1b" not in text
    assert not re.search(r"<script|<link|<img|src=|@import", text)
    assert text.count("<article>") == len(curate.sample(manifest, work, rejected=True, limit=100))


def test_a_file_of_a_release_that_is_gone_is_named(made, tmp_path):
    *_, folder = made
    rows = released(folder)
    missing = next((folder / "data").iterdir())
    moved = missing.rename(tmp_path / missing.name)
    try:
        with pytest.raises(CurateError, match="cannot be read"):
            list(rows.columns("documents", ["id"]))
    finally:
        moved.rename(missing)
