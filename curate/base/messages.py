"""Conversations as Arrow columns: their types, and the text that text stages see.

A row that is more than text has `messages`, or `chosen` and `rejected`: lists of {role, content}. Its `text` is the
contents, joined by blank lines; of `rejected` only what differs from `chosen`.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
IMAGES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))

ROLES = ("system", "user", "assistant", "tool")
CONVERSATIONS = ("messages", "chosen", "rejected")
"""Columns of messages."""

Of = Literal["all", "user", "assistant"]
"""Whose words a stage looks at."""

SAID_BY = ("messages", "chosen")
"""The columns that `said_by` reads beside the text."""

SAID = (*CONVERSATIONS, "prompt")
"""Columns that hold what the text does."""

BETWEEN = "\n\n"
"""What stands between contents in a text."""


def conversations(docs: pa.Table) -> list[str]:
    """The columns of messages that a table has."""
    return [name for name in CONVERSATIONS if name in docs.column_names]


def text_of(docs: pa.Table) -> pa.Array:
    """The text of each row (string[rows]): the contents of its messages. Null where it has none."""
    lists = [_list(docs[name]) for name in conversations(docs)]
    if "chosen" in docs.column_names and "rejected" in docs.column_names:
        lists[-1] = _filtered(lists[-1], pa.array(differing(lists[-1], lists[-2])))
    texts = [pc.binary_join(_contents(one), BETWEEN) for one in lists]
    joined = texts[0] if texts else pa.nulls(docs.num_rows, pa.string())
    for text in texts[1:]:
        joined = pc.coalesce(pc.binary_join_element_wise(joined, text, BETWEEN), joined, text)
    return joined


def said_by(docs: pa.Table, role: str) -> pa.Array:
    """What a role says in each row (string[rows]), joined by blank lines: in `messages`, or where there are none in
    `chosen`. Null where it says nothing. Of rows without messages it is the whole text."""
    messages = _main(docs)
    if messages is None:
        return docs["text"].combine_chunks()
    keep = pc.fill_null(pc.equal(messages.flatten().field("role"), role), False)
    said = pc.binary_join(_contents(_filtered(messages, keep)), BETWEEN)
    count = np.diff(np.append(0, np.cumsum(keep.to_numpy(zero_copy_only=False)))[_offsets(messages)])
    return pc.if_else(pc.is_valid(messages), pc.if_else(pa.array(count > 0), said, None), docs["text"].combine_chunks())


def of_role(docs: pa.Table, of: str) -> pa.Array | pa.ChunkedArray:
    """What a stage with a parameter `of` looks at (string[rows]): `all` is the text, a role what `said_by` has."""
    return docs["text"] if of == "all" else said_by(docs, of)


def answer(docs: pa.Table) -> pa.Array:
    """What the assistant says last in each row (string[rows]): null where another role has the last word. Of rows
    without messages it is the whole text."""
    messages = _main(docs)
    if messages is None:
        return docs["text"].combine_chunks()
    ends = _offsets(messages)[1:]
    last = messages.flatten().take(pa.array(ends - 1, mask=np.diff(_offsets(messages)) == 0))
    said = pc.if_else(pc.equal(last.field("role"), "assistant"), last.field("content"), None)
    return pc.if_else(pc.is_valid(messages), said, docs["text"].combine_chunks())


def turns(docs: pa.Table) -> pa.Table:
    """All messages that make up texts: `row` (int64), `role`, `content`, in the order of the rows' columns."""
    found = []
    for name in conversations(docs):
        messages = _list(docs[name])
        flat = messages.flatten()
        row = np.repeat(np.arange(len(messages)), np.diff(_offsets(messages)))
        part = pa.table({"row": row, "role": flat.field("role"), "content": flat.field("content")})
        if name == "rejected" and "chosen" in docs.column_names:
            part = part.filter(pa.array(differing(messages, _list(docs["chosen"]))))
        found.append(part)
    empty = pa.table({"row": np.empty(0, np.int64), "role": pa.array([], "string"), "content": pa.array([], "string")})
    return pa.concat_tables([empty, *found])


def _main(docs: pa.Table) -> pa.ListArray | None:
    """The messages of each row: those of `chosen` where it has no others. None where the table has neither."""
    columns = [_list(docs[name]) for name in ("messages", "chosen") if name in docs.column_names]
    if len(columns) == 2:
        return pc.coalesce(*columns)
    return columns[0] if columns else None


def _list(column: pa.ChunkedArray) -> pa.ListArray:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.cast(MESSAGES)


def _offsets(messages: pa.ListArray) -> np.ndarray:
    """Where the messages of each row begin in `messages.flatten()`: int64[rows + 1]."""
    return np.append(0, np.cumsum(pc.fill_null(pc.list_value_length(messages), 0).to_numpy(), dtype=np.int64))


def _contents(messages: pa.ListArray) -> pa.ListArray:
    """The contents of each row's messages; a null one is empty."""
    flat = pc.fill_null(messages.flatten().field("content"), "")
    return relisted(messages, flat)


def relisted(messages: pa.ListArray, values: pa.Array) -> pa.ListArray:
    """Lists of these values, one a message, as long as those of the messages; null where they are."""
    offsets = pa.array(_offsets(messages).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values, mask=messages.is_null())


def _filtered(messages: pa.ListArray, keep: pa.Array) -> pa.ListArray:
    """The messages that are true in `keep` (bool[messages])."""
    bounds = np.append(0, np.cumsum(keep.to_numpy(zero_copy_only=False)))[_offsets(messages)]
    values = messages.flatten().filter(keep)
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), values, mask=messages.is_null())


def differing(messages: pa.ListArray, other: pa.ListArray) -> np.ndarray:
    """Which messages come from the first on that differs from the one at its place in `other`: bool[messages]."""
    begins, others = _offsets(messages), _offsets(other)
    row = np.repeat(np.arange(len(messages)), np.diff(begins))
    at = np.arange(begins[-1]) - begins[row]
    there = at < np.diff(others)[row]
    opposite = other.flatten().take(pa.array(others[row] + at, mask=~there))
    flat, same = messages.flatten(), pa.array(there)
    for field in ("role", "content"):
        same = pc.and_(same, pc.fill_null(pc.equal(flat.field(field), opposite.field(field)), False))
    first = np.diff(begins)
    differs = ~same.to_numpy(zero_copy_only=False)
    np.minimum.at(first, row[differs], at[differs])
    return at >= first[row]
