"""`quality` scores as fastText does, with one model or several, and only rejects when told to."""

import fasttext
import numpy as np
import pytest
from models import model, sentence

from curate.errors import CurateError
from curate.models.fasttext_file import load_model
from curate.models.fasttext_model import collapse
from curate.stage_api import find_stage
from curate.testing import check, docs

QUALITY = find_stage("quality")
TEXTS = [sentence(label, seed, 12) for seed in range(20) for label in ("hq", "cc")]


def score(*texts, **params):
    params = QUALITY.configure({"model": str(model())} | params)
    check("quality", docs(*texts), params)
    return QUALITY(docs(*texts), **params)


def library(path, texts):
    """P(hq) of each text by the fastText library."""
    names, values = fasttext.load_model(str(path)).predict([text.replace("\n", " ") for text in texts], k=-1)
    return [min(dict(zip(*pair, strict=True))["__label__hq"], 1) for pair in zip(names, values, strict=True)]


@pytest.mark.parametrize(
    ("labels", "loss"), [(("hq", "cc"), "softmax"), (("hq", "cc", "fr"), "hs"), (("hq", "cc"), "ova")]
)
def test_scores_are_those_of_the_library(labels, loss):
    path, texts = model(labels, loss=loss), [text.replace(" ", "\n", 2) for text in TEXTS]
    found = score(*texts, model=str(path))["quality"].to_numpy()
    assert np.allclose(found, library(path, texts), rtol=0, atol=2e-5)
    assert (found.astype(np.float64).round(6).astype(np.float32) == found).all()


def test_nothing_is_rejected_unless_a_least_score_is_given():
    assert score(*TEXTS)["reject"].null_count == len(TEXTS)
    rejected = score(*TEXTS, min_score=0.5)["reject"].to_pylist()
    assert rejected == [None, "low_quality"] * 20


def test_a_document_at_the_least_score_stays():
    exact = score(TEXTS[0])["quality"][0].as_py()
    assert score(TEXTS[0], min_score=exact)["reject"].to_pylist() == [None]
    assert score(TEXTS[0], min_score=exact + 2e-6)["reject"].to_pylist() == ["low_quality"]


def test_several_models_score_as_each_alone(tmp_path):
    paths = {"two": model(), "three": model(("hq", "cc", "fr"), loss="hs"), "wide": model(dim=16)}
    together = score(*TEXTS, model={name: str(path) for name, path in paths.items()})
    for name, path in paths.items():
        assert together[name].equals(score(*TEXTS, model=str(path))["quality"])
    assert "quality" not in together.column_names


def test_the_collapsed_form_scores_as_the_model(tmp_path):
    small = tmp_path / "small.npz"
    collapse(load_model(model()), "hq").save(small)
    assert score(*TEXTS, model=str(small)).equals(score(*TEXTS))


def test_the_other_label_can_be_scored():
    assert np.allclose(
        score(*TEXTS, label="cc")["quality"].to_numpy(), 1 - score(*TEXTS)["quality"].to_numpy(), atol=1e-4
    )


@pytest.mark.parametrize(
    ("make", "params", "said"),
    [
        (lambda path: path.write_bytes(b"nothing"), {}, "not a fastText model"),
        (lambda path: path.write_bytes(model().read_bytes()[:-9]), {}, "damaged fastText model"),
        (lambda path: path.write_bytes(model().read_bytes()), {"label": "good"}, "no label `good`"),
    ],
)
def test_a_wrong_model_is_an_error_that_names_the_file(tmp_path, make, params, said):
    path = tmp_path / "wrong.bin"
    make(path)
    with pytest.raises(CurateError, match=said) as error:
        score("text", model=str(path), **params)
    assert error.value.where == str(path)


def test_word_vectors_are_no_classifier(tmp_path):
    lines, path = tmp_path / "lines.txt", tmp_path / "vectors.bin"
    lines.write_text("\n".join(TEXTS * 5))
    fasttext.train_unsupervised(str(lines), dim=4, epoch=1, bucket=100, thread=1, verbose=0).save_model(str(path))
    with pytest.raises(CurateError, match="word-vector") as error:
        score("text", model=str(path))
    assert error.value.where == str(path)


def test_a_collapsed_model_of_another_label_or_a_damaged_one_is_an_error(tmp_path):
    small = tmp_path / "small.npz"
    collapse(load_model(model()), "cc").save(small)
    with pytest.raises(CurateError, match="scores `__label__cc`, not `hq`"):
        score("text", model=str(small))
    small.write_bytes(small.read_bytes()[:100])
    with pytest.raises(CurateError, match="cannot read the collapsed model") as error:
        score("text", model=str(small), label="cc")
    assert error.value.where == str(small)
