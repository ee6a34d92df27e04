"""What inputs are known by: local files by content and state, and a change between hashing and reading is noticed."""

import hashlib
import os
import sqlite3
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs as pafs

from curate.errors import CurateError, Stopped
from curate.sources import File, Origin, inputs, partitions, stores
from curate.sources.identify import Digests, identify


def known(path, work) -> File:
    [(file, told)] = identify([File(path.name, str(path))], work)
    assert told is None
    return file


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture
def hashed(monkeypatch) -> list:
    """Grows by one with each file that is hashed."""
    count, digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: count.append(1) or digest(*args))
    return count


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path, hashed):
    path, work = tmp_path / "a.jsonl", tmp_path / "work"
    path.write_bytes(b"first")
    first = known(path, work)
    assert (first.digest, first.size) == (sha256(b"first"), 5)
    assert known(path, work) == first
    assert len(hashed) == 1
    path.write_bytes(b"changed")
    assert (known(path, work).digest, len(hashed)) == (sha256(b"changed"), 2)
    with pytest.raises(CurateError, match="cannot read an input"):
        known(tmp_path / "none", work)


@pytest.mark.parametrize("how", ["in place", "by another file"])
def test_content_of_the_same_size_and_date_is_another_file(tmp_path, how):
    """As `cp -p`, `rsync -t` and `touch -r` leave it."""
    path, work = tmp_path / "a.jsonl", tmp_path / "work"
    path.write_bytes(b"one")
    before, first = path.stat(), known(path, work)
    target = path if how == "in place" else tmp_path / "b"
    target.write_bytes(b"two")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(target, path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    second = known(path, work)
    assert second.digest == sha256(b"two")
    with pytest.raises(Stopped, match="changed after it was hashed"), inputs.opened(first):
        pass
    with inputs.opened(second) as stream:
        assert stream.read() == b"two"


def test_a_change_right_after_the_hash_shows(tmp_path):
    """Whatever the clock of the file system: many times, as fast as can be."""
    path, work = tmp_path / "a.jsonl", tmp_path / "work"
    for number in range(5):
        path.write_bytes(b"%d one" % number)
        file = known(path, work)
        path.write_bytes(b"%d two" % number)
        with pytest.raises(Stopped), inputs.opened(file):
            pass


def test_a_change_while_it_is_read_is_noticed_before_its_part_is_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n' * 3)
    [partition] = partitions.partitions("s", None, {}, [known(path, tmp_path / "work")])
    files = {"a.jsonl": partition.pieces[0].file}
    assert sum(map(len, partitions.read(partition.identity, files, Origin("s")))) == 3
    blocks = partitions.read(partition.identity, files, Origin("s"))
    next(blocks)
    path.write_text('{"text": "two"}\n' * 3)
    with pytest.raises(Stopped, match="changed after it was hashed"):
        list(blocks)


def test_parquet_that_changed_is_noticed(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one"]}), path)
    file = known(path, tmp_path / "work")
    pq.write_table(pa.table({"text": ["two"]}), path)
    with pytest.raises(Stopped, match="changed after it was hashed"):
        inputs.random_access(file)


def test_a_file_that_does_not_stop_changing_stops_the_run(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x")
    digest = hashlib.file_digest

    def slow(stream, name):
        path.write_bytes(path.read_bytes() + b"x")
        return digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", slow)
    with pytest.raises(Stopped, match="changed while it was being hashed"):
        known(path, tmp_path / "work")


def other_shape(path):
    with sqlite3.connect(path) as memory:
        memory.execute("create table files (x)")
    memory.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"garbage" * 100),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000),
        other_shape,
        lambda path: path.mkdir(),
    ],
)
def test_a_damaged_memory_of_digests_is_made_anew(tmp_path, spoil, hashed):
    path, work = tmp_path / "a.jsonl", tmp_path / "work"
    path.write_bytes(b"x")
    work.mkdir()
    spoil(work / "digests.sqlite")
    assert known(path, work).digest == known(path, work).digest == sha256(b"x")
    assert len(hashed) == (2 if (work / "digests.sqlite").is_dir() else 1)


def test_a_link_in_the_place_of_the_memory_leads_nowhere(tmp_path):
    path, work, elsewhere = tmp_path / "a.jsonl", tmp_path / "work", tmp_path / "elsewhere"
    path.write_bytes(b"x")
    work.mkdir()
    (work / "digests.sqlite").symlink_to(elsewhere)
    assert known(path, work).digest == sha256(b"x")
    assert not elsewhere.exists()
    assert not (work / "digests.sqlite").is_symlink()


def test_a_digest_that_is_none_is_not_believed(tmp_path):
    path, work = tmp_path / "a.jsonl", tmp_path / "work"
    path.write_bytes(b"x")
    seen = known(path, work).seen
    digests = Digests(work)
    digests.keep(str(path), seen, 7)
    digests.close()
    assert known(path, work).digest == sha256(b"x")


@pytest.mark.parametrize("column", ["digest", "checksum", "seen"])
def test_a_digest_with_another_digit_is_not_believed(tmp_path, column):
    """SQLite has no checksums: a flipped bit of a page would give the input another name."""
    path, work = tmp_path / "a.jsonl", tmp_path / "work"
    path.write_bytes(b"x")
    known(path, work)
    with sqlite3.connect(work / "digests.sqlite") as memory:
        memory.execute(f"update files set {column} = replace({column}, '2', '3')")
    memory.close()
    assert known(path, work).digest == sha256(b"x")


def test_a_file_of_a_store_that_changes_while_it_is_read_stops_the_run(tmp_path, monkeypatch):
    path, url = tmp_path / "a.parquet", "s3://bucket/a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    monkeypatch.setattr(stores, "place_of", lambda url: (pafs.LocalFileSystem(), str(path), None))
    file = stores.as_told(File("a.parquet", url))
    reading = {"format": "parquet", "options": {}, "pieces": [(file.path, file.digest, (0, 1))]}
    assert [table.num_rows for table in partitions.read(reading, {file.path: file}, Origin("s"))] == [2]
    tables = partitions.read(reading, {file.path: file}, Origin("s"))
    next(tables)
    os.utime(path, ns=(1, 1))
    with pytest.raises(Stopped, match="an input changed"):
        list(tables)


def test_what_is_no_file_is_said(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(CurateError, match="not a regular file"):
            known(path, tmp_path / "work")
    started = time.monotonic()
    with pytest.raises(CurateError, match="not a regular file"), inputs.opened(File("pipe", str(tmp_path / "pipe"))):
        pass
    assert time.monotonic() - started < 5
