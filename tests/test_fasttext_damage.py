"""Files that are no fastText model, or a damaged one."""

import fasttext
import numpy as np
import pytest
from fasttext_models import (
    pack,
    train,
    trained,  # noqa: F401
)
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.models.fasttext_file import load_model
from curate.models.fasttext_model import Classifier, Collapsed, can_collapse, collapse


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model"])
def test_a_damaged_collapsed_model_is_an_error(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(CurateError, match="collapsed model"):
        Collapsed.load(tmp_path / "a.npz")


def test_unsupported_models_are_told_apart(tmp_path):
    train(tmp_path / "ova.bin", loss="ova")
    model = load_model(tmp_path / "ova.bin")
    assert not can_collapse(model)
    assert not Classifier.supports(model)
    with pytest.raises(CurateError, match="ova"):
        collapse(model, "1")
    with pytest.raises(CurateError, match="ova"):
        Classifier(model)
    train(tmp_path / "three.bin", classes=3)
    model = load_model(tmp_path / "three.bin")
    assert not can_collapse(model)
    assert Classifier.supports(model)


def test_models_of_another_kind_are_errors(tmp_path):
    train(tmp_path / "labels.bin")
    options = {
        "model": "skipgram",
        "dim": 4,
        "epoch": 1,
        "thread": 1,
        "bucket": 50,
        "minCount": 1,
        "verbose": 0,
    }
    vectors = fasttext.train_unsupervised(str(tmp_path / "labels.txt"), **options)
    vectors.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(CurateError, match="word-vector"):
        load_model(tmp_path / "vectors.bin")
    with pytest.raises(CurateError, match="cannot read"):
        load_model(tmp_path / "absent.bin")
    for content in (b"", b"__label__", b"\0" * 100, (tmp_path / "labels.txt").read_bytes()):
        (tmp_path / "other.bin").write_bytes(content)
        with pytest.raises(CurateError, match="not a fastText model"):
            load_model(tmp_path / "other.bin")
    content = bytearray((tmp_path / "labels.bin").read_bytes())
    content[4] = 99
    (tmp_path / "other.bin").write_bytes(content)
    with pytest.raises(CurateError, match="version 99"):
        load_model(tmp_path / "other.bin")


@pytest.mark.parametrize("name", ["bigrams", "pruned", "hs-qout"])
def test_a_file_cut_off_anywhere_is_an_error(trained, tmp_path, name):
    content = trained(name)[1].read_bytes()
    for size in {*range(8, 120, 9), *range(8, len(content), len(content) // 25), len(content) - 1}:
        (tmp_path / "cut.bin").write_bytes(content[:size])
        with pytest.raises(CurateError, match="damaged"):
            load_model(tmp_path / "cut.bin")
    (tmp_path / "long.bin").write_bytes(content + b"x")
    with pytest.raises(CurateError, match="should end"):
        load_model(tmp_path / "long.bin")


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_a_changed_byte_is_an_error_or_a_model_that_runs(trained, tmp_path_factory, data):
    content = bytearray(trained("pruned")[1].read_bytes())
    place = data.draw(st.one_of(st.integers(8, 120), st.integers(8, len(content) - 1)))
    content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.bin"
    path.write_bytes(content)
    try:
        classifier = Classifier(load_model(path))
        probabilities = classifier.probabilities(*pack(["the quick 日本語 fox", "</s>", ""]))
    except CurateError:
        return
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.parametrize("shape", [(1 << 62, 8), (0, 1 << 62), (1 << 32, 1 << 31), (-1, 8)])
def test_a_matrix_of_an_impossible_shape_is_an_error(tmp_path, shape):
    """NumPy would raise ValueError, or ask for the moon."""
    path = tmp_path / "m.bin"
    train(path)
    data, shown = path.read_bytes(), np.array(load_model(path).input.shape, "<i8").tobytes()
    assert data.count(shown) == 1
    path.write_bytes(data.replace(shown, np.array(shape, "<i8").tobytes()))
    with pytest.raises(CurateError, match="damaged"):
        load_model(path)
