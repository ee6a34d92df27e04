"""The hash line and the cut of shards, against plain Python."""

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.mix.hash_line import cut, hash_line

WORD = (1 << 64) - 1


def place(id: str, seed: int) -> int:
    """SplitMix64's finalizer over the id's first 64 bits, keyed by the seed."""
    word = int(id[:16], 16) ^ int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return word ^ (word >> 31)


ids = st.lists(st.integers(0, (1 << 128) - 1).map("{:032x}".format), max_size=20)


@given(ids, st.integers())
def test_hash_line(ids, seed):
    line = hash_line(pa.chunked_array([pa.array(ids, pa.string())]), seed)
    assert line.dtype == np.uint64
    assert line.tolist() == [place(id, seed) for id in ids]


def test_hash_line_reads_slices():
    ids = pa.array([f"{number:032x}" for number in range(9)])
    chunked = pa.chunked_array([ids.slice(2, 3), ids.slice(7, 2)])
    assert hash_line(chunked, 1).tolist() == [place(id, 1) for id in chunked.to_pylist()]


def test_another_seed_is_another_order():
    ids = pa.chunked_array([pa.array([f"{number << 64:032x}" for number in range(100)])])
    orders = {tuple(np.argsort(hash_line(ids, seed))) for seed in range(5)}
    assert len(orders) == 5


@given(st.lists(st.integers(0, 10_000), max_size=300), st.integers(1, 20_000))
def test_cut(sizes, target):
    shard = cut(np.array(sizes, np.int64), target)
    assert shard.tolist() == sorted(shard.tolist())
    assert set(shard.tolist()) == set(range(len(set(shard.tolist()))))
    total, largest = sum(sizes), max(sizes, default=0)
    wanted = max(1, -(-total // target))
    assert len(set(shard.tolist())) <= wanted
    for number in set(shard.tolist()):
        held = sum(size for size, where in zip(sizes, shard, strict=True) if where == number)
        assert held <= total / min(wanted, len(sizes)) + largest + 1


def test_shards_are_of_about_one_size():
    size = np.full(1000, 1000, np.int64)
    counts = np.bincount(cut(size, 300_000))
    assert counts.tolist() == [250] * 4


@pytest.mark.parametrize("sizes", [[], [0], [0, 0, 0], [5]])
def test_cut_of_next_to_nothing(sizes):
    assert cut(np.array(sizes, np.int64), 10).tolist() == [0] * len(sizes)
