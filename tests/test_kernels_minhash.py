"""Shingles and signatures: against plain Python, and against datasketch."""

import re
from pathlib import Path

import datasketch
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import columns, documents, fold, reference_words, untimed

from curate.kernels.minhash import permutations, signatures
from curate.kernels.shingles import CHARACTERS, PIECES, WORDS, shingle_hashes, shingle_sets

lengths = st.integers(1, 6)
units = st.sampled_from([WORDS, CHARACTERS, PIECES])
M = (1 << 64) - 1


def mix64(h: int) -> int:
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & M
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & M
    return h ^ h >> 33


def reference_tokens(document: bytes, unit: int, folded: bool) -> list[str]:
    text = document.decode("utf-8", "surrogateescape")
    if unit == PIECES:
        return re.split("[^A-Za-z_0-9]", text)
    tokens = list(text) if unit == CHARACTERS else reference_words(document)
    return ["".join(map(fold, token)) for token in tokens] if folded else tokens


def reference_hashes(document: bytes, n: int, unit: int, folded: bool) -> list[int]:
    tokens = reference_tokens(document, unit, folded)
    if not tokens:
        h = 0xA0761D6478BD642F
        for byte in document:
            h = (h ^ byte) * 0xD6E8FEB86659FD93 & M
        return [mix64(h)]
    hashes = []
    for token in tokens:
        h = 0x2545F4914F6CDD1D
        for char in token:
            h = (h ^ ord(char)) * 0x9E3779B97F4A7C15 & M
        hashes.append(mix64(ord(token) + 1 if unit == CHARACTERS else h))
    grams = []
    for i in range(max(1, len(hashes) - n + 1)):
        h = 0
        for token_hash in hashes[i : i + n]:
            h = (h * 0xD6E8FEB86659FD93 + token_hash) & M
        grams.append(mix64(h))
    return grams


def split(values: np.ndarray, doc_offsets: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(values, doc_offsets[1:-1])] if len(doc_offsets) > 1 else []


@untimed
@given(documents, lengths, units, st.booleans())
def test_shingle_hashes_equal_the_reference(documents, n, unit, folded):
    expected = [reference_hashes(document, n, unit, folded) for document in documents]
    assert split(*shingle_hashes(*columns(documents), n, unit, folded)) == expected
    unique = [sorted(set(hashes)) for hashes in expected]
    assert split(*shingle_sets(*columns(documents), n, unit, folded)) == unique


@pytest.mark.parametrize("unit", [WORDS, CHARACTERS, PIECES])
def test_one_hash_one_ngram(unit):
    """On a real text, hashes are equal exactly where n-grams are."""
    document = Path(datasketch.minhash.__file__).read_bytes()
    tokens = reference_tokens(document, unit, folded=True)
    grams = list(zip(*(tokens[k:] for k in range(5)), strict=False))
    hashes, _ = shingle_hashes(*columns([document]), 5, unit)
    assert len(hashes) == len(grams)
    assert len(set(zip(hashes.tolist(), grams, strict=True))) == len(set(grams)) == len(set(hashes.tolist()))


@untimed
@given(documents, lengths, units, st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_signatures_equal_datasketch_fed_the_same_hashes(documents, n, unit, num_perm, seed):
    drawn = permutations(num_perm, seed)
    ours = signatures(*columns(documents), drawn, n, unit)
    assert ours.dtype == np.uint32
    assert ours.shape == (len(documents), num_perm)
    for row, hashes in zip(ours, split(*shingle_hashes(*columns(documents), n, unit)), strict=True):
        theirs = datasketch.MinHash(num_perm, seed=seed, scheme="affine32", hashfunc=lambda h: h & 0xFFFFFFFF)
        assert np.array_equal(theirs.permutations, drawn)
        theirs.update_batch(hashes)
        assert np.array_equal(theirs.hashvalues, row)


def test_signatures_load_as_lean_minhash_and_estimate_the_similarity():
    words = [f"word{i}" for i in range(3000)]
    pair = [" ".join(words[:2500]).encode(), " ".join(words[500:]).encode()]
    drawn = permutations(256, seed=7)
    rows = signatures(*columns(pair), drawn, 1)
    lean = [datasketch.LeanMinHash(seed=7, hashvalues=row, scheme="affine32") for row in rows]
    assert lean[0].jaccard(lean[1]) == np.mean(rows[0] == rows[1])
    assert lean[0].jaccard(lean[1]) == pytest.approx(2000 / 3000, abs=0.12)  # four standard errors


def test_long_documents_and_block_bounds():
    """More shingles than a block holds, and every remainder of the group of eight."""
    drawn = permutations(3)
    for count in [*range(1, 20), 511, 512, 513, 1025]:
        document = " ".join(map(str, range(count))).encode()
        hashes, _ = shingle_hashes(*columns([document]), 1)
        assert len(hashes) == count
        theirs = datasketch.MinHash(3, scheme="affine32", hashfunc=lambda h: h & 0xFFFFFFFF)
        theirs.update_batch(hashes.tolist())
        assert np.array_equal(signatures(*columns([document]), drawn, 1)[0], theirs.hashvalues)


def test_documents_without_words_differ_unless_they_are_the_same():
    rows = signatures(*columns([b"", b"!!!", b"???", b"!!!", b""]), permutations(16), 5)
    assert len(np.unique(rows, axis=0)) == 3
    assert np.array_equal(rows[1], rows[3])
    assert np.array_equal(rows[0], rows[4])


@pytest.mark.parametrize("unit", [WORDS, CHARACTERS, PIECES])
def test_five_megabytes_without_a_space(unit):
    assert signatures(*columns([b"x" * 5_000_000]), permutations(8), 5, unit).shape == (1, 8)
