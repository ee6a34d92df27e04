"""Mixtures, phases and held-out documents, from the manifest to the release."""

import random
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import COPY, rejected_rows, release, sentence, write_jsonl, write_manifest

from curate.engine.execute import Ended
from curate.errors import CurateError, ManifestError
from curate.inspect.explain import explain
from curate.inspect.status import plan as plan_of_run
from curate.manifest.manifest import load
from curate.mix.mixture import Mixture
from curate.mix.splits import Candidates, compose
from curate.release.lock import verify
from curate.release.make import run_events

SOURCES = {"web": 300, "code": 120, "wiki": 40}
"""Documents of each source."""


def manifest(folder: Path, mixture, **more) -> Path:
    """Three sources of documents of 5 to 60 words; every ninth of each is also in the others."""
    for number, (name, count) in enumerate(SOURCES.items()):
        chance = random.Random(number)
        texts = [sentence(chance, chance.randint(5, 60)) for _ in range(count)]
        texts[::9] = [f"{COPY} {place}" for place in range(len(texts[::9]))]
        rows = [{"text": text, "language": ("en", "de", None)[place % 3]} for place, text in enumerate(texts)]
        write_jsonl(folder / f"{name}.jsonl", rows[: count // 2])
        write_jsonl(folder / f"{name}2.jsonl", rows[count // 2 :])
    document = {"name": "mixed", "version": "1.0.0", "license": "cc0-1.0"}
    document["sources"] = {name: {"inputs": [f"{name}.jsonl", f"{name}2.jsonl"]} for name in SOURCES}
    document |= {"stages": [{"exact_dedup": "text"}], "shards": {"size": "8KB"}, "mixture": mixture}
    return write_manifest(folder / "mixed.yaml", document | more)


def rows_of(path: Path, folder: str) -> list[dict]:
    return [
        row for file in sorted((path / "data" / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def size_of(rows: list[dict]) -> int:
    return sum(len(row["text"].encode()) for row in rows)


PHASES = {
    "unit": "bytes",
    "weights": {"web": 0.6, "code": 0.4},
    "validation": 0.1,
    "phases": [
        {"name": "main", "budget": 12_000, "context": 2048},
        {"name": "long", "budget": "9K", "weights": {"web": 0.5, "code": 0.2, "wiki": 0.3}, "experimental": True},
    ],
}


@pytest.fixture(scope="module")
def phased(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phased")
    return release(manifest(folder, PHASES), folder / "work")


def test_shares_and_budgets_to_a_document(phased):
    for phase, budget, weights in (
        ("main", 12_000, PHASES["weights"]),
        ("long", 9_000, PHASES["phases"][1]["weights"]),
    ):
        rows = rows_of(phased.path, phase)
        largest = max(len(row["text"].encode()) for row in rows)
        assert abs(size_of(rows) - budget) <= largest
        assert {row["source"] for row in rows} == set(weights)
        for source, weight in weights.items():
            mine = size_of([row for row in rows if row["source"] == source])
            assert abs(mine - weight * budget) <= max(largest, budget / 1000)


def test_phases_are_disjoint_and_nothing_disappears(phased):
    parts = [[row["id"] for row in rows_of(phased.path, name)] for name in ("main", "long", "validation")]
    for one, other in combinations(parts, 2):
        assert not set(one) & set(other)
    rejected = rejected_rows(phased.path)
    ids = [*(id for part in parts for id in part), *(row["id"] for row in rejected)]
    assert len(ids) == len(set(ids)) == sum(SOURCES.values())
    left_out = [row for row in rejected if (row["stage"], row["reason"]) == ("mixture", "not_drawn")]
    assert len(left_out) == phased.lock["mixture"]["left_out"] > 0


def test_the_lock_tells_what_came_of_it(phased):
    mixture = phased.lock["mixture"]
    assert (mixture["by"], mixture["unit"]) == ("source", "bytes")
    assert phased.lock["documents"] == sum(split["documents"] for split in mixture["splits"])
    for split in mixture["splits"]:
        rows = rows_of(phased.path, split["phase"] or split["split"])
        assert split["documents"] == len(rows)
        assert split["bytes"] == size_of(rows)
        for source, key in split["keys"].items():
            mine = [row for row in rows if row["source"] == source]
            assert (key["documents"], key["bytes"]) == (len(mine), size_of(mine))
            assert key["share"] == pytest.approx(size_of(mine) / size_of(rows), abs=1e-6)
    main, long, held = mixture["splits"]
    assert (main["phase"], main["context"], main["asked"], main["keys"]["web"]["asked"]) == ("main", 2048, 12_000, 0.6)
    assert (long["phase"], held["split"]) == ("long", "validation")
    assert verify(phased.path) == []


def test_the_card_says_it_and_datasets_load_by_phase(phased, tmp_path):
    card = (phased.path / "README.md").read_text()
    for words in (
        "### main",
        "### long (experimental)",
        "sequences of 2,048 tokens",
        "60.000%",
        "10.000% of documents",
    ):
        assert words in card
    for phase in ("main", "long"):
        for split in ("train", "validation"):
            found = load_dataset(str(phased.path), phase, split=split, cache_dir=str(tmp_path))
            expected = rows_of(phased.path, phase if split == "train" else "validation")
            assert found["id"][:] == [row["id"] for row in expected]


def test_the_same_on_two_workers(phased, tmp_path):
    assert release(manifest(tmp_path, PHASES), tmp_path / "work", workers=2).lock == phased.lock


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_same_in_any_order_and_partitions_of_the_documents(random):
    count, names = 200, ["a", "b", "c"]
    chance = np.random.default_rng(0)
    columns = {
        "line": chance.integers(0, 1 << 64, count, np.uint64),
        "bytes": chance.integers(1, 900, count).astype(np.uint32),
        "tokens": chance.integers(1, 200, count).astype(np.uint32),
        "key": chance.integers(0, 3, count).astype(np.int32),
    }
    order = list(range(count))
    random.shuffle(order)
    moved = {name: column[order] for name, column in columns.items()}
    doc = np.sort(chance.choice(1 << 40, count, replace=False).astype(np.uint64))
    mixture = {"weights": {"a": 0.5, "b": 0.3, "c": 0.2}, "validation": 0.1, "repeats": 3}
    mixture["phases"] = [{"name": "one", "budget": 9000}, {"name": "two", "budget": 5000}]
    choice = Mixture.model_validate(mixture).choice()
    plain = compose(Candidates(np.arange(count, dtype=np.uint64), **columns, names=names), choice, "tokens", 5000)
    other = compose(Candidates(doc, **moved, names=names), choice, "tokens", 5000)
    assert columns["line"][plain.row].tolist() == moved["line"][other.row].tolist()
    assert (plain.shard.tolist(), plain.splits) == (other.shard.tolist(), other.splits)


def test_a_new_weight_reads_no_document_before_the_mixture(tmp_path):
    release(manifest(tmp_path, PHASES), tmp_path / "work")
    changed = PHASES | {"weights": {"web": 0.7, "code": 0.3}}
    path = manifest(tmp_path, changed)
    plan = plan_of_run(path, tmp_path / "work")
    assert [step["step"] for step in plan["steps"] if step["run"]] == ["mix", "evidence: rejected"]
    ended = [
        event.job.task
        for event in run_events(path, tmp_path / "work", workers=0, replace=True)
        if isinstance(event, Ended)
    ]
    assert set(ended) == {"mix", "rejected", "scatter", "barrier", "shard"}


def test_upsampling(tmp_path):
    mixture = {"unit": "bytes", "weights": {"web": 0.5, "wiki": 0.5}, "repeats": 3}
    made = release(manifest(tmp_path, mixture), tmp_path / "work")
    rows = rows_of(made.path, "")
    times = Counter(row["id"] for row in rows if row["source"] == "wiki")
    assert set(times.values()) == {3}, "what limits is seen as often as it may be"
    assert max(Counter(row["id"] for row in rows if row["source"] == "web").values()) == 1
    assert made.lock["mixture"]["splits"][0]["keys"]["wiki"]["epochs"] == 3
    ids = [row["id"] for row in rows]
    places = {id: [place for place, other in enumerate(ids) if other == id] for id in times}
    apart = [second - first for found in places.values() for first, second in pairwise(found)]
    assert sum(gap > 3 for gap in apart) > len(apart) / 2, "copies lie next to each other"


def test_keys_are_mixed_all_through_a_phase(phased):
    """A phase takes a small part of the line of one source and a large one of another."""
    rows = rows_of(phased.path, "long")
    half = len(rows) // 2
    for source in SOURCES:
        first = sum(row["source"] == source for row in rows[:half])
        assert 0 < first < sum(row["source"] == source for row in rows)


def test_weights_by_another_column(tmp_path):
    mixture = {"by": "language", "unit": "documents", "budget": 40, "weights": {"de": 0.75, "null": 0.25}}
    made = release(manifest(tmp_path, mixture), tmp_path / "work")
    assert Counter(row["language"] for row in rows_of(made.path, "")) == {"de": 30, None: 10}


def test_train_has_nothing_that_resembles_validation(tmp_path):
    """Even where the copy in train has the better claim to stay: the source of a lower priority number."""
    mixture = {"validation": 0.2}
    path = manifest(tmp_path, mixture, stages=[{"exact_dedup": "normalized_text"}])
    made = release(path, tmp_path / "work")
    train, held = rows_of(made.path, ""), rows_of(made.path, "validation")
    assert "add `exact_dedup`" not in (made.path / "README.md").read_text()
    assert 40 < len(held) < 140
    texts = {row["text"].lower() for row in train}
    assert not texts & {row["text"].lower() for row in held}
    outed = [row for row in rejected_rows(made.path) if row["duplicate_of"] in {row["id"] for row in held}]
    assert outed, "no document of train resembled one that is held out"


def test_near_copies_of_what_is_held_out_go_from_train(tmp_path):
    """Each text stands in two sources, with one word changed; both are kept or held out by the hash of their ids."""
    chance = random.Random(3)
    texts = [" ".join(str(chance.randrange(10**6)) for _ in range(60)) for _ in range(80)]
    write_jsonl(tmp_path / "first.jsonl", [{"text": text} for text in texts])
    write_jsonl(tmp_path / "second.jsonl", [{"text": f"{text} again"} for text in texts])
    document = {"name": "near", "version": "1.0.0", "license": "cc0-1.0", "mixture": {"validation": 0.3}}
    document["sources"] = {name: {"inputs": [f"{name}.jsonl"]} for name in ("first", "second")}
    document["sources"]["first"]["priority"] = -1
    made = release(write_manifest(tmp_path / "near.yaml", document | {"stages": ["near_dedup"]}), tmp_path / "work")
    train, held = rows_of(made.path, ""), rows_of(made.path, "validation")
    assert len(train) + len(held) == len(texts)
    assert {row["source"] for row in train} == {"first"}, "where neither is held out, the source decides"
    assert {row["source"] for row in held} == {"first", "second"}, "else the one that is held out stays"
    assert not {row["text"].split()[0] for row in train} & {row["text"].split()[0] for row in held}


def test_what_is_held_out_stays_so_when_a_better_source_comes(tmp_path):
    path = manifest(tmp_path, {"validation": 0.2})
    before = release(path, tmp_path / "work")
    held = {row["id"]: row["text"] for row in rows_of(before.path, "validation")}
    write_jsonl(tmp_path / "new.jsonl", [{"text": text} for text in held.values()])
    text = path.read_text().replace("sources:\n", "sources:\n  new: {inputs: [new.jsonl], priority: -5}\n")
    path.write_text(text)
    after = release(path, tmp_path / "work")
    now = {row["text"] for row in rows_of(after.path, "validation")}
    assert now == set(held.values())
    assert not now & {row["text"] for row in rows_of(after.path, "")}


def test_explain_names_what_was_not_drawn(tmp_path):
    path = manifest(tmp_path, {"unit": "documents", "budget": 5})
    made = release(path, tmp_path / "work")
    left_out = next(row["id"] for row in rejected_rows(made.path) if row["stage"] == "mixture")
    assert explain(path, left_out, tmp_path / "work")[0]["reason"] == "mixture.not_drawn"
    (drawn, *_) = rows_of(made.path, "")
    assert explain(path, drawn["id"], tmp_path / "work")[0]["released"]["row"] == 0


def test_everything_is_the_default(tmp_path):
    made = release(manifest(tmp_path, "everything"), tmp_path / "work")
    assert len(rows_of(made.path, "")) + len(rejected_rows(made.path)) == sum(SOURCES.values())
    assert "## Mixture" not in (made.path / "README.md").read_text()


MISTAKES = {
    "do not add up": ({"weights": {"web": 0.5, "code": 0.3}}, ["weights add up to 0.8", "{web: 0.625, code: 0.375}"]),
    "unknown source": ({"weights": {"wbe": 1.0}}, ["no source `wbe`", "did you mean `web`?"]),
    "same name": ({"phases": [{"name": "a"}, {"name": "a"}]}, ["two phases are named `a`"]),
    "reserved": ({"phases": [{"name": "validation"}]}, ["`validation` is reserved"]),
    "budgets": (
        {"budget": 10, "phases": [{"name": "a", "budget": 5}, {"name": "b", "budget": 6}]},
        ["add up to 11, not 10", "budget: 11"],
    ),
    "no rest": ({"budget": 10, "phases": [{"name": "a", "budget": 10}, {"name": "b"}]}, ["leaves nothing of 10"]),
    "two rests": ({"budget": 10, "phases": [{"name": "a"}, {"name": "b"}]}, ["2 phases have no budget"]),
    "unknown key": ({"weight": {"web": 1.0}}, ["unknown key `weight`", "did you mean `weights`?"]),
    "negative": ({"weights": {"web": -1.0}}, ["at least 0", "not -1.0"]),
    "no number": ({"budget": "many"}, ["a budget must be a number"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_the_manifest(tmp_path, mistake):
    mixture, words = MISTAKES[mistake]
    path = manifest(tmp_path, mixture)
    with pytest.raises(ManifestError) as error:
        load(path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert f"{path}:" in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_too_little_says_how_much_and_how_to_mend_it(tmp_path, workers):
    mixture = {"unit": "documents", "budget": 200, "weights": {"web": 0.6, "wiki": 0.4}}
    with pytest.raises(CurateError) as error:
        release(manifest(tmp_path, mixture), tmp_path / "work", workers)
    assert "asks for 80 documents of `wiki`" in error.value.what
    assert "are available" in error.value.what
    there = int(error.value.what.split("but only ")[1].split()[0])
    assert f"lower `budget` to {there * 10 // 4}" in error.value.fix
    assert "raise `repeats` to 3" in error.value.fix
    for mended in (mixture | {"budget": there * 10 // 4}, mixture | {"repeats": 3}):
        release(manifest(tmp_path, mended), tmp_path / "work")


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"unit": "tokens"}, ["no column `n_tokens`", "measure in bytes"]),
        ({"by": "langauge"}, ["no column `langauge`", "did you mean `language`?"]),
        ({"by": "language", "weights": {"eng": 1}}, ["no document of it is left", "did you mean `en`?"]),
        (
            {"unit": "bytes", "phases": [{"name": "all"}, {"name": "none"}]},
            ["phase `none`", "use all", "repeat_earlier"],
        ),
        ({"unit": "bytes", "phases": [{"name": "tiny", "budget": 1}]}, ["phase `tiny` gets no document"]),
    ],
)
def test_mixtures_that_cannot_be(tmp_path, mixture, words):
    with pytest.raises(CurateError) as error:
        release(manifest(tmp_path, mixture), tmp_path / "work")
    assert all(word in str(error.value) for word in words), str(error.value)
