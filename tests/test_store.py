"""Parts are there whole or not at all, and what was damaged is never passed over."""

import errno
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.engine.store import Damaged, Store, Writer
from curate.errors import Stopped

FP = "ab" * 16


def column_part(store: Store, fp: str, blocks: list[dict]) -> None:
    with store.commit(fp) as (draft, counts):
        with Writer(draft) as writer:
            for block in blocks:
                writer.write(pa.table(block))
        counts["rows"] = sum(len(next(iter(block.values()))) for block in blocks)


def test_a_part_is_there_once_it_has_its_marker(tmp_path):
    store = Store(tmp_path)
    with store.commit(FP) as (draft, counts):
        with Writer(draft) as writer:
            writer.write(pa.table({"a": [1, 2, 3]}))
        counts["rows"] = 3
        assert store.marker(FP) is None
    marker = store.marker(FP)
    assert (marker["rows"], marker["bytes_on_disk"]) == (3, store.part(FP).stat().st_size)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [f"{FP}.json", f"{FP}.parquet"]
    assert list(store.fingerprints()) == [FP]
    store.discard(FP)
    store.discard(FP)
    assert store.marker(FP) is None
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (ValueError("x"), ValueError), (OSError(errno.EIO, "x"), Stopped)],
)
def test_nothing_stays_of_a_commit_that_fails(tmp_path, error, raised):
    store = Store(tmp_path)
    with pytest.raises(raised), store.commit(FP) as (draft, _):  # noqa: PT012
        draft.write_bytes(b"half a part")
        raise error
    assert list(tmp_path.rglob("*.*")) == []


def test_a_full_disk_can_be_resumed(tmp_path):
    with pytest.raises(Stopped) as caught, Store(tmp_path).commit(FP) as (draft, _):
        raise OSError(errno.ENOSPC, "No space left on device", str(draft))
    assert caught.value.exit_code == 3
    assert "--work" in caught.value.fix


def test_a_marker_changed_by_a_digit_is_none(tmp_path):
    """Whatever it counts: keys, splits, rows. So is the marker of another part."""
    store, other = Store(tmp_path), "cd" * 16
    for fp in (FP, other):
        with store.commit(fp) as (draft, counts):
            with Writer(draft) as writer:
                writer.write(pa.table({"a": [1, 2]}))
            counts |= {"rows": 2, "keys": [0, 1], "splits": [{"shards": 3, "share": 0.5}], "by": {7: 1, 10: 2}}
    whole = store.marker_path(FP).read_text()
    digits = [place for place, one in enumerate(whole) if one.isdigit()]
    assert store.marker(FP)["keys"] == [0, 1]
    assert len(digits) > 20
    for place in digits:
        store.marker_path(FP).write_text(whole[:place] + str(9 - int(whole[place])) + whole[place + 1 :])
        assert store.marker(FP) is None, whole[place - 20 : place + 1]
        with pytest.raises(Damaged):
            next(store.stream([FP]))
    store.marker_path(FP).write_bytes(store.marker_path(other).read_bytes())
    assert store.marker(FP) is None


@pytest.mark.parametrize("marker", ["", "{", "[]", "null", "{}", '{"bytes_on_disk": 5}'])
def test_a_marker_that_says_nothing_is_none(tmp_path, marker):
    store = Store(tmp_path)
    column_part(store, FP, [{"a": [1, 2]}])
    store.marker_path(FP).write_text(marker)
    assert store.marker(FP) is None


@pytest.mark.parametrize("place", [Store.part, Store.marker_path])
def test_a_folder_in_the_place_of_a_part_makes_way(tmp_path, place):
    store = Store(tmp_path)
    place(store, FP).mkdir(parents=True)
    (place(store, FP) / "file").write_bytes(b"x")
    assert store.marker(FP) is None
    column_part(store, FP, [{"a": [1, 2]}])
    assert next(store.blocks({FP: ["a"]})).num_rows == 2
    place(store, FP).unlink()
    place(store, FP).mkdir()
    store.discard(FP)
    assert list(tmp_path.rglob("*.*")) == []


def test_the_same_rows_give_the_same_bytes_however_they_are_chunked(tmp_path):
    table = pa.table({"source": ["a", "b", "a"] * 100, "text": [str(number) for number in range(300)]})
    chunked = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])
    written = []
    for number, one in enumerate((table, chunked)):
        with Writer(tmp_path / str(number)) as writer:
            writer.write(one)
        written.append((tmp_path / str(number)).read_bytes())
    assert written[0] == written[1]


@given(st.lists(st.integers(0, 9), max_size=8), st.randoms(use_true_random=False))
def test_parts_of_a_partition_are_read_side_by_side(tmp_path_factory, sizes, chance):
    """Blocks follow the first part, however the others are cut."""
    store = Store(tmp_path_factory.mktemp("store"))
    total = sum(sizes)
    values = list(range(total))
    starts = np.cumsum([0, *sizes])
    column_part(
        store,
        "aa" * 16,
        [{"a": pa.array(values[s : s + n], pa.int64())} for s, n in zip(starts, sizes, strict=False)]
        or [{"a": pa.array([], pa.int64())}],
    )
    cuts = sorted(chance.choices(range(total + 1), k=3))
    pieces = [values[start:stop] for start, stop in zip([0, *cuts], [*cuts, total], strict=True)]
    column_part(
        store, "bb" * 16, [{"b": pa.array(piece, pa.int64()), "c": pa.array(piece, pa.int64())} for piece in pieces]
    )
    blocks = list(store.blocks({"aa" * 16: ["a"], "bb" * 16: ["b"]}))
    assert [block.num_rows for block in blocks] == (sizes or [0])
    assert all(block.column_names == ["a", "b"] and block["a"].equals(block["b"]) for block in blocks)
    assert [value for block in blocks for value in block["a"].to_pylist()] == values
    for row in range(total):
        assert store.row("bb" * 16, row) == {"b": row, "c": row}


def test_no_flipped_byte_is_passed_over(tmp_path):
    """Each flip is found, or lies where it changes nothing that is read."""
    store, chance = Store(tmp_path), random.Random(5)
    texts = [str(chance.random()) for _ in range(2000)]
    column_part(
        store, FP, [{"text": texts[:1000], "source": ["a", "b"] * 500}, {"text": texts[1000:], "source": ["c"] * 1000}]
    )
    whole = store.part(FP).read_bytes()
    read = {"aa": ["text", "source"]}
    read = {FP: read["aa"]}
    sound = list(store.blocks(read))
    found = 0
    for place in chance.sample(range(len(whole)), 300):
        store.part(FP).write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :]
        )
        try:
            assert list(store.blocks(read)) == sound, f"byte {place} of {len(whole)}"
        except Damaged as damaged:
            assert damaged.fp == FP
            found += 1
    assert found > 200


def test_a_block_that_fails_leaves_no_file_open(tmp_path):
    writer = Writer(tmp_path / "part")

    def fail():
        with writer:
            writer.write(pa.table({"n": [1, 2]}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not writer.file.is_open
    assert writer.file.file_handle.closed
