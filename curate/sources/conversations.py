"""Layouts of rows that are more than text: conversations, preferences, several answers to one question.

Each layout is a `RowLayout`: a function that makes `Conversation`s of a row. Roles get the names that chat templates
use; an unknown role keeps its name, and the stage `conversation` rejects it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from curate.base.messages import CONVERSATIONS
from curate.documents import MORE
from curate.sources.layouts import BadRow, Found, as_json, as_string, parsed, whole

ROLE_NAMES = {
    **{"human": "user", "prompter": "user", "instruction": "user"},
    **{"gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "model": "assistant"},
    **{"bot": "assistant", "ai": "assistant", "output": "assistant", "function_call": "assistant"},
    **{"observation": "tool", "function": "tool", "function_response": "tool", "tool_response": "tool"},
    **{"ipython": "tool"},
}
"""{what datasets call a role: what chat templates do}"""

IMAGE_MARK = "<image>"
"""Where a picture stands in a text."""

_ROLE, _CONTENT = ("role", "from"), ("content", "value")
_PLAIN = ("url", "date", "language", "license")
SHARED = ("messages", "tools", "extras")


@dataclass
class Conversation:
    """What a row is. Messages are dicts of `role`, `content`, and whatever else they hold.

    used  columns of the row that are in it, and so not in `meta`
    meta  in place of the rest of the row
    """

    messages: list[dict] | None = None
    chosen: list[dict] | None = None
    rejected: list[dict] | None = None
    prompt: str | None = None
    tools: Any = None
    images: list[dict] | None = None
    group: str | None = None
    used: Iterable[str] = ()
    meta: dict = field(default_factory=dict)
    record: str | None = None


@dataclass(frozen=True)
class RowLayout:
    """gives: of `curate.documents.MORE`; needs: columns of which each must be there, `a|b` if either; read: makes
    conversations of a row, or raises BadRow."""

    gives: tuple[str, ...]
    needs: tuple[str, ...]
    read: Callable[[dict], list[Conversation]]


@dataclass(frozen=True)
class RowMapping:
    """A layout as readers use it, in place of `curate.sources.layouts.Mapping`."""

    layout: RowLayout
    places = {}  # noqa: RUF012

    @property
    def more(self) -> tuple[str, ...]:
        return self.layout.gives

    @property
    def needed(self) -> dict[str, str]:
        """{what for: a column that a table must have}"""
        return {need.partition("|")[0]: need for need in self.layout.needs}

    def columns(self, there: Iterable[str]) -> list[str]:
        """Those of a table's columns that are used."""
        return list(there)

    def read(self, row: dict) -> list[Found]:
        """The documents of a row. Raises BadRow: no_messages, bad_messages, not_json, and what its layout does."""
        return [self._found(row, one) for one in self.layout.read(row)]

    def _found(self, row: dict, one: Conversation) -> Found:
        rest = {key: value for key, value in row.items() if value is not None and key not in {*one.used, *_PLAIN}}
        meta, extras = rest | one.meta, {}
        for name in CONVERSATIONS:
            held = [
                {key: value for key, value in message.items() if key not in ("role", "content")}
                for message in getattr(one, name) or ()
            ]
            if any(held):
                extras[name] = [fields or None for fields in held]
        values = {name: getattr(one, name, None) for name in MORE}
        values |= {name: [_plain(message) for message in found] for name in CONVERSATIONS if (found := values[name])}
        values["tools"] = as_json(one.tools) if one.tools else None
        values["extras"] = as_json(extras) if extras else None
        meta |= {name: values[name] for name in ("tools", "extras") if values[name] and name not in self.more}
        others = tuple(as_string(row.get(name)) for name in _PLAIN)
        return Found(None, (*others, as_json(meta) if meta else None), tuple(values[n] for n in self.more), one.record)


def _plain(message: dict) -> dict:
    return {"role": whole(message["role"]), "content": whole(message["content"])}


def messages_of(value: Any, where: str) -> list[dict]:
    """The messages of a list of {role, content} or {from, value}, in a string of JSON too.

    Raises BadRow: no_messages for none, bad_messages for what is no list of messages.
    """
    if isinstance(value, str):
        value = parsed(value) if value.strip() else None
    if value is None or value == []:
        raise BadRow("no_messages", f"`{where}` is {'null or missing' if value is None else 'empty'}")
    if not isinstance(value, list):
        raise BadRow("bad_messages", f"`{where}` is {type(value).__name__}, not a list")
    return [message_of(item, f"{where}[{place}]") for place, item in enumerate(value)]


def message_of(item: Any, where: str) -> dict:
    """A message with `role` and `content` first, as chat templates call them."""
    if not isinstance(item, dict):
        raise BadRow("bad_messages", f"`{where}` is {type(item).__name__}, not an object")
    role = next((item[key] for key in _ROLE if isinstance(item.get(key), str)), None)
    if role is None:
        raise BadRow("bad_messages", f"`{where}` has no `role` or `from`")
    called = role.strip().lower()
    content = next((item[key] for key in _CONTENT if item.get(key) is not None), None)
    rest = {key: value for key, value in item.items() if key not in (*_ROLE, *_CONTENT) and value is not None}
    if called == "function_call":
        call = parsed(content) if isinstance(content, str) else content
        calls = call if isinstance(call, list) else [call]
        content, rest = "", rest | {"tool_calls": [{"type": "function", "function": one} for one in calls]}
    return {"role": ROLE_NAMES.get(called, called), "content": text_of(content, where)} | rest


def text_of(content: Any, where: str) -> str:
    """The text of a content: a string, or parts of which each is text or stands for a picture."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = (part.get("text", part.get("value")) if part.get("type") == "text" else IMAGE_MARK for part in content)
        return "".join(text if isinstance(text, str) else "" for text in texts)
    raise BadRow("bad_messages", f"the content of `{where}` is {type(content).__name__}")


def tools_of(row: dict) -> Any:
    """The tools that a row offers, as a value."""
    tools = row.get("tools")
    return (parsed(tools) if tools.strip() else None) if isinstance(tools, str) else tools


def _conversation(name: str) -> Callable[[dict], list[Conversation]]:
    """Reads rows that have a conversation in one of these columns, `a|b`."""

    def read(row: dict) -> list[Conversation]:
        where = next((key for key in name.split("|") if row.get(key) is not None), name.partition("|")[0])
        messages = messages_of(row.get(where), where)
        if isinstance(system := row.get("system"), str) and system.strip() and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": system})
        return [Conversation(messages, tools=tools_of(row), used=(where, "tools", "system"))]

    return read


def _preference(row: dict) -> list[Conversation]:
    """`chosen` and `rejected`: whole conversations, or the answers to `prompt`, as messages or as text."""
    prompt = row.get("prompt")
    begin = (
        []
        if prompt is None
        else [{"role": "user", "content": prompt}]
        if isinstance(prompt, str)
        else (messages_of(prompt, "prompt"))
    )
    sides = {}
    for name in ("chosen", "rejected"):
        value = row.get(name)
        if isinstance(value, dict):
            value = [value]
        if isinstance(value, str) and not value.lstrip().startswith("["):
            said = [{"role": "assistant", "content": value}]
        else:
            said = messages_of(value, name)
        whole_ = said[0]["role"] != "assistant" or not begin
        sides[name] = said if whole_ else [*begin, *said]
    asked = next((one["content"] for one in reversed(sides["chosen"]) if one["role"] == "user"), None)
    shown = prompt if isinstance(prompt, str) else asked
    return [Conversation(prompt=shown, used=("prompt", "chosen", "rejected", "tools"), tools=tools_of(row), **sides)]


ROW_LAYOUTS: dict[str, RowLayout] = {
    "messages": RowLayout(SHARED, ("messages|conversations",), _conversation("messages|conversations")),
    "sharegpt": RowLayout(SHARED, ("conversations|messages",), _conversation("conversations|messages")),
    "preference": RowLayout(("prompt", "chosen", "rejected", "extras"), ("chosen", "rejected"), _preference),
}
