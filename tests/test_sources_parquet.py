"""Parquet files: texts of every kind, ranges of row groups, and files that describe themselves wrongly."""

import contextlib
import json
import os
import random
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_rows import table

from curate.errors import CurateError
from curate.sources import File, Origin, binary
from curate.sources.arrow_values import distinct
from curate.sources.formats import parquet
from curate.sources.parquet_pages import MISTAKES

# Parquet ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_text_of_every_kind(tmp_path, kind):
    found = table(tmp_path, {"text": pa.array(["a", "é", "a"]).cast(kind), "url": ["u", None, "v"]})
    assert [row["text"] for row in found] == ["a", "é", "a"]
    assert [row["url"] for row in found] == ["u", None, "v"]


def test_ranges_of_row_groups_cover_the_file_once(tmp_path):
    columns = {"text": [f"text {n}" for n in range(1000)]}
    whole = table(tmp_path, columns, row_group_size=64)
    file = File("a.parquet", str(tmp_path / "a.parquet"))
    for target in (1, 2000, 10**9):
        cuts = parquet.ranges(file, target)
        pieces = [list(parquet.read(file, origin=Origin("test"), rows=cut)) for cut in cuts]
        assert [row for piece in pieces for found in piece for row in found.to_pylist()] == whole
    assert len(parquet.ranges(file, 1)) == 16
    assert [row["position"] for row in whole] == list(range(1000))


def test_parquet_blocks_stay_small(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1000] * 100}), tmp_path / "a.parquet", use_dictionary=False)
    tables = parquet.read(File("a", str(tmp_path / "a.parquet")), origin=Origin("t", block_bytes=10_000))
    sizes = [found.num_rows for found in tables]
    assert sum(sizes) == 100
    assert max(sizes) <= 10


def test_parquet_rows_without_text(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", None]).buffers())
    columns = {"text": broken, "n": [1, None, 3]}
    found = table(tmp_path, columns)
    assert [(row["text"], row["reject"]) for row in found] == [
        ("a", None),
        (None, "not_utf8"),
        (None, "no_text"),
    ]
    assert [row["meta"] for row in found] == ['{"n": 1}', None, '{"n": 3}']


def test_parquet_odd_files(tmp_path):
    assert table(tmp_path, pa.table({"text": pa.array([], pa.string())})) == []
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    when = pa.array([1_600_000_000_123_456_789], pa.timestamp("ns"))
    [found] = table(tmp_path, {"text": ["a"], "url": broken, "date": when, "raw": [b"\xff"]})
    assert (found["text"], found["url"], found["date"]) == ("a", "\ufffd", "2020-09-13T12:26:40.123456789")
    assert json.loads(found["meta"]) == {"raw": "\ufffd"}
    [found] = table(tmp_path, {"text": ["a"], "n": pa.StructArray.from_arrays([broken], ["x"])})
    assert json.loads(found["meta"]) == {"n": {"x": "\ufffd"}}


def test_parquet_mistakes_say_what_to_do(tmp_path):
    with pytest.raises(CurateError) as caught:
        table(tmp_path, {"txt": ["a"]})
    assert "no column `text`" in caught.value.what
    assert "did you mean `txt`?" in caught.value.fix
    with pytest.raises(CurateError) as caught:
        table(tmp_path, {"text": [1], "content": ["a"]})
    assert "`text` is int64, not text" in caught.value.what
    assert "content" in caught.value.fix
    with pytest.raises(CurateError, match="no column `link` for url"):
        table(tmp_path, {"text": ["a"]}, columns={"url": "link"})
    with pytest.raises(CurateError, match=r"cannot read .*No such file"):
        parquet.ranges(File("c.parquet", str(tmp_path / "c.parquet")), 1)


@given(st.lists(st.none() | st.binary(max_size=40), max_size=30))
def test_binary_equals_arrow(values):
    array = binary(values)
    array.validate(full=True)
    assert array.equals(pa.array(values, pa.binary()))


def test_a_footer_that_would_end_the_process_loses_its_row_groups(tmp_path):
    """Arrow aborts where the levels of a column are other than those that its statistics count."""
    path, origin = tmp_path / "a.parquet", Origin("test")
    pq.write_table(pa.table({"text": ["a"] * 6, "more": [["x", None]] * 6}), path, row_group_size=2)
    whole = path.read_bytes()
    optional = b"\x25\x02\x18\x07element"
    assert whole.count(optional) == 1
    path.write_bytes(whole.replace(optional, optional.replace(b"\x02", b"\x00")))
    assert list(parquet.read(File("a.parquet", str(path)), origin=origin)) == []
    found = origin.of("a.parquet")
    assert found.lost == len(whole)
    assert "row group 0: its column metadata is wrong" in found.damage[0]


def test_no_more_of_a_file_is_lost_than_there_is(tmp_path):
    """Whatever a footer says of where row groups lie."""
    path, origin = tmp_path / "a.parquet", Origin("test")
    pq.write_table(pa.table({"text": ["some text"] * 40}), path, row_group_size=10, use_dictionary=False)
    whole, chance = path.read_bytes(), random.Random(3)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(4, len(data) - 8)] = chance.randrange(256)
        path.write_bytes(data)
        origin = Origin("test")
        with contextlib.suppress(CurateError):
            rows = sum(found.num_rows for found in parquet.read(File("a.parquet", str(path)), origin=origin))
            assert 0 <= origin.of("a.parquet").lost <= len(whole)
            assert rows >= 40 or origin.of("a.parquet").lost


def test_row_groups_of_a_row_each_are_read_together(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [None if number == 70 else f"text {number}" for number in range(200)]
    pq.write_table(pa.table({"text": texts, "x": range(200)}), path, row_group_size=1, write_page_checksum=True)
    (whole,) = parquet.read(File("a.parquet", str(path)), origin=Origin("test"))
    assert whole["text"].to_pylist() == texts
    assert whole["position"].to_pylist() == list(range(200))
    parts = parquet.read(File("a.parquet", str(path)), origin=Origin("test"), rows=(60, 90))
    assert pa.concat_tables(parts).equals(whole.slice(60, 30).combine_chunks())
    data = bytearray(path.read_bytes())
    data[data.index(b"text 9") + 1] ^= 1  # the sum of its page is wrong
    path.write_bytes(data)
    origin = Origin("test")
    found = pa.concat_tables(parquet.read(File("a.parquet", str(path)), origin=origin))
    assert found.num_rows == 199
    assert "row group 9:" in origin.of("a.parquet").damage[0]
    assert found["position"].to_pylist() == [*range(9), *range(10, 200)]


def test_a_file_that_describes_many_row_groups_wrongly_is_not_asked_for_each(tmp_path, monkeypatch):
    path, origin, forks = tmp_path / "a.parquet", Origin("test"), []
    pq.write_table(pa.table({"text": ["a"] * 40, "more": [["x", None]] * 40}), path, row_group_size=1)
    optional = b"\x25\x02\x18\x07element"
    path.write_bytes(path.read_bytes().replace(optional, optional.replace(b"\x02", b"\x00")))
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(1) or fork())
    assert list(parquet.read(File("a.parquet", str(path)), origin=origin)) == []
    assert len(forks) == MISTAKES


def test_columns_of_one_name_take_no_quadratic_time(tmp_path):
    path, count = tmp_path / "a.parquet", 2000
    pq.write_table(pa.table([["a"]] * count, ["text", *["x"] * (count - 1)]), path)
    start = time.process_time()
    (found,) = parquet.read(File("a.parquet", str(path)), origin=Origin("test"))
    assert len(json.loads(found["meta"][0].as_py())) == count - 1
    assert len(set(distinct(["x"] * 30_000))) == 30_000
    assert time.process_time() - start < 10
