"""Similarities and the sequential rule: against sets and exact fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import columns, untimed

from curate.kernels.bands import band_keys
from curate.kernels.jaccard import MET, estimated_jaccard, greedy, greedy_by_signature, jaccard
from curate.kernels.minhash import permutations, signatures
from curate.kernels.shingles import shingle_sets

MILLION = 10**6
# Texts of a few words, so that sets overlap in every degree.
corpora = st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=12).map(" ".join), max_size=25)


def true_jaccard(a: set, b: set) -> float:
    """Whole millionths, rounded down."""
    return floor(Fraction(len(a & b), len(a | b)) * MILLION) / MILLION if a | b else 1.0


def reference_greedy(keys: list[set], similarity, threshold: float):
    """The rule: drop a document if a kept earlier one shares a band and is similar enough."""
    kept, decisions = [], []
    for i in range(len(keys)):
        found = [(similarity(i, j), -j) for j in kept if keys[i] & keys[j]]
        best, j = max(found, default=(0.0, 0))
        if found and best >= threshold:
            decisions.append((-j, best))
        else:
            kept.append(i)
            decisions.append((-1, 0.0))
    return decisions


def prepare(texts: list[str], n: int, bands: int, rows: int):
    data, offsets = columns([text.encode() for text in texts])
    rows_of_signature = signatures(data, offsets, permutations(bands * rows), n)
    hashes, doc_offsets = shingle_sets(data, offsets, n)
    sets = [set(part.tolist()) for part in np.split(hashes, doc_offsets[1:-1])] if texts else []
    return rows_of_signature, band_keys(rows_of_signature, bands, rows), hashes, doc_offsets, sets


@untimed
@given(st.lists(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 9)), min_size=2, max_size=2))
def test_jaccard_is_the_true_one(pair):
    hashes = np.concatenate([np.array(sorted(part), np.uint64) for part in pair])
    offsets = np.cumsum([0, *map(len, pair)])
    left, right = np.array([0, 0, 1]), np.array([1, 0, 0])
    expected = [true_jaccard(pair[0], pair[1]), 1.0, true_jaccard(pair[1], pair[0])]
    assert jaccard(hashes, offsets, left, right).tolist() == expected


def test_estimated_jaccard_is_the_share_of_equal_places():
    rows = np.array([[1, 2, 3], [1, 5, 3], [7, 8, 9]], np.uint32)
    found = estimated_jaccard(rows, np.array([0, 0, 2]), np.array([1, 2, 2]))
    assert found.tolist() == [0.666666, 0.0, 1.0]


@untimed
@given(corpora, st.sampled_from([1, 2]), st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.8, 1.0]))
def test_greedy_equal_the_rule(texts, n, threshold):
    rows, keys, hashes, offsets, sets = prepare(texts, n, bands=4, rows=2)
    key_sets = [set(row) for row in keys.tolist()]

    duplicate_of, similarity = greedy(keys, hashes, offsets, threshold)
    expected = reference_greedy(key_sets, lambda i, j: true_jaccard(sets[i], sets[j]), threshold)
    assert list(zip(duplicate_of.tolist(), similarity.tolist(), strict=True)) == expected

    duplicate_of, similarity = greedy_by_signature(keys, rows, threshold)
    estimate = [[floor(Fraction(int((a == b).sum()), 8) * MILLION) / MILLION for b in rows] for a in rows]
    expected = reference_greedy(key_sets, lambda i, j: estimate[i][j], threshold)
    assert list(zip(duplicate_of.tolist(), similarity.tolist(), strict=True)) == expected


def test_greedy_on_documents_longer_than_their_bitmaps():
    """Edits of long texts on both sides of the threshold: sets of more than 1,024 shingles."""
    rng = np.random.default_rng(5)
    texts = []
    for _ in range(6):
        words = [f"w{word}" for word in rng.integers(0, 10**6, 3000)]
        for share in (0.0, 0.05, 0.09, 0.1, 0.11, 0.12, 0.3):
            edited = words.copy()
            for place in rng.choice(3000, int(3000 * share), replace=False):
                edited[place] = f"e{rng.integers(10**6)}"
            texts.append(" ".join(edited))
    texts = [texts[i] for i in rng.permutation(len(texts))]
    _, keys, hashes, offsets, sets = prepare(texts, 1, bands=32, rows=4)
    duplicate_of, similarity = greedy(keys, hashes, offsets, 0.8)
    key_sets = [set(row) for row in keys.tolist()]
    expected = reference_greedy(key_sets, lambda i, j: true_jaccard(sets[i], sets[j]), 0.8)
    assert list(zip(duplicate_of.tolist(), similarity.tolist(), strict=True)) == expected
    assert 6 < (duplicate_of < 0).sum() < len(texts)


def test_components_given_together_are_decided_as_if_alone():
    texts = [
        f"{group} {group} shared{group} {' '.join(f'{group}{k}' for k in range(i))}"
        for i in range(9)
        for group in "xyz"
    ]
    _, keys, hashes, offsets, _ = prepare(texts, 1, bands=8, rows=1)
    together, _ = greedy(keys, hashes, offsets, 0.6)
    for group in range(3):
        chosen = np.arange(group, len(texts), 3)
        _, keys_alone, hashes_alone, offsets_alone, _ = prepare([texts[i] for i in chosen], 1, 8, 1)
        alone, _ = greedy(keys_alone, hashes_alone, offsets_alone, 0.6)
        assert together[chosen].tolist() == [chosen[j] if j >= 0 else -1 for j in alone]


def test_a_million_copies_of_one_text():
    _, keys, hashes, _, _ = prepare(["one text that is there again and again"], 5, bands=4, rows=2)
    copies = 1_000_000
    duplicate_of, similarity = greedy(
        np.repeat(keys, copies, axis=0), np.tile(hashes, copies), np.arange(copies + 1) * len(hashes), 0.8
    )
    assert duplicate_of[0] == -1
    assert not duplicate_of[1:].any()
    assert (similarity[1:] == 1).all()


@pytest.mark.parametrize("size", [40, 4000])
def test_dissimilar_documents_that_share_a_band_are_all_kept(size):
    docs = 200_000 // size
    hashes = np.sort(np.random.default_rng(1).integers(0, 2**63, (docs, size)).astype(np.uint64), axis=1)
    keys = np.zeros((docs, 3), np.uint64)
    keys[:, 1:] = np.arange(2 * docs).reshape(docs, 2)
    duplicate_of, _ = greedy(keys, hashes.ravel(), np.arange(docs + 1) * size, 0.8)
    assert (duplicate_of == -1).all()


def test_of_many_kept_documents_of_a_band_the_latest_count():
    """Else whoever writes documents that agree in one band and in nothing else has all compared with all."""
    docs = MET + 2
    hashes = np.sort(np.arange(docs * 10, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).reshape(docs, 10)
    for last, leader in ((0, -1), (2, 2)):
        sets = np.vstack([hashes, hashes[last : last + 1]])
        sets[-1, 0] = 1  # else its fingerprint would find it
        offsets = np.arange(0, (docs + 2) * 10, 10)
        found, _ = greedy(np.ones((docs + 1, 1), np.uint64), np.sort(sets).ravel(), offsets, 0.8)
        assert found.tolist() == [-1] * docs + [leader]
