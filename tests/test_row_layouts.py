"""Layouts of conversations, preferences and pictures: what their rows become, and which rows cannot be used."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.errors import CurateError
from curate.inspect.first_look import look
from curate.manifest.manifest import load
from curate.sources import File, Origin
from curate.sources.format_api import format_for
from curate.sources.row_layouts import ROW_LAYOUTS

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def read(path: Path, layout: str) -> list[dict]:
    form = format_for(path.name, "json" if path.suffix == ".json" else None)
    tables = form.read(File(path.name, str(path), path.stat().st_size), origin=Origin("s"), layout=layout)
    return [row for table in tables for row in table.to_pylist()]


def documents(tmp_path: Path, layout: str, *rows: dict) -> list[dict]:
    """What rows of JSON Lines become. Where Arrow can write them, rows of Parquet must become the same."""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(path, layout)
    try:
        table = pa.Table.from_pylist([dict.fromkeys(key for row in rows for key in row) | row for row in rows])
        pq.write_table(table, tmp_path / "a.parquet")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return found
    keys = ("text", "reject", "position", *ROW_LAYOUTS[layout].gives)
    again = read(tmp_path / "a.parquet", layout)
    assert [[row[key] for key in keys] for row in again] == [[row[key] for key in keys] for row in found]
    return found


def one(tmp_path: Path, layout: str, row: dict) -> dict:
    (found,) = documents(tmp_path, layout, row)
    assert found["reject"] is None
    return found | {"meta": json.loads(found["meta"] or "{}")}


TURNS = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
CHAT = [user("q"), assistant("a")]

# fmt: off
SINGLE = [
    ("tulu3-sft", {"id": "i", "messages": CHAT, "source": "s"}, CHAT, {"id": "i", "source": "s"}),
    ("infinity-instruct",
     {"id": 3, "conversations": TURNS, "label": {"ability_en": ["x"]}, "langdetect": "en", "source": "s"}, CHAT,
     {"id": 3, "label": {"ability_en": ["x"]}, "langdetect": "en", "source": "s"}),
    ("openthoughts", {"system": "sys", "conversations": TURNS}, [{"role": "system", "content": "sys"}, *CHAT], {}),
    ("openthoughts", {"problem": "q", "deepseek_reasoning": " hm ", "deepseek_solution": "a",
                      "ground_truth_solution": "g", "domain": "math", "source": "s"},
     [user("q"), assistant("<think>\nhm\n</think>\n\na")],
     {"ground_truth_solution": "g", "domain": "math", "source": "s"}),
    ("s1k", {"question": "q", "thinking_trajectories": ["t", "u"], "attempt": "a", "solution": "s", "cot_type": "math"},
     [user("q"), assistant("<think>\nt\n\nu\n</think>\n\na")], {"solution": "s", "cot_type": "math"}),
    ("limo", {"question": "q", "solution": "so a", "answer": "a"}, [user("q"), assistant("so a")], {"answer": "a"}),
    ("alpaca", {"instruction": "q", "input": "on x", "output": "a", "system": "sys", "history": [["h", "i"]]},
     [{"role": "system", "content": "sys"}, user("h"), assistant("i"), user("q\non x"), assistant("a")], {}),
    ("alpaca", {"instruction": "q", "input": "", "output": "a", "topic": "t"}, CHAT, {"topic": "t"}),
    ("prompt-completion", {"prompt": "q", "completion": "a"}, CHAT, {}),
    ("prompt-completion", {"prompt": [user("q")], "completion": [assistant("a")], "n": 1}, CHAT, {"n": 1}),
    ("messages", {"messages": CHAT, "label": True}, CHAT, {"label": True}),
    ("llava", {"id": "i", "conversations": TURNS, "model": "m"}, CHAT, {"id": "i", "model": "m"}),
    ("messages", {"messages": [user("q"), {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"},
                                                                       {"type": "text", "value": "a"}]}]},
     [user("q"), assistant("<think>\nhm\n</think>\n\na")], {}),
]
# fmt: on


@pytest.mark.parametrize(("layout", "row", "messages", "meta"), SINGLE, ids=[case[0] for case in SINGLE])
def test_each_layout_has_the_conversation_and_keeps_the_rest(tmp_path, layout, row, messages, meta):
    found = one(tmp_path, layout, row)
    assert found["messages"] == messages
    assert found["meta"] == meta
    assert found["text"] == "\n\n".join(message["content"] for message in messages)


def test_the_generations_of_a_problem_are_documents_with_what_is_known_of_each(tmp_path):
    row = {
        "problem": "q",
        "answer": "4",
        "uuid": "u-1",
        "generations": ["a", "b"],
        "finish_reasons": ["stop", "length"],
        "is_reasoning_complete": [True, False],
        "correctness_math_verify": [True, False],
        "correctness_llama": None,
        "messages": [user("q"), assistant("a")],
    }
    first, second = documents(tmp_path, "openr1-math", row)
    assert [one["messages"][1]["content"] for one in (first, second)] == ["a", "b"]
    assert first["group"] == second["group"] == "u-1"
    assert first["id"] != second["id"]
    assert json.loads(second["meta"]) == {
        "answer": "4",
        "uuid": "u-1",
        "generation": 1,
        "finish_reason": "length",
        "is_reasoning_complete": False,
        "correctness_math_verify": False,
    }
    bare = {key: row[key] for key in ("problem", "generations")}
    groups = [one["group"] for one in documents(tmp_path, "openr1-math", bare, bare, bare | {"problem": "r"})]
    assert len(set(groups[:4])) == 1
    assert groups[4] not in groups[:4]


def test_both_models_of_s1k_have_a_document(tmp_path):
    row = {"question": "q", "solution": "s"}
    for model in ("gemini", "deepseek"):
        row |= {f"{model}_thinking_trajectory": "t", f"{model}_attempt": model, f"{model}_grade": "Yes"}
    found = documents(tmp_path, "s1k-1.1", row)
    answers = {json.loads(one["meta"])["model"]: one["messages"][1]["content"] for one in found}
    assert answers == {model: f"<think>\nt\n</think>\n\n{model}" for model in ("deepseek", "gemini")}
    assert json.loads(found[0]["meta"]) == {"model": "deepseek", "grade": "Yes", "solution": "s"}
    assert len({one["group"] for one in found}) == 1
    half = {key: value for key, value in row.items() if not key.startswith("gemini")}
    assert len(documents(tmp_path, "s1k-1.1", half)) == 1


PAIR = ([user("q"), assistant("yes")], [user("q"), assistant("no")])


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": PAIR[0], "rejected": PAIR[1]},
        {"prompt": "q", "chosen": "yes", "rejected": "no"},
        {"prompt": [user("q")], "chosen": [assistant("yes")], "rejected": [assistant("no")]},
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "yes"},
            "rejected": {"from": "gpt", "value": "no"},
        },
        {"chosen_messages": PAIR[0], "rejected_messages": PAIR[1]},
    ],
)
def test_the_sides_of_a_preference_are_whole_conversations(tmp_path, row):
    found = one(tmp_path, "preference", row)
    assert (found["chosen"], found["rejected"], found["prompt"], found["meta"]) == (*PAIR, "q", {})
    assert found["text"] == "q\n\nyes\n\nno"


def test_tulu_preferences_keep_id_and_source(tmp_path):
    row = {"id": "i", "source": "s", "prompt": "q", "chosen": PAIR[0], "rejected": PAIR[1]}
    assert one(tmp_path, "tulu3-preference", row)["meta"] == {"id": "i", "source": "s"}


def test_pictures_stay_as_the_row_has_them(tmp_path):
    path = {"bytes": None, "path": "a.jpg"}
    llava = one(
        tmp_path, "llava", {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nq"}, TURNS[1]]}
    )
    assert llava["images"] == [path]
    assert llava["messages"][0]["content"] == "<image>\nq"
    parts = [{"type": "text", "text": "q "}, {"type": "image_url", "value": "a.jpg"}]
    inside = one(tmp_path, "messages-images", {"messages": [{"role": "user", "content": parts}, assistant("a")]})
    assert (inside["images"], inside["messages"][0]["content"], inside["extras"]) == ([path], "q <image>", None)
    row = {
        "images": [{"bytes": b"\xff\xd8", "path": None}, {"bytes": None, "path": "b.png"}],
        "texts": [{"user": "q", "assistant": "a"}, {"user": "r", "assistant": "b"}],
        "source": "s",
        "relevance_ratings": [4, 5],
        "relevance_min": 4,
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "f.parquet")
    (found,) = read(tmp_path / "f.parquet", "finevision")
    assert found["images"] == row["images"]
    assert found["messages"] == [user("<image>\n<image>\nq"), assistant("a"), user("r"), assistant("b")]
    assert json.loads(found["meta"]) == {"source": "s", "relevance_ratings": [4, 5], "relevance_min": 4}


# fmt: off
BAD = [
    ("openr1-math", {"problem": "q", "generations": ["a"], "finish_reasons": ["stop", "stop"]}, "not_aligned"),
    ("openr1-math", {"problem": "q", "generations": []}, "no_answer"),
    ("openr1-math", {"problem": "q", "generations": ["a", None]}, "no_answer"),
    ("openr1-math", {"problem": "q", "generations": "[1,"}, "not_json"),
    ("openr1-math", {"problem": None, "generations": ["a"]}, "no_question"),
    ("openthoughts", {"problem": "q", "deepseek_reasoning": "t"}, "no_answer"),
    ("openthoughts", {"problem": "q"}, "no_answer"),
    ("s1k", {"question": "q", "thinking_trajectories": "t", "attempt": "a"}, "not_json"),
    ("s1k", {"question": "q", "thinking_trajectories": [], "attempt": "a"}, "no_answer"),
    ("s1k-1.1", {"question": "q", "gemini_attempt": None}, "no_answer"),
    ("limo", {"question": "q", "solution": " "}, "no_answer"),
    ("limo", {"question": 7, "solution": "a"}, "no_question"),
    ("alpaca", {"instruction": "q", "output": ""}, "no_answer"),
    ("alpaca", {"instruction": None, "output": "a"}, "no_question"),
    ("alpaca", {"instruction": "q", "output": "a", "history": [["q"]]}, "bad_messages"),
    ("prompt-completion", {"prompt": "q", "completion": None}, "no_answer"),
    ("prompt-completion", {"prompt": "", "completion": "a"}, "no_question"),
    ("finevision", {"images": [], "texts": []}, "no_messages"),
    ("finevision", {"images": [], "texts": [{"user": "q"}]}, "bad_messages"),
    ("llava", {"image": 7, "conversations": TURNS}, "bad_images"),
    ("llava", {"image": {"bytes": None}, "conversations": TURNS}, "bad_images"),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "video", "url": "u"}]}]}, "bad_messages"),
    ("messages", {"messages": [{"role": "user", "content": 7}]}, "bad_messages"),
    ("messages", {"messages": [{"from": "function_call", "value": "{"}]}, "not_json"),
    ("preference", {"chosen": "yes", "rejected": None}, "no_messages"),
    ("infinity-instruct", {"conversations": "[{", "label": {}, "source": "s"}, "not_json"),
]
# fmt: on


@pytest.mark.parametrize(("layout", "row", "reason"), BAD)
def test_a_row_that_cannot_be_used_says_why(tmp_path, layout, row, reason):
    (found,) = documents(tmp_path, layout, row)
    assert found["reject"] == reason
    assert found["text"] is None
    assert reason in format_for("a.parquet").reasons


def test_init_tells_the_layout_of_rows_of_conversations(tmp_path):
    for layout, row, messages, _ in SINGLE:
        (tmp_path / f"{layout}.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
        found = look(str(tmp_path / f"{layout}.jsonl"), tmp_path)
        told = found.layout
        assert found.documents[0]["text"].startswith(messages[0]["content"])
        assert [said.messages for said in ROW_LAYOUTS[told].read(row)] == [messages], (layout, told)
    assert look(str(tmp_path / "limo.jsonl"), tmp_path).layout == "limo"
    curate.init(tmp_path / "m.yaml", [str(tmp_path / "s1k.jsonl")])
    assert load(tmp_path / "m.yaml").spec.sources["s1k"].layout == "s1k"
    assert curate.plan(tmp_path / "m.yaml", tmp_path / "work")["run"] > 0


@pytest.mark.parametrize("layout", ROW_LAYOUTS)
def test_a_table_without_the_columns_is_refused(tmp_path, layout):
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("words\na\n")
    for name in ("a.parquet", "a.csv"):
        with pytest.raises(CurateError, match=f"no column `.*{ROW_LAYOUTS[layout].needs[0].split('|')[0]}"):
            read(tmp_path / name, layout)


REAL = {
    "posttrain/llamafactory/kto_en_demo.json": ("messages", 300),
    "posttrain/llamafactory/glaive_toolcall_en_demo.json": ("sharegpt", 300),
    "posttrain/llamafactory/alpaca_zh_demo.json": ("alpaca", 1000),
    "posttrain/llamafactory/dpo_en_demo.json": ("preference", 300),
    "posttrain/llamafactory/v1_dpo_demo.jsonl": ("preference", 10),
    "posttrain/llamafactory/mllm_demo.json": ("messages-images", 6),
    "rows/llamafactory/reason_tool_use_demo_50.jsonl": ("messages", 50),
    "rows/llamafactory/v1_sft_demo.jsonl": ("messages", 500),
}


@pytest.mark.parametrize(("name", "layout", "count"), [(name, *told) for name, told in REAL.items()])
def test_every_row_of_real_sets_is_a_conversation(name, layout, count):
    if not (SHARED / name).exists():
        pytest.skip("the shared rows are not on this machine")
    found = read(SHARED / name, layout)
    assert len(found) == count
    assert {row["reject"] for row in found} == {None}
    for row in found:
        messages = row.get("messages") or row["chosen"]
        assert {message["role"] for message in messages} <= {"system", "user", "assistant", "tool"}
        assert messages[-1]["role"] == "assistant"
        if "tools" in ROW_LAYOUTS[layout].gives and row["tools"]:
            json.loads(row["tools"])
