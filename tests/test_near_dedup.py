"""Near-duplicates against the sequential rule that says what they are."""

from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.base import spill as scratch
from curate.dedup.near_dedup import Scheme
from curate.errors import CurateError
from curate.stage_api import find_stage
from curate.testing import docs, run_group

NEAR_DEDUP = find_stage("near_dedup")


def reference(table: pa.Table, priorities: dict[str, int], params: dict) -> dict[str, tuple]:
    """{id: (kept document or None, similarity)}: documents in keep order, one after the other."""
    scheme = Scheme.of(**params)
    keys = scheme.keys(scheme.signatures(table["text"]))
    hashes, offsets = scheme.sets(table["text"])
    rows = sorted(
        range(table.num_rows), key=lambda row: (priorities[table["id"][row].as_py()], table["id"][row].as_py())
    )
    fate, kept = {}, []
    for row in rows:
        text, bands = table["text"][row].as_py(), set(keys[row])
        shingles = set(hashes[offsets[row] : offsets[row + 1]])
        if text in fate:
            leader, similarity = fate[text]
            if leader is None:
                leader, similarity = next((other, 1.0) for other, _, _, known in kept if known == text)
        else:
            similar = [
                (len(shingles & other) * 10**6 // len(shingles | other), -place, leader)
                for place, (leader, other, meet, _) in enumerate(kept)
                if bands & meet
            ]
            best = max(similar, default=(-1, 0, None))
            near = best[0] >= round(params["threshold"] * 10**6)
            leader, similarity = (best[2], best[0] / 10**6) if near else (None, None)
            fate[text] = leader, similarity
        if leader is None:
            kept.append((row, shingles, bands, text))
        fate[row] = leader, similarity
    ids = table["id"].to_pylist()
    return {ids[row]: (None if fate[row][0] is None else ids[fate[row][0]], fate[row][1]) for row in rows}


def configured(**params) -> dict:
    return NEAR_DEDUP.configure({"ngram": 2, "bands": 8, "rows": 2, "threshold": 0.5} | params)


words = st.lists(st.sampled_from(["red", "green", "blue", "One", "two", "ein", "zwei", "中", "文"]), max_size=14)
texts = st.lists(words.map(" ".join), min_size=1, max_size=24)


@settings(max_examples=120, deadline=None)
@given(texts, st.data())
def test_equals_the_sequential_rule_on_any_texts_in_any_partitions(texts, data):
    table = docs(*texts)
    params = configured(threshold=data.draw(st.sampled_from([0.3, 0.5, 0.8, 1.0])))
    params["bins"] = data.draw(st.integers(1, 4))
    cut = data.draw(st.integers(0, len(texts)))
    priorities = data.draw(st.sampled_from([[0, 0], [1, 0], [0, 1]]))
    parts = [table.slice(0, cut), table.slice(cut)]
    with patch.object(scratch, "IN_MEMORY", data.draw(st.sampled_from([1, scratch.IN_MEMORY]))):  # 1: all in files
        found = pa.concat_tables(run_group(NEAR_DEDUP, parts, params, priorities))
    of = {id: priorities[place] for place, part in enumerate(parts) for id in part["id"].to_pylist()}
    expected = reference(table, of, params)
    for row in found.to_pylist():
        leader, similarity = expected[row["id"]]
        assert (row["reject"], row["duplicate_of"]) == (leader and "near_duplicate", leader)
        assert row["similarity"] == (None if leader is None else pytest.approx(similarity, abs=1e-6))


@settings(max_examples=40, deadline=None)
@given(texts)
def test_components_keep_the_first_of_all_that_are_joined(texts):
    table = docs(*texts)
    params = configured(rule="components", verify="none") | {"bins": 2}
    (found,) = run_group(NEAR_DEDUP, [table], params)
    scheme = Scheme.of(**params)
    keys = scheme.keys(scheme.signatures(table["text"]))
    joined = {row: {row} for row in range(len(texts))}
    for a in range(len(texts)):
        for b in range(a):
            if set(keys[a]) & set(keys[b]) and joined[a] is not joined[b]:
                joined[a] |= joined[b]
                for row in joined[a]:
                    joined[row] = joined[a]
    ids = table["id"].to_pylist()
    for row, out in enumerate(found.to_pylist()):
        first = min(ids[other] for other in joined[row])
        assert out["duplicate_of"] == (None if first == ids[row] else first)
        if len(joined[row]) > 1:
            assert (out["cluster"], out["cluster_size"]) == (first, len(joined[row]))


def test_no_document_goes_without_a_kept_twin():
    odd = ["", " ", "\0", "one", "one", "Ünï", "x" * 1_000_000, "x" * 1_000_000, "🙂🙂", "same " * 40, "same " * 40]
    (found,) = run_group(NEAR_DEDUP, [docs(*odd)], NEAR_DEDUP.configure({}))
    kept = set(found.filter(found["reject"].is_null())["id"].to_pylist())
    removed = found.filter(found["reject"].is_valid())
    assert removed.num_rows == 3  # the second of each pair of equal texts
    assert set(removed["duplicate_of"].to_pylist()) <= kept


def test_the_keep_order_is_priority_then_columns_then_id():
    text = "a text of some words that is there three times over and over again"
    table = docs(text, text, text, stars=pa.array([3, 9, None], pa.int64()))
    (found,) = run_group(NEAR_DEDUP, [table], NEAR_DEDUP.configure({"keep": ["-stars"]}))
    assert found["reject"].is_null().to_pylist() == [False, True, False]
    parts = [table.slice(0, 2), table.slice(2)]
    found = pa.concat_tables(run_group(NEAR_DEDUP, parts, NEAR_DEDUP.configure({"keep": ["-stars"]}), [5, 1]))
    assert found["reject"].is_null().to_pylist() == [False, False, True]


def test_a_chain_of_resemblances_removes_only_what_resembles_a_kept_document():
    words = [f"w{place}" for place in range(60)]
    chain = [" ".join(words[start : start + 40]) for start in range(0, 20, 4)]
    params = NEAR_DEDUP.configure({"ngram": 1, "bands": 64, "rows": 2, "threshold": 0.8})
    (found,) = run_group(NEAR_DEDUP, [docs(*chain)], params)
    by_id = {row["id"]: set(row["text"].split()) for row in found.to_pylist()}
    removed = [row for row in found.to_pylist() if row["reject"]]
    assert 0 < len(removed) < len(chain) - 1
    for row in removed:
        mine, other = by_id[row["id"]], by_id[row["duplicate_of"]]
        assert len(mine & other) / len(mine | other) >= 0.8
    (closed,) = run_group(NEAR_DEDUP, [docs(*chain)], params | {"rule": "components", "verify": "none"})
    assert pc.sum(closed["reject"].is_valid()).as_py() == len(chain) - 1


def test_signatures_decide_when_asked():
    words = [f"w{place}" for place in range(100)]
    table = docs(" ".join(words), " ".join([*words[:97], "x"]), " ".join(words[:40]))
    (found,) = run_group(NEAR_DEDUP, [table], NEAR_DEDUP.configure({"ngram": 1, "verify": "signature"}))
    assert pc.sum(found["reject"].is_valid()).as_py() == 1


@pytest.mark.parametrize(
    "params",
    [
        {"bands": 4},
        {"bands": 40, "rows": 10, "permutations": 256},
        {"verify": "none"},
        {"rule": "components"},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(params):
    with pytest.raises(CurateError) as caught:
        NEAR_DEDUP.reads(NEAR_DEDUP.configure(params))
    assert caught.value.fix


def test_texts_may_be_compared_without_case_punctuation_and_spacing():
    table = docs("One, two - three; four.", "ONE  two\nthree four", "one two three five")
    params = {"ngram": 13, "unit": "characters", "threshold": 1}
    (plain,) = run_group(NEAR_DEDUP, [table], NEAR_DEDUP.configure(params))
    (normalized,) = run_group(NEAR_DEDUP, [table], NEAR_DEDUP.configure(params | {"normalize": True}))
    assert plain["reject"].null_count == 3
    assert normalized["reject"].null_count == 2
    assert normalized["reject"][2].as_py() is None
