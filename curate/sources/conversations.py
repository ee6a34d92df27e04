"""Build conversations from rows (roles, contents, tools, images): the functions that row layouts use.

Each layout is a `RowLayout`: a function that makes `Conversation`s of a row; `curate.sources.row_layouts` has them.
Roles get the names that chat templates use; an unknown role keeps its name, and the stage `conversation` rejects it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
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
_TEXT, _TRACE = ("text", "input_text", "output_text"), ("reasoning", "thinking")
_PICTURE = ("image", "image_url", "input_image")
_CALL = ("tool_call", "tool_calls", "tool_use")
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
        values = {name: getattr(one, name) for name in MORE if name != "extras"}
        values |= {name: [_plain(message) for message in found] for name in CONVERSATIONS if (found := values[name])}
        values["tools"] = as_json(one.tools, sort=False) if one.tools else None
        values["extras"] = as_json(extras, sort=False) if extras else None
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
    """A message with `role` and `content` first, as chat templates call them; pictures of its content in `images`."""
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
        content, rest = "", rest | {"tool_calls": _calls(call)}
    text, held = content_of(content, where)
    return {"role": ROLE_NAMES.get(called, called), "content": text} | rest | held


def content_of(content: Any, where: str) -> tuple[str, dict]:
    """The text of a content, a string or parts, and what parts hold beside text: `tool_calls`, `images`.

    A trace of reasoning is in `<think>` tags, a picture is its mark. Raises BadRow: bad_messages, not_json.
    """
    if content is None:
        return "", {}
    if isinstance(content, str):
        return content, {}
    if not isinstance(content, list):
        raise BadRow("bad_messages", f"the content of `{where}` is {type(content).__name__}")
    texts, held = [], {}
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXT or kind in _TRACE:
            text = next((part[key] for key in ("text", "value", kind) if isinstance(part.get(key), str)), "")
            texts.append(traced(text, "") if kind in _TRACE else text)
        elif kind in _PICTURE:
            texts.append(IMAGE_MARK)
            shown = next(
                (part[key] for key in (kind, "value", "url", "path", "bytes") if part.get(key) is not None), None
            )
            held.setdefault("images", []).extend(pictures_of(shown, where))
        elif kind in _CALL:
            value = next((part[key] for key in (kind, "value", "input") if part.get(key) is not None), None)
            held.setdefault("tool_calls", []).extend(_calls(parsed(value) if isinstance(value, str) else value))
        else:
            raise BadRow(
                "bad_messages", f"the content of `{where}` has a part that is {str(kind or type(part).__name__)[:60]}"
            )
    return "".join(texts), held


def _calls(value: Any) -> list[dict]:
    """Calls of tools as chat templates have them."""
    return [{"type": "function", "function": one} for one in (value if isinstance(value, list) else [value])]


def traced(trace: str, answer: str) -> str:
    """An answer with the reasoning before it, as models that show theirs write it."""
    return f"<think>\n{trace.strip()}\n</think>\n\n{answer.strip()}"


def pictures_of(value: Any, where: str) -> list[dict]:
    """The pictures of a value, as `curate.base.messages.IMAGES` has them: bytes, a path or an address, a struct or an
    object of these, or a list of any. Null has none. Raises BadRow: bad_images."""
    if value is None:
        return []
    if isinstance(value, list):
        return [picture for place, item in enumerate(value) for picture in _picture(item, f"{where}[{place}]")]
    return _picture(value, where)


def _picture(value: Any, where: str) -> list[dict]:
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path", value.get("url"))
        if isinstance(data, bytes | None) and isinstance(path, str | None) and (data or path):
            return [{"bytes": data, "path": path and whole(path)}]
    elif isinstance(value, bytes) and value:
        return [{"bytes": value, "path": None}]
    elif isinstance(value, str) and value:
        return [{"bytes": None, "path": whole(value)}]
    raise BadRow("bad_images", f"`{where}` is {type(value).__name__} without bytes or a path")


def said(role: str, content: Any) -> dict:
    """A message."""
    return {"role": role, "content": content}


def string(row: dict, name: str, reason: str) -> str:
    """A column that must hold text. Raises BadRow with this reason where it does not."""
    if not isinstance(value := row.get(name), str) or not value.strip():
        what = "null or missing" if value is None else "empty" if isinstance(value, str) else type(value).__name__
        raise BadRow(reason, f"`{name}` is {what}")
    return value


def a_list(row: dict, name: str) -> Any:
    """A column that should be a list, in a string of JSON too. Raises BadRow: not_json."""
    value = row.get(name)
    return parsed(value) if isinstance(value, str) and value.strip() else value


def with_system(messages: list[dict], row: dict) -> list[dict]:
    """The messages after what the column `system` says, unless they have a system message."""
    if isinstance(system := row.get("system"), str) and system.strip() and messages[0]["role"] != "system":
        return [said("system", system), *messages]
    return messages


def tools_of(row: dict) -> Any:
    """The tools that a row offers, as a value."""
    tools = row.get("tools")
    return (parsed(tools) if tools.strip() else None) if isinstance(tools, str) else tools


def digest(text: str) -> str:
    """What rows of one question have in common where they have no name for it: 128 bits in hexadecimal digits."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
