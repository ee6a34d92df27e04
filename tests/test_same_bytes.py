"""One manifest gives one release: the same digest and the same lock, whoever makes it, wherever, and after whatever."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import forget_stages, know_odd_stages
from releases import (
    CORPUS,
    jaccard,
    rejected_rows,
    release,
    released_rows,
    resembling,
    rows,
    sentence,
    write_corpus,
    write_jsonl,
    write_manifest,
)

from curate.engine import plan, planner
from curate.engine.execute import Ended, Lost
from curate.engine.job import PASSING
from curate.engine.store import Store
from curate.release.make import Released, run_events

SEED = 20250101
GIVEN = [document for seed, count in enumerate((60, 70, 50, 90, 40), 1) for document in rows(seed, count)]
AGAIN = resembling(6, GIVEN[::7]), resembling(7, GIVEN[::8])


def write_resembling_corpus(folder: Path) -> Path:
    """The small corpus, with documents in two of its sources that resemble others of all sources."""
    write_corpus(folder)
    write_jsonl(folder / "in" / "old" / "c.jsonl", AGAIN[0])
    write_jsonl(folder / "in" / "extra.jsonl", rows(5, 40) + AGAIN[1])
    stages = [*CORPUS["stages"], {"near_dedup": {"bins": 3}}]
    return write_manifest(folder / "manifest.yaml", CORPUS | {"stages": stages})


@pytest.fixture
def corpus(tmp_path, odd_stages) -> Path:
    return write_resembling_corpus(tmp_path / "corpus")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Released:
    """The release of the corpus, made in one process without an accident."""
    with pytest.MonkeyPatch.context() as patch:
        know_odd_stages(patch)
        folder = tmp_path_factory.mktemp("plain")
        made = release(write_resembling_corpus(folder), folder / "work")
    forget_stages()
    return made


@pytest.fixture(scope="module")
def plain(made) -> dict:
    """Its lock."""
    return made.lock


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers(corpus, tmp_path, plain, workers):
    assert release(corpus, tmp_path / "work", workers).lock == plain


def test_every_document_is_kept_or_named(corpus, tmp_path, plain):
    for source in plain["sources"]:
        read = plain["sources"][source]["read"]
        lost = sum(
            count["in"] - count["kept"]
            for stage in plain["stages"]
            for name, count in stage["sources"].items()
            if name == source
        )
        assert read["in"] == plain["kept"][source]["documents"] + lost + (read["in"] - read["kept"])
    assert plain["documents"] + plain["rejected"] == sum(s["read"]["in"] for s in plain["sources"].values())
    assert 0 < plain["rejected"] < plain["documents"]


def test_a_near_duplicate_names_a_released_document_that_is_as_similar(made):
    texts = {row["id"]: row["text"] for row in released_rows(made.path)}
    given = {document["url"]: document["text"] for document in [*GIVEN, *AGAIN[0], *AGAIN[1]]}
    removed = [row for row in rejected_rows(made.path) if row["reason"] == "near_duplicate"]
    assert len(removed) > 30
    assert {row["source"] for row in removed} == set(CORPUS["sources"])
    for row in removed:
        assert row["similarity"] >= 0.8
        assert row["similarity"] == pytest.approx(jaccard(given[row["url"]], texts[row["duplicate_of"]]), abs=1e-6)


@pytest.mark.parametrize("block_bytes", ["3000"])
def test_other_blocks(corpus, tmp_path, plain, monkeypatch, block_bytes):
    monkeypatch.setenv("CURATE_BLOCK_BYTES", block_bytes)  # read where a process starts, so in a new one
    made = _in_a_new_process(corpus, tmp_path / "work", workers=0)
    assert made == plain
    heads = [pq.read_metadata(path).num_row_groups for path in (tmp_path / "work" / "store").glob("??/*.parquet")]
    assert max(heads) > 8, "the blocks were not smaller"


@pytest.mark.parametrize(("bin_bytes", "merged", "workers"), [(1_000, 1 << 20, 0), (1 << 30, 2, 0), (4_000, 3, 2)])
def test_other_exchange(corpus, tmp_path, plain, monkeypatch, bin_bytes, merged, workers):
    """More bins or fewer; all parts merged to one, or some of them at a time."""
    monkeypatch.setattr(planner, "BIN_BYTES", bin_bytes)
    monkeypatch.setattr(planner, "MOST_SLICES", 1)
    monkeypatch.setattr(planner, "MERGED", merged)
    assert release(corpus, tmp_path / "work", workers).lock == plain
    markers = [json.loads(path.read_text()) for path in (tmp_path / "work" / "store").glob("??/*.json")]
    labels = {marker["label"] for marker in markers if marker["task"] == "merge"}
    last = "1/1" if merged > 100 else f"1/{-(-len(_partitions(markers)) // merged)}"
    assert f"scatter: merge {last}" in labels


@pytest.mark.parametrize(("group", "mixture"), [(1, {}), (2, {"budget": "20K", "unit": "bytes"})])
def test_evidence_by_groups_of_partitions(corpus, tmp_path, monkeypatch, group, mixture):
    """Files and examples are those of all partitions at once, also of what the mixture did not draw."""
    document = yaml.safe_load(corpus.read_text()) | {"mixture": mixture}
    manifest = write_manifest(corpus, document)
    at_once = release(manifest, tmp_path / "at once").lock
    monkeypatch.setattr(plan, "EVIDENCE_GROUP", group)
    assert release(manifest, tmp_path / "work", 2).lock == at_once
    markers = [json.loads(path.read_text()) for path in (tmp_path / "work" / "store").glob("??/*.json")]
    assert {m["label"] for m in markers if m["task"] == "joined"} == {"evidence: rejected", "evidence: near_duplicates"}


def _partitions(markers: list[dict]) -> list[str]:
    return [marker["label"] for marker in markers if marker["task"] == "scatter"]


def test_other_place(corpus, tmp_path, plain):
    """The inputs and the work folder lie elsewhere, and the files are younger."""
    elsewhere = tmp_path / "some where" / "élse"
    shutil.copytree(corpus.parent, elsewhere)
    for path in elsewhere.rglob("*.*"):
        os.utime(path)
    assert release(elsewhere / corpus.name, tmp_path / "other work").lock == plain


def test_other_hash_seed(corpus, tmp_path, plain, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "4321")
    assert _in_a_new_process(corpus, tmp_path / "work", workers=0) == plain


def test_markers_lost(corpus, tmp_path, plain):
    work = tmp_path / "work"
    release(corpus, work)
    markers = sorted((work / "store").glob("??/*.json"))
    lost = random.Random(SEED).sample(markers, len(markers) // 3)
    needed = [path for path in lost if json.loads(path.read_text())["task"] not in PASSING]
    for marker in lost:
        marker.unlink()
    *events, last = run_events(corpus, work, workers=0)
    assert sum(isinstance(event, Ended) for event in events) >= len(needed) > 5
    assert last.lock == plain


def test_worker_killed(corpus, tmp_path, plain, monkeypatch):
    """kill -9 of a worker in the middle of a job."""
    monkeypatch.setenv("CURATE_TEST_FATE", str(tmp_path))
    (tmp_path / "kill_worker").touch()
    *events, last = run_events(corpus, tmp_path / "work", workers=2)
    assert any(isinstance(event, Lost) for event in events)
    assert last.lock == plain


def test_run_killed(corpus, tmp_path, plain):
    """kill -9 of the run and its workers as the N-th job ends, again and again, until a run is let through."""
    work, chance = tmp_path / "work", random.Random(SEED)
    made = 0
    for _ in range(2):
        done = _run_until_killed(corpus, work, after=chance.randint(2, 12))
        assert done.returncode == -signal.SIGKILL, done.stderr
        store = Store(work / "store")
        markers = sum(1 for fp in store.fingerprints() if store.marker(fp))
        assert markers > made, "nothing was kept of the run that was killed"
        made = markers
    assert not (work / "releases").exists()
    *events, last = run_events(corpus, work, workers=0)
    assert next(event for event in events if hasattr(event, "reused")).reused >= 1
    assert last.lock == plain


def test_texts_that_cross_row_groups(tmp_path):
    """One shard of more than one row group, row groups of more than one page, and copies far apart."""
    chance = random.Random(SEED)
    base = [sentence(chance, 20_000) for _ in range(6)]
    big = [{"text": f"{number} {base[number % 6]}"} for number in range(330)]
    assert sum(len(row["text"].encode()) for row in big) > 33 << 20
    for source, part in {"one": big[:200], "two": big[150:]}.items():
        write_jsonl(tmp_path / f"{source}.jsonl", part)
    sources = {name: {"inputs": [f"{name}.jsonl"], "pipeline": ["normalize"]} for name in ("one", "two")}
    document = {"name": "big", "version": "1.0.0", "license": "cc0-1.0", "sources": sources}
    document |= {"stages": [{"exact_dedup": {"by": "text", "bins": 2}}], "shards": {"size": "256MB"}}
    manifest = write_manifest(tmp_path / "manifest.yaml", document)
    first = release(manifest, tmp_path / "work")
    [shard] = sorted((first.path / "data").iterdir())
    assert pq.read_metadata(shard).num_row_groups > 1
    assert first.lock["documents"] == 330
    assert sorted(row["text"] for row in released_rows(first.path)) == sorted(row["text"] for row in big)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATE_BLOCK_BYTES", str(5 << 20))
        assert _in_a_new_process(manifest, tmp_path / "again", workers=2) == first.lock


def test_another_document_moves_no_other(tmp_path, odd_stages):
    """Documents that are added take their places between those that are there."""
    document = {key: value for key, value in CORPUS.items() if key != "shards"}
    before = release(write_manifest(write_corpus(tmp_path).parent / "m.yaml", document), tmp_path / "work")
    order = [row["id"] for row in released_rows(before.path)]
    write_jsonl(tmp_path / "in" / "old" / "c.jsonl", rows(99, 30))
    after = release(tmp_path / "m.yaml", tmp_path / "work")
    ids = [row["id"] for row in released_rows(after.path)]
    assert len(ids) > len(order)
    assert [id for id in ids if id in set(order)] == [id for id in order if id in set(ids)]


DRIVER = """
import json, os, signal, sys
from curate.engine import plan, planner
from curate.engine.execute import Ended
from curate.engine.job import PASSING
from curate.release.make import run_events
manifest, work, workers, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if __name__ == "__main__":
    ended = 0
    for event in run_events(manifest, work, workers=workers):
        ended += isinstance(event, Ended)
        if ended == last:
            os.killpg(os.getpgrp(), signal.SIGKILL)
    print(json.dumps(event.lock))
"""


def _drive(manifest: Path, work: Path, workers: int, last: int = -1) -> subprocess.CompletedProcess:
    driver = work.parent / "driver.py"
    driver.write_text(DRIVER)
    command = [sys.executable, str(driver), str(manifest), str(work), str(workers), str(last)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, start_new_session=True)


def _in_a_new_process(manifest: Path, work: Path, workers: int) -> dict:
    done = _drive(manifest, work, workers)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _run_until_killed(manifest: Path, work: Path, after: int) -> subprocess.CompletedProcess:
    return _drive(manifest, work, 2, after)


def test_lock_has_no_trace_of_the_machine(corpus, tmp_path, plain):
    text = json.dumps(plain)
    assert str(tmp_path.parent) not in text
    assert os.uname().nodename not in text


def test_a_second_run_makes_nothing(corpus, tmp_path, plain):
    release(corpus, tmp_path / "work")
    *events, last = run_events(corpus, tmp_path / "work", workers=0)
    assert not any(isinstance(event, Ended) for event in events)
    assert isinstance(last, Released)
    assert not last.changed
    assert last.lock == plain
