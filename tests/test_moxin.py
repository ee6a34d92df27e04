"""The manifests of a 7B model's data: the full one is sound, and the same mixture in small runs."""

import json
import shutil

import pytest
from releases import release

from curate.demo_corpus import make_demo
from curate.manifest.library import library
from curate.manifest.manifest import load


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moxin")
    make_demo(folder)
    shutil.copy(library("manifests") / "moxin-7b-tiny.yaml", folder)
    return release(folder / "moxin-7b-tiny.yaml", folder / "work")


def test_the_full_manifest_has_three_phases_and_is_decontaminated_against_each_set_it_trains_on():
    manifest = load("moxin-7b")
    phases = manifest.spec.mixture.phases
    assert [phase.context for phase in phases] == [2048, 4096, 4096]
    assert [phase.experimental for phase in phases] == [False, False, True]
    (decontaminate,) = (call for call in manifest.stages if call.stage.name == "decontaminate")
    sets = {one["path"].split("/")[4] for one in decontaminate.params["sets"].values()}
    trained = {
        source.inputs[0].split("/")[4]
        for name, source in manifest.spec.sources.items()
        if name in phases[2].weights and name not in manifest.spec.mixture.weights
    }
    assert trained == sets


def test_the_tiny_manifest_is_the_same_mixture():
    full, tiny = (load(name).spec.mixture for name in ("moxin-7b", "moxin-7b-tiny"))
    assert tiny.weights == full.weights
    assert [(p.name, p.context, p.experimental) for p in tiny.phases] == [
        (p.name, p.context, p.experimental) for p in full.phases
    ]


def test_the_tiny_manifest_runs(tiny):
    splits = tiny.lock["mixture"]["splits"]
    assert [split["phase"] or split["split"] for split in splits] == [
        "context-2k",
        "context-4k",
        "capability",
        "validation",
    ]
    largest = max(max(key["bytes"] for key in split["keys"].values()) for split in splits)
    for split in splits[:3]:
        assert abs(split["amount"] - split["asked"]) < largest
    assert splits[0]["keys"]["slimpajama"]["epochs"] > 1, "what is scarce is upsampled"
    assert "exercises" not in splits[0]["keys"]
    assert splits[2]["keys"]["exercises"]["documents"] > 0
    assert "### capability (experimental)" in (tiny.path / "README.md").read_text()


def test_the_exercises_of_the_demo_have_the_right_answer(tiny):
    corpus = tiny.path.parents[3] / "corpus"
    rows = [json.loads(line) for line in (corpus / "exercises.jsonl").read_text().splitlines()]
    upper = next(row for row in rows if row["question"] == "What does the method `upper` of `str` do?")
    assert upper["options"][upper["answer"]] == str.upper.__doc__.split("\n")[0]
    assert {row["answer"] for row in rows} == {0, 1, 2, 3}
