"""Parquet files, read by ranges of row groups. A row that cannot be used stays, without text.

Reasons:
  no_text    the text is null
  not_utf8   the text is not UTF-8
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import SCHEMA, document_id
from curate.errors import CurateError, did_you_mean
from curate.sources import File, Origin, inputs
from curate.sources.layouts import Mapping, find, mapping

TABLE = SCHEMA.append(pa.field("reject", pa.string()))
BATCH_ROWS = 1 << 14


@contextmanager
def _opened(file: File) -> Iterator[pq.ParquetFile]:
    try:
        with inputs.random_access(file) as stream:
            yield pq.ParquetFile(stream)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: what Python cannot hold
        raise CurateError(f"cannot read a Parquet file: {error}", file.url, "fetch or write it again") from error


def ranges(file: File, target_bytes: int) -> list[tuple[int, int]]:
    """Cut a file into ranges of row groups, (first, last exclusive), of about `target_bytes` uncompressed."""
    with _opened(file) as parquet:
        groups = parquet.metadata.num_row_groups
        sizes = [parquet.metadata.row_group(group).total_byte_size for group in range(groups)]
    cuts, size, first = [], 0, 0
    for group, bytes_ in enumerate(sizes):
        size += bytes_
        if size >= target_bytes or group == groups - 1:
            cuts.append((first, group + 1))
            first, size = group + 1, 0
    return cuts


def read(
    file: File,
    *,
    origin: Origin,
    rows: tuple[int, int] | None = None,
    columns: dict | None = None,
    layout: str | None = None,
    max_bad_rows: float = 0.01,
) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is the row in the file, from 0.

    rows          row groups to read, (first, last exclusive).
    max_bad_rows  the share of rows that may be unusable.

    Raises CurateError for a file that is damaged, lacks a column, or has one of the wrong type.
    """
    place = mapping(layout, columns)
    with _opened(file) as parquet:
        names = _check(parquet.schema_arrow, place, columns or {}, file)
        first, last = rows or (0, parquet.num_row_groups)
        position = sum(parquet.metadata.row_group(group).num_rows for group in range(first))
        count, bad = 0, 0
        batches = parquet.iter_batches(
            min(BATCH_ROWS, _rows_of(parquet, origin.block_bytes)), range(first, last), columns=names
        )
        for batch in filter(len, batches):
            table = _table(batch, place, file, origin, position)
            position, count = position + batch.num_rows, count + batch.num_rows
            bad += batch.num_rows - table["reject"].null_count
            yield table
    if bad > max_bad_rows * count:
        fix = "mend the file, map its columns with `columns:` or `layout:`, or raise `max_bad_rows`"
        raise CurateError(f"{bad} of {count} rows of {file.path} have no text", file.url, fix)


def _rows_of(parquet: pq.ParquetFile, block_bytes: int) -> int:
    """About how many rows are `block_bytes`, by the fullest row group."""
    groups = [parquet.metadata.row_group(group) for group in range(parquet.num_row_groups)]
    fullest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return max(1, int(block_bytes / max(fullest, 1)))


def _check(schema: pa.Schema, place: Mapping, columns: dict, file: File) -> list[str]:
    """The columns to read."""
    names = place.columns(schema.names)
    wanted = {"text": place.places["text"]} | {name: p for name, p in columns.items() if isinstance(p, str)}
    for name, where in wanted.items():
        options = [where, *(option.partition(".")[0] for option in where.split("|"))]
        if not set(options) & set(schema.names):
            fix = f"{did_you_mean(where, schema.names)}; set `columns: {{{name}: ...}}`"
            raise CurateError(f"no column `{where}` for {name}", file.url, fix)
    text = place.places["text"]
    if text in schema.names and not _is_text(kind := schema.field(text).type):
        fits = [field.name for field in schema if _is_text(field.type)]
        fix = f"columns of text: {', '.join(fits) or 'none'}; set `columns: {{text: ...}}`"
        raise CurateError(f"column `{text}` is {kind}, not text", file.url, fix)
    return names


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _table(batch: pa.RecordBatch, place: Mapping, file: File, origin: Origin, position: int) -> pa.Table:
    name, count = place.places["text"], batch.num_rows
    direct = name in batch.schema.names
    texts, reject = _utf8(batch[name]) if direct else (None, None)
    rest = batch.drop_columns([name]) if direct else batch
    rest = pa.RecordBatch.from_arrays(list(map(_plain, rest.columns)), names=rest.schema.names)
    dicts = rest.to_pylist() if rest.num_columns else [{}] * count
    if not direct:
        values = [find(row, name) for row in dicts]
        texts = pa.array([value if isinstance(value, str) else None for value in values], pa.string())
        reject = pa.nulls(count, pa.string())
    url, date, language, licence, meta = zip(*map(place.others, dicts), strict=True)
    positions = range(position, position + count)
    values = {
        "id": [document_id(origin.source, file.path, p) for p in positions],
        "source": [origin.source] * count,
        "path": [file.path] * count,
        "position": list(positions),
        "text": texts,
        "url": url,
        "date": date,
        "language": language,
        "license": [value or origin.license for value in licence],
        "meta": meta,
        "reject": pc.if_else(
            pc.is_null(texts), pc.coalesce(reject, pa.scalar("no_text")), pa.scalar(None, pa.string())
        ),
    }
    arrays = [pa.array(values[f.name], f.type) if f.name not in ("text", "reject") else values[f.name] for f in TABLE]
    return pa.Table.from_arrays(arrays, schema=TABLE)


def _plain(array: pa.Array) -> pa.Array:
    """The column as Python can hold it: valid text, times in microseconds."""
    if _is_text(array.type):
        return _utf8(array)[0]
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        return array.cast(pa.timestamp("us", array.type.tz), safe=False)
    return array


def _utf8(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The column as valid strings, and `not_utf8` where there was none: Parquet files may hold any bytes."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    array = array.cast(pa.string())
    try:
        array.validate(full=True)
        return array, pa.nulls(len(array), pa.string())
    except pa.ArrowInvalid:
        pass
    values, reasons = [], []
    for value in array.cast(pa.binary()).to_pylist():
        try:
            values.append(value.decode() if value is not None else None)
            reasons.append(None)
        except UnicodeDecodeError:
            values.append(None)
            reasons.append("not_utf8")
    return pa.array(values, pa.string()), pa.array(reasons, pa.string())
