"""Rows that are more than text: what text stages see of them, and what is released."""

import json

import datasets
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import rejected_rows, release, released_rows, write_jsonl, write_manifest
from small_tokenizers import small_tokenizer

from curate.base.messages import CONVERSATIONS, MESSAGES, answer, said_by, text_of
from curate.engine.apply import Configured, apply
from curate.errors import CurateError
from curate.inspect.trying import apply_stages
from curate.stage_api import find_stage
from curate.testing import docs

MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.sampled_from(["", "a", "b\nc", "é"])}
)
CONVERSATION = st.none() | st.lists(MESSAGE, max_size=4)


def said(*turns: str) -> list[dict]:
    """A conversation in which user and assistant take turns."""
    return [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(turns)]


def joined(messages: list[dict] | None) -> str | None:
    return None if messages is None else "\n\n".join(message["content"] for message in messages)


def table(rows: list[dict]) -> pa.Table:
    """A document table of rows of messages, with the texts that readers give them."""
    columns = {
        name: pa.array([row.get(name) for row in rows], MESSAGES)
        for name in CONVERSATIONS
        if any(map(name.__contains__, rows[0]))
    }
    made = docs(*[row.get("text") for row in rows], **columns)
    return made.set_column(made.column_names.index("text"), "text", text_of(made))


@given(st.lists(CONVERSATION, min_size=1, max_size=5))
def test_the_text_is_what_is_said(conversations):
    made = pa.table({"text": ["t"] * len(conversations), "messages": pa.array(conversations, MESSAGES)})
    assert text_of(made).to_pylist() == list(map(joined, conversations))
    by_user = [
        "t" if one is None else joined(found) if (found := [m for m in one if m["role"] == "user"]) else None
        for one in conversations
    ]
    assert said_by(made, "user").to_pylist() == by_user
    last = [
        "t" if one is None else one[-1]["content"] if one and one[-1]["role"] == "assistant" else None
        for one in conversations
    ]
    assert answer(made).to_pylist() == last
    assert text_of(made.slice(1)).to_pylist() == text_of(made).to_pylist()[1:]


@given(st.lists(st.tuples(CONVERSATION, CONVERSATION), min_size=1, max_size=5))
def test_of_the_rejected_only_what_differs_is_text(pairs):
    made = pa.table(
        {name: pa.array([pair[k] for pair in pairs], MESSAGES) for k, name in enumerate(("chosen", "rejected"))}
    )
    for (chosen, rejected), text in zip(pairs, text_of(made).to_pylist(), strict=True):
        same = 0
        while same < min(len(chosen or ()), len(rejected or ())) and chosen[same] == rejected[same]:
            same += 1
        texts = [joined(chosen), joined(rejected if rejected is None else rejected[same:])]
        assert text == (None if texts == [None, None] else "\n\n".join(text for text in texts if text is not None))


@given(st.lists(st.lists(MESSAGE, max_size=4), min_size=1, max_size=6))
def test_stages_that_change_text_change_each_message(conversations):
    made = docs(*map(joined, conversations), messages=conversations)
    stage = Configured("normalize", find_stage("normalize"), find_stage("normalize").configure({}))
    found, _ = apply(made.append_column("reject", pa.nulls(len(conversations), pa.string())), [stage])
    every = [message["content"] for one in conversations for message in one]
    alone = iter(stage(docs(*every))["text"].to_pylist() if every else [])
    expected = [[message | {"content": next(alone)} for message in one] for one in conversations]
    assert found["messages"].to_pylist() == expected
    assert found["text"].to_pylist() == list(map(joined, expected))


def test_what_a_stage_adds_is_of_the_text_alone():
    mail = "write to ann@corp.com"
    row = {"prompt": mail, "chosen": said(mail, "ok"), "rejected": said(mail, "no: bob@corp.com")}
    made = docs("t", **{name: [value] for name, value in row.items()})
    made = made.set_column(made.column_names.index("text"), "text", text_of(made))
    stage = Configured("pii", find_stage("pii"), find_stage("pii").configure({}))
    (found,) = stage(made).to_pylist()
    assert found["n_emails"] == 2
    assert "corp.com" not in json.dumps([found[name] for name in ("text", "prompt", "chosen", "rejected")])


def test_a_message_that_is_rejected_takes_its_row_along():
    made = docs("t", "u", messages=[said("lorem ipsum dolor.", "x"), said("Five words are in here.", "Y.")])
    stage = Configured("c4", find_stage("c4"), find_stage("c4").configure({"min_sentences": 0, "min_words": 1}))
    assert stage(made)["reject"].to_pylist()[0] == "lorem_ipsum"


def _manifest(tmp_path, **source):
    found = {"name": "chat", "version": "1.0.0", "license": "cc0-1.0", "stages": ["exact_dedup"]}
    return write_manifest(tmp_path / "m.yaml", found | {"sources": {"sft": {"inputs": ["a.jsonl"]} | source}})


def test_conversations_are_released_with_all_they_hold(tmp_path):
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}
    tool = {"type": "function", "function": {"name": "f", "description": "does f"}}
    rows = [
        {"messages": [*said("What is it?"), call], "tools": [tool], "topic": "t"},
        {"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"messages": said("a", "b")},
        {"messages": []},
        {"messages": "no JSON"},
        {"messages": [{"content": "who?"}]},
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    made = release(_manifest(tmp_path, layout="messages", max_bad_rows=1.0), tmp_path / "work")
    kept = {row["text"]: row for row in released_rows(made.path)}
    assert sorted(kept) == ["What is it?\n\n", "a\n\nb"]
    one = kept["What is it?\n\n"]
    assert one["messages"] == [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": ""}]
    assert json.loads(one["extras"]) == {"messages": [None, {"tool_calls": call["tool_calls"]}]}
    assert one["tools"] == json.dumps([tool]), "in the order of the row"
    assert json.loads(one["meta"]) == {"topic": "t"}
    assert kept["a\n\nb"]["messages"] == said("a", "b")
    reasons = sorted(row["reason"] for row in rejected_rows(made.path))
    assert reasons == ["bad_messages", "duplicate_text", "no_messages", "not_json"]


def test_a_release_of_conversations_is_read_again(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"messages": said(f"q{n}", "a"), "tools": "[]"} for n in range(9)])
    first = release(_manifest(tmp_path, layout="messages"), tmp_path / "work")
    again = _manifest(tmp_path, inputs=[str(first.path / "data" / "*.parquet")], layout="curate")
    second = release(again, tmp_path / "again")
    columns = ("text", "messages", "tools", "extras")
    ordered = [
        sorted(([row[name] for name in columns] for row in released_rows(r.path)), key=str) for r in (first, second)
    ]
    assert ordered[0] == ordered[1]


def test_the_plan_refuses_what_conversations_cannot_go_through(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"messages": said("q", "a")}])
    manifest = _manifest(tmp_path, layout="messages", pipeline=["line_dedup"])
    with pytest.raises(CurateError, match="`line_dedup` cannot change conversations, which source `sft` has"):
        release(manifest, tmp_path / "work")


def test_the_card_counts_what_each_role_says(tmp_path):
    rows = [{"messages": said(f"q{n}", "an answer")} for n in range(3)]
    rows.append({"messages": [{"role": "system", "content": "é"}, *said("q", "a", "q", "a")]})
    write_jsonl(tmp_path / "a.jsonl", rows)
    made = release(_manifest(tmp_path, layout="messages"), tmp_path / "work")
    expected = {
        "assistant": {"documents": 4, "bytes": 29, "messages": 5},
        "system": {"documents": 1, "bytes": 2, "messages": 1},
        "user": {"documents": 4, "bytes": 8, "messages": 5},
    }
    assert made.lock["composition"]["role"] == expected
    card = (made.path / "README.md").read_text(encoding="utf-8")
    assert "| assistant | 4 | 5 | 29 B |" in card


def test_tokens_are_counted_by_role():
    params = find_stage("tokens").configure({"tokenizer": small_tokenizer(), "by_role": True})

    def tokens(*texts: str) -> int:
        return sum(find_stage("tokens")(docs(*texts), **params)["n_tokens"].to_pylist())

    made = docs("t", "u", messages=[said("one two", "three", "four"), None])
    expected = [[0, tokens("one two", "four"), tokens("three"), 0], [0, 0, 0, 0]]
    assert find_stage("tokens")(made, **params)["role_tokens"].to_pylist() == expected


def test_stages_can_be_tried_on_messages():
    made = pa.table({"messages": pa.array([said("mail ann@corp.com", "ok")], MESSAGES)})
    found = apply_stages(made, ["pii"])
    assert found["text"].to_pylist() == ["mail email@example.com\n\nok"]
    assert found["messages"].to_pylist() == [said("mail email@example.com", "ok")]


def test_datasets_loads_a_release_with_its_features(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"chosen": said("q", "good"), "rejected": said("q", "bad"), "prompt": "q"}])
    made = release(_manifest(tmp_path, layout="preference"), tmp_path / "work")
    loaded = datasets.load_dataset(str(made.path), split="train", cache_dir=str(tmp_path / "cache"))
    message = {"role": datasets.Value("string"), "content": datasets.Value("string")}
    assert loaded.features["chosen"] == datasets.List(message)
    assert loaded[0]["rejected"] == said("q", "bad")
