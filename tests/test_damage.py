"""Files of which something could not be read: in the lock one by one, and a run stops where it is too much."""

from dataclasses import replace
from functools import wraps

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from releases import release, released_rows, rows, write_jsonl, write_manifest

from curate.cli.render import plan_lines, release_lines
from curate.engine.damage import SHOWN
from curate.engine.execute import Ended
from curate.errors import CurateError, Stopped
from curate.inspect.status import plan as plan_of_run
from curate.release import make
from curate.release.make import prepare, run_events
from curate.sources import partitions
from curate.sources.format_api import formats
from curate.sources.formats import jsonl


@pytest.fixture
def damaged(monkeypatch):
    """{path: bytes} that the reader of JSON lines loses; {path: (rows, bad rows)} that it cannot use."""
    lost, bad, read = {}, {}, jsonl.read

    @wraps(read)
    def losing(file, *, origin, **options):
        yield from read(file, origin=origin, **options)
        if file.path in lost:
            origin.lose(file.path, 10, 10 + lost[file.path], "no sound frame")
            origin.note(file.path, "5 bytes after the end")
        if file.path in bad:
            found = origin.of(file.path)
            found.rows, found.bad_rows = bad[file.path]
            found.first_bad = "line 3: not_json"

    monkeypatch.setitem(formats(), "jsonl", replace(jsonl.FORMAT, read=losing))
    return lost, bad


def manifest(folder, files=4, **source):
    for number in range(files):
        write_jsonl(folder / "in" / f"{number}.jsonl", rows(number, 20))
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": {"s": {"inputs": ["in"]} | source}}
    return write_manifest(folder / "m.yaml", document)


def test_what_is_lost_within_bounds_stands_in_the_lock_and_is_told(tmp_path, damaged):
    damaged[0].update({"1.jsonl": 7})
    made = release(manifest(tmp_path), tmp_path / "work")
    entries = {entry["path"]: entry for entry in made.lock["sources"]["s"]["files"]}
    assert entries["1.jsonl"]["lost"] == 7
    assert entries["1.jsonl"]["damage"] == ["bytes 10 to 17: no sound frame"]
    assert entries["1.jsonl"]["documents"] == 20
    assert set(entries["0.jsonl"]) == {"path", "digest", "documents"}
    lines = list(release_lines(made.typed, made.path))
    assert "damaged in s: 1.jsonl: 7 bytes lost, 20 documents read" in lines
    assert "note on s: 1.jsonl: 5 bytes after the end" in lines
    card = (made.path / "README.md").read_text()
    assert "\n\n- 1.jsonl of s is damaged: 7 of its bytes could not be read.\n\n" in card


def test_too_much_damage_stops_the_run_after_the_other_files_and_names_all(tmp_path, damaged):
    lost, bad = damaged
    lost.update({"1.jsonl": 5000, "2.jsonl": 3000})
    bad.update({"3.jsonl": (20, 4)})
    path, events = manifest(tmp_path), []
    with pytest.raises(CurateError) as caught:
        events.extend(run_events(path, tmp_path / "work", workers=0))
    assert caught.value.exit_code == 2
    for told in ("1.jsonl: 5,000 bytes lost", "2.jsonl: 3,000 bytes lost", "3.jsonl: 4 of 20 rows cannot be used"):
        assert told in caught.value.what
    assert "0.jsonl" not in caught.value.what
    assert not (tmp_path / "work" / "releases").exists()
    again = []
    with pytest.raises(CurateError):
        again.extend(run_events(path, tmp_path / "work", workers=0))
    assert not any(isinstance(event, Ended) for event in again)  # what was read is not read again
    path = manifest(tmp_path, max_damaged=1, max_bad_rows=0.2)
    entries = {entry["path"]: entry for entry in release(path, tmp_path / "work").lock["sources"]["s"]["files"]}
    assert (entries["2.jsonl"]["lost"], entries["3.jsonl"]["bad_rows"]) == (3000, 4)


def test_one_array_is_told_as_such_and_many_files_are_counted(tmp_path, damaged):
    for number in range(SHOWN + 5):
        damaged[0][f"{number}.jsonl"] = 9000
    with pytest.raises(CurateError, match="and 5 more files"):
        list(run_events(manifest(tmp_path, SHOWN + 5), tmp_path / "work", workers=0))


def test_an_empty_release_names_the_damage_that_was_allowed(tmp_path):
    path = manifest(tmp_path, 1, max_damaged=1)
    (tmp_path / "in" / "0.jsonl").write_bytes(b"\x1f\x8b\x08\0 no gzip at all")
    with pytest.raises(CurateError, match=r"no documents were kept\n  0.jsonl: \d+ bytes lost; bytes 0 to"):
        list(run_events(path, tmp_path / "work", workers=0))


def test_a_parquet_file_that_is_read_in_ranges_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(partitions, "RANGE_BYTES", 1000)
    table = pa.table({"text": [f"document {number} of a table" for number in range(400)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": {"s": {"inputs": ["a.parquet"]}}}
    path = write_manifest(tmp_path / "m.yaml", document)
    plan = plan_of_run(path, tmp_path / "work")
    assert plan["sources"]["s"]["partitions"] == 4
    [entry] = release(path, tmp_path / "work").lock["sources"]["s"]["files"]
    assert (entry["path"], entry["documents"]) == ("a.parquet", 400)


def test_files_that_were_not_taken_stand_in_plan_lock_and_report(tmp_path):
    path = manifest(tmp_path)
    for name in ("b.md", "a.txt"):
        (tmp_path / "in" / name).write_text("x")
    found = plan_of_run(path, tmp_path / "work")
    line = "not read in s (unknown extension): 2 files: a.txt, b.md"
    assert line in list(plan_lines(found))
    made = release(path, tmp_path / "work")
    expected = [{"why": "unknown extension", "files": 2, "paths": ["a.txt", "b.md"]}]
    assert made.lock["sources"]["s"]["not_taken"] == expected
    assert line in list(release_lines(made.typed, made.path))
    assert "- 2 files of s were found but not read: unknown extension.\n" in (made.path / "README.md").read_text()


def test_an_input_that_changes_between_planning_and_reading_stops_the_run(tmp_path, monkeypatch):
    """And the release after it is that of what was there: no part is kept under the digest of other content."""
    path, work = manifest(tmp_path, 1), tmp_path / "work"
    first, second = ([{"text": f"{word} " * 50}] for word in ("one", "two"))
    write_jsonl(tmp_path / "in" / "0.jsonl", first)

    def then_changed(*args):
        plan = prepare(*args)
        write_jsonl(tmp_path / "in" / "0.jsonl", second)
        return plan

    with monkeypatch.context() as patch:
        patch.setattr(make, "prepare", then_changed)
        with pytest.raises(Stopped, match="changed after it was hashed"):
            release(path, work)
    for content in (first, second):
        write_jsonl(tmp_path / "in" / "0.jsonl", content)
        assert [row["text"] for row in released_rows(release(path, work).path)] == [content[0]["text"]]


def test_all_sources_with_inputs_that_are_not_data_are_named_at_once(tmp_path):
    (tmp_path / "page.warc.gz").write_bytes(b"<html>Sign in</html>")
    (tmp_path / "pointer.jsonl").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n")
    sources = {name: {"inputs": [file]} for name, file in (("a", "page.warc.gz"), ("b", "pointer.jsonl"))}
    document = {"name": "n", "version": "1.0.0", "license": "mit", "sources": sources}
    with pytest.raises(CurateError) as caught:
        plan_of_run(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    assert "page.warc.gz: an HTML page" in str(caught.value)
    assert "pointer.jsonl: a Git LFS pointer" in str(caught.value)
