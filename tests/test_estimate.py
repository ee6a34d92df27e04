"""What `curate plan` says a run will need: guessed from sizes, known once it is counted, nothing once it is made."""

import os
import re

import pytest
import yaml
from releases import release, rows, write_jsonl, write_manifest

from curate.base import machine
from curate.cli.render import plan_lines
from curate.engine.estimate import estimate
from curate.engine.plan import make
from curate.engine.store import Store
from curate.errors import CurateError
from curate.inspect.status import plan as plan_of_run
from curate.manifest.manifest import loads
from curate.release.make import run_events
from curate.sources import File
from curate.sources.partitions import Partition, Piece

GB = 10**9


def manifest(folder, stages: list, name: str = "a.jsonl"):
    source = {"inputs": [name]}
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": {"a": source}, "stages": stages}
    return write_manifest(folder / "manifest.yaml", document)


def expected(folder, path) -> dict:
    return plan_of_run(path, folder / "work")["estimate"]


def of_size(tmp_path, size: int, format: str = "warc", stages: list = (), workers: int = 1) -> dict:
    """The estimate of a run over one file of so many bytes, of which none is there."""
    source = {"inputs": ["x"], "pipeline": ["extract"] if format == "warc" else []}
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": {"a": source}, "stages": [*stages]}
    piece = Piece(File(f"a.{format}.gz", "/a", size, "sha256:0"))
    plan = make(loads(yaml.safe_dump(document), folder=tmp_path), {"a": [Partition("a", format, {}, (piece,))]})
    return estimate(plan, Store(tmp_path / "store"), workers)


def test_before_a_run_sizes_are_guessed_and_after_it_they_are_known(tmp_path):
    texts = rows(1, 200, words=400)
    write_jsonl(tmp_path / "a.jsonl", texts)
    path = manifest(tmp_path, [{"length": {"min_words": 2}}])
    before = expected(tmp_path, path)
    size = os.path.getsize(tmp_path / "a.jsonl")
    assert before["text_bytes"] == size
    assert before["documents"] == size // 4000
    assert before["disk_bytes"] > 0
    release(path, tmp_path / "work")
    after = expected(tmp_path, path)
    assert after["documents"] == len(texts)
    assert after["text_bytes"] == sum(len(row["text"].encode()) for row in texts)
    assert (after["disk_bytes"], after["seconds"]) == (0, 1)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_the_guess_is_of_the_right_order(tmp_path, name):
    texts = rows(2, 300, words=300)
    write_jsonl(tmp_path / name, texts)
    path = manifest(tmp_path, [], name)
    before = expected(tmp_path, path)["text_bytes"]
    release(path, tmp_path / "work")
    assert 0.1 < before / expected(tmp_path, path)["text_bytes"] < 10


def test_what_is_made_costs_nothing_more_and_another_setting_costs_its_part(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows(3, 300))
    path = manifest(tmp_path, [{"near_dedup": {"max_removed": 1}}])
    whole = expected(tmp_path, path)["disk_bytes"]
    release(path, tmp_path / "work")
    manifest(tmp_path, [{"near_dedup": {"max_removed": 1, "threshold": 0.9}}])
    assert 0 < expected(tmp_path, path)["disk_bytes"] < whole


def test_time_grows_with_the_size_and_shrinks_with_workers(tmp_path):
    one, ten = of_size(tmp_path, 100 * GB), of_size(tmp_path, 1000 * GB)
    assert ten["seconds"] == pytest.approx(10 * one["seconds"], rel=0.01)
    assert ten["disk_bytes"] == pytest.approx(10 * one["disk_bytes"], rel=0.01)
    assert of_size(tmp_path, 1000 * GB, workers=10)["seconds"] == pytest.approx(one["seconds"], rel=0.01)
    assert 3600 < one["seconds"] < 10 * 3600, "a crawl archive of 100 GB takes a core some hours"


def test_every_group_stage_adds_time_and_near_duplicates_add_disk(tmp_path):
    bare, exact, near = (
        of_size(tmp_path, 10 * GB, "jsonl", stages) for stages in ([], ["exact_dedup"], ["near_dedup"])
    )
    assert bare["seconds"] < exact["seconds"]
    assert bare["disk_bytes"] == exact["disk_bytes"] < near["disk_bytes"]


def test_the_largest_job_is_the_sort_of_all_documents_or_the_filter_of_a_stage(tmp_path):
    bare = of_size(tmp_path, 400 * GB, "jsonl")
    assert bare["largest_job_bytes"] == 40 * bare["documents"]
    filters = [{"bloom_dedup": {"expected_ngrams": 10**11}}]
    assert of_size(tmp_path, GB, "jsonl", filters)["largest_job_bytes"] > 100 * GB


def test_the_plan_shows_all_of_it_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 3)
    write_jsonl(tmp_path / "a.jsonl", rows(4, 50))
    path = manifest(tmp_path, [])
    (line,) = (line for line in plan_lines(plan_of_run(path, tmp_path / "work")) if line.startswith("estimate: "))
    assert re.search(
        r"document.* of text; .* of memory per worker, .* for the largest job, .* of disk, 1 s on 3 workers", line
    )
    release(path, tmp_path / "work")
    assert not any(line.startswith("estimate") for line in plan_lines(plan_of_run(path, tmp_path / "work")))


@pytest.mark.parametrize(
    ("memory", "workers", "what", "fix"),
    [
        (4 * GB, 4, "needs 1.2 GB of memory in one worker, but there are 4.0 GB on this machine for 4 workers", "3"),
        (GB, 1, "needs 1.2 GB of memory in one worker, but there are 1.0 GB on this machine", None),
    ],
)
def test_a_filter_that_does_not_fit_stops_the_run_before_it_begins(tmp_path, monkeypatch, memory, workers, what, fix):
    monkeypatch.setattr(machine, "memory", lambda: memory)
    write_jsonl(tmp_path / "a.jsonl", rows(5, 9))
    path = manifest(tmp_path, [{"bloom_dedup": {"expected_ngrams": 10**9}}])
    with pytest.raises(CurateError) as caught:
        list(run_events(path, tmp_path / "work", workers=workers))
    assert caught.value.what == f"`bloom_dedup` {what}"
    assert caught.value.where.startswith(f"{path}:")
    assert caught.value.fix.startswith(f"run with --workers {fix}, or " if fix else "change its setting")
    assert not list((tmp_path / "work").rglob("*.parquet"))
