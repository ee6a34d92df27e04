"""Of each group the best stay; deduplication and language can look at what one role says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import model
from releases import rejected_rows, release, released_rows, write_jsonl, write_manifest

import curate
from curate.dedup.exact_dedup import exact_dedup
from curate.dedup.keep_best import keep_best
from curate.dedup.near_dedup import near_dedup
from curate.errors import CurateError
from curate.testing import docs, run_group

ROW = st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, True, False]), st.integers(0, 3))


@given(st.lists(ROW, min_size=1, max_size=12), st.integers(1, 3), st.integers(1, 4))
def test_the_first_of_each_group_in_order_stay(rows, count, parts):
    metas = [json.dumps({"right": right, "n": n}) for _, right, n in rows]
    table = docs(*["t"] * len(rows), group=[group for group, _, _ in rows], meta=metas)
    params = keep_best.configure({"order": ["-meta.right", "meta.n"], "count": count})
    pieces = [table.take(piece) for piece in np.array_split(np.arange(len(rows)), parts)]
    found = [row for piece in run_group(keep_best, pieces, params) for row in piece.to_pylist()]
    reasons = {row["id"]: row["reject"] for row in found}

    def key(place):
        _, right, n = rows[place]
        return ({True: 0, False: 1, None: 2}[right], n, table["id"][place].as_py())

    for group in ("a", "b"):
        ranked = sorted((place for place, row in enumerate(rows) if row[0] == group), key=key)
        for rank, place in enumerate(ranked, 1):
            assert reasons[table["id"][place].as_py()] == ("not_best" if rank > count else None)
    assert all(reasons[table["id"][place].as_py()] is None for place, row in enumerate(rows) if row[0] is None)


def test_the_best_of_generations_is_released(tmp_path):
    row = {"problem": "2 + 2?", "generations": ["5", "It is 4.", "4"], "correctness_math_verify": [False, True, True]}
    write_jsonl(
        tmp_path / "a.jsonl", [row | {"uuid": "u"}, row | {"problem": "3 + 3?", "generations": ["7", "6", "6."]}]
    )
    source = {"inputs": ["a.jsonl"], "layout": "openr1-math"}
    stages = [{"keep_best": {"order": ["-meta.correctness_math_verify", "n_bytes"]}}]
    document = {"name": "m", "version": "1.0.0", "license": "cc0-1.0", "sources": {"r1": source}, "stages": stages}
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    assert sorted(row["messages"][-1]["content"] for row in released_rows(made.path)) == ["4", "6"]
    assert [row["reason"] for row in rejected_rows(made.path)] == ["not_best"] * 4


def test_documents_without_groups_are_refused(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "t"}])
    document = {"name": "m", "version": "1.0.0", "license": "cc0-1.0", "sources": {"s": {"inputs": ["a.jsonl"]}}}
    path = write_manifest(tmp_path / "m.yaml", document | {"stages": [{"keep_best": {"order": ["n_bytes"]}}]})
    with pytest.raises(CurateError, match="no column `group`"):
        curate.plan(path, tmp_path / "work")


def chat(question: str, answer: str) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


LONG = "Which of the many rivers that flow through the old town is the longest of all?"
CHATS = [chat(LONG, "The Elbe."), chat(LONG, "The Rhine."), chat("Which one?", "The Elbe."), [chat("x", "y")[1]]]


def reasons(stage, table, **params) -> list[str | None]:
    (found,) = run_group(stage, [table], stage.configure(params))
    return [row["reject"] for row in found.to_pylist()]


@pytest.mark.parametrize("stage", [exact_dedup, near_dedup])
def test_documents_can_be_compared_by_what_one_role_says(stage):
    table = docs(*["\n\n".join(one["content"] for one in said) for said in CHATS], messages=CHATS)
    kept = [reason is None for reason in reasons(stage, table, of="user")]
    assert sorted(kept[:2]) == [False, True]
    assert kept[2:] == [True, True]
    kept = [reason is None for reason in reasons(stage, table, of="assistant")]
    assert sorted([kept[0], kept[2]]) == [False, True]
    assert (kept[1], kept[3]) == (True, True)
    assert (reasons(stage, table)[1] is None) == (stage is exact_dedup), "nearly the same question and answer"


def test_text_and_conversations_are_compared_together(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"messages": one} for one in CHATS[:3]])
    write_jsonl(tmp_path / "b.jsonl", [{"text": LONG}, {"text": "Something else that nobody asks."}])
    sources = {
        "sft": {"inputs": ["a.jsonl"], "layout": "messages", "priority": 1},
        "web": {"inputs": ["b.jsonl"], "priority": 2},
    }
    document = {"name": "m", "version": "1.0.0", "license": "cc0-1.0", "sources": sources}
    near = write_manifest(tmp_path / "m.yaml", document | {"stages": [{"near_dedup": {"of": "user"}}]})
    made = release(near, tmp_path / "work")
    assert sorted(row["source"] for row in rejected_rows(made.path)) == ["sft", "web"]
    later = document | {"version": "1.1.0", "against": [str(made.path)]}
    write_jsonl(tmp_path / "a.jsonl", [{"messages": chat(LONG, "The Danube.")}])
    again = write_manifest(tmp_path / "n.yaml", later | {"stages": [{"near_dedup": {"of": "user", "max_removed": 1}}]})
    rejected = rejected_rows(release(again, tmp_path / "work").path)
    assert {row["reason"] for row in rejected} == {"near_duplicate"}
    assert len(rejected) == 3, "all of it was in the earlier release"
    other = write_manifest(tmp_path / "o.yaml", later | {"stages": ["near_dedup"]})
    with pytest.raises(CurateError, match="the index of"):
        curate.plan(other, tmp_path / "work")


def test_the_language_of_one_role_is_told():
    table = docs(*["hq hq hq cc cc cc"] * 2, messages=[chat("hq hq", "cc cc"), chat("cc cc", "hq hq")])
    told = {
        of: curate.apply_stages(table, [{"language": {"model": str(model(("hq", "cc"))), "of": of}}])
        for of in ("user", "assistant", "all")
    }
    scores = {of: found["language"].to_pylist() for of, found in told.items()}
    assert scores["user"] == scores["assistant"][::-1]
    assert scores["all"][0] == scores["all"][1]


def test_an_address_is_of_no_role():
    with pytest.raises(CurateError, match="URLs cannot be compared with `of: user`"):
        exact_dedup.reads(exact_dedup.configure({"by": "url", "of": "user"}))
