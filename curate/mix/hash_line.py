"""The shuffle: order documents by hash, hold some out, cut the order into shards.

All documents lie on one hash line: the place of a document depends on its id and the seed alone, so the shuffle is
global, the same everywhere, and a document that is added or removed moves no other.
"""

from hashlib import blake2b
from math import floor

import numpy as np
import pyarrow as pa

from curate.documents import utf8
from curate.mix.curve import exact


def hash_line(ids: pa.ChunkedArray, seed: int) -> np.ndarray:
    """The place of each document on the line.

    ids  n ids of 32 hexadecimal digits. Returns uint64[n], uniform: the id's first 64 bits, keyed by the seed and
    mixed.
    """
    data, _ = utf8(ids)
    digits = data.reshape(-1, 32)[:, :16]
    nibbles = np.where(digits >= ord("a"), digits - (ord("a") - 10), digits - ord("0")).astype(np.uint64)
    word = np.zeros(len(digits), np.uint64)
    for column in range(16):
        word = (word << np.uint64(4)) | nibbles[:, column]
    key = int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    word ^= np.uint64(key)
    return _mixed(word)


def held_out(ids: pa.ChunkedArray, seed: int, share: float) -> np.ndarray:
    """bool[n]: the documents at the start of the line, which are held out for validation."""
    return hash_line(ids, seed) < held_out_end(share)


def held_out_end(share: float) -> np.uint64:
    """Where the rest of the line begins."""
    return np.uint64(floor(exact(share) * 2**64))


def shuffled(line: np.ndarray, phase: np.ndarray, copy: np.ndarray) -> np.ndarray:
    """uint64[m]: where each copy of a document stands in its phase, from its place on the line. Uniform, so that keys
    of which a phase takes more and less of the line are mixed all through it."""
    copies = (phase.astype(np.uint64) << np.uint64(32)) | copy.astype(np.uint64)
    return _mixed(line ^ _mixed(copies + np.uint64(1)))


def _mixed(word: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele, Lea, Flood 2014): uint64[n] to uint64[n], one to one."""
    word = word ^ (word >> np.uint64(30))
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def cut(size: np.ndarray, target: int) -> np.ndarray:
    """The shard of each document, for documents in the order of the line.

    size  integers [n], bytes. Returns uint32[n], from 0 up without a gap: as few shards as keep near `target` bytes,
    and all of about one size.
    """
    shard = shards_after(size, 0, int(size.sum(dtype=np.int64)), len(size), target)
    return np.cumsum(np.diff(shard, prepend=shard[:1]) > 0, dtype=np.uint32)


def shards_after(size: np.ndarray, earlier: int, total: int, documents: int, target: int) -> np.ndarray:
    """As `cut`, of some documents of many, and with the gaps that documents larger than a shard leave: uint32[n].

    earlier           bytes of the documents before these
    total, documents  of all
    """
    count = shard_count(total, documents, target)
    before = np.cumsum(size, dtype=np.int64) - size + earlier
    return np.minimum((before * (count / max(total, 1))).astype(np.uint32), np.uint32(count - 1))


def shard_count(total: int, documents: int, target: int) -> int:
    """As few shards as keep near `target` bytes, none without a document."""
    return min(max(1, -(-total // target)), max(1, documents))
