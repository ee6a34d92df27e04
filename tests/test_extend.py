"""A release that extends another keeps its shards byte for byte and adds what is new after them."""

import pyarrow.parquet as pq
import pytest
from releases import curate, one_source, release, released_rows, rows

from curate.errors import ManifestError
from curate.lock import verify
from curate.release.diff import diff

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
    assert (done.returncode, "has other columns" in done.stderr) == (2, True)
    done = curate("run", extended(tmp_path, tmp_path / "none", rows(2, 5)), "--work", tmp_path / "work")
    assert (done.returncode, "no earlier release" in done.stderr) == (2, True)
