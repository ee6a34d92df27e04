"""A run that is stopped, or meets a damaged part or a full disk, leaves nothing half-made and goes on the next time."""

import errno
import os
import random
import shutil
import subprocess
import sys

import pytest
from releases import (
    COPY,
    curate,
    one_source,
    record,
    rejected_rows,
    release,
    released_rows,
    rows,
    write_jsonl,
    write_manifest,
)

from curate.engine.execute import Ended, Lost, Started
from curate.engine.marker import suffix_of
from curate.engine.plan import shards
from curate.engine.store import Store, Writer
from curate.errors import CurateError, Stopped
from curate.manifest.manifest import load
from curate.release.lock import verify
from curate.release.make import prepare, run_events

SEED = 7


def _drafts(work) -> list[str]:
    return [path.name for path in work.rglob("*.tmp")]


def _jobs(manifest, work) -> list:
    plan, store = prepare(load(manifest), work), Store(work / "store")
    return [*plan.jobs.values(), *shards(plan, store.marker(plan.mix)["splits"]).jobs]


def test_events_tell_of_every_job_once(corpus, tmp_path):
    *events, last = run_events(corpus, tmp_path / "work", workers=0)
    ended = [event.job.fp for event in events if isinstance(event, Ended)]
    assert sorted(ended) == sorted(job.fp for job in _jobs(corpus, tmp_path / "work"))
    assert sum(event.jobs for event in events if isinstance(event, Started)) == len(ended)
    assert verify(last.path) == []


def test_ctrl_c_says_how_to_go_on_and_the_next_run_does(corpus, tmp_path):
    work = tmp_path / "work"
    (tmp_path / "interrupt_run").touch()
    environment = os.environ | {"CURATE_TEST_FATE": str(tmp_path)}
    stopped = curate("run", corpus, "--work", work, "--workers", 2, env=environment, start_new_session=True)
    assert stopped.returncode == 3, stopped.stderr
    assert "run the same command again" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert stopped.stdout == ""
    assert not (work / "releases").exists()
    store = Store(work / "store")
    assert all(store.marker(fp) for fp in store.fingerprints())
    resumed = release(corpus, work)
    assert resumed.lock == release(corpus, tmp_path / "other").lock


def test_a_full_disk_stops_the_run(corpus, tmp_path, monkeypatch):
    """Wherever the disk turns out to be full: what was made stays, nothing half-made does."""
    whole = release(corpus, tmp_path / "whole").lock
    write, work = Writer.write, tmp_path / "work"
    budget = 0

    def full(self, table):
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        write(self, table)

    monkeypatch.setattr(Writer, "write", full)
    stops = 0
    while True:
        budget = 12 * stops
        try:
            lock = release(corpus, work).lock
            break
        except Stopped as error:
            stops += 1
            assert "no space left" in error.what
            assert error.exit_code == 3
            assert "run the same command again" in error.fix
            assert _drafts(work) == []
            assert not (work / "releases").exists()
    assert stops > 2
    assert lock == whole


def test_a_disk_that_is_really_full(corpus, tmp_path):
    """The same on a file system of a few pages, where this machine lets us mount one."""
    work = tmp_path / "work"
    work.mkdir()
    small = (
        "mount -t tmpfs -o size=128k none {0} && {1} -m curate run {2} --work {0} --workers 0; c=$?; find {0}; exit $c"
    )
    script = small.format(work, sys.executable, corpus)
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts in a namespace")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    if "mount:" in done.stderr:
        pytest.skip("this machine allows no mounts in a namespace")
    assert done.returncode == 3, done.stderr
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".tmp" not in done.stdout


DAMAGES = {
    "cut": lambda content, chance: content[: chance.randrange(len(content))],
    "flipped": lambda content, chance: _flip(content, chance.randrange(len(content))),
    "gone": lambda content, chance: None,
}


def _flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_made_anew(corpus, tmp_path, damage):
    """Damage some parts, forget what was made of them, run: nothing of the damage is in the release."""
    work, chance = tmp_path / "work", random.Random(SEED)
    whole = release(corpus, work).lock
    jobs, store = _jobs(corpus, work), Store(work / "store")
    for job in chance.sample(jobs, 6):
        part = store.part(job.fp, suffix_of(store.marker(job.fp)))
        content = DAMAGES[damage](part.read_bytes(), chance)
        part.unlink() if content is None else part.write_bytes(content)
        for fp in _downstream(jobs, job.fp):
            store.discard(fp)
        assert release(corpus, work).lock == whole, job.label
        assert verify(work / "releases" / "small" / "1.0.0") == []


def _downstream(jobs: list, fp: str) -> set[str]:
    found = set()
    for job in jobs:  # in an order in which they can run
        if {fp, *found} & set(job.upstream):
            found.add(job.fp)
    return found


def test_a_damaged_shard_is_not_copied_into_a_release(corpus, tmp_path):
    work = tmp_path / "work"
    whole = release(corpus, work).lock
    shard = next(job for job in _jobs(corpus, work) if job.task == "shard")
    part = Store(work / "store").part(shard.fp)
    part.write_bytes(_flip(part.read_bytes(), 40))
    *events, last = run_events(corpus, work, workers=0)
    assert [event.jobs for event in events if isinstance(event, Lost)] == [[shard]]
    assert last.lock == whole
    assert verify(last.path) == []


def test_an_empty_file_and_an_empty_source_among_others(tmp_path):
    write_jsonl(tmp_path / "empty.jsonl", [])
    write_jsonl(tmp_path / "some.jsonl", rows(1, 20))
    sources = {name: {"inputs": [f"{name}.jsonl"], "pipeline": ["normalize"]} for name in ("empty", "some")}
    stages = ["length", {"exact_dedup": "text"}, {"filter": {"long": "n_words > 1000"}}]
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": sources, "stages": stages}
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    assert made.lock["kept"]["empty"] == {"documents": 0, "bytes": 0}
    assert made.lock["documents"] + made.lock["rejected"] == 20


def test_everything_rejected(tmp_path):
    manifest = one_source(tmp_path, rows(1, 10), [{"filter": {"all": "true"}}])
    made = release(manifest, tmp_path / "work")
    assert (made.lock["documents"], made.lock["rejected"]) == (0, 10)
    assert verify(made.path) == []
    assert len(rejected_rows(made.path)) == 10
    assert released_rows(made.path) == []


def test_a_row_has_the_licence_of_its_source(tmp_path):
    manifest = one_source(tmp_path, rows(1, 3), [])
    assert {row["license"] for row in released_rows(release(manifest, tmp_path / "work").path)} == {"cc0-1.0"}
    sources = {"only": {"inputs": ["in.jsonl"], "license": "mit"}}
    manifest = one_source(tmp_path, rows(1, 3), [], sources=sources)
    *events, last = run_events(manifest, tmp_path / "work", workers=0, replace=True)
    assert {row["license"] for row in released_rows(last.path)} == {"mit"}
    assert {event.job.task for event in events if isinstance(event, Ended)} == {"scatter", "barrier", "shard"}


def test_what_a_later_stage_rejects_names_the_copy_that_stays(tmp_path):
    documents = [{"text": COPY}, {"text": "another text"}, {"text": COPY}]
    made = release(one_source(tmp_path, documents, [{"exact_dedup": "text"}]), tmp_path / "work")
    [out] = rejected_rows(made.path)
    [kept] = [row for row in released_rows(made.path) if row["text"] == COPY]
    assert (out["stage"], out["reason"], out["duplicate_of"]) == ("exact_dedup", "duplicate_text", kept["id"])


def test_an_unreadable_input_is_named(tmp_path):
    manifest = one_source(tmp_path, rows(1, 3), [])
    (tmp_path / "in.jsonl").unlink()
    with pytest.raises(CurateError) as caught:
        release(manifest, tmp_path / "work")
    assert "in.jsonl" in str(caught.value)


def test_a_source_with_too_many_bad_rows_stops_the_run(tmp_path):
    manifest = one_source(tmp_path, rows(1, 3), [])
    with open(tmp_path / "in.jsonl", "a") as file:
        file.write("this is not JSON\n")
    with pytest.raises(CurateError, match=r"in\.jsonl"):
        release(manifest, tmp_path / "work")
    assert _drafts(tmp_path / "work") == []
    assert not (tmp_path / "work" / "releases").exists()
    with pytest.raises(CurateError, match=r"in\.jsonl"):
        release(manifest, tmp_path / "work", workers=1)


def test_a_scheduler_that_does_not_answer(corpus, tmp_path):
    with pytest.raises(CurateError) as caught:
        list(run_events(corpus, tmp_path / "work", scheduler="not an address"))
    assert "--scheduler" in caught.value.fix


def test_an_archive_without_documents(tmp_path):
    path = tmp_path / "in.warc.gz"
    path.write_bytes(record("warcinfo", "x", b"software: none\r\n", "application/warc-fields"))
    sources = {"only": {"inputs": ["in.warc.gz"], "pipeline": ["extract", {"exact_dedup": "url"}]}}
    manifest = one_source(tmp_path, [], [], sources=sources)
    made = release(manifest, tmp_path / "work")
    assert made.lock["documents"] == 0
    assert made.lock["sources"]["only"]["skipped"] == {"warcinfo": 1}
