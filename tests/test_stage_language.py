"""`language` says what fastText says, keeps what is asked for, and refuses what is no language model."""

from pathlib import Path

import fasttext
import numpy as np
import pyarrow.parquet as pq
import pytest
from models import WORDS, model, sentence

from curate.errors import CurateError, ManifestError
from curate.manifest import manifest
from curate.stage_api import find_stage
from curate.testing import check, docs

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
LID = SHARED / "models" / "lid.176.ftz"
LABELS = tuple(WORDS)
LANGUAGE = find_stage("language")


def identify(*texts, **params):
    params = LANGUAGE.configure({"model": str(model(LABELS))} | params)
    check("language", docs(*texts), params)
    return LANGUAGE(docs(*texts), **params)


def test_languages_that_are_not_asked_for_and_low_scores_have_their_reasons():
    texts = [sentence("fr", 1, 30), sentence("hq", 1, 30), f"{sentence('fr', 2, 6)} {sentence('hq', 2, 6)}"]
    found = identify(*texts, keep=["fr", "hq"])
    assert found["language"].to_pylist()[:2] == ["fr", "hq"]
    assert found["reject"].null_count == 3
    least = sorted(found["language_score"].to_pylist())[1]
    found = identify(*texts, keep=["fr"], min_score=least)
    assert found["reject"].to_pylist()[:2] == [None, "language"]
    assert found["reject"].to_pylist()[2] in ("language", "low_score")


def test_the_language_of_the_source_is_replaced():
    table = docs(sentence("fr", 1), language=["Python"])
    found = LANGUAGE(table, **LANGUAGE.configure({"model": str(model(LABELS))}))
    assert found["language"].to_pylist() == ["fr"]


def test_the_probability_of_a_language_is_kept_beside_the_best():
    found = identify(sentence("fr", 1), sentence("cc", 1), probabilities=["fr", "cc"])
    best = np.maximum(found["language_score_fr"].to_numpy(), found["language_score_cc"].to_numpy())
    assert (found["language_score"].to_numpy() == best).all()
    assert found["language_score_fr"].to_pylist()[0] > 0.9 > 0.1 > found["language_score_fr"].to_pylist()[1]


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova"])
def test_any_loss_gives_the_library_s_answer(loss):
    path = model(LABELS, loss=loss)
    texts = [sentence(label, seed, 5) + "\n" + sentence("fr", seed, 3) for label in LABELS for seed in range(20)]
    found = LANGUAGE(docs(*texts), **LANGUAGE.configure({"model": str(path)}))
    names, values = fasttext.load_model(str(path)).predict([text.replace("\n", " ") for text in texts])
    assert found["language"].to_pylist() == [name[0].removeprefix("__label__") for name in names]
    expected = np.minimum(np.array(values)[:, 0], 1)
    assert np.allclose(found["language_score"].to_numpy(), expected, rtol=0, atol=1e-4)


def test_the_library_bears_on_the_identity_only_where_it_is_used():
    packages = {loss: LANGUAGE.identity({"model": str(model(LABELS, loss=loss))})["packages"] for loss in ("hs", "ova")}
    assert packages["hs"] == {}
    assert list(packages["ova"]) == ["fasttext-community"]


def planned(folder, stages):
    (folder / "rows.jsonl").write_text('{"text": "a"}\n')
    head = "name: x\nversion: 1.0.0\nlicense: mit\nsources:\n  s: {inputs: [rows.jsonl]}\nstages:\n"
    from curate.release.make import prepare

    return prepare(manifest.loads(head + f"  - language: {stages}\n", folder=folder), folder / "work")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not a fastText model"), (b"PK\x03\x04 something else", "not a fastText model"), (None, "damaged")],
)
def test_a_file_that_is_no_model_is_named_before_anything_runs(tmp_path, content, said):
    path = tmp_path / "broken.bin"
    path.write_bytes(model(LABELS).read_bytes()[:-7] if content is None else content)
    with pytest.raises(CurateError) as error:
        planned(tmp_path, "{model: ./broken.bin}")
    assert said in str(error.value)
    assert "broken.bin" in str(error.value)


def test_a_language_that_the_model_lacks_is_named_before_anything_runs(tmp_path):
    with pytest.raises(ManifestError, match="no label `xx`"):
        planned(tmp_path, f"{{model: {model(LABELS)}, keep: [xx]}}")


def test_a_model_is_found_beside_the_manifest_and_its_place_has_no_bearing(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    jobs = []
    for folder in ("a", "b"):
        (tmp_path / folder / "models").mkdir(parents=True)
        (tmp_path / folder / "models" / "tiny.bin").write_bytes(model(LABELS).read_bytes())
        jobs.append(planned(tmp_path / folder, "{model: models/tiny.bin}").jobs)
    assert set(jobs[0]) == set(jobs[1])


@pytest.mark.skipif(not LID.exists(), reason="needs shared/data/models/lid.176.ftz")
def test_lid_176_agrees_with_the_library_on_questions_of_gsm8k():
    texts = pq.read_table(SHARED / "eval" / "gsm8k_test.parquet")["question"].to_pylist()[:300]
    texts += [
        "Der Ausschuss trat am Dienstag zusammen.",
        "委员会于星期二开会审议报告。",
        "Комитет собрался во вторник.",
    ]
    found = LANGUAGE(docs(*texts), **LANGUAGE.configure({"model": str(LID), "keep": ["en"], "min_score": 0.65}))
    names, values = fasttext.load_model(str(LID)).predict([text.replace("\n", " ") for text in texts])
    assert found["language"].to_pylist() == [name[0].removeprefix("__label__") for name in names]
    assert np.allclose(found["language_score"].to_numpy(), np.array(values)[:, 0], rtol=0, atol=1e-3)
    assert found["reject"].to_pylist()[-3:] == ["language"] * 3
