"""How far a run is while its jobs run: documents, how many a second, and the time left."""

import json
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from releases import release, rows, write_jsonl, write_manifest, write_warc

import curate
from curate.engine import running as notes
from curate.engine.execute import Ended, Started
from curate.engine.job import Job
from curate.engine.running import Counts, Meter, running
from curate.engine.store import Store
from curate.engine.weights import Weights, weigh
from curate.inspect import progress
from curate.inspect.pace import Pace, about
from curate.inspect.status import STALE_SECONDS, status
from curate.release.make import prepare, run_events
from curate.sources import File, Origin
from curate.sources.partitions import partitions, read

SMALL = {"name": "small", "version": "1.0.0", "license": "cc0-1.0"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """Of one source, whose one file is read by one job in many blocks."""
    monkeypatch.setattr("curate.engine.jobs.Origin", lambda source: Origin(source, block_bytes=5000))
    monkeypatch.setattr(notes, "SECONDS", 0)
    write_jsonl(tmp_path / "in.jsonl", rows(1, 60))
    source = {"inputs": ["in.jsonl"], "pipeline": ["normalize", "length"]}
    return write_manifest(tmp_path / "manifest.yaml", SMALL | {"sources": {"a": source}})


def watched(manifest, work, monkeypatch, look) -> None:
    """Run a manifest; at each step of each block, look(how many jobs have ended)."""
    passed, ended = Meter.passed, 0
    monkeypatch.setattr(Meter, "passed", lambda meter: (passed(meter), look(ended)))
    for event in run_events(manifest, work, workers=0):
        look(event)
        ended += isinstance(event, Ended)


def test_documents_and_the_share_of_the_work_rise_within_a_job(manifest, tmp_path, monkeypatch):
    pace, seen = Pace(clock=count().__next__), []

    def look(happened):
        if isinstance(happened, int):
            pace.look()
            seen.append((pace.documents, pace.share, happened))
        else:
            pace.count(happened)

    watched(manifest, tmp_path / "work", monkeypatch, look)
    documents, shares, ended = zip(*seen, strict=True)
    assert set(ended) == {0}  # all within the first job
    assert len(set(documents)) > 10
    assert list(documents) == sorted(documents)
    assert list(shares) == sorted(shares)
    assert 0 < documents[0] < documents[-1] == pace.documents == 60
    assert 0 < shares[0] < shares[-1] < pace.share == pytest.approx(1)
    assert not list((tmp_path / "work" / "store" / "running").iterdir())


def test_status_counts_the_documents_of_running_jobs(manifest, tmp_path, monkeypatch):
    seen = []

    def look(happened):
        if isinstance(happened, int):
            found = status(manifest, tmp_path / "work")
            seen.append(found["documents"] + found["running"])

    watched(manifest, tmp_path / "work", monkeypatch, look)
    assert len(set(seen)) > 10
    assert seen == sorted(seen)
    found = status(manifest, tmp_path / "work")
    assert (found["documents"], found["running"]) == (60, 0)


def test_what_a_killed_run_left_does_not_count(manifest, tmp_path):
    work = tmp_path / "work"
    plan, store = prepare(curate.load(manifest), work), Store(work / "store")
    [job] = [job for job in plan.jobs.values() if job.task == "map"]
    store.root.mkdir()
    meter = Meter(store, job.fp, 1)
    meter.read(41, 0.7)  # and then it was killed
    assert status(manifest, work)["running"] == 41
    assert running(store, {job.fp}, newest=-STALE_SECONDS) == {}
    pace = Pace(clock=count().__next__)
    for event in run_events(manifest, work, workers=0):
        pace.count(event)
        pace.look()
        assert (pace.documents, pace.done) == (0, 0) or pace.documents == 60
    assert not meter.path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"documents": null, "share": 1}', b'{"documents": 1}'])
def test_damaged_notes_are_as_if_they_were_not_there(tmp_path, content):
    store = Store(tmp_path)
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "a.json").write_bytes(content)
    assert running(store, {"a"}) == {}


def test_a_note_that_cannot_be_written_stops_nothing(manifest, tmp_path):
    (tmp_path / "work" / "store").mkdir(parents=True)
    (tmp_path / "work" / "store" / "running").write_text("in the way")
    assert release(manifest, tmp_path / "work").lock["documents"] > 0


def test_a_job_writes_once_a_second_at_most(tmp_path, monkeypatch):
    clock, written = Clock(), []
    monkeypatch.setattr(notes, "write_text", lambda path, text: written.append((clock.now, json.loads(text))))
    with Meter(Store(tmp_path), "a", 2, clock) as meter:
        for tenth in range(25):
            clock.now = tenth / 10
            meter.read(10, tenth / 25)
    assert written == [(1.0, {"documents": 105, "share": 0.38}), (2.0, {"documents": 205, "share": 0.78})]


# What is shown


def started(weights: list[float], later: float = 0.0, store: Store | None = None) -> Started:
    jobs = [Job(f"{number:032x}", "map", f"a {number}", {"read": {}}, {}, ()) for number in range(len(weights))]
    return Started(
        jobs,
        0,
        store or Store("nowhere"),
        Weights({job.fp: weight for job, weight in zip(jobs, weights, strict=True)}, later),
    )


def ended(job: Job, documents: int) -> Ended:
    return Ended(job, {"rows": documents, "read": {"in": documents, "kept": documents}, "stages": {}})


def test_the_time_left_is_told_once_enough_is_seen(tmp_path):
    clock, store = Clock(), Store(tmp_path)
    (tmp_path / "running").mkdir()
    pace, event = Pace(clock), started([10.0] * 9, later=10.0, store=Store(tmp_path))
    pace.count(event)
    told = []
    for second in range(1, 60):
        clock.now = float(second)
        with Meter(store, event.missing[0].fp, 1, lambda: -10.0) as meter:
            meter.clock = clock
            meter.read(10 * second, second / 100)
            pace.look()
        told.append(pace.left)
    assert told[:20] == [None] * 20  # 2% of the work
    assert told[20] == pytest.approx(1000 - 21)  # a tenth of a job in ten seconds
    assert told[-1] == pytest.approx(1000 - 59)
    assert pace.rate == pytest.approx(10, rel=0.1)
    for job in event.missing:
        clock.now += 20.0
        pace.count(ended(job, 1000))
    assert pace.rate is None  # nothing more is read
    assert pace.left == pytest.approx(20, rel=0.1)


def test_speed_is_that_of_late():
    """Slow jobs, then quick ones: what is left is told by the quick ones."""
    clock, event = Clock(), started([1.0] * 200)
    pace = Pace(clock)
    pace.count(event)
    for number, job in enumerate(event.missing[:100]):
        clock.now += 10.0 if number < 50 else 1.0
        pace.count(ended(job, 1))
    assert clock.now == 550
    assert 100 <= pace.left < 500


def test_a_line_fits_a_narrow_terminal():
    clock, event = Clock(), started([1.0] * 12_345)
    pace = Pace(clock)
    pace.count(event)
    for job in event.missing[:6_000]:
        clock.now += 10.0
        pace.count(ended(job, 200_000))
    label = "a source of a long name 6000/12345: extract, normalize, language"
    lines = {width: pace.line(width, label) for width in (40, 62, 70, 200)}
    assert all(len(line) <= width for width, line in lines.items())
    assert lines[62] == "1,200,000,000 documents (20,000/s)  about 18 h left"
    assert lines[70] == "6,000/12,345 jobs  1,200,000,000 documents (20,000/s)  about 18 h left"
    assert lines[200].endswith(label)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (5, "less than 1 min left"),
        (61, "about 1 min left"),
        (200, "about 3 min left"),
        (11 * 60, "about 10 min left"),
        (44 * 60, "about 45 min left"),
        (59 * 60, "about 1 h left"),
        (80 * 60, "about 1.5 h left"),
        (13.2 * 3600, "about 13 h left"),
        (70 * 3600, "about 3 days left"),
    ],
)
def test_the_time_left_is_no_more_precise_than_a_guess(seconds, told):
    assert about(seconds) == told


def test_a_log_and_a_notebook_hear_of_documents(manifest, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SPARSE_SECONDS", 0)
    curate.run(manifest, tmp_path / "work", workers=0)
    assert "60 documents read" in capsys.readouterr().err


# What jobs and readers tell


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet", "a.warc.gz"])
def test_readers_tell_how_much_they_have_read(tmp_path, name):
    paths, documents = [tmp_path / "1" / name, tmp_path / "2" / name], rows(1, 900)
    for path in paths:
        path.parent.mkdir()
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(documents), path, row_group_size=50)
        elif name.endswith(".warc.gz"):
            write_warc(path, documents)
        else:
            write_jsonl(path, documents)
    files = [File(f"{path.parent.name}/{name}", str(path), path.stat().st_size) for path in paths]
    [partition] = partitions("s", None, {}, files)
    origin = Origin("s", block_bytes=20_000)
    told = [origin.share for _ in read(partition.identity, {file.path: file for file in files}, origin)]
    assert told == sorted(told)
    assert 0 < told[0] <= 0.5 < told[-1]
    assert origin.share == pytest.approx(1)


def test_every_job_but_gates_weighs_something(corpus, tmp_path):
    plan = prepare(curate.load(corpus), tmp_path / "work")
    weights = weigh(plan, plan.jobs.values(), shards_later=True)
    assert weights.jobs.keys() == {job.fp for job in plan.jobs.values() if job.task != "barrier"}
    assert min(weights.jobs.values()) > 0
    assert weights.later > 0


def test_counts_of_other_jobs_are_not_asked_for(tmp_path):
    (tmp_path / "running").mkdir()
    for fp in ("a", "b"):
        (tmp_path / "running" / f"{fp}.json").write_text('{"documents": 3, "share": 0.5}')
    assert running(Store(tmp_path), {"b", "c"}) == {"b": Counts(3, 0.5)}


@pytest.mark.parametrize(("every", "said"), [(1, 20), (10, 10), (100, 1)])
def test_a_log_has_a_line_for_every_5_percent(monkeypatch, capsys, every, said):
    """every: jobs of a hundred between which two seconds pass; the others end in the same moment."""
    clock, event = Clock(), started([1.0] * 100)
    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.setattr(progress.threading.Thread, "start", lambda thread: None)
    monkeypatch.setattr(progress.threading.Thread, "join", lambda thread: None)

    def events():
        yield event
        for number, job in enumerate(event.missing):
            clock.now += 2.0 if number % every == every - 1 else 0.0
            yield ended(job, 10)

    progress.follow(events())
    lines = [line for line in capsys.readouterr().err.splitlines() if "jobs done" in line]
    assert len(lines) == said
    assert "100%: 100 of 100 jobs done" in lines[-1]
