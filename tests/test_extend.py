"""A release that extends another keeps its shards byte for byte and adds what is new after them."""

from dataclasses import asdict

import pyarrow.parquet as pq
import pytest
from releases import (
    curate,
    jaccard,
    one_source,
    rejected_rows,
    release,
    released_rows,
    resembling,
    rows,
    write_jsonl,
    write_manifest,
)

from curate.dedup.near_dedup import Scheme, index, near_dedup
from curate.errors import ManifestError
from curate.release.diff import diff
from curate.release.lock import verify

STAGES = ["near_dedup"]


@pytest.fixture
def old(tmp_path):
    return release(one_source(tmp_path, rows(1, 40), [], stages=STAGES, shards={"size": "4KB"}), tmp_path / "work").path


def extended(tmp_path, old, documents, **more):
    settings = {"version": "1.1.0", "stages": STAGES, "shards": {"size": "4KB"}, "extends": str(old)} | more
    return one_source(tmp_path, documents, [], **settings)


def test_old_shards_stay_and_new_documents_follow(tmp_path, old):
    made = release(extended(tmp_path, old, rows(1, 40) + rows(2, 10)), tmp_path / "work")
    assert verify(made.path) == []
    before, after = ([path.read_bytes() for path in sorted((f / "data").iterdir())] for f in (old, made.path))
    assert after[: len(before)] == before
    assert len(after) > len(before)
    texts = [row["text"] for row in released_rows(made.path)]
    known = {row["text"] for row in released_rows(old)}
    assert set(texts) == known | {row["text"] for row in rows(2, 10)}
    assert len(texts) == len(set(texts)) == made.lock["documents"]
    assert made.lock["extends"]["documents"] == len(known)
    assert made.lock["composition"]["source"]["only"]["documents"] == len(texts)
    for name in sorted(path.name for path in (made.path / "data").iterdir()):
        data, index = (pq.read_table(made.path / kind / name)["id"] for kind in ("data", "index"))
        assert data.equals(index)
    found = diff(old, made.path)
    assert (found["documents"]["removed"], found["bump"]) == (0, "minor")
    assert found["shards"]["shared"] == found["shards"]["old"]


@pytest.mark.parametrize(
    "stages",
    [
        ["near_dedup"],
        ["near_dedup", "line_dedup"],  # which changes the texts that were compared
        [{"near_dedup": {"ngram": 3, "bands": 8, "rows": 4}}, "near_dedup"],
    ],
)
def test_the_index_is_that_of_the_published_texts(tmp_path, stages):
    documents = [row | {"text": f"{row['text']}\nAll rights reserved."} for row in rows(1, 40)]
    mixture = {"repeats": 2, "budget": 25_000, "unit": "bytes"}
    path = one_source(tmp_path, documents, [], stages=stages, shards={"size": "4KB"}, mixture=mixture)
    made = release(path, tmp_path / "work").path
    scheme = asdict(Scheme.of(**near_dedup.configure({})))
    for name in sorted(path.name for path in (made / "data").iterdir()):
        data, kept = (pq.read_table(made / kind / name) for kind in ("data", "index"))
        assert kept.equals(index(data, **scheme))


def test_a_release_that_extends_one_can_be_extended(tmp_path, old):
    first = release(extended(tmp_path, old, rows(2, 10)), tmp_path / "work").path
    second = release(extended(tmp_path, first, rows(3, 10), version="1.2.0"), tmp_path / "work")
    assert verify(second.path) == []
    assert second.lock["documents"] == len(released_rows(second.path))
    assert diff(first, second.path)["shards"]["shared"] == len(list((first / "data").iterdir()))


def test_what_cannot_be_extended_is_said(tmp_path, old):
    with pytest.raises(ManifestError, match="needs a stage that compares"):
        release(extended(tmp_path, old, rows(2, 5), stages=[]), tmp_path / "work")
    manifest = extended(tmp_path, old, rows(2, 5), stages=["length", *STAGES], shards={"columns": ["n_words"]})
    done = curate("run", manifest, "--work", tmp_path / "work", "--workers", 0)
    assert (done.returncode, "has different columns" in done.stderr) == (2, True)
    done = curate("run", extended(tmp_path, tmp_path / "none", rows(2, 5)), "--work", tmp_path / "work")
    assert (done.returncode, "no earlier release" in done.stderr) == (2, True)


@pytest.mark.parametrize("how", ["against", "extends"])
def test_old_and_new_hold_together_what_one_run_over_both_holds(tmp_path, how):
    known = rows(1, 60)
    old, new = known + resembling(2, known[::2]), resembling(3, known) + rows(4, 30) + resembling(5, rows(4, 30))
    write_jsonl(tmp_path / "old.jsonl", old)
    write_jsonl(tmp_path / "new.jsonl", new)
    sources = {"old": {"inputs": ["old.jsonl"]}, "new": {"inputs": ["new.jsonl"], "priority": 1}}
    document = {"version": "1.0.0", "license": "cc0-1.0", "stages": [{"length": {"min_words": 5}}, "near_dedup"]}

    def made(name, taken, **more):
        chosen = {"name": name, "sources": {source: sources[source] for source in taken}} | document | more
        return release(write_manifest(tmp_path / f"{name}.yaml", chosen), tmp_path / "work").path

    def texts(path):
        return {row["id"]: row["text"] for row in released_rows(path)}

    both, first = made("both", ["old", "new"]), made("first", ["old"])
    earlier = str(first) if how == "extends" else [str(first)]
    second = made("first", ["new"], version="1.1.0", **{how: earlier})
    expected, before, after = texts(both), texts(first), texts(second)
    assert before | after == expected
    assert before.keys() <= after.keys() if how == "extends" else before.keys().isdisjoint(after)

    removed = {row["id"]: row for row in rejected_rows(both) if row["reason"] == "near_duplicate"}
    found = {row["id"]: row for path in (first, second) for row in rejected_rows(path)}
    given = {row["url"]: row["text"] for row in old + new}
    named = {"old": 0, "new": 0}
    for id, row in removed.items():
        for evidence in (row, found[id]):
            kept = evidence["duplicate_of"]
            assert evidence["reason"] == "near_duplicate"
            assert evidence["similarity"] == pytest.approx(jaccard(given[row["url"]], expected[kept]), abs=1e-6)
            assert evidence["similarity"] >= 0.8
        assert row["duplicate_of"] == found[id]["duplicate_of"]
        named[row["source"]] += row["duplicate_of"] in before
    assert all(count > 5 for count in named.values())


@pytest.mark.parametrize(
    "stage", [{"select": {"count": 5, "order": []}}, {"keep_top": {"fraction": 0.5, "column": "position"}}]
)
def test_a_number_of_documents_is_counted_among_what_is_new(tmp_path, old, stage):
    settings = {"against": [str(old)], "stages": [*STAGES, stage], "version": "2.0.0"}
    made = release(one_source(tmp_path, rows(1, 40) + rows(2, 10), [], **settings), tmp_path / "work")
    assert made.lock["documents"] == 5
    assert {row["text"] for row in released_rows(made.path)} <= {row["text"] for row in rows(2, 10)}
