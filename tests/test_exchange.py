"""Rows come out of the bin they were sent to, in order, and nothing that was damaged is passed over."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.engine.exchange import END, BinnedWriter, merge, of_all, of_bin
from curate.engine.store import Damaged, Store

PARTS = [f"{number:02x}" * 16 for number in range(8)]
BINS = 5
COLUMNS = {
    "doc": pa.uint64(),
    "text": pa.string(),
    "reason": pa.dictionary(pa.int32(), pa.string()),
    "at": pa.list_(pa.struct({"place": pa.int64()})),
}
ROW = st.tuples(st.integers(0, BINS - 1), st.sampled_from([None, "", "a", "long " * 40_000]), st.booleans())


def rows_of(rows: list[tuple]) -> pa.Table:
    """Documents as they come, each for a bin."""
    bins, texts, marked = ([row[n] for row in rows] for n in range(3))
    columns = {
        "doc": range(len(rows)),
        "text": texts,
        "reason": ["short" if mark else None for mark in marked],
        "at": [[{"place": bin}] if mark else None for bin, mark in zip(bins, marked, strict=True)],
    }
    table = pa.table(
        {
            name: pa.array(columns[name], pa.string()).dictionary_encode()
            if name == "reason"
            else pa.array(columns[name], kind)
            for name, kind in COLUMNS.items()
        }
    )
    return table.append_column("bin", pa.array(bins, pa.uint32()))


def write(store: Store, fp: str, *blocks: pa.Table) -> None:
    with store.commit(fp) as (draft, counts), BinnedWriter(draft, counts) as writer:
        for block in blocks:
            writer.write(block)
            writer.flush()


def held(store: Store, fps: list[str], number: int, columns: list[str] | None = None) -> list[list]:
    return [[place, *row.values()] for place, table in of_bin(store, fps, number, columns) for row in table.to_pylist()]


@given(st.lists(st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_bin_has_what_was_sent_to_it(tmp_path_factory, parts):
    """Of every part what each of its blocks had, in order; the same of parts that were merged, in any groups."""
    store, blocks = Store(tmp_path_factory.mktemp("store")), [[rows_of(rows) for rows in part] for part in parts]
    fps = PARTS[: len(parts)]
    for fp, part in zip(fps, blocks, strict=True):
        write(store, fp, *part)
    merged = []
    for first in range(0, len(fps), 2):
        with store.commit(PARTS[7 - first]) as (draft, counts):
            merge(store, {"parts": fps[first : first + 2], "first": first, "local": True}, draft, counts)
        merged.append(PARTS[7 - first])
    for number in range(BINS + 1):
        sent = [
            [place, *row.values()]
            for place, part in enumerate(blocks)
            for block in part
            for row in block.filter(pa.array(np.array(block["bin"]) == number)).drop_columns("bin").to_pylist()
        ]
        assert held(store, fps, number) == sent
        assert held(store, fps, number, ["at", "doc"]) == [[row[0], row[4], row[1]] for row in sent]
        assert [row[1:] for row in held(store, merged, number)] == [[row[0] << 32 | row[1], *row[2:]] for row in sent]
    for place, table in of_all(store, fps):
        assert table.schema.equals(blocks[place][0].drop_columns("bin").schema)
    assert sum(table.num_rows for _, table in of_all(store, merged)) == sum(
        len(rows) for part in parts for rows in part
    )


def test_a_part_is_a_stream_that_arrow_reads(tmp_path):
    store, block = Store(tmp_path), rows_of([(3, "a", True), (1, "b", False)])
    write(store, PARTS[0], block)
    with pa.ipc.open_stream(store.part(PARTS[0], ".arrows").read_bytes()) as stream:
        assert stream.read_all()["text"].to_pylist() == ["b", "a"]


def test_merging_reads_few_bytes_at_a_time(tmp_path, monkeypatch):
    """However the bins are cut into what is read at once, the merged part is the same."""
    store = Store(tmp_path)
    for fp in PARTS[:2]:
        write(store, fp, rows_of([(number % BINS, "a" * 1000, True) for number in range(200)]))
    made, reads, read_range = [], [], Store.read_range
    monkeypatch.setattr(Store, "read_range", lambda *args: reads.append(args[-1]) or read_range(*args))
    for size in (1 << 30, 200_000, 1):
        monkeypatch.setattr("curate.engine.exchange.GATHERED_BYTES", size)
        reads.clear()
        with store.commit(PARTS[3]) as (draft, counts):
            merge(store, {"parts": PARTS[:2], "first": 0, "local": False}, draft, counts)
        made.append((store.part(PARTS[3], ".arrows").read_bytes(), len(reads)))
    assert made[0][0] == made[1][0] == made[2][0]
    assert [count for _, count in made] == [2 + 2, 2 + 2 * 3, 2 + 2 * BINS]


def test_no_flipped_byte_is_passed_over(tmp_path):
    """Each flip is found, or lies where no reader looks: in the schema in front, or the mark that ends the stream."""
    store, chance, fp = Store(tmp_path), random.Random(5), PARTS[0]
    texts = [str(chance.random()) for _ in range(400)] + ["a" * 70_000]
    write(store, fp, rows_of([(number % BINS, text, False) for number, text in enumerate(texts)]))
    part = store.part(fp, ".arrows")
    whole, sound = part.read_bytes(), [held(store, [fp], number) for number in range(BINS)]
    head = len(next(of_bin(store, [fp], 0))[1].schema.serialize())
    index = store.counts(fp)["bins"][0]
    unread = {*range(head), *range(index - len(END), index)}
    for place in [*chance.sample(range(len(whole)), 300), head, len(whole) - 1]:
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        try:
            assert [held(store, [fp], number) for number in range(BINS)] == sound
            assert place in unread
        except Damaged as damaged:
            assert damaged.fp == fp


def test_only_a_readers_own_bin_must_be_sound(tmp_path):
    store, fp = Store(tmp_path), PARTS[0]
    write(store, fp, rows_of([(0, "first", False), (1, "second", False)]))
    part = store.part(fp, ".arrows")
    whole, end = part.read_bytes(), store.counts(fp)["bins"][0] - len(END)
    part.write_bytes(whole[: end - 1] + bytes([whole[end - 1] ^ 1]) + whole[end:])
    assert [row[2] for row in held(store, [fp], 0)] == ["first"]
    with pytest.raises(Damaged):
        held(store, [fp], 1)
    part.unlink()
    with pytest.raises(Damaged):
        held(store, [fp], 0)


def test_a_binned_part_of_parquet_is_made_anew(tmp_path):
    """Stores of before have such parts; their markers list a bin for each row group."""
    store, fp = Store(tmp_path), PARTS[0]
    with store.commit(fp) as (draft, counts):
        pq.write_table(pa.table({"doc": [1]}), draft)
    old = store.marker_path(fp).read_bytes()
    with store.commit(fp) as (draft, counts):
        pq.write_table(pa.table({"doc": [1]}), draft)
        counts["bins"] = [0]
    store.part(fp, ".arrows").rename(store.part(fp))
    assert store.marker_path(fp).read_bytes() != old
    assert store.marker(fp) is None
    assert store.markers([fp]) == set()
    write(store, fp, rows_of([(0, "a", False)]))
    assert store.markers([fp]) == {fp}
    assert [path.suffix for path in sorted(tmp_path.rglob("*.*"))] == [".arrows", ".json"]


def test_a_block_that_fails_leaves_no_file_open(tmp_path):
    writer = BinnedWriter(tmp_path / "part", {})

    def fail():
        with writer:
            writer.write(rows_of([(0, "a", False)]))
            writer.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert writer.file.closed
    assert not writer.counts
