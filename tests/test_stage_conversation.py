"""What is wrong with a conversation, or with a pair of answers, has a name."""

import json

import pytest

import curate
from curate.errors import CurateError
from curate.testing import docs


def said(*turns: str) -> list[dict]:
    """`u:` what a user says, `a:` the assistant, `s:` the system, `t:` a tool; any other role by its whole name."""
    roles = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    pairs = (turn.split(":", 1) for turn in turns)
    return [{"role": roles.get(role, role), "content": content} for role, content in pairs]


def reasons(*conversations: list[dict] | None, extras=None, tools=None, **params) -> list[str | None]:
    count = len(conversations)
    columns = {"messages": conversations, "extras": [extras] * count, "tools": [tools] * count}
    table = docs(*["t"] * count, **columns)
    return curate.apply_stages(table, [{"conversation": params}])["reject"].cast("string").to_pylist()


def reason(*turns: str, **params) -> str | None:
    (found,) = reasons(said(*turns), **params)
    return found and found.removeprefix("conversation.")


FENCE = "a:Run this:\n```python\nx = 1\n"


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (("u:q", "a:x"), None),
        (("s:s", "u:q", "a:x", "u:q", "a:x"), None),
        (("u:q", "a:c", "t:1", "t:2", "a:x"), None),
        (("u:q", "a:x", "boss:no"), "unknown_role"),
        (("u:q", "s:s", "a:x"), "bad_order"),
        (("u:q", "u:q", "a:x"), "bad_order"),
        (("u:q", "a:x", "a:y"), "bad_order"),
        (("a:x",), "bad_order"),
        (("t:x", "a:x"), "bad_order"),
        (("u:q", "a:x", "u:r"), "no_answer"),
        (("u:q", "a: \n"), "empty_answer"),
        (("u:q", FENCE), "cut_answer"),
        (("u:q", FENCE + "```"), None),
        (("u:q\n```", "a:x"), None),
        (("u:q", "a:<think>\nhm\n</think>\n4"), None),
        (("u:q", "a:<think>\nhm 4"), "unbalanced_think"),
        (("u:q", "a:hm</think>4"), "unbalanced_think"),
        (("u:q", "a:As an AI Language Model, I know."), "phrase"),
        (("u:q", "a:I’m sorry, but I can’t do it."), "phrase"),
        (("u:as an ai language model?", "a:x"), None),
        ((), "no_messages"),
    ],
)
def test_each_fault_has_its_name(turns, expected):
    assert reason(*turns) == expected


def test_parameters_let_pass_what_they_say():
    assert reason("u:q", "a:x", "boss:no", roles=["user", "assistant", "boss"], last="any") is None
    assert reason("a:x", order=False) is None
    assert reason("u:q", last="any", min_turns=0) is None
    assert reason("u:q", "a:<think>", think=False) is None
    assert reason("u:q", FENCE, complete=False) is None
    assert reason("u:q", "a:x", min_turns=2) == "too_few_turns"
    assert reason("u:q", "a:x", "u:q", "a:x", max_turns=1) == "too_many_turns"
    assert reason("u:q", "a:I see [it].", phrases=["see [it]"]) == "phrase"
    assert reason("u:q", "a:I see it.", phrases=["see [it]"]) is None
    assert reason("u:q", "a:as an ai language model", max_phrases=1) is None
    assert reason("u:q", "a:as an ai language model", phrases=[]) is None
    assert reasons(None) == ["conversation.no_messages"]


def test_answers_and_phrases_are_counted():
    table = docs("t", messages=[said("u:q", "a:As an AI language model, no. As an AI language model.", "u:q", "a:yes")])
    found = curate.apply_stages(table, [{"conversation": {"max_phrases": None}}])
    assert (found["n_turns"].to_pylist(), found["n_phrases"].to_pylist()) == ([2], [1])
    assert found["reject"].to_pylist() == [None]


SOUND = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (SOUND, None),
        ({"name": "f", "arguments": {"x": 1}}, None),
        ({"name": "g", "arguments": {}}, "broken_tool_call"),
        ({"name": "f", "arguments": '{"x": 1'}, "broken_tool_call"),
        ({"name": "f", "arguments": "[1]"}, "broken_tool_call"),
        ({"arguments": {}}, "broken_tool_call"),
        ("f", "broken_tool_call"),
    ],
)
def test_a_call_needs_a_tool_that_is_offered_and_arguments(call, expected):
    extras = json.dumps({"messages": [None, {"tool_calls": [call]}, None, None]})
    turns = ("u:q", "a:", "t:1", "a:x")
    tools = json.dumps([{"type": "function", "function": {"name": "f"}}])
    assert reason(*turns, extras=extras, tools=tools) == expected
    unchecked = curate.apply_stages(
        docs("t", messages=[said(*turns)], extras=[extras]), [{"conversation": {"tools": False}}]
    )
    assert unchecked["reject"].to_pylist() == [None]


def test_an_answer_that_calls_a_tool_may_say_nothing():
    extras = json.dumps({"messages": [None, None, None, {"tool_calls": [SOUND]}]})
    assert reason("u:q", "a:x", "u:q", "a:", extras=extras) is None
    assert reason("u:q", "a:", "u:q", "a:", extras=extras) == "empty_answer"


def test_rows_of_text_alone_are_refused():
    with pytest.raises(CurateError, match="these rows have none"):
        curate.apply_stages(docs("t"), ["conversation"])


YES = said("u:q", "a:yes")


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        (YES, said("u:q", "a:no"), None),
        (YES, YES, "equal_sides"),
        (YES, said("u:q", "a: yes\n"), "equal_sides"),
        (YES, said("u:q", "a: "), "empty_side"),
        (YES, said("u:q"), "no_answer"),
        (YES, None, "no_answer"),
        (YES, said("u:other", "a:no"), "different_prompts"),
        (YES, said("u:q", "a:no", "u:q", "a:no"), "different_prompts"),
        (said("u:q", "a:no", "u:q", "a:yes"), YES, "different_prompts"),
    ],
)
def test_a_pair_must_show_a_preference(chosen, rejected, expected):
    table = docs("t", "t", chosen=[YES, chosen], rejected=[said("u:q", "a:no"), rejected])
    first, found = curate.apply_stages(table, ["preference"])["reject"].cast("string").to_pylist()
    assert first is None
    assert found == (expected and f"preference.{expected}")


def test_pairs_of_different_prompts_can_be_let_pass():
    table = docs("t", chosen=[YES], rejected=[said("u:other", "a:no")])
    found = curate.apply_stages(table, [{"preference": {"same_prompt": False}}])
    assert found["reject"].to_pylist() == [None]
