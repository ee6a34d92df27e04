"""The kernels of picture hashes: difference hashes as ImageHash has them, who meets whom, and who stays."""

import io

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.base.pictures import decoded
from curate.kernels.image_hash import (
    MOST_DISTANCE,
    bit_counts,
    difference_hashes,
    first_kept,
    meeting_keys,
    near_edges,
)

HASH = st.integers(0, 2**64 - 1)


def near(seed: int, hashes: int, around: int, most: int) -> list[int]:
    """Hashes that differ in some bits from one of a few."""
    chance = np.random.default_rng(seed)
    centers = [int(one) for one in chance.integers(0, 2**64 - 1, around, np.uint64)]
    found = []
    for _ in range(hashes):
        value = centers[chance.integers(around)]
        for bit in chance.choice(64, chance.integers(0, most + 1), replace=False):
            value ^= 1 << int(bit)
        found.append(value)
    return found


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "I;16"])
def test_the_hash_is_that_of_imagehash(mode):
    chance = np.random.default_rng(len(mode))
    for width, height in ((9, 8), (1, 1), (64, 48), (300, 7), (33, 200)):
        if mode == "I;16":
            picture, kind = Image.fromarray(chance.integers(0, 1 << 16, (height, width), np.uint16)), "PNG"
        else:
            pixels = Image.fromarray(chance.integers(0, 256, (height, width, 3), np.uint8))
            picture, kind = pixels.convert(mode), "TIFF" if mode == "CMYK" else "PNG"
        stream = io.BytesIO()
        picture.save(stream, kind)
        found = difference_hashes(decoded(stream.getvalue()).points[None])[0]
        expected = imagehash.dhash(Image.open(io.BytesIO(stream.getvalue())))
        assert int(found) == int(str(expected), 16)


@given(st.lists(HASH, max_size=20))
def test_bits_are_counted(hashes):
    assert bit_counts(np.array(hashes, np.uint64)).tolist() == [one.bit_count() for one in hashes]


@given(HASH, st.integers(0, MOST_DISTANCE), st.data())
def test_hashes_within_the_distance_meet(one, most, data):
    bits = data.draw(st.sets(st.integers(0, 63), max_size=most))
    other = one ^ sum(1 << bit for bit in bits)
    keys = meeting_keys(np.array([one, other], np.uint64), most)
    assert (keys[0] == keys[1]).any()


def test_few_hashes_meet_that_are_not_alike():
    hashes = np.random.default_rng(0).integers(0, 2**64 - 1, 2000, np.uint64)
    keys = meeting_keys(hashes, 4)
    met = sum(len(column) - len(np.unique(column)) for column in keys.T)
    assert met < 200, "of 30 million pairs"


@given(st.integers(0, 10**6), st.integers(0, MOST_DISTANCE))
def test_edges_join_what_is_alike_and_nothing_else(seed, most):
    hashes = near(seed, 30, 4, most + 2)
    docs = np.random.default_rng(seed).integers(0, 20, 30).astype(np.uint64)
    keys = meeting_keys(np.array(hashes, np.uint64), most)
    rows = sorted(
        (int(key), one, int(doc)) for every, one, doc in zip(keys, hashes, docs, strict=True) for key in every
    )
    key, held, doc = (np.array(column, np.uint64) for column in zip(*rows, strict=True))
    number = np.unique(doc, return_inverse=True)[1]
    first, other = near_edges(key, held, doc, number, most)
    assert len(first) < 20
    found = groups(20, list(zip(first.tolist(), other.tolist(), strict=True)))
    every = [(i, j) for i in range(30) for j in range(i) if distance(hashes[i], hashes[j]) <= most]
    assert found == groups(20, [(int(docs[i]), int(docs[j])) for i, j in every])


def groups(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """The least member of the component of each."""
    label = list(range(count))
    for _ in range(count):
        for one, other in edges:
            label[one] = label[other] = min(label[one], label[other])
    return label


@given(st.integers(0, 10**6), st.integers(0, MOST_DISTANCE))
def test_who_stays_is_decided_one_after_the_other(seed, most):
    chance = np.random.default_rng(seed)
    sizes = chance.integers(0, 4, 25)
    hashes = near(seed, int(sizes.sum()), 6, most + 1)
    known = chance.random(len(hashes)) < 0.8
    copies = chance.integers(0, max(len(hashes) // 2, 1), len(hashes))
    hashes = [hashes[copy] for copy in copies]  # of the same bytes
    known = known[copies]
    offsets = np.append(0, np.cumsum(sizes))
    found = first_kept(offsets, copies, np.array(hashes, np.uint64), known, most)
    assert [list(map(int, one)) for one in found] == by_hand(offsets, copies, hashes, known, most)


def by_hand(offsets, copies, hashes, known, most) -> list[list[int]]:
    held, kept, differ = [], [], []  # held: (place, copy, hash or None) of the pictures of kept documents
    for place in range(len(offsets) - 1):
        mine = range(offsets[place], offsets[place + 1])
        best = []
        for picture in mine:
            same = [(-1, at) for at, copy, _ in held if copy == copies[picture]]
            alike = [(distance(one, hashes[picture]), at) for at, _, one in held if one is not None and known[picture]]
            best.append(min([*same, *(pair for pair in alike if pair[0] <= most)], default=None))
        if best and all(best):
            kept.append(int(best[0][1]))
            differ.append(int(max(bits for bits, _ in best)))
        else:
            kept.append(-1)
            differ.append(-1)
            held += [(place, copies[picture], hashes[picture] if known[picture] else None) for picture in mine]
    return [kept, differ]
