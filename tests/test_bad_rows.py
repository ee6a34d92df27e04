"""A run whose rows cannot be used ends before the release, and says so of all files of all sources at once."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from releases import one_source, rejected_rows, release

from curate.engine.execute import Started
from curate.errors import CurateError
from curate.release.make import Released, run_events


@pytest.fixture
def manifest(tmp_path) -> Path:
    good = b"".join(json.dumps({"text": f"line {n}"}).encode() + b"\n" for n in range(97))
    (tmp_path / "a.jsonl").write_bytes(good + b"nonsense\n" * 3)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(good, mtime=0) + b"\0" * 100)
    pq.write_table(pa.table({"text": ["a", None, "c"]}), tmp_path / "c.parquet")
    (tmp_path / "m.yaml").write_text(
        "name: t\nversion: 0.1.0\nlicense: mit\nsources:\n"
        "  lines: {inputs: [a.jsonl, b.jsonl.gz], max_bad_rows: 0.01}\n"
        "  table: {inputs: [c.parquet]}\n"
    )
    return tmp_path / "m.yaml"


def made(manifest: Path) -> list:
    return list(run_events(manifest, manifest.parent / "work", workers=0))


def test_all_files_with_too_many_bad_rows_are_named(manifest):
    with pytest.raises(CurateError) as caught:
        made(manifest)
    assert "a.jsonl: 3 of 100 rows cannot be used; line 98: not_json" in caught.value.what
    assert "c.parquet: 1 of 3 rows cannot be used; row 1: no_text" in caught.value.what
    assert "b.jsonl.gz" not in caught.value.what
    assert "sources.lines.max_bad_rows: 0.01" in caught.value.where
    assert "raise `max_bad_rows`" in caught.value.fix


def test_another_limit_reads_nothing_again(manifest):
    with pytest.raises(CurateError):
        made(manifest)
    text = manifest.read_text().replace("max_bad_rows: 0.01", "max_bad_rows: 0.03")
    manifest.write_text(text.replace("[c.parquet]", "[c.parquet], max_bad_rows: 0.5"))
    events = made(manifest)
    first = next(event for event in events if isinstance(event, Started))
    assert first.jobs == 0
    lock = events[-1].lock
    assert isinstance(events[-1], Released)
    files = {file["path"]: file for source in lock["sources"].values() for file in source["files"]}
    assert files["b.jsonl.gz"]["documents"] == 97
    assert "100 bytes after the end" in files["b.jsonl.gz"]["notes"][0]


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b'[\n  {"text": "a"},\n  {"text": "b"}\n]\n', "one JSON array: set `format: json`"),
        (b'[{"text": "a"}, {"text": "b"}]', "one JSON array: set `format: json`"),
        (b'{\n  "text": "a"\n}\n', "span several lines"),
        ('{"text": "a"}\n{"text": "b"}\n'.encode("utf-16"), "UTF-16"),
        ('{"text": "a"}\n{"text": "b"}\n'.encode("utf-16-le"), "UTF-16"),
        ('{"text": "a"}\n{"text": "b"}\n'.encode("utf-16-be"), "UTF-16"),
    ],
)
def test_a_file_that_is_something_else_is_told_so(manifest, content, fix):
    manifest.with_name("a.jsonl").write_bytes(content)
    manifest.write_text(manifest.read_text().replace("[c.parquet]", "[c.parquet], max_bad_rows: 1"))
    with pytest.raises(CurateError) as caught:
        made(manifest)
    assert fix in caught.value.fix


@pytest.mark.parametrize("order", [["length", "signals"], ["signals", "length"]])
def test_stages_that_add_one_column_in_other_types_fit_together(tmp_path, order):
    """`n_words` is int32 of `length` and int64 of `signals`."""
    pipeline = [{"length": {"min_words": 5}} if name == "length" else name for name in order]
    manifest = one_source(tmp_path, [{"text": "short"}, {"text": "long enough, and more " * 9}], pipeline)
    released = release(manifest, tmp_path / "work")
    assert released.lock["documents"] == 1
    assert [row["reason"] for row in rejected_rows(released.path)] == ["too_few_words"]
