"""A hash table of 64-bit keys and counts that crafted texts cannot slow down.

Where a key goes depends on a secret number that each call of a kernel draws anew: whoever writes the texts knows the
hashes of their parts, and would else choose parts that all fall on one slot and take quadratic time. No result depends
on it: what is counted of a key is the same wherever it lies.
"""

import numpy as np

from curate.kernels import device

BASE = np.uint64(0x9E3779B97F4A7C15)
_ONE, _HALF = np.uint64(1), np.uint64(32)


@device
def append_byte(h, byte):
    """``append`` of one byte."""
    return h * BASE + (np.uint64(byte) + _ONE)


@device
def append(h, data, start, end):
    """Hash of the bytes so far, which is ``h``, 0 for none, and ``data[start:end]`` after them.

    The hash is a polynomial in the bytes, mod 2^64, so that the hash of a text is
    ``hash(left) * BASE**len(right) + hash(right)``.
    """
    for i in range(start, end):
        h = append_byte(h, data[i])
    return h


@device
def eight_bytes(data, i):
    """``data[i:i + 8]`` as one number, which takes one load as no index can be negative."""
    i = np.uint64(i)
    word = np.uint64(0)
    for k in range(8):
        word |= np.uint64(data[i + np.uint64(k)]) << np.uint64(8 * k)
    return word


@device
def text_hash(data, start, end):
    """Another hash of ``data[start:end]``, for long texts: of eight bytes at a time."""
    h = np.uint64(end - start)
    while start + 8 <= end:
        h = (h ^ eight_bytes(data, start)) * BASE
        h ^= h >> _HALF
        start += 8
    return append(h, data, start, end)


@device
def draw_secret():
    """A random odd number: uint64. The generator is the kernels' own, which starts from the system's randomness."""
    return np.uint64(np.random.randint(0, 1 << 62)) * np.uint64(2) + _ONE


@device
def slot_of(key, mask, secret):
    """Where to look first: two keys meet there by chance alone, whatever they are.

    Multiplication by a secret odd number (Dietzfelbinger et al. 1997), its high bits spread over all by another.
    """
    key = key * secret
    key = (key ^ (key >> _HALF)) * BASE
    return (key ^ (key >> _HALF)) & mask


@device
def table_size(n):
    """Slots for ``n`` keys: a power of two, at most half full."""
    size = 4
    while size < 2 * n:
        size *= 2
    return size


@device
def add(keys, counts, size, key, secret):
    """Count ``key`` once more in the first ``size`` slots: its slot. Those with a count of 0 are free."""
    mask = np.uint64(size - 1)
    slot = slot_of(key, mask, secret)
    while counts[slot] != 0 and keys[slot] != key:
        slot = (slot + _ONE) & mask
    keys[slot] = key
    counts[slot] += 1
    return np.int64(slot)


@device
def find(keys, counts, size, key, secret):
    """Slot of ``key``, or -1."""
    mask = np.uint64(size - 1)
    slot = slot_of(key, mask, secret)
    while counts[slot] != 0:
        if keys[slot] == key:
            return np.int64(slot)
        slot = (slot + _ONE) & mask
    return -1


@device
def seen(keys, size, key, secret):
    """Whether ``key`` is in the first ``size`` slots of a table without counts, where it is from now on.

    Free slots hold 0, and so the key 0 counts as 1.
    """
    mask = np.uint64(size - 1)
    key = max(key, _ONE)
    slot = slot_of(key, mask, secret)
    while keys[slot] != key:
        if keys[slot] == 0:
            keys[slot] = key
            return False
        slot = (slot + _ONE) & mask
    return True
