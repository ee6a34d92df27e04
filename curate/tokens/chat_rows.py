"""From conversations to token ids, and which of them the assistant wrote.

The ids are those of `transformers`' `apply_chat_template`, and so is the mask where the template has `{% generation %}`
blocks. Special tokens count as such where the template writes them; one that a message spells is text, as everywhere in
`curate` (`apply_chat_template(..., sanitize_control_tokens=True)`), so that no message can end its turn.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curate.base.messages import conversations
from curate.models.tokenizer import Tokenizer
from curate.tokens.chat_process import Conversation, RenderingProcess
from curate.tokens.chat_rendering import Rendered, Span, Unusable

START, END = "\U000f0000", "\U000f0001"
"""What stands around a special token that a message spells, until it is encoded."""

ESCAPED = json.dumps(START).strip('"')

REASONING = ("reasoning_content", "thinking", "reasoning")
"""What data calls the reasoning of a message. The first is what templates read, and some read the second."""


@dataclass(frozen=True)
class Encoded:
    """A row as tokens.

    ids      uint32[tokens]
    mask     uint8[tokens], 1 where the assistant wrote it; None where that is not asked
    why      why the row cannot be used; it has no tokens then
    """

    ids: np.ndarray
    mask: np.ndarray | None = None
    why: Unusable | None = None


class ChatEncoder:
    """Encodes the rows of tables by a chat template.

    process  renders, and says whether to find what the assistant wrote
    end      ids (uint32[0 or 1]) after a row that is text
    """

    def __init__(self, tokenizer: Tokenizer, process: RenderingProcess, end: np.ndarray):
        self.tokenizer, self.process, self.end = tokenizer, process, end.astype(np.uint32)
        longest_first = sorted(tokenizer.special_tokens, key=lambda token: (-len(token), token))
        self.spelled = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self.marked = re.compile(f"{START}({self.spelled.pattern}){END}|[{START}{END}]")
        self.newline = self.tokenizer.encode_chat(["\n"])[0][0]

    def encode(self, table: pa.Table) -> list[Encoded]:
        """Each row: its `messages` with `tools` and `extras`, or its `text` where it holds no conversation."""
        rows = [self._conversation(row) for row in chat_rows(table)]
        asked = [row for row in rows if isinstance(row, tuple)]
        rendered = iter(self._of_rendered(asked, self.process.render(asked)))
        texts = [at for at, row in enumerate(rows) if row is None]
        text = table["text"].take(pa.array(texts, pa.int64())).to_pylist() if texts else []
        as_text = iter(self.tokenizer.encode([one or "" for one in text]))
        found = []
        for row in rows:
            if row is None:
                ids = np.concatenate([next(as_text), self.end])
                found.append(Encoded(ids, np.ones(len(ids), np.uint8) if self.process.answers else None))
            else:
                found.append(_unusable(row) if isinstance(row, Unusable) else next(rendered))
        return found

    def _conversation(self, row: Conversation | Unusable | None) -> Conversation | Unusable | None:
        """A conversation whose messages have marks where they spell a special token."""
        if not isinstance(row, tuple):
            return row
        values, keys = _strings(row)
        if any(map(self.spelled.search, keys)):
            return Unusable("special_token", "the name of a field spells a special token")
        if not any(map(self.spelled.search, values)):
            return row
        if any(START in text or END in text for text in values):
            return Unusable("special_token", "a message spells a special token, and has U+F0000 or U+F0001")
        return self._with_marks(row)

    def _with_marks(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.spelled.sub(rf"{START}\g<0>{END}", value)
        if isinstance(value, dict):
            return {key: self._with_marks(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self._with_marks, value))
        return value

    def _of_rendered(self, asked: list[Conversation], rendered: list[Rendered | Unusable]) -> list[Encoded]:
        has_marks = [any(START in text for text in _strings(one)[0]) for one in asked]
        pairs = list(zip(rendered, has_marks, strict=True))
        whole = [one.text for one, marks in pairs if isinstance(one, Rendered) and not marks]
        plain = iter(self.tokenizer.encode_chat(whole))
        found = []
        for one, marks in pairs:
            try:
                if isinstance(one, Unusable):
                    raise one
                ids, offsets = self._piecewise(one.text) if marks else next(plain)
                found.append(Encoded(ids, mask_of(offsets, one.spans) if self.process.answers else None))
            except Unusable as why:
                found.append(_unusable(why))
        return found

    def _piecewise(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids and offsets of a text with marks: what stands between two as text, the rest as the template wrote it."""
        if ESCAPED in text:
            raise Unusable("special_token", "a message spells a special token, and the template escapes characters")
        pieces, at = [], 0
        for match in self.marked.finditer(text):
            pieces.append((at, match.start(), True))
            if match[1] is not None:
                pieces.append((match.start(1), match.end(1), False))
            at = match.end()
        pieces.append((at, len(text), True))
        ids, offsets = [], []
        for start, stop, special in pieces:
            if start == stop:
                continue
            mine, lies = self._piece(text[start:stop], special, first=start == 0)
            if not special and self.tokenizer.exact.token_to_id(text[start:stop]) in mine:
                what = f"a message spells `{text[start:stop]}`, of which the tokenizer makes that token in any text"
                raise Unusable("special_token", what)
            ids.append(mine)
            offsets.append(lies + start)
        return np.concatenate(ids), np.concatenate(offsets)

    def _piece(self, text: str, special: bool, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """A piece of a text. One that is not the first is encoded behind a line feed, as `transformers` does it: some
        tokenizers begin every text with a space."""
        if not first:
            ids, offsets = self.tokenizer.encode_chat([f"\n{text}"], special)[0]
            if np.array_equal(ids[: len(self.newline)], self.newline):
                return ids[len(self.newline) :], offsets[len(self.newline) :] - 1
        return self.tokenizer.encode_chat([text], special)[0]


def mask_of(offsets: np.ndarray, spans: list[Span]) -> np.ndarray:
    """Which tokens overlap a span: uint8[tokens].

    offsets  int32[tokens, 2], characters start to stop of each. spans: in order

    >>> mask_of(np.array([[0, 2], [2, 5], [5, 6]]), [(3, 5)])
    array([0, 1, 0], dtype=uint8)
    """
    begins, ends = np.array(spans, np.int64).reshape(-1, 2).T
    at = np.searchsorted(np.maximum.accumulate(ends), offsets[:, 0], side="right")
    begins = np.append(begins, np.iinfo(np.int64).max)
    return (offsets[:, 1] > begins[at]).astype(np.uint8)


def chat_rows(table: pa.Table) -> list[Conversation | Unusable | None]:
    """What each row of a table of documents is to a chat template: its messages and tools, as `transformers` gives them
    to a template; Unusable for one that has none; None for one that is text.

    Messages get the fields that `extras` has of them; those that are null are left out.
    """
    held = np.zeros(table.num_rows, bool)
    for name in conversations(table):
        held |= table[name].is_valid().to_numpy()
    rows = table.select([name for name in _COLUMNS if name in table.column_names]).to_pylist()
    rows = rows or [{}] * table.num_rows
    return [_row(row) if is_chat else None for row, is_chat in zip(rows, held.tolist(), strict=True)]


_COLUMNS = ("messages", "tools", "extras")


def _row(row: dict) -> Conversation | Unusable:
    try:
        if not row.get("messages"):
            raise Unusable("no_messages", "the row has no `messages`, or none in it")
        tools = _parsed(row.get("tools"), "tools", list)
        if any(not isinstance(tool, dict) for tool in tools or ()):
            raise Unusable("bad_tools", "`tools` is not a list of JSON schemas")
        extras = (_parsed(row.get("extras"), "extras", dict) or {}).get("messages") or [None] * len(row["messages"])
        if len(extras) != len(row["messages"]) or any(not isinstance(one, dict | None) for one in extras):
            raise Unusable("bad_extras", "`extras` does not fit the messages")
        return [_message(one, extra or {}) for one, extra in zip(row["messages"], extras, strict=True)], tools
    except Unusable as why:
        return why


def _parsed(text: str | None, name: str, kind: type) -> Any:
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"bad_{name}", f"`{name}` is not JSON: {error}") from None
    if found is not None and not isinstance(found, kind):
        raise Unusable(f"bad_{name}", f"`{name}` is {type(found).__name__}, not a JSON {kind.__name__}")
    return found


def _message(message: dict | None, extra: dict) -> dict:
    """A message as templates get it, the reasoning under the names that they read."""
    found = {key: value for key, value in ((message or {}) | extra).items() if value is not None}
    reasoning = next((found[key] for key in REASONING if key in found), None)
    return found if reasoning is None else {"thinking": reasoning, **found, REASONING[0]: reasoning}


def _unusable(why: Unusable) -> Encoded:
    return Encoded(np.empty(0, np.uint32), np.empty(0, np.uint8), why)


def _strings(value: Any) -> tuple[list[str], list[str]]:
    """The strings in a value, and the names of fields."""
    values, keys, waiting = [], [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            values.append(one)
        elif isinstance(one, dict):
            keys += one
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return values, keys
