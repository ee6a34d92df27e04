"""No document stops a run, whatever it makes a stage or a reader raise: it is out by name, and it alone."""

import json
import textwrap
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import one_source, rejected_rows, release, released_rows

from curate.engine import guard as guards
from curate.engine import job_sandbox
from curate.engine.apply import Configured
from curate.engine.execute import Lost
from curate.engine.guard import Guard, of_document
from curate.errors import CurateError, Stopped
from curate.inspect.explain import explain
from curate.release.make import run_events
from curate.sources import File, Origin, archive, parquet_rows, partitions
from curate.sources.format_api import formats
from curate.sources.formats import jsonl, parquet
from curate.stage_api import Stage, reject, set_column
from curate.testing import docs

PAGES = ["first page", "BAD page", "SPAM page", "second page", "third page", "another BAD page", "fourth page"]


def failing(bad) -> Configured:
    """A stage that raises on the texts of `bad`, and counts the letters of others."""

    def run(table: pa.Table) -> pa.Table:
        texts = table["text"].to_pylist()
        for text in texts:
            if text in bad:
                raise bad[text]
        table = set_column(table, "n", pa.array([len(text) for text in texts], pa.int32()))
        return reject(table, odd=pa.array([len(text) % 2 == 1 for text in texts], pa.bool_()))

    return Configured("careless", Stage("careless", "map", 1, run), {})


class Panic(BaseException):
    """As a library in Rust panics: no Exception."""


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "bad", "worse"]), min_size=1, max_size=40))
@settings(max_examples=60)
def test_who_is_out_depends_on_each_document_alone(texts):
    bad = {"bad": KeyError("x"), "worse": Panic("y")}
    found = Guard()(failing(bad), docs(*texts))
    expected = ["careless_failed" if text in bad else "odd" if len(text) % 2 else None for text in texts]
    assert found["reject"].to_pylist() == expected
    assert found["n"].to_pylist() == [None if text in bad else len(text) for text in texts]
    assert found["n"].type == pa.int32()


@pytest.mark.parametrize("error", [CurateError("a setting"), Stopped("the disk"), MemoryError(), KeyboardInterrupt()])
def test_what_is_no_document_s_fault_stays_an_error(error):
    assert not of_document(error)
    with pytest.raises(type(error)):
        Guard()(failing({"bad": error}), docs("a", "bad"))


def test_a_stage_that_fails_without_a_document_is_not_tried_on_each():
    def broken(table):
        raise ImportError("no such library")

    with pytest.raises(ImportError):
        Guard()(Configured("broken", Stage("broken", "map", 1, broken), {}), docs())


def test_a_stage_that_takes_no_document_is_given_up(monkeypatch):
    monkeypatch.setattr(guards, "HOPELESS", 5)
    stage = failing({"bad": ValueError("no number")})
    with pytest.raises(CurateError, match=r"`careless` fails on each of the first 5.*ValueError: no number"):
        Guard()(stage, docs(*["bad"] * 9))
    guard = Guard()
    assert guard(stage, docs("aa", *["bad"] * 9))["reject"].null_count == 1
    assert guard.failures["careless"][0]["error"] == "ValueError: no number"
    assert len(guard.failures["careless"]) == guards.SHOWN


@pytest.mark.parametrize("block_bytes", [1, 1500])
def test_a_run_goes_on_without_the_document(tmp_path, odd_stages, block_bytes):
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("curate.engine.jobs.Origin", lambda source: Origin(source, block_bytes=block_bytes))
    manifest = one_source(tmp_path, [{"text": text} for text in PAGES], ["picky"])
    last = release(manifest, tmp_path / "work")
    assert {row["text"] for row in released_rows(last.path)} == {PAGES[0], PAGES[3], PAGES[4], PAGES[6]}
    reasons = {row["position"]: (row["stage"], row["reason"]) for row in rejected_rows(last.path)}
    assert reasons == {1: ("picky", "picky_failed"), 2: ("picky", "spam"), 5: ("picky", "picky_failed")}
    counts = last.lock["stages"][0]["sources"]["only"]
    assert (counts["in"], counts["kept"], counts["reasons"]) == (7, 4, {"picky_failed": 2, "spam": 1})
    (warning,) = last.lock["warnings"]
    bad = next(row["id"] for row in rejected_rows(last.path) if row["position"] == 1)
    assert warning.startswith("`picky` failed on 2 documents of source `only`")
    assert f"{bad} (KeyError)" in warning
    (found,) = explain(manifest, bad, tmp_path / "work")
    assert found["reason"] == "picky.picky_failed"
    assert "no such key" in found["steps"][-1]["columns"]["error"]
    monkeypatch.undo()
    assert last.lock["digest"] == release(manifest, tmp_path / "other").lock["digest"]


def test_a_stage_that_fails_on_most_documents_stops_the_run(tmp_path, odd_stages):
    manifest = one_source(tmp_path, [{"text": text} for text in ("a page", "BAD", "BAD again")], ["picky"])
    with pytest.raises(CurateError, match=r"`picky` fails on 2 of 3 documents of source `only`.*KeyError") as caught:
        release(manifest, tmp_path / "work")
    assert "manifest.yaml" in caught.value.where


def test_one_failing_document_of_two_does_not(tmp_path, odd_stages):
    manifest = one_source(tmp_path, [{"text": "a page"}, {"text": "BAD"}], ["picky"])
    assert release(manifest, tmp_path / "work").lock["documents"] == 1


# Readers


def _file(path) -> File:
    return File(path.name, str(path), path.stat().st_size)


def _read(module, path, **options) -> tuple[list[dict], Origin]:
    origin = Origin("s")
    return [row for table in module.read(_file(path), origin=origin, **options) for row in table.to_pylist()], origin


def test_a_key_that_is_half_a_character_stops_no_run(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        '{"text": "good"}',
        '{"\\ud800": 1}',
        '{"text": "ok", "url": "http://\\ud800/", "x": {"\\udc00": "\\ud800"}}',
    ]
    path.write_text("\n".join(lines))
    rows, origin = _read(jsonl, path)
    assert [row["reject"] for row in rows] == [None, "no_text", None]
    assert origin.files["a.jsonl"].bad_rows == 1


def test_a_value_that_arrow_does_not_take_is_of_one_row(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n')
    row_of = jsonl.row_of

    def odd(line, place):
        (found,) = row_of(line, place)
        return [found._replace(others=(object(), *found.others[1:])) if found.text == "two" else found]

    monkeypatch.setattr(jsonl, "row_of", odd)
    rows, _ = _read(jsonl, path)
    assert [(row["text"], row["reject"]) for row in rows] == [("one", None), (None, "unreadable"), ("three", None)]
    assert rows[1]["position"] == 1
    assert rows[1]["id"]
    assert "ArrowTypeError" in rows[1]["meta"]


def test_a_row_of_parquet_that_cannot_be_had_is_out_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", "two", "three"]}), path)
    table_of = parquet_rows._table

    def odd(batch, *args):
        if "two" in batch["text"].to_pylist():
            raise OverflowError("a date")
        return table_of(batch, *args)

    monkeypatch.setattr(parquet_rows, "_table", odd)
    rows, origin = _read(parquet, path)
    assert [(row["text"], row["reject"]) for row in rows] == [("one", None), (None, "unreadable"), ("three", None)]
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert origin.files["a.parquet"].bad_rows == 1


def test_a_record_that_cannot_be_used_is_out_alone(monkeypatch):
    def odd(block):
        raise IndexError("no such place")

    monkeypatch.setattr(archive.http, "parse", odd)
    block = b"HTTP/1.1 200 OK\r\n\r\n"
    record = SimpleNamespace(damage=None, kind="response", digest=None, http=True, block=block, unusable=None)
    content, damage = archive._content(record)
    assert damage.reason == "unreadable"
    assert "no such place" in damage.detail
    assert content.payload is None


def test_a_reader_that_fails_loses_the_file_by_name(tmp_path, monkeypatch):
    def odd(file, *, origin):
        yield from ()
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(formats(), "jsonl", replace(jsonl.FORMAT, read=odd))
    path, origin = tmp_path / "a.jsonl", Origin("s")
    path.write_text("{}")
    read = {"format": "jsonl", "options": {}, "pieces": [["a.jsonl", "", None]]}
    assert list(partitions.read(read, {"a.jsonl": _file(path)}, origin)) == []
    assert origin.files["a.jsonl"].lost == 2
    assert "ZeroDivisionError: by zero" in origin.files["a.jsonl"].damage[0]


CRASHING = """
    import os
    from curate.sources.formats import jsonl

    row_of = jsonl.row_of

    def crash(line, place):
        if b"POISON" in line:
            {how}
        return row_of(line, place)

    jsonl.row_of = crash
"""


@pytest.mark.parametrize("how", ["os._exit(7)", "while True: pass"])
def test_a_reader_that_crashes_or_hangs_costs_its_file_alone(tmp_path, monkeypatch, how):
    """The process that reads has the fault, and no other: so it is in its sitecustomize."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(textwrap.dedent(CRASHING).format(how=how))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=":")
    monkeypatch.setenv("CURATE_HANG_SECONDS", "1")
    monkeypatch.setattr(job_sandbox, "sys", SimpleNamespace(platform="another"))  # which makes no copies of processes
    manifest = one_source(tmp_path, [{"text": f"page {number} " + "x" * 9000} for number in range(20)], [])
    text = json.dumps({"text": "POISON page"})
    lines = (tmp_path / "in.jsonl").read_text().splitlines()
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:15], text, *lines[15:]]) + "\n")
    (tmp_path / "more.jsonl").write_text('{"text": "of another file"}\n')
    manifest.write_text(
        manifest.read_text().replace("- in.jsonl", "- '*.jsonl'").replace("only:", "only:\n    max_damaged: 1")
    )
    *events, last = run_events(manifest, tmp_path / "work", workers=0)
    assert any(isinstance(event, Lost) for event in events)
    texts = [row["text"][:7] for row in released_rows(last.path)]
    assert "of anot" in texts
    assert "page 0 " in texts
    assert "page 19" not in texts
    (damaged,) = [file for file in last.lock["sources"]["only"]["files"] if file.get("damage")]
    assert damaged["path"] == "in.jsonl"
    assert "crashed or hung" in damaged["damage"][0]
