"""Arrays and tables that outgrow memory are the same as those that do not."""

import os
import tempfile
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import untimed

from curate.base import spill as scratch

limits = st.sampled_from([1, 40, 1 << 20])


@untimed
@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=9)), limits)
def test_a_pile_holds_what_was_added(arrays, limit):
    with patch.object(scratch, "IN_MEMORY", limit):
        pile = scratch.Pile(np.uint64)
        for array in arrays:
            pile.add(np.array(array, np.uint64))
        assert pile.array().tolist() == [number for array in arrays for number in array]


@pytest.mark.parametrize("limit", [1, 1 << 20])
@pytest.mark.parametrize("shape", [0, 7, (3, 5), (0, 5)])
def test_zeros(limit, shape, monkeypatch):
    monkeypatch.setattr(scratch, "IN_MEMORY", limit)
    made = scratch.zeros(shape, np.int64)
    assert (made == np.zeros(shape)).all()
    made += 1
    assert made.sum() == made.size


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room on a disk")
def test_room_on_the_disk_is_there_before_it_is_written(monkeypatch):
    make, held = tempfile.TemporaryFile, []

    def watched():
        file = make()
        held.append(os.dup(file.fileno()))
        return file

    monkeypatch.setattr(scratch, "IN_MEMORY", 1)
    monkeypatch.setattr(scratch.tempfile, "TemporaryFile", watched)
    made = scratch.zeros(1 << 20, np.uint8)
    assert os.fstat(held[0]).st_blocks * 512 >= made.nbytes
    os.close(held[0])


@untimed
@given(st.lists(st.lists(st.text(max_size=9)), min_size=1), limits)
def test_tables_end_to_end(lists, limit):
    tables = [pa.table({"text": pa.array(texts, pa.string())}) for texts in lists]
    with patch.object(scratch, "IN_MEMORY", limit):
        assert scratch.together(iter(tables)).equals(pa.concat_tables(tables))


def test_nothing_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "IN_MEMORY", 1)
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))

    def tables():
        yield pa.table({"a": [1, 2]})
        yield pa.table({"a": [3]})
        assert not list(tmp_path.iterdir())  # nor would, were the process killed here

    table = scratch.together(tables())
    pile = scratch.Pile(np.int64)
    pile.add(np.arange(3))
    assert not list(tmp_path.iterdir())
    assert table["a"].to_pylist() == [1, 2, 3]
    assert pile.array().tolist() == [0, 1, 2]
