"""Models are data of strangers: what does not fit together is refused before a kernel sees it."""

import contextlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import small_tokenizer

from curate.documents import utf8
from curate.errors import CurateError
from curate.kernels import fasttext as kernels
from curate.models import tokenizer as tokenizers
from curate.models.fasttext_model import Collapsed
from curate.testing import docs

TEXTS = utf8(docs("a few words of text", "", "日本語", "x " * 300)["text"])
NUMBERS = {"n_words": 3, "bucket": 7, "minn": 2, "maxn": 4, "word_ngrams": 2}
ARRAYS = {"keys": np.array([1, 3, 5], np.uint64), "rows": np.ones((10, 1)), "prune": np.empty(0, np.int32)}
ABOUT = {"labels": ["__label__hq", "__label__cc"], "source": "x", "numbers": NUMBERS}


def write(path, about=None, save=np.savez, **arrays):
    save(path, about=np.array(json.dumps(ABOUT | (about or {}))), **ARRAYS | arrays)
    return path


def test_one_that_fits(tmp_path):
    assert Collapsed.load(write(tmp_path / "m.npz")).score(*TEXTS).shape == (4,)
    pruned = np.array([-1, 3, 4, -1, -1, 5, 6], np.int32)
    assert Collapsed.load(write(tmp_path / "m.npz", prune=pruned)).score(*TEXTS).shape == (4,)


NUMBER = st.sampled_from(
    [-(10**6), -5, -1, 0, 1, 4, 8, 65, 10**6, 10**9, 2**40, 2**60, 2**70, 1.5, "x", None, True, []]
)
ODD_ARRAYS = st.one_of(
    st.fixed_dictionaries({"keys": st.sampled_from([np.empty(0, np.uint64), np.array([1], np.int8), np.array(7)])}),
    st.fixed_dictionaries({"keys": st.sampled_from([np.zeros(2000, np.uint64), np.ones((2, 2), np.uint64)])}),
    st.fixed_dictionaries(
        {"rows": st.sampled_from([np.zeros((0, 1)), np.zeros(10), np.array(["a"]), np.ones((9, 1))])}
    ),
    st.fixed_dictionaries(
        {"rows": st.sampled_from([np.full((10, 1), np.nan), np.ones((10, 2)), np.full((10, 1), 1e300)])}
    ),
    st.fixed_dictionaries({"rows": st.sampled_from([np.ones((10, 1), np.complex64), np.ones((10, 1), np.int64)])}),
    st.fixed_dictionaries({"prune": st.sampled_from([np.full(7, 10**9, np.int32), np.full(3, 1, np.int32)])}),
    st.fixed_dictionaries({"prune": st.sampled_from([np.full(7, -(2**31), np.int32), np.zeros(7), np.zeros((7, 1))])}),
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from([*NUMBERS, "evil"]), NUMBER, max_size=3), ODD_ARRAYS | st.just({}))
def test_what_does_not_fit_is_refused(tmp_path_factory, numbers, arrays):
    """Else the process would be gone: every number and array that is taken has the room that kernels believe in."""
    path = write(tmp_path_factory.mktemp("model") / "m.npz", {"numbers": NUMBERS | numbers}, **arrays)
    with contextlib.suppress(CurateError):
        model = Collapsed.load(path)
        found = model.features
        assert found.n_words <= len(found.keys)
        assert len(found.rows) >= found.n_words + (0 if len(found.prune) else found.bucket)
        if found.bucket <= 10**6:
            assert np.isfinite(model.score(*TEXTS)).all()


@pytest.mark.parametrize(
    "about",
    [{"labels": ["one"]}, {"labels": "xy"}, {"source": 5}, {"numbers": None}, {"numbers": [1]}, {"labels": [1, 2]}],
)
def test_what_it_says_of_itself(tmp_path, about):
    with pytest.raises(CurateError, match="collapsed model"):
        Collapsed.load(write(tmp_path / "m.npz", about))


def test_files_that_are_none(tmp_path):
    path = tmp_path / "m.npz"
    compressed = write(tmp_path / "c.npz", save=np.savez_compressed).read_bytes()
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr(
            "keys.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<u8', 'fortran_order': False, 'shape': (1099511627776,), }"
        )
        archive.writestr("about.npy", b"(" * 10_000)
    whole = write(tmp_path / "w.npz").read_bytes()
    for content in (compressed, (tmp_path / "z.npz").read_bytes(), b"", b"PK", whole[:300], whole[:-30], whole[50:]):
        path.write_bytes(content)
        with pytest.raises(CurateError, match="collapsed model"):
            Collapsed.load(path)


def test_a_dictionary_whose_keys_meet_is_found_out():
    assert len(kernels.index_keys(np.arange(1, 200_001, 2, dtype=np.uint64))) > 0
    assert len(kernels.index_keys(np.ones(100_000, np.uint64))) == 0


@pytest.mark.parametrize(
    "change",
    [
        {
            "model": {"type": "BPE", "vocab": {}, "merges": []},
            "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
        },
        {"model": {"type": "Unigram", "vocab": []}},
        {"model": {"type": "WordPiece"}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": False}},
        {"added_tokens": [{"id": -1, "content": "x"}]},
        {"normalizer": {"type": "Prepend", "prepend": None}},
    ],
)
def test_a_tokenizer_that_the_library_cannot_load(tmp_path, change):
    path = tmp_path / "tokenizer.json"
    spec = json.loads(Path(small_tokenizer()).read_text())
    path.write_text(json.dumps(spec | change))
    with pytest.raises(CurateError, match="a tokenizer"):
        tokenizers.load(str(path)).count(["some text", "", "日本語"])
