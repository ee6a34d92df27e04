"""Curves, rehydration and repeats by key: what they are worth, what is drawn, and errors where too little is there."""

import json
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import release, released_rows, sentence, write_jsonl, write_manifest

from curate.engine.execute import Ended
from curate.errors import CurateError, ManifestError
from curate.inspect.explain import explain
from curate.manifest.manifest import load
from curate.mix.curve import Curve
from curate.mix.keys import Repeats, copies_class, copies_labels
from curate.mix.quotas import Short, Want, draw
from curate.release.lock import verify
from curate.release.make import prepare, run_events
from curate.release.typed_lock import Lock

percent = st.integers(0, 99)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), min_size=1, max_size=6).map(sorted),
    st.sampled_from([0, 12.5, 40]),
    st.sampled_from([[10, 25], [50], [1, 2, 98]]),
)
def test_a_bucket_is_worth_the_mean_of_the_lines_between_points(points, drop, inner):
    edges = [0, *inner, 100]
    found = Curve(points=points, drop=drop).by_bucket([Fraction(edge) for edge in edges])
    places, times = zip(*points, strict=True)
    for number, (first, stop) in enumerate(pairwise(edges), 1):
        at = np.linspace(first, stop, 20_001)[:-1] + (stop - first) / 40_000
        height = np.where(at < drop, 0, np.interp(at, places, times))
        assert found[str(number)] == pytest.approx(height.mean(), abs=2e-3)


@given(percent, st.sampled_from([0.5, 1, 2, 5]), st.sampled_from([1, 7]))
def test_a_power_rises_from_nothing_to_the_most(drop, power, most):
    found = [*Curve(drop=drop, power=power, most=most).by_bucket([Fraction(edge) for edge in range(101)]).values()]
    middles = [max(number + 0.5 - drop, 0) / (100 - drop) for number in range(100)]
    assert found[:drop] == [0] * drop
    assert found == sorted(found)
    assert np.mean(found) == pytest.approx(most * (100 - drop) / 100 / (power + 1), abs=1e-5)
    if drop < 90 and power in (1, 2):
        assert found[-1] == pytest.approx(most * middles[-1] ** power, rel=0.01)


@given(st.sets(st.integers(2, 50), max_size=5), st.integers(1, 60))
def test_ranges_of_copies_are_named_by_their_ends(firsts, copies):
    table = [[first, 1.0] for first in sorted({1, *firsts})]
    label = copies_labels(table)[int(copies_class(np.array([copies]), table)[0])]
    first, _, last = label.partition("-")
    assert int(first.rstrip("+")) <= copies
    assert label.endswith("+") or copies <= int(last or first)


# How much of each key is taken

rates = st.integers(0, 6).map(lambda number: Fraction(number, 2))


@st.composite
def groups(draw_):
    """Keys of groups, with sizes of documents, rates, limits; and what is asked of each group."""
    keys = draw_(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=8), min_size=1, max_size=6))
    group = sorted(draw_(st.lists(st.integers(0, 1), min_size=len(keys), max_size=len(keys))))
    group = [number - group[0] for number in group]
    rate = [draw_(rates) for _ in keys]
    limit = [draw_(st.sampled_from([each, each * 2, max(each, Fraction(3))])) if each else each for each in rate]
    return keys, Repeats(group, rate, [min(one, two) for one, two in zip(rate, limit, strict=True)], limit)


def simple_spread(there, repeats, asked, group):
    """Raise one level for all keys of a group by bisection, until what they take is what is asked."""
    low, high = 0.0, 1e6
    mine = [key for key, of in enumerate(repeats.group) if of == group]

    def taken(level):
        return {key: there[key] * min(level * float(repeats.rate[key]), float(repeats.limit[key])) for key in mine}

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(taken(middle).values()) > asked else (middle, high)
    return taken(high)


@settings(max_examples=100)
@given(groups(), st.integers(1, 100))
def test_a_group_is_filled_to_one_level_under_the_limits(made, share):
    keys, repeats = made
    there = [sum(key) for key in keys]
    most = repeats.by_group([t * limit for t, limit in zip(there, repeats.limit, strict=True)], repeats.group[-1] + 1)
    asked = [amount * Fraction(share, 100) for amount in most]
    found = repeats.spread(there, asked)
    assert repeats.by_group(found, len(asked)) == asked, "exactly what is asked"
    for group, amount in enumerate(asked):
        for key, expected in simple_spread(there, repeats, float(amount), group).items():
            assert float(found[key]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(groups(), st.integers(1, 400), st.integers(1, 3))
def test_what_is_drawn_is_within_a_document_of_what_is_solved(made, budget, parts):
    keys, repeats = made
    there, count = [sum(key) for key in keys], repeats.group[-1] + 1
    weights = (Fraction(parts, 4), 1 - Fraction(parts, 4)) if count == 2 else (Fraction(1),)
    most = repeats.by_group([t * limit for t, limit in zip(there, repeats.limit, strict=True)], count)
    asked = [budget * weight for weight in weights]
    size = np.array([size for key in keys for size in key], np.int64)
    start = np.cumsum([0, *map(len, keys)])

    def run(budget, repeats=repeats):
        return draw(size, start, [Want(weights, budget)], repeats)

    if any(amount > all_ for amount, all_ in zip(asked, most, strict=True)):
        with pytest.raises(Short) as error:
            run(budget)
        assert error.value.most == most[error.value.group]
        if error.value.scale and int(budget * error.value.scale):
            run(int(budget * error.value.scale))
        if error.value.repeats:
            limit = [Fraction(error.value.repeats) if rate else rate for rate in repeats.rate]
            run(budget, replace(repeats, limit=limit))
        return
    found, expected, largest = run(budget), repeats.spread(there, asked), max(map(max, keys))
    for key, amount in enumerate(expected):
        mine = (found.row >= start[key]) & (found.row < start[key + 1])
        assert abs(int(size[found.row[mine]].sum()) - amount) <= largest + 1
        times = Counter(found.row[mine].tolist())
        assert max(times.values(), default=0) <= repeats.epochs[key]
        assert not times or amount, "a key of which nothing is asked gives nothing"


# In a release

FINEWEB2 = {2: 2, 3: 3, 5: 5}


def manifest(folder, mixture, stages=None):
    """Two sources; every text of the first ten of each is there one to ten times."""
    for number, (name, count) in enumerate({"web": 120, "wiki": 40}.items()):
        chance = Random(number)
        texts = [sentence(chance, chance.randint(5, 60)) for _ in range(count)]
        copies = [text for place, text in enumerate(texts[:10]) for _ in range(place)]
        rows = [{"text": text, "language": ("en", "de")[len(text) % 2]} for text in texts + copies]
        write_jsonl(folder / f"{name}.jsonl", rows)
    stages = stages or [
        {"exact_dedup": {"counts": "source"}},
        {"bucket": {"column": "n_bytes", "buckets": 4, "within": "source", "name": "quality_bucket"}},
    ]
    document = {"name": "mixed", "version": "1.0.0", "license": "cc0-1.0", "stages": stages, "mixture": mixture}
    document["sources"] = {name: {"inputs": [f"{name}.jsonl"]} for name in ("web", "wiki")}
    document["shards"] = {"columns": ["quality_bucket", "n_duplicates"]} if len(stages) > 1 else {}
    return write_manifest(folder / "mixed.yaml", document)


def drawn(made):
    """(row, how often it was drawn) of each document of a release."""
    rows = released_rows(made.path)
    times = Counter(row["id"] for row in rows)
    return [(row, times[row["id"]]) for row in {row["id"]: row for row in rows}.values()]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder that the releases of this module share: all before the mixture is computed once."""
    return tmp_path_factory.mktemp("curves")


def run(work, mixture):
    return release(manifest(work, mixture), work / "work", replace=True)


def test_rehydration_uses_each_document_as_often_as_its_copies_say(work):
    made = run(work, {"unit": "documents", "rehydrate": FINEWEB2})
    found = {(row["n_duplicates"], times) for row, times in drawn(made)}
    assert found == {(copies, copies if copies <= 3 else 3 if copies == 4 else 5) for copies in range(1, 11)}
    keys = made.lock["mixture"]["splits"][0]["keys"]
    assert keys["wiki/3-4"]["epochs"] == 3
    assert "repeats by number of copies (`n_duplicates`): 1: 1, 2: 2, 3 to 4: 3, 5+: 5" not in keys
    assert "`n_duplicates`): 1: 1, 2: 2, 3-4: 3, 5+: 5" in (made.path / "README.md").read_text()


def test_a_curve_drops_the_lowest_and_repeats_the_best(work):
    made = run(work, {"unit": "documents", "curve": {"points": [[25, 0], [25, 1], [75, 1], [75, 3]]}})
    assert {(row["quality_bucket"], times) for row, times in drawn(made)} == {(2, 1), (3, 1), (4, 3)}
    split = made.lock["mixture"]["splits"][0]
    assert split["amount"] - split["unique_amount"] == 2 * sum(row["quality_bucket"] == 4 for row, _ in drawn(made))
    assert made.lock["mixture"]["curve"]["repeats"] == {"1": 0.0, "2": 1.0, "3": 1.0, "4": 3.0}
    assert verify(made.path) == []


def test_curve_copies_and_weights_together(work):
    mixture = {
        "unit": "bytes",
        "weights": {"web": 0.5, "wiki": 0.5},
        "budget": "8K",
        "rehydrate": FINEWEB2,
        "repeats": 9,
    }
    made = run(work, mixture | {"curve": {"drop": 25, "power": 1, "most": 3}})
    split = made.lock["mixture"]["splits"][0]
    longest = max(len(row["text"]) for row, _ in drawn(made))
    for source in ("web", "wiki"):
        share = sum(key["bytes"] for name, key in split["keys"].items() if name.startswith(f"{source}/"))
        assert abs(share - 4000) <= 2 * longest
    assert {row["quality_bucket"] for row, _ in drawn(made)} == {2, 3, 4}
    assert max(times for _, times in drawn(made)) <= 9
    columns = [column for column, _ in made.typed.mixture.margins(made.typed.mixture.splits[0])]
    assert columns == ["source", "quality_bucket", "n_duplicates"]


def test_weights_and_repeats_by_two_columns(work):
    weights = {"web/en": 0.25, "web/de": 0.25, "wiki/en": 0.5}
    made = run(work, {"by": ["source", "language"], "unit": "documents", "weights": weights, "repeats": {"wiki/en": 4}})
    of = Counter()
    for row, times in drawn(made):
        of[f"{row['source']}/{row['language']}"] += times
        assert times <= (4 if row["source"] == "wiki" else 1)
    total = sum(of.values())
    assert {name: of[name] / total for name in of} == pytest.approx(weights, abs=1 / total)


def test_another_curve_or_rehydration_reads_nothing_before_the_mixture(work):
    ran = []
    for more in ({"power": 1, "most": 2}, {"power": 2, "most": 5}):
        path = manifest(work, {"unit": "bytes", "curve": more, "rehydrate": {4: more["most"]}})
        events = run_events(path, work / "work", workers=0, replace=True)
        ran.append({event.job.task for event in events if isinstance(event, Ended)})
    assert ran[1] == {"mix", "rejected", "scatter", "barrier", "shard"}


def test_explain_says_that_a_dropped_document_was_not_drawn(work):
    made = run(work, {"unit": "documents", "curve": {"drop": 50, "points": [[0, 1]]}})
    out = [
        row for row in pq.read_table(made.path / "evidence/rejected.parquet").to_pylist() if row["stage"] == "mixture"
    ]
    assert len(out) == 80
    assert explain(work / "mixed.yaml", out[0]["id"], work / "work")[0]["reason"] == "mixture.not_drawn"


@pytest.mark.parametrize(
    "change",
    [
        {"rehydrate": [[2, 1.0]]},
        {"rehydrate": [[1, 1.0], [1, 2.0]]},
        {"by": "n_duplicates"},
        {"by": ["a", "b", "c", "d"]},
    ],
)
def test_a_lock_whose_keys_cannot_be_told_apart_is_refused(work, change):
    made = run(work, {"unit": "documents", "curve": {"points": [[0, 1]]}, "rehydrate": {2: 2}})
    lock = json.loads((made.path / "lock.json").read_text())
    assert Lock.model_validate(lock).mixture.columns == ["source", "quality_bucket", "n_duplicates"]
    with pytest.raises(ValueError, match=r"copies|column"):
        Lock.model_validate(lock | {"mixture": lock["mixture"] | change})


SHORT = {
    "curve": (
        {"weights": {"web": 0.2, "wiki": 0.8}, "budget": 150, "curve": {"drop": 50, "points": [[0, 2]]}},
        ["120 documents of `wiki`, but only 40 are available", "as often as `curve` allow"],
    ),
    "all": ({"budget": 900, "repeats": 2}, ["asks for 900 documents, but only 320", "there are 160, used at most 2"]),
    "of one": (
        {"weights": {"web": 0.5, "wiki": 0.5}, "budget": 200, "repeats": {"wiki": 2}},
        ["100 documents of `wiki`, but only 80"],
    ),
}


@pytest.mark.parametrize("name", SHORT)
def test_too_little_is_told_in_numbers_and_both_ways_out_work(work, name):
    mixture, words = SHORT[name]
    with pytest.raises(CurateError) as error:
        run(work, mixture | {"unit": "documents"})
    assert all(word in error.value.what for word in words), str(error.value)
    budget = int(re.search(r"lower `budget` to (\d+)", error.value.fix)[1])
    repeats = re.search(r"(?:raise|set) `repeats`(?: of `(\w+)`)? to (\d+)", error.value.fix)
    more = {repeats[1]: int(repeats[2])} if repeats[1] else int(repeats[2])
    for mended in ({"budget": budget}, {"repeats": more}):
        made = run(work, mixture | {"unit": "documents"} | mended)
        asked = mended.get("budget", mixture["budget"])
        assert abs(made.lock["mixture"]["splits"][0]["documents"] - asked) <= 1


MISTAKES = {
    "two forms": ({"curve": {"points": [[0, 1]], "power": 2}}, ["either `points` or `power` and `most`"]),
    "falls": ({"curve": {"points": [[50, 1], [40, 2]]}}, ["do not ascend"]),
    "one value": (
        {"by": ["source", "language"], "weights": {"web": 1.0}},
        ["`web` is not a value of each", "SOURCE/LANGUAGE"],
    ),
    "unknown": ({"by": ["source", "language"], "repeats": {"wbe/en": 2}}, ["no source `wbe`", "`web`"]),
    "copies": ({"rehydrate": {0: 2}}, ["0 copies"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_the_manifest(tmp_path, mistake):
    mixture, words = MISTAKES[mistake]
    with pytest.raises(ManifestError) as error:
        load(manifest(tmp_path, mixture))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"curve": {"power": 1, "most": 2}}, ["no stage `bucket` adds `quality_bucket`", "put one stage `bucket`"]),
        ({"rehydrate": {2: 2}}, ["no column `n_duplicates`", "add `counts: source`"]),
    ],
)
def test_columns_that_no_stage_adds_are_named(tmp_path, mixture, words):
    with pytest.raises(ManifestError) as error:
        prepare(load(manifest(tmp_path, mixture | {"unit": "bytes"}, ["exact_dedup"])), tmp_path / "work")
    assert all(word in str(error.value) for word in words), str(error.value)
