"""A table of 64-bit keys and their counts, open-addressed, in arrays used for one document after another."""

import numpy as np

from curate.kernels import device
from curate.kernels.hashing import mix64

_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
_ONE = np.uint64(1)


@device
def append_byte(h, power, byte):
    """``append`` of one byte."""
    return h + (np.uint64(byte) + _ONE) * power, power * _BASE


@device
def append(h, power, data, start, end):
    """Hash, and power, of the bytes so far and ``data[start:end]`` after them.

    The hash is a polynomial in the bytes, mod 2^64, and the power is the base to their number, so that the
    hash of a text is ``hash(left) + power(left) * hash(right)``. They begin as 0 and 1. Keys mix the hash.
    """
    for i in range(start, end):
        h, power = append_byte(h, power, data[i])
    return h, power


@device
def inverse(n, start):
    """``start`` times what undoes the power of ``n`` bytes, mod 2^64."""
    for _ in range(n):
        start *= _INVERSE
    return start


@device
def byte_hash(data, start, end):
    """``append`` from nothing, mixed: a key."""
    return mix64(append(np.uint64(0), _ONE, data, start, end)[0])


@device
def table_size(n):
    """Slots for ``n`` keys: a power of two, at most half full."""
    size = 4
    while size < 2 * n:
        size *= 2
    return size


@device
def add(keys, counts, size, key):
    """Count ``key`` once more in the first ``size`` slots: its slot. Those with a count of 0 are free."""
    mask = np.uint64(size - 1)
    slot = key & mask
    while counts[slot] != 0 and keys[slot] != key:
        slot = (slot + _ONE) & mask
    keys[slot] = key
    counts[slot] += 1
    return np.int64(slot)


@device
def find(keys, counts, size, key):
    """Slot of ``key``, or -1."""
    mask = np.uint64(size - 1)
    slot = key & mask
    while counts[slot] != 0:
        if keys[slot] == key:
            return np.int64(slot)
        slot = (slot + _ONE) & mask
    return -1


@device
def seen(keys, size, key):
    """Whether ``key`` is in the first ``size`` slots of a table without counts, where it is from now on.

    Free slots hold 0, and so the key 0 counts as 1.
    """
    mask = np.uint64(size - 1)
    key = max(key, _ONE)
    slot = key & mask
    while keys[slot] != key:
        if keys[slot] == 0:
            keys[slot] = key
            return False
        slot = (slot + _ONE) & mask
    return True
