"""The table of keys counts as a dictionary does, whatever its secret, and no choice of keys makes it slow."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels import kernel
from curate.kernels.hash_table import add, append, draw_secret, find, seen, slot_of, table_size
from curate.stages.gopher_repetition import gopher_repetition
from curate.testing import docs

NUMBERS = st.integers(0, 2**64 - 1)
FEW = st.sampled_from([0, 1, 2, 2**32, 2**63, 2**64 - 1])


@kernel
def fill(keys, secret):
    """(counts of each key, whether it was seen before, slots passed over)."""
    size = table_size(len(keys))
    table, counts, other = np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.uint64)
    before, passed = np.zeros(len(keys), np.bool_), 0
    for i in range(len(keys)):
        mask = np.uint64(size - 1)
        slot = np.uint64(add(table, counts, size, keys[i], secret))
        passed += np.int64((slot - slot_of(keys[i], mask, secret)) & mask)
        before[i] = seen(other, size, keys[i], secret)
    found = np.zeros(len(keys), np.int64)
    for i in range(len(keys)):
        found[i] = counts[find(table, counts, size, keys[i], secret)]
    return found, before, passed


@kernel
def secrets(n):
    drawn = np.zeros(n, np.uint64)
    for i in range(n):
        drawn[i] = draw_secret()
    return drawn


@kernel
def text_key(data):
    return append(np.uint64(0), data, 0, len(data))


@settings(max_examples=50)
@given(st.lists(NUMBERS | FEW, min_size=1, max_size=60), NUMBERS, NUMBERS)
def test_counts_do_not_depend_on_the_secret(keys, one, other):
    expected = Counter(keys)
    for secret in (one | 1, other | 1):
        found, before, _ = fill(np.array(keys, np.uint64), np.uint64(secret))
        assert found.tolist() == [expected[key] for key in keys]
        if 0 not in keys or 1 not in keys:  # these two are one to a table without counts
            assert before.tolist() == [key in keys[:place] for place, key in enumerate(keys)]


def test_secrets_differ_and_are_odd():
    drawn = secrets(100)
    assert len(set(drawn.tolist())) == 100
    assert (drawn % 2 == 1).all()


def inverse_fold(low: int, n: int) -> np.ndarray:
    """Keys whose halves give the same number when one is laid over the other."""
    high = np.arange(n, dtype=np.uint64)
    return (high << np.uint64(32)) | (high ^ np.uint64(low))


N = 20_000
FAMILIES = {
    "in a row": np.arange(N, dtype=np.uint64),
    "high bits alone": np.arange(N, dtype=np.uint64) << np.uint64(44),
    "steps of a table": np.arange(N, dtype=np.uint64) << np.uint64(16),
    "halves that fold to one number": inverse_fold(12345, N),
    "multiples of the base": np.arange(N, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_of_keys_falls_on_few_slots(family):
    """Linear probing at half load passes over half a slot a key; one slot for all would be n / 2."""
    for secret in secrets(5):
        *_, passed = fill(FAMILIES[family], secret)
        assert passed < 5 * N, secret


def test_lines_with_chosen_hashes_are_counted_right():
    """Lines whose hashes agree in the bits that once chose their slot."""
    rng, chosen = np.random.default_rng(0), []
    letters = rng.integers(97, 123, (200_000, 7), np.uint8)
    for line in letters:
        key = int(text_key(line))
        if (key ^ key >> 32) & 255 == 7:
            chosen.append(bytes(line).decode())
    assert len(chosen) > 500
    table = docs("\n".join(chosen), "\n".join(chosen + chosen[: len(chosen) // 2]))
    found = [gopher_repetition(table, max_duplicate_lines=0.3) for _ in range(2)]
    assert found[0].equals(found[1])
    assert found[0]["reject"].to_pylist() == [None, "duplicate_lines"]
