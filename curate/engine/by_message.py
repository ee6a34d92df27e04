"""Run stages that change text on conversations, message by message.

Each message is a document of its own for as long as the stage runs.

A row is out when one of its messages is, for the reason of the first. What the stage adds to a row is the sum of what
it adds to the messages that make up its text; of values that have no sum, the first.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import MESSAGES, SAID, conversations, differing, relisted, text_of
from curate.documents import REJECT
from curate.stage_api import Stage, set_column


def by_message(stage: Stage, params: dict, docs: pa.Table) -> pa.Table:
    """What a stage that changes text makes of a table with messages: of each message, of `prompt`, and of the text of
    rows that have neither."""
    said, rows, counted = _said(docs)
    others = docs.drop_columns([name for name in SAID if name in docs.column_names])
    row = np.concatenate(rows)
    result = stage.function(set_column(others.take(pa.array(row)), "text", pa.concat_arrays(said)), **params)
    text = result["text"].combine_chunks()
    new, start, made = docs, 0, []
    for values in said:
        made.append(text.slice(start, len(values)))
        start += len(values)
    for name in conversations(docs):
        new = set_column(new, name, _with_contents(docs[name].combine_chunks(), made.pop(0)))
    if "prompt" in docs.column_names:
        new = set_column(new, "prompt", made.pop(0))
    new = set_column(new, "text", pc.coalesce(text_of(new), made.pop(0)))
    for name in result.column_names:
        if name == REJECT.name or name not in docs.column_names:
            column = result[name].combine_chunks()
            if name != REJECT.name:
                column = pc.if_else(pa.array(counted), column, None)
            new = set_column(new, name, _summed(column, row, docs.num_rows))
    return new


def _said(docs: pa.Table) -> tuple[list[pa.Array], list[np.ndarray], np.ndarray]:
    """All that is said, and the row of each: contents of each column of messages, `prompt`, texts of other rows. Also
    which of them make up the text of the row."""
    said, rows, counted, every = [], [], [], np.arange(docs.num_rows)
    alone = np.ones(docs.num_rows, bool)
    for name in conversations(docs):
        messages = docs[name].combine_chunks()
        said.append(messages.flatten().field("content"))
        rows.append(pc.list_parent_indices(messages).to_numpy())
        new = name == "rejected" and "chosen" in docs.column_names
        counted.append(differing(messages, docs["chosen"].combine_chunks()) if new else np.ones(len(rows[-1]), bool))
        alone &= messages.is_null().to_numpy(zero_copy_only=False)
    if "prompt" in docs.column_names:
        said.append(docs["prompt"].combine_chunks())
        rows.append(every)
        counted.append(np.zeros(docs.num_rows, bool))
    said.append(pc.if_else(pa.array(alone), docs["text"].combine_chunks(), None))
    return said, [*rows, every], np.concatenate([*counted, alone])


def _with_contents(messages: pa.ListArray, contents: pa.Array) -> pa.ListArray:
    """The messages with other contents."""
    roles = messages.flatten().field("role")
    values = pa.StructArray.from_arrays([roles, pc.fill_null(contents, "")], fields=list(MESSAGES.value_type))
    return relisted(messages, values)


def _summed(column: pa.Array, row: np.ndarray, rows: int) -> pa.Array:
    """What the messages of each row come to. row: of each value."""
    kind = column.type
    if pa.types.is_struct(kind):
        fields = [_summed(pc.struct_field(column, [place]), row, rows) for place in range(kind.num_fields)]
        return pa.StructArray.from_arrays(fields, fields=list(kind))
    if pa.types.is_integer(kind):
        total = np.zeros(rows, np.int64)
        np.add.at(total, row, pc.fill_null(column, 0).to_numpy())
        return pa.array(total).cast(kind)
    known = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    first = np.full(rows, len(column), np.int64)
    np.minimum.at(first, row[known], known)
    return column.take(pa.array(first, mask=first == len(column)))


def acts_on_messages(stage: Stage, docs: pa.Table) -> bool:
    """Whether a stage is to be called by message."""
    return "text" in stage.declared.changes and bool(conversations(docs))
