"""A run with nothing to do leaves the release alone, and writes one again in which anything changed."""

import json
import os
from pathlib import Path

import pytest

import curate
from curate.release.lock import load_lock

MANIFEST = "name: same\nversion: 1.0.0\nlicense: mit\nsources:\n  a: {inputs: [a.jsonl]}\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [json.dumps({"text": f"The text of document {number}."}) for number in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "same.yaml").write_text(MANIFEST)
    return tmp_path / "same.yaml"


def run(manifest: Path) -> Path:
    *_, last = curate.run_events(manifest, manifest.parent / "work", workers=0)
    return last.path


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_to_do_leaves_the_folder_as_it_is(manifest: Path):
    release = run(manifest)
    before = release.stat().st_ino, content(release)
    assert run(manifest) == release
    assert (release.stat().st_ino, content(release)) == before


def shard(release: Path) -> Path:
    return release / next(file.path for file in load_lock(release).files if file.path.startswith("data/"))


def flipped(path: Path) -> None:
    """Another byte, and the size and time of change of before."""
    times, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda release: flipped(shard(release)),
        lambda release: shard(release).unlink(),
        lambda release: (release / "README.md").write_text("mine"),
        lambda release: (release / "more.txt").write_text("mine"),
    ],
    ids=["a byte", "a file gone", "a page", "a file more"],
)
def test_what_changed_in_the_release_is_written_again(manifest: Path, change):
    release = run(manifest)
    before = content(release)
    change(release)
    assert content(release) != before
    run(manifest)
    assert content(release) == before


def test_a_damaged_part_is_found(manifest: Path):
    release = run(manifest)
    before = content(release)
    size = shard(release).stat().st_size
    part = next(
        path for path in (manifest.parent / "work" / "store").glob("??/*.parquet") if path.stat().st_size == size
    )
    flipped(part)
    run(manifest)
    assert content(release) == before
    assert part.read_bytes() == shard(release).read_bytes()


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"states": {}, "checksum": "0"}', b"\xff"])
def test_a_note_that_is_not_ours_counts_for_nothing(manifest: Path, note: bytes):
    release = run(manifest)
    before = content(release)
    for path in (manifest.parent / "work" / "store" / "released").iterdir():
        path.write_bytes(note)
    flipped(shard(release))
    run(manifest)
    assert content(release) == before
