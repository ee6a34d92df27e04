"""A recipe gives a model that tells its sides apart, the same bytes each time, and says what it is made of."""

import json
import random
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from models import sentence
from texts import untimed

from curate.errors import CurateError, ManifestError
from curate.manifest.library import library
from curate.models import train as training
from curate.models.fasttext_file import load_model
from curate.models.fasttext_library import LibraryClassifier
from curate.models.fasttext_model import Collapsed
from curate.models.metrics import measure, roc_auc
from curate.models.resources import sha256
from curate.stage_api import find_stage
from curate.testing import docs

RECIPE = """\
name: tiny
license: mit
positives:
  good: {inputs: [good.jsonl], pipeline: [length: {min_words: 5}]}
negatives:
  ads: {inputs: [ads.jsonl], documents: 90}
  spam: {inputs: [spam.jsonl]}
held_out: 0.25
fasttext: {dim: 8, lr: 0.5, wordNgrams: 2, bucket: 1000}
"""


@pytest.fixture
def recipe(tmp_path):
    for name, label, count in (("good", "hq", 150), ("ads", "cc", 120), ("spam", "cc", 40)):
        rows = [json.dumps({"text": sentence(label, seed, 12).replace(" ", "\n", 1)}) for seed in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join([*rows, json.dumps({"text": "__label__other short"})]) + "\n")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return tmp_path / "tiny.yaml"


def trained(recipe, work=None):
    return list(training.train_events(recipe, work or recipe.parent / "work", workers=0))[-1]


def files(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_recipe_gives_a_model_its_collapsed_form_and_what_they_are_worth(recipe):
    made = trained(recipe)
    assert sorted(files(made.path)) == ["README.md", "lock.json", "metrics.json", "model.bin", "model.npz"]
    assert made.metrics["roc_auc"] > 0.99
    assert made.lock["documents"]["good"]["documents"] == 150  # without the short one
    assert made.lock["documents"]["ads"] | {"held_out": 0} == {"documents": 121, "taken": 90, "held_out": 0}
    held = {
        side: sum(count["held_out"] for name, count in made.lock["documents"].items() if (name == "good") == side)
        for side in (True, False)
    }
    assert (made.metrics["positives"], made.metrics["negatives"]) == (held[True], held[False])
    assert 0.1 < sum(held.values()) / (150 + 90 + 41) < 0.4
    for name, digest in made.lock["files"].items():
        assert sha256(made.path / name) == digest
    card = (made.path / "README.md").read_text()
    assert "| negatives | ads | 121 | 90 |" in card
    assert f"ROC-AUC {made.metrics['roc_auc']:.4f}" in card


def test_what_a_recipe_says_is_published_without_secrets_and_is_no_field_of_the_card(recipe):
    odd = 'license: "other\\nevil: yes"\ndescription: "hf_' + "a1B2" * 9 + ' \\x9b31m"\n'
    recipe.write_text(recipe.read_text().replace("license: mit\n", odd))
    card = (trained(recipe).path / "README.md").read_text()
    assert "evil" not in yaml.safe_load(card.split("---")[1])
    assert "hf_a1B2" not in card
    assert "\x9b" not in card


def test_both_forms_of_the_model_score_alike_and_quality_takes_either(recipe):
    made = trained(recipe)
    table = docs(*(sentence(label, seed) for seed in range(10) for label in ("hq", "cc")))
    quality = find_stage("quality")
    big, small = (
        quality(table, **quality.configure({"model": str(made.path / f"model.{end}")})) for end in ("bin", "npz")
    )
    assert big.equals(small)
    assert (np.array(small["quality"]).reshape(-1, 2) > 0.5).tolist() == [[True, False]] * 10


def test_what_looks_like_a_label_in_a_text_is_none(recipe):
    assert "__label__other" in (recipe.parent / "ads.jsonl").read_text()
    assert set(load_model(trained(recipe).path / "model.bin").labels) == {"__label__hq", "__label__cc"}


def test_the_same_bytes_again_elsewhere_and_nothing_is_made_twice(recipe, tmp_path):
    first = trained(recipe)
    before = files(first.path)
    again = trained(recipe)
    assert not again.changed
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tmp_path.glob("*.*"):
        shutil.copy(file, moved)
    other = trained(moved / "tiny.yaml", tmp_path / "another" / "work")
    assert other.changed
    assert files(other.path) == before


@pytest.mark.parametrize(
    "change", [("held_out: 0.25", "held_out: 0.3"), ("dim: 8", "dim: 9"), ("documents: 90", "documents: 80")]
)
def test_another_recipe_makes_another_model(recipe, change):
    before = trained(recipe).lock["files"]["model.bin"]
    recipe.write_text(RECIPE.replace(*change))
    made = trained(recipe)
    assert made.changed
    assert made.lock["files"]["model.bin"] != before


def test_a_damaged_model_is_made_again(recipe):
    made = trained(recipe)
    (made.path / "model.bin").write_bytes(b"cut")
    again = trained(recipe)
    assert again.changed
    assert again.lock == made.lock
    assert sha256(again.path / "model.bin") == again.lock["files"]["model.bin"]


def test_the_library_reads_what_was_trained(recipe):
    made = trained(recipe)
    data = np.frombuffer(sentence("hq", 999).encode(), np.uint8)
    offsets = np.array([0, len(data)])
    small = Collapsed.load(made.path / "model.npz").score(data, offsets)
    large = LibraryClassifier(load_model(made.path / "model.bin")).probabilities(data, offsets, ["hq"])[:, 0]
    assert np.allclose(small, large, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("dim: 8", "dims: 8"), "unknown key `dims`"),
        (("held_out: 0.25", "held_out: 1.5"), "less than 1"),
        (("  spam:", "  good:"), "is on both sides"),
        (("[length:", "[lenght:"), "did you mean `length`"),
        (("license: mit", "licence: mit"), "did you mean `license`"),
    ],
)
def test_mistakes_in_a_recipe_are_told_with_line_and_mend(recipe, change, said):
    recipe.write_text(RECIPE.replace(*change))
    with pytest.raises(ManifestError, match=said) as error:
        trained(recipe)
    line = max(n for n, text in enumerate(recipe.read_text().split("\n"), 1) if change[1] in text)
    assert f"tiny.yaml:{line}  " in str(error.value)


def test_too_few_documents_are_said_by_source(recipe):
    recipe.write_text(RECIPE.replace("min_words: 5", "min_words: 500"))
    with pytest.raises(CurateError, match="one side has no documents to train on: good 0 of 0, ads 90 of 121"):
        trained(recipe)


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(CurateError, match="no classifier `quikstart`") as error:
        training.load("quikstart")
    assert "quickstart" in error.value.fix


@pytest.mark.parametrize("path", sorted(library("classifiers").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_curate_hold(path):
    assert training.load(path).recipe.name == path.stem


def test_oh_eli5_is_what_dclm_says():
    recipe = training.load(library("classifiers") / "oh-eli5.yaml").recipe
    assert {name: sample.documents for name, sample in recipe.positives.items()} == {
        "openhermes": 100_000,
        "eli5": 100_000,
    }
    assert recipe.negatives["refinedweb"].documents == 200_000
    assert recipe.fasttext.model_dump() == training.Parameters(wordNgrams=2).model_dump()


def test_eli5_rows_are_chosen_as_dclm_chose_them(tmp_path):
    text = (library("classifiers") / "oh-eli5.yaml").read_text()
    (tmp_path / "oh-eli5.yaml").write_text(
        text.replace("dim: 100", "dim: 4").replace("2000000", "100").replace("0.02", "0.3")
    )
    folder = tmp_path / "oh-eli5"
    sound = {"score": 0, "comment_score": 5, "comments": 3}
    poor = [sound | change for change in ({"score": -1}, {"comment_score": 4}, {"comments": 2})]
    for name, rows in (("openhermes", [{}] * 20), ("eli5", [sound] * 20 + poor), ("refinedweb", [{}] * 30)):
        (folder / name).mkdir(parents=True)
        lines = [
            json.dumps({"text": sentence("cc" if name == "refinedweb" else "hq", n)} | row)
            for n, row in enumerate(rows)
        ]
        (folder / name / "rows.jsonl").write_text("\n".join(lines) + "\n")
    counts = trained(tmp_path / "oh-eli5.yaml").lock["documents"]
    assert {name: count["taken"] for name, count in counts.items()} == {"openhermes": 20, "eli5": 20, "refinedweb": 30}


# Metrics

ranked = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({good for _, good in rows}) == 2
)


@untimed
@given(ranked)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows):
    scores, good = np.array([score / 8 for score, _ in rows]), np.array([good for _, good in rows])
    pairs = [(a > b) + (a == b) / 2 for a in scores[good] for b in scores[~good]]
    assert roc_auc(scores, good) == pytest.approx(sum(pairs) / len(pairs))


def test_precision_and_recall_by_kept_share_and_calibration():
    draw = random.Random(1)
    scores = np.array([draw.random() for _ in range(1000)])
    good = np.array([draw.random() < score for score in scores])
    found = measure(scores, good)
    for kept in found["kept"]:
        best = sorted(range(1000), key=lambda row: -scores[row])[: int(kept["share"] * 1000)]
        assert kept["precision"] == pytest.approx(good[best].mean(), abs=1e-6)
        assert kept["recall"] == pytest.approx(good[best].sum() / good.sum(), abs=1e-6)
        assert kept["least_score"] == pytest.approx(scores[best].min(), abs=1e-6)
    assert sum(row["documents"] for row in found["calibration"]) == 1000
    for row in found["calibration"]:
        assert row["from"] <= row["mean_score"] <= row["to"]
        assert row["positives"] == pytest.approx(row["mean_score"], abs=0.2)
    assert found["brier"] == pytest.approx(np.mean((scores - good) ** 2), abs=1e-6)
