"""The manifests of what makes an assistant of a 7B model: the full ones are sound, and the same in small run."""

import shutil
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from releases import rejected_rows, release, released_rows, write_jsonl

from curate.manifest.library import library
from curate.manifest.manifest import load

NAMES = ("moxin-7b-sft", "moxin-7b-preference", "moxin-7b-reasoning")
TOPICS = ["bridges", "rivers", "islands", "castles", "gardens", "harbors"]
TOPICS += ["markets", "forests", "glaciers", "deserts", "canals", "mills"]


def question(n: int) -> str:
    """No two are alike."""
    topic = TOPICS[n % 12]
    return f"Explain to a class of {n + 7} pupils how {topic} came to matter to town number {n * n + 3}, and why."


def answer(n: int) -> str:
    topic = TOPICS[n % 12]
    return f"In the year {1200 + n} people of the town found that {topic} bring trade, and it grew by {n} streets."


def chat(asked: str, said: str) -> list[dict]:
    return [{"content": asked, "role": "user"}, {"content": said, "role": "assistant"}]


def write_sft(folder) -> None:
    rows = [{"id": f"t{n}", "messages": chat(question(n), answer(n)), "source": "tulu"} for n in range(20)]
    rows.append({"id": "cut", "messages": chat(question(30), "Run:\n```\nx"), "source": "tulu"})
    rows.append({"id": "canned", "messages": chat(question(31), "As an AI language model, no."), "source": "tulu"})
    write_jsonl(folder / "tulu3.jsonl", rows)
    shared = {"label": {"ability_en": ["history"], "cate_ability_en": []}, "langdetect": "en", "source": "Flan"}
    turns = [[{"from": "human", "value": question(n)}, {"from": "gpt", "value": answer(n + 1)}] for n in range(15, 35)]
    write_jsonl(
        folder / "infinity_instruct.jsonl", [{"id": n, "conversations": one} | shared for n, one in enumerate(turns)]
    )


def write_preference(folder) -> None:
    rows = []
    for n in range(20):
        sides = {"chosen": chat(question(n), answer(n)), "rejected": chat(question(n), "No." if n else answer(0))}
        rows.append({"id": f"p{n}", "prompt": question(n), "source": "tulu", **sides})
    write_jsonl(folder / "tulu3_preference.jsonl", [*rows, rows[5] | {"id": "again"}])


def write_reasoning(folder) -> None:
    texts = {"ground_truth_solution": "x", "domain": "math", "source": "s", "test_cases": "", "starter_code": ""}
    thought = [
        {"problem": question(n), "deepseek_reasoning": f"Let me see {n}.", "deepseek_solution": answer(n)} | texts
        for n in range(20)
    ]
    pq.write_table(pa.Table.from_pylist(thought), folder / "openthoughts.parquet")
    right = {n: (True, n % 3 > 0, n % 5 > 0) for n in range(15, 35)}
    generations = {
        n: [
            f"<think>\n{'Hm. ' * thoughts}\n</think>\n{answer(n)} So it is $\\boxed{{{n if good else n + 1}}}$."
            for thoughts, good in zip((9, 3, 1), right[n], strict=True)
        ]
        for n in right
    }
    rows = [
        {
            "problem": question(n),
            "answer": str(n),
            "uuid": f"u{n}",
            "generations": generations[n],
            "is_reasoning_complete": [True, True, n % 2 == 0],
            "correctness_math_verify": list(right[n]),
            "correctness_llama": None if n % 2 else [True, True, False],
            "finish_reasons": ["stop"] * 3,
            "messages": chat(question(n), generations[n][0]),
        }
        for n in right
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "openr1_math.parquet")


WRITE = dict(zip(NAMES, (write_sft, write_preference, write_reasoning), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_full_manifest_has_the_stages_of_the_tiny_one_and_is_decontaminated(name):
    full, tiny = load(name), load(f"{name}-tiny")
    assert full.spec.sources.keys() == tiny.spec.sources.keys()
    for source, one in full.spec.sources.items():
        assert one.layout == tiny.spec.sources[source].layout
        assert all(item.startswith("hf://datasets/") for item in one.inputs)
        stages = [[(call.label, call.params) for call in made.pipelines[source]] for made in (full, tiny)]
        assert stages[0] == stages[1]
    rest = [(call.label, call.params) for call in full.stages if call.label != "decontaminate"]
    assert rest == [(call.label, call.params) for call in tiny.stages]
    assert len(rest) == len(full.stages) - 1


@pytest.mark.parametrize("name", NAMES)
def test_the_tiny_manifest_gives_the_same_bytes_on_any_number_of_workers(name, tmp_path):
    shutil.copy(library("manifests") / f"{name}-tiny.yaml", tmp_path)
    WRITE[name](tmp_path)
    alone, many = (
        release(tmp_path / f"{name}-tiny.yaml", tmp_path / str(workers), workers=workers) for workers in (0, 2)
    )
    assert alone.typed.digest == many.typed.digest
    rows = released_rows(alone.path)
    reasons = Counter(row["reason"] for row in rejected_rows(alone.path))
    asked = [(row.get("messages") or row["chosen"])[0]["content"] for row in rows]
    assert len(set(asked)) == len(asked), "each question once"
    if name == "moxin-7b-sft":
        assert len(asked) == 35
        assert reasons == {"cut_answer": 1, "phrase": 1, "duplicate_text": 5}
    elif name == "moxin-7b-preference":
        assert len(asked) == 19
        assert reasons == {"equal_sides": 1, "duplicate_text": 1}
    else:
        assert len(asked) == 35
        assert {row["source"] for row in rows} == {"openthoughts", "openr1_math"}
        assert all(row["messages"][1]["content"].startswith("<think>\n") for row in rows)
        best = next(row for row in rows if row["group"] == "u26")
        assert best["messages"][1]["content"].count("Hm.") == 1, "the shortest that is verified and complete"
        shortest = next(row for row in rows if row["group"] == "u25")
        assert shortest["messages"][1]["content"].count("Hm.") == 3, "the shorter one has a wrong answer"
        assert all(row["verified"] for row in rows if row["source"] == "openr1_math")
        assert reasons["wrong"] > 0
        assert reasons["not_best"] > 0
    card = (alone.path / "README.md").read_text()
    assert "| Datasets | yes |" in card.partition("## Model Openness Framework")[2]
