"""`apply_stages`: try stages on a few documents, without a manifest or a run."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from curate.base.messages import conversations, text_of
from curate.documents import COLUMNS, MORE, REJECT
from curate.engine.apply import Configured, apply
from curate.errors import CurateError
from curate.manifest.call import Call
from curate.manifest.manifest import loads
from curate.stage_api import set_column
from curate.testing import docs, run_group

MOST = 100_000
"""Documents: more are the work of a run."""


def apply_stages(documents: pa.Table | Iterable[Any], stages: Iterable[str | Mapping[str, Any]]) -> pa.Table:
    """Apply stages to documents, and return them with the columns that the stages add and, in `reject`, the reason.

    documents  texts, a table with a column `text` or with messages (`curate.documents.MORE`), or a Dataset of
               `datasets` with one; at most 100,000
    stages     as in a manifest: a name, or {name: parameters}

    Returns all rows in their order, with the columns of documents (`curate.documents`), their own columns, and those
    that the stages add. A rejected row keeps the values it had when it was rejected. Group stages compare all rows.

    Raises CurateError for an unknown stage, an invalid parameter, or a model that is not on this machine.

        curate.apply_stages(["too short", "long enough " * 50], [{"length": {"min_words": 20}}])["reject"]
    """
    table = _documents(documents)
    for call in _calls(stages):
        table = _one(table, call)
    return table


def _documents(documents: pa.Table | Iterable[Any]) -> pa.Table:
    if hasattr(documents, "with_format"):  # a Dataset
        documents = documents.with_format("arrow")[:]
    if not isinstance(documents, pa.Table):
        texts = list(documents)
        if wrong := next((text for text in texts if not isinstance(text, str | None)), None):
            raise CurateError(
                f"each document must be a string, not {type(wrong).__name__}", fix="pass strings, or a table"
            )
        documents = pa.table({"text": pa.array(texts, pa.string())})
    for name in {*documents.column_names} & {*MORE}:
        documents = set_column(documents, name, documents[name].cast(MORE[name].type))
    if "text" not in documents.column_names and conversations(documents):
        documents = documents.append_column("text", text_of(documents))
    if "text" not in documents.column_names:
        raise CurateError("the documents have no column `text`", fix="rename the text column")
    if documents.num_rows > MOST:
        raise CurateError(
            f"at most {MOST:,} documents are allowed, not {documents.num_rows:,}", fix="write a manifest and run it"
        )
    known = COLUMNS | MORE
    made = docs(*documents["text"].cast(pa.string()).to_pylist())
    for name in documents.column_names:
        column = documents[name].cast(known[name].type) if name in known else documents[name]
        made = set_column(made, name, column)
    if conversations(made):
        made = set_column(made, "text", pc.coalesce(made["text"], text_of(made)))
    return made.append_column(REJECT.name, pa.nulls(made.num_rows, pa.string()))


def _calls(stages: Iterable[str | Mapping[str, Any]]) -> list[Call]:
    """The stages, checked as those of a manifest are."""
    listed = [stages] if isinstance(stages, str | Mapping) else [*stages]
    source = {"inputs": ["none.parquet"]}
    text = {"name": "tried", "version": "0.0.0", "license": "other", "sources": {"texts": source}, "stages": listed}
    return loads(yaml.safe_dump(text, sort_keys=False)).stages


def _one(table: pa.Table, call: Call) -> pa.Table:
    """The table after one stage. Rows that are out already are left alone."""
    params = call.stage.located(call.params)
    missing = [name for name in call.reads if name not in table.column_names]
    if "text" in call.reads:  # which stands for what only some rows have
        missing = [name for name in missing if name not in MORE]
    if missing:
        raise CurateError(
            f"`{call.label}` reads the column `{missing[0]}`", fix="pass it, or add a stage that creates it"
        )
    if call.stage.kind == "map":
        return apply(table, [Configured(call.label, call.stage, params)])[0]
    live = table[REJECT.name].is_null().to_numpy()
    (found,) = run_group(call.stage, [table.filter(pa.array(live)).drop_columns(REJECT.name)], params)
    why = pc.binary_join_element_wise(call.label, found[REJECT.name].cast(pa.string()), ".")
    found = set_column(found, REJECT.name, why)
    places = pa.array(np.cumsum(live) - 1, mask=~live)
    for name in found.column_names:
        new = found[name].take(places)
        old = table[name].cast(new.type) if name in table.column_names else pa.nulls(table.num_rows, new.type)
        table = set_column(table, name, pc.if_else(pa.array(live), new, old))
    return table
