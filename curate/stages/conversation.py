"""Reject conversations not fit for training: wrong roles or order, missing, cut or canned answers."""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.messages import MESSAGES, ROLES
from curate.base.parameters import Count
from curate.errors import CurateError
from curate.stage_api import reject, set_column, stage

PHRASES = (
    *("as an ai language model", "as a large language model", "as an ai assistant, i", "as an artificial intelligence"),
    *("i'm sorry, but i can't", "i'm sorry, but i cannot", "i am sorry, but i cannot", "i apologize, but i cannot"),
    *("i can't assist with", "i cannot assist with", "i cannot fulfill", "i can't help with that"),
    *("i'm just an ai", "my knowledge cutoff", "my training data only"),
)
"""What assistants say in place of an answer."""

_NEXT = {
    "start": {"system", "user"},
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"tool", "assistant"},
}
"""{role: who may speak after it}"""

_FENCE = r"(?m)^[ \t]*(?:```|~~~)"


@stage(version=1, dry=True)
def conversation(
    docs: pa.Table,
    *,
    roles: Annotated[list[str], Field(min_length=1)] = list(ROLES),  # noqa: B006
    order: bool = True,
    last: Literal["assistant", "any"] = "assistant",
    min_turns: Count = 1,
    max_turns: Count | None = None,
    complete: bool = True,
    think: bool = True,
    tools: bool = True,
    phrases: list[Annotated[str, Field(min_length=1)]] = list(PHRASES),  # noqa: B006
    max_phrases: Count | None = 0,
) -> pa.Table:
    """Reject conversations that a model should not be trained on, with a reason for each fault.

    roles        allowed roles
    order        require an optional system message, then alternating user and assistant, tools after the assistant
    last         role of the last message: `assistant`, or `any`
    min_turns, max_turns  number of answers by the assistant; null: no limit
    complete     reject answers that end inside a code block: a fence that is opened but not closed
    think        reject answers with unbalanced `<think>` and `</think>`
    tools        reject tool calls without a name, with arguments that are not a JSON object, or to a tool that the
                 row does not define
    phrases      phrases counted in answers, ignoring case: refusals, and what models say about themselves
    max_phrases  maximum number of answers with a phrase; null: only count them

    Rows with only text are rejected as `no_messages`.

    Reads: text, messages, extras, tools
    Adds: n_turns (int32, answers of the assistant), n_phrases (int32, answers with one of `phrases`)
    Reasons: no_messages, unknown_role, bad_order, no_answer, empty_answer, too_few_turns, too_many_turns, cut_answer,
    unbalanced_think, broken_tool_call, phrase
    """
    if "messages" not in docs.column_names:
        fix = "set a `layout:` of conversations for the source; use `preference` for chosen and rejected answers"
        raise CurateError("`conversation` needs messages, but these rows have none", fix=fix)
    said = _Said(docs)
    answers = said.role == "assistant"
    n_turns = said.count(answers)
    n_phrases = said.count(answers & said.match(_any_of(phrases), ignore_case=True) if phrases else said.none)
    docs = set_column(docs, "n_turns", pa.array(n_turns, pa.int32()))
    docs = set_column(docs, "n_phrases", pa.array(n_phrases, pa.int32()))
    empty = answers & ~said.match(r"\S")
    unpaired = said.occurrences("<think>") != said.occurrences("</think>")
    return reject(
        docs,
        no_messages=said.length == 0,
        unknown_role=said.count(~np.isin(said.role, roles)) > 0,
        bad_order=(said.count(_out_of_order(said)) > 0) & order,
        no_answer=(said.last_role() != "assistant") & (last == "assistant"),
        empty_answer=said.count(empty & ~_calling(docs, said, empty)) > 0,
        too_few_turns=n_turns < min_turns,
        too_many_turns=n_turns > (np.inf if max_turns is None else max_turns),
        cut_answer=(said.count(answers & (said.occurrences(_FENCE, regex=True) % 2 == 1)) > 0) & complete,
        unbalanced_think=(said.count(answers & unpaired) > 0) & think,
        broken_tool_call=_broken_calls(docs) if tools else np.zeros(docs.num_rows, bool),
        phrase=n_phrases > (np.inf if max_phrases is None else max_phrases),
    )


class _Said:
    """The messages of all rows, one after the other.

    row     of each message, int64[messages]
    role    of each message, str[messages]; a null one is empty
    length  messages of each row, int64[rows]
    """

    def __init__(self, docs: pa.Table):
        messages = docs["messages"].combine_chunks().cast(MESSAGES)
        flat = messages.flatten()
        self.contents = pc.fill_null(flat.field("content"), "")
        self.length = pc.fill_null(pc.list_value_length(messages), 0).to_numpy().astype(np.int64)
        self.row = np.repeat(np.arange(len(messages)), self.length)
        self.role = pc.fill_null(flat.field("role"), "").to_numpy(zero_copy_only=False).astype(str)
        self.none = np.zeros(len(self.row), bool)

    def count(self, which: np.ndarray) -> np.ndarray:
        """How many messages of each row are true in `which` (bool[messages]): int64[rows]."""
        return np.bincount(self.row[which], minlength=len(self.length))

    def match(self, pattern: str, ignore_case: bool = False) -> np.ndarray:
        """Which contents have a match: bool[messages]."""
        found = pc.match_substring_regex(self.contents, pattern, ignore_case=ignore_case)
        return found.to_numpy(zero_copy_only=False)

    def occurrences(self, pattern: str, regex: bool = False) -> np.ndarray:
        """How often each content has it: int32[messages]."""
        count = pc.count_substring_regex if regex else pc.count_substring
        return count(self.contents, pattern).to_numpy()

    def before(self) -> np.ndarray:
        """The role of the message before each; `start` for the first of a row."""
        first = np.append(True, self.row[1:] != self.row[:-1])[: len(self.row)]
        return np.where(first, "start", np.roll(self.role, 1))

    def last_role(self) -> np.ndarray:
        """Of each row; empty where there is no message."""
        ends = np.cumsum(self.length)
        return np.where(self.length > 0, np.append(self.role, "")[np.maximum(ends - 1, 0)], "")


def _any_of(phrases: list[str]) -> str:
    """A pattern of RE2 for any of these; an apostrophe stands for a typographic one too."""
    quoted = (re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", phrase) for phrase in phrases)
    return "|".join(phrase.replace("\\'", "['’]") for phrase in quoted)


def _out_of_order(said: _Said) -> np.ndarray:
    """Which messages may not stand where they do: bool[messages]. Unknown roles are told of elsewhere."""
    before, wrong = said.before(), said.none.copy()
    for role, allowed in _NEXT.items():
        wrong |= (before == role) & ~np.isin(said.role, [*allowed])
    return wrong & np.isin(said.role, ROLES)


def _calling(docs: pa.Table, said: _Said, empty: np.ndarray) -> np.ndarray:
    """Which of the empty messages call a tool: bool[messages]."""
    calls, begins = said.none.copy(), np.cumsum(said.length) - said.length
    rows = dict.fromkeys(said.row[empty].tolist())
    for row, held in _extras(docs, rows):
        for place, fields in enumerate(held[: said.length[row]]):
            calls[begins[row] + place] = isinstance(fields, dict) and bool(fields.get("tool_calls"))
    return calls


def _extras(docs: pa.Table, rows: Any) -> Iterator[tuple[int, list]]:
    """(row, fields of its messages beside role and content) of those of these rows that have any."""
    if "extras" not in docs.column_names:
        return
    column = docs["extras"].combine_chunks()
    for row in rows:
        held = _json(column[row].as_py())
        held = held.get("messages") if isinstance(held, dict) else None
        if isinstance(held, list):
            yield row, held


def _json(text: str | None) -> Any:
    """What JSON says; None for what is none."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _broken_calls(docs: pa.Table) -> np.ndarray:
    """Which rows have a call of a tool that could not be carried out: bool[rows]."""
    broken = np.zeros(docs.num_rows, bool)
    if "extras" not in docs.column_names:
        return broken
    calling = pc.fill_null(pc.match_substring(docs["extras"], '"tool_calls"'), False).to_numpy()
    offers = docs["tools"].combine_chunks() if "tools" in docs.column_names else None
    for row, held in _extras(docs, np.flatnonzero(calling).tolist()):
        names = _names(_json(offers[row].as_py())) if offers is not None else set()
        calls = [fields["tool_calls"] for fields in held if isinstance(fields, dict) and fields.get("tool_calls")]
        broken[row] = not all(isinstance(some, list) and all(_sound(one, names) for one in some) for some in calls)
    return broken


def _names(tools: Any) -> set[str]:
    """The names of the tools that a row offers."""
    found = [one.get("function", one) for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    return {one["name"] for one in found if isinstance(one, dict) and isinstance(one.get("name"), str)}


def _sound(call: Any, names: set[str]) -> bool:
    """Whether a call has a name, of a tool that is offered if any are, and arguments that are an object."""
    call = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not call["name"]:
        return False
    arguments = call.get("arguments", {})
    arguments = _json(arguments or "{}") if isinstance(arguments, str) else arguments
    return isinstance(arguments, dict) and (not names or call["name"] in names)
