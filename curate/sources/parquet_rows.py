"""From Parquet rows to documents; unusable rows are rejected with a reason."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import document_id
from curate.errors import CurateError
from curate.sources import UNREADABLE, File, Origin
from curate.sources.arrow_values import MAX_TEXT, distinct, texts, values
from curate.sources.layouts import BadRow, Mapping, whole
from curate.sources.row_tables import TABLE, Row, tables, with_more


def rows_to_documents(
    batch: pa.RecordBatch, names: set[str], place: Mapping, file: File, origin: Origin, position: int
) -> pa.Table:
    """The documents of a batch; where a row stops that, each row by itself."""
    try:
        if place.more:
            return _of_more(batch, names, place, file, origin, position)
        return _table(batch, names, place, file, origin, position)
    except (CurateError, MemoryError):
        raise
    except Exception:
        if batch.num_rows == 1:
            identity = document_id(origin.source, file.path, position)
            known = {"id": identity, "source": origin.source, "path": file.path, "position": position}
            known |= {"license": origin.license, "reject": UNREADABLE}
            return pa.Table.from_pylist([known], schema=with_more(place.more))
    middle = batch.num_rows // 2
    halves = ((batch.slice(0, middle), position), (batch.slice(middle), position + middle))
    return pa.concat_tables([rows_to_documents(half, names, place, file, origin, start) for half, start in halves])


def _of_more(
    batch: pa.RecordBatch, names: set[str], place: Mapping, file: File, origin: Origin, position: int
) -> pa.Table:
    """The documents of rows that are more than text: each row by itself, as its layout reads it."""
    columns = [(key, column) for key, column in zip(batch.schema.names, batch.columns, strict=True) if key in names]
    keys = distinct(key for key, _ in columns)
    cells = zip(*(values(column) for _, column in columns), strict=True) if columns else ((),) * batch.num_rows
    found = []
    for row, held in enumerate(cells, position):
        try:
            documents = place.read(dict(zip(keys, held, strict=True)))
        except BadRow as problem:
            documents = problem
        found.append(Row(row, f"row {row}", documents))
    aside = replace(origin, files={})  # the reader counts rows itself
    return pa.concat_tables([with_more(place.more).empty_table(), *tables(found, file, aside, place.more)])


def _table(
    batch: pa.RecordBatch, names: set[str], place: Mapping, file: File, origin: Origin, position: int
) -> pa.Table:
    name, count = place.places["text"], batch.num_rows
    direct = name in batch.schema.names
    columns = [(key, column) for key, column in zip(batch.schema.names, batch.columns, strict=True) if key in names]
    rest = [(key, column) for key, column in columns if not (direct and key == name)]
    keys = distinct(key for key, _ in rest)
    cells = zip(*(values(column) for _, column in rest), strict=True) if rest else ((),) * count
    dicts = [dict(zip(keys, row, strict=True)) for row in cells]
    found, reject = texts(batch[name]) if direct else _nested(dicts, place)
    others, unreadable = _others(dicts, place)
    if unreadable:
        out = pa.array([row in unreadable for row in range(count)])
        found = pc.if_else(out, pa.scalar(None, pa.string()), found)
        reject = pc.if_else(out, pa.scalar(UNREADABLE), reject)
    url, date, language, license_, meta = zip(*others, strict=True)
    positions = range(position, position + count)
    made = {
        "id": [document_id(origin.source, file.path, p) for p in positions],
        "source": [origin.source] * count,
        "path": [file.path] * count,
        "position": list(positions),
        "text": found,
        "url": url,
        "date": date,
        "language": language,
        "license": [value or origin.license for value in license_],
        "meta": meta,
        "reject": pc.if_else(
            pc.is_null(found), pc.coalesce(reject, pa.scalar("no_text")), pa.scalar(None, pa.string())
        ),
    }
    arrays = [pa.array(made[f.name], f.type) if f.name not in ("text", "reject") else made[f.name] for f in TABLE]
    return pa.Table.from_arrays(arrays, schema=TABLE)


def _nested(dicts: list[dict], place: Mapping) -> tuple[pa.Array, pa.Array]:
    """Texts that are fields of columns, and why there is none."""
    found, reasons = [], []
    for row in dicts:
        text = reason = None
        try:
            text = whole(place.text(row))
            if len(text) > MAX_TEXT:
                text, reason = None, "too_large"
        except BadRow as bad:
            reason = bad.reason
        found.append(text)
        reasons.append(reason)
    return pa.array(found, pa.string()), pa.array(reasons, pa.string())


def _others(dicts: list[dict], place: Mapping) -> tuple[list[tuple], set[int]]:
    """The other columns of each row, and the rows of which they cannot be had."""
    try:
        return list(map(place.others, dicts)), set()
    except MemoryError:
        raise
    except Exception:
        pass
    found, unreadable = [], set()
    for row, values_ in enumerate(dicts):
        try:
            found.append(place.others(values_))
        except Exception:
            found.append((None,) * 5)
            unreadable.add(row)
    return found, unreadable


def cut(table: pa.Table, block_bytes: int) -> Iterator[pa.Table]:
    """The table in slices of at most `block_bytes` of text, or of one row."""
    ends = np.cumsum(pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy(), dtype=np.int64)
    first = before = 0
    while first < table.num_rows:
        last = max(int(np.searchsorted(ends, before + block_bytes, "right")), first + 1)
        yield table.slice(first, last - first)
        first, before = last, int(ends[last - 1])
