"""Tokenize rows of a release: texts, or conversations with a chat template."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from curate.engine.stage_sandbox import hang_seconds
from curate.models.tokenizer import Tokenizer
from curate.tokens import chat
from curate.tokens.chat_process import RenderingProcess
from curate.tokens.chat_rows import ChatEncoder


@dataclass(frozen=True)
class Row:
    """A document as tokens.

    ids       uint32[tokens]
    text      what they are the tokens of, where that is its text as it is
    reason    why it cannot be used, if it cannot
    language  as the release has it
    roles     {role: bytes that it says}
    """

    ids: np.ndarray
    text: str | None
    reason: str | None = None
    language: str = "unknown"
    roles: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """The files of a chat template, as `curate.tokens.chat.files` finds them, and the date that it writes."""

    files: dict
    date: str | None

    @property
    def identity(self) -> dict:
        return {"files": chat.digests(self.files), "date": self.date}


class RowTokens:
    """Encodes rows of `curate.calibration.shards.ROW`. chat: where there is a template."""

    def __init__(self, tokenizer: Tokenizer, chat: ChatEncoder | None = None):
        self.tokenizer, self.chat = tokenizer, chat

    def __call__(self, table: pa.Table) -> list[Row]:
        texts = [text or "" for text in table["text"].to_pylist()]
        none = [None] * len(texts)
        languages = table["language"].to_pylist() if "language" in table.column_names else none
        said = (
            [_said(messages) for messages in table["messages"].to_pylist()]
            if "messages" in table.column_names
            else none
        )
        if self.chat is None:
            made = [(ids, text, None) for ids, text in zip(self.tokenizer.encode(texts), texts, strict=True)]
        else:
            whole = [text if roles is None else None for text, roles in zip(texts, said, strict=True)]
            encoded = self.chat.encode(table)
            made = [(one.ids, text, one.why and one.why.reason) for one, text in zip(encoded, whole, strict=True)]
        return [
            Row(ids, text, reason, language or "unknown", roles or {})
            for (ids, text, reason), language, roles in zip(made, languages, said, strict=True)
        ]


@contextmanager
def row_tokens(tokenizer: Tokenizer, template: Template | None, end: int | None) -> Iterator[RowTokens]:
    """What encodes rows. end: id of the token behind those that are text, where there is a template."""
    if template is None:
        yield RowTokens(tokenizer)
        return
    with RenderingProcess(template.files, template.date, False, hang_seconds() / 10 or None) as process:
        ends = np.array([] if end is None else [end], np.uint32)
        yield RowTokens(tokenizer, ChatEncoder(tokenizer, process, ends))


def _said(messages: list[dict] | None) -> dict[str, int] | None:
    """{role: bytes that it says}."""
    if messages is None:
        return None
    found: dict[str, int] = {}
    for message in messages:
        role = message["role"] or "unknown"
        found[role] = found.get(role, 0) + len((message["content"] or "").encode())
    return found
