"""Parquet, read by ranges of row groups.

A row that cannot be used stays, without text. A row group that cannot be read is counted by its bytes, and the others
are read; of a file whose footer cannot be read all bytes are.

Reasons:
  no_text          the text is null
  not_utf8         the text is not UTF-8
  text_not_string  the text, a field of a column, is a number, a list or a struct
  no_messages      the conversation is null or empty
  bad_messages     the conversation is not a list of messages
  no_question      nothing is asked
  no_answer        there is no answer
  not_aligned      lists in the row that belong together differ in length
  bad_images       an image has neither bytes nor a path
  not_json         a field that should contain JSON does not
  too_deep         a JSON field is nested more than 100 levels deep
  too_large        the text is longer than 16 MiB
  unreadable       another part of the row cannot be read
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import MORE
from curate.errors import CurateError, Stopped, did_you_mean
from curate.sources import File, Origin, inputs
from curate.sources.arrow_values import is_text, storage
from curate.sources.format_api import Format, listed
from curate.sources.layouts import Mapping, options
from curate.sources.parquet_pages import TooLarge, extent, longest, well_described
from curate.sources.parquet_rows import cut, rows_to_documents
from curate.sources.row_mapping import mapping, released

BATCH_ROWS = 1 << 14
FEW_ROWS = 100
"""Rows that are decoded at once for a first look."""
SMALL = 1 << 20
"""Bytes of row groups, as their file says, that are read at once: one by one, those of a row each would take long."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, TooLarge)  # Arrow raises them all for bytes that are no Parquet
_BEGINS = 512
MOST = 16 << 30
"""Bytes of documents, and 1,000 times the size of the file, that a file may expand to: more is made to do harm."""

MOST_ALIKE = 4000
"""Columns of one name: to read each of them, Arrow goes through them all."""


class _Unreadable(Exception):
    """The footer of a file cannot be read. size: bytes of the file."""

    def __init__(self, why: str, size: int):
        super().__init__(why, size)
        self.why, self.size = why, size


def _open(file: File) -> tuple[pa.NativeFile, pq.ParquetFile]:
    try:
        stream = inputs.random_access(file)
        size = stream.size()
    except OSError as error:
        raise CurateError(f"cannot read a Parquet file: {error}", file.url, "check its name and permissions") from error
    try:
        return stream, pq.ParquetFile(stream, page_checksum_verification=True)
    except _DAMAGE as error:
        _raise_refusal(error, file)
        with stream:
            head = stream.read_at(min(size, _BEGINS), 0)
        raise _Unreadable(_kind(head, error), size) from error


def _raise_refusal(error: Exception, file: File) -> None:
    """Raise what the disk or the network says: then the file may be sound. Arrow's own errors have no number."""
    if isinstance(error, OSError) and error.errno:
        raise Stopped(f"cannot read a Parquet file: {error}", file.url, "run again when it can be read") from error


def _kind(head: bytes, error: Exception) -> str:
    if head.startswith(b"PAR1"):
        return f"its end is missing or damaged: {error}"
    return f"it is not Parquet: it begins with {head[:40].decode('ascii', 'replace')!r}"


def ranges(file: File, target_bytes: int) -> list[tuple[int, int]]:
    """Cut a file into ranges of row groups, (first, last exclusive), of about `target_bytes` uncompressed.

    None where the file cannot be read: reading it counts what is lost.
    """
    try:
        stream, parquet = _open(file)
    except _Unreadable:
        return []
    with stream:
        groups = parquet.metadata.num_row_groups
        sizes = [parquet.metadata.row_group(group).total_byte_size for group in range(groups)]
    cuts, size, first = [], 0, 0
    for group, bytes_ in enumerate(sizes):
        size += bytes_
        if size >= target_bytes or group == groups - 1:
            cuts.append((first, group + 1))
            first, size = group + 1, 0
    return cuts


def seen(file: File) -> str:
    """The layout of a release's file: it may hold conversations, preferences or pictures."""
    try:
        stream, parquet = _open(file)
    except _Unreadable:
        return "curate"
    with stream:
        return released([name for name in MORE if name in parquet.schema_arrow.names])


def read(
    file: File,
    *,
    origin: Origin,
    rows: tuple[int, int] | None = None,
    columns: dict | None = None,
    layout: str | None = None,
) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is the row in the file, from 0.

    rows  row groups to read, (first, last exclusive).

    Rows that cannot be used are counted in `origin.of(file.path)`, bytes that cannot be read too. Raises CurateError
    for a file that lacks a column, or has one of the wrong type or twice.
    """
    place, found = mapping(layout, columns), origin.of(file.path)
    try:
        stream, parquet = _open(file)
    except _Unreadable as error:
        origin.lose(file.path, 0, error.size, error.why)
        return
    with stream:
        names = _check(parquet.schema_arrow, place, columns or {}, file)
        budget = MOST + 1000 * stream.size()
        leaves = _leaves(parquet, names)
        first, last = rows or (0, parquet.num_row_groups)
        rows_before, rows_end = (
            sum(parquet.metadata.row_group(n).num_rows for n in range(end)) for end in (first, last)
        )
        for group, start, batch in _all(stream, parquet, first, last, leaves, file, origin):
            origin.reached((start + batch.num_rows - rows_before) / max(rows_end - rows_before, 1))
            documents = rows_to_documents(batch, names, place, file, origin, start)
            budget -= documents.nbytes + 3 * documents["meta"].nbytes  # JSON takes its time
            if budget < 0:
                why = f"row group {group} and those after it: the file expands without limit"
                places = _bytes_of(parquet, group)[0], stream.size()
                _lose(origin, file, places, stream.size(), why)
                return
            for table in cut(documents, origin.block_bytes):
                bad = table.num_rows - table["reject"].null_count
                if bad and not found.first_bad:
                    row = pc.index(pc.is_valid(table["reject"]), True).as_py()
                    found.first_bad = f"row {table['position'][row].as_py()}: {table['reject'][row].as_py()}"
                found.rows, found.bad_rows = found.rows + table.num_rows, found.bad_rows + bad
                yield table


def _all(
    stream: pa.NativeFile, parquet: pq.ParquetFile, first: int, last: int, leaves: list[int], file: File, origin: Origin
) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """The rows of row groups `first` to `last` (exclusive): a group, the place of the first row in the file, rows."""
    position = sum(parquet.metadata.row_group(group).num_rows for group in range(first))
    described = well_described(parquet.metadata, first, last)
    for groups in _runs(parquet, first, described):
        batch = _small(stream, parquet, groups, leaves, file, origin) if len(groups) > 1 else None
        if batch is not None:
            yield groups[0], position, batch
            position += batch.num_rows
            continue
        for group in groups:
            start, position = position, position + parquet.metadata.row_group(group).num_rows
            if not described[group - first]:
                share = [stream.size() * place // parquet.num_row_groups for place in (group, group + 1)]
                why = f"row group {group}: its column metadata is wrong"
                _lose(origin, file, share, stream.size(), why)
                continue
            for batch in _batches(stream, parquet, group, leaves, file, origin):
                yield group, start, batch
                start += batch.num_rows


def _runs(parquet: pq.ParquetFile, first: int, described: list[bool]) -> Iterator[range]:
    """Row groups from `first` on: small neighbors together, each other one by itself."""
    start, size, rows = first, 0, 0
    for group, sound in enumerate(described, first):
        about = parquet.metadata.row_group(group)
        more = abs(about.total_byte_size) if sound else SMALL + 1
        if group > start and (size + more > SMALL or rows + abs(about.num_rows) > BATCH_ROWS):
            yield range(start, group)
            start, size, rows = group, 0, 0
        size, rows = size + more, rows + abs(about.num_rows)
    if described:
        yield range(start, first + len(described))


def _small(
    stream: pa.NativeFile, parquet: pq.ParquetFile, groups: range, leaves: list[int], file: File, origin: Origin
) -> pa.RecordBatch | None:
    """The rows of small row groups at once; None where there is anything amiss with one, or they are not small."""
    abouts = [parquet.metadata.row_group(group) for group in groups]
    rows, size, batches = sum(about.num_rows for about in abouts), 0, []
    try:
        for about in abouts:
            chunks = [about.column(leaf) for leaf in leaves]
            if _rows_at_once(stream, about, chunks, origin.block_bytes, "://" not in file.url) < rows:
                return None
        for batch in _rows_of(parquet, max(rows, 1), list(groups), leaves):
            batches.append(batch)
            size += batch.nbytes
            if size > origin.block_bytes:
                return None
    except _DAMAGE as error:
        _raise_refusal(error, file)
        return None
    if not rows or sum(batch.num_rows for batch in batches) != rows:
        return None
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _rows_of(parquet: pq.ParquetFile, count: int, groups: list[int], leaves: list[int]) -> Iterator[pa.RecordBatch]:
    """Batches of so many rows. `ParquetFile.iter_batches` takes names of columns, each of which may be that of many."""
    return parquet.reader.iter_batches(count, row_groups=groups, column_indices=leaves, use_threads=True)


def _batches(
    stream: pa.NativeFile, parquet: pq.ParquetFile, group: int, leaves: list[int], file: File, origin: Origin
) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, as many as it says it has; what cannot be read of it is lost with its bytes."""
    about = parquet.metadata.row_group(group)
    left = about.num_rows
    chunks = [about.column(leaf) for leaf in leaves]
    local = "://" not in file.url
    try:
        count = _rows_at_once(stream, about, chunks, origin.block_bytes, local)
        batches = _rows_of(parquet, count, [group], leaves)
        while left and (batch := next(batches, None)) is not None:
            if batch.num_rows:
                batch = batch.slice(0, left)
                left -= batch.num_rows
                yield batch
        why = f"row group {group}: {left:,} of {about.num_rows:,} rows are missing"
    except _DAMAGE as error:
        _raise_refusal(error, file)
        why = f"row group {group}: {error}"
    if left:
        _lose(origin, file, _bytes_of(parquet, group), stream.size(), why)


def _lose(origin: Origin, file: File, places: Iterable[int], size: int, why: str) -> None:
    """Count a row group as lost. places: where it lies, as a footer says that may be wrong."""
    low, high = places
    first = min(max(low, 0), size - 1)
    end = min(max(high, first + 1), size)
    origin.lose(file.path, first, min(end, first + size - origin.of(file.path).lost), why)


def _bytes_of(parquet: pq.ParquetFile, group: int) -> tuple[int, int]:
    """Where a row group lies in its file, as the footer says; at least a byte."""
    about = parquet.metadata.row_group(group)
    places = [extent(about.column(leaf)) for leaf in range(about.num_columns)] or [(0, 1)]
    low, high = min(places)[0], max(high for _, high in places)
    return low, max(high, low + 1)


def _rows_at_once(stream: pa.NativeFile, about, chunks: list, block_bytes: int, local: bool) -> int:
    """How many rows are about `block_bytes`, and twice that at most if each had the longest values there are."""
    rows = max(about.num_rows, 1)
    mean = sum(chunk.total_uncompressed_size for chunk in chunks) / rows
    count = max(1, min(BATCH_ROWS, int(block_bytes / max(mean, 1))))
    enough = 2 * block_bytes // count // max(len(chunks), 1)
    most = 0
    for chunk in chunks:
        size = longest(stream, chunk, local, enough)
        most += size * -(-chunk.num_values // rows)
        # A row may hold all the values of a list: Arrow would make them at once.
        if chunk.num_values > rows and size * chunk.num_values > max(1 << 30, 5000 * chunk.total_compressed_size):
            raise TooLarge(f"lists of up to {chunk.num_values:,} values of {size:,} bytes in {rows:,} rows")
    if most > 1 << 30:
        raise TooLarge(f"a row may need {most:,} bytes")
    return max(1, min(count, 2 * block_bytes // max(most, 1)))


def _leaves(parquet: pq.ParquetFile, names: set[str]) -> list[int]:
    """The numbers of the columns in the file that make up these columns of the table."""
    counts = [_width(field.type) for field in parquet.schema_arrow]
    if sum(counts) != len(parquet.schema):
        return list(range(len(parquet.schema)))
    ends = np.cumsum(counts)
    return [
        leaf
        for field, count, end in zip(parquet.schema_arrow, counts, ends, strict=True)
        if field.name in names
        for leaf in range(end - count, end)
    ]


def _width(kind: pa.DataType) -> int:
    """How many columns of a file a type takes."""
    kind = storage(kind)
    if pa.types.is_struct(kind):
        return sum(_width(field.type) for field in kind)
    if pa.types.is_map(kind):
        return _width(kind.key_type) + _width(kind.item_type)
    return _width(kind.value_type) if pa.types.is_nested(kind) else 1


def _check(schema: pa.Schema, place: Mapping, columns: dict, file: File) -> set[str]:
    """The names of the columns to read."""
    fields = [(field.name, field.type) for field in schema]
    names = place.columns(schema.names)
    wanted = place.needed | {name: p for name, p in columns.items() if isinstance(p, str)}
    for name, where in wanted.items():
        kinds = [kind for option in options(where) if (kind := _type_of(fields, option)) is not None]
        if not kinds:
            known = [name for name, _ in fields]
            hint = did_you_mean(where, [*known, *_inner(fields)]) if known else "the file has no columns"
            fix = f"{hint}; set `columns: {{{name}: ...}}`" if place.places else f"{hint}; or set another `layout:`"
            raise CurateError(f"no column `{where}` for {name}", file.url, fix)
        if name == "text" and not any(map(is_text, kinds)):
            fits = [name for name, kind in fields if is_text(kind)]
            fix = f"text columns: {', '.join(fits) or 'none'}; set `columns: {{text: ...}}`"
            raise CurateError(f"column `{where}` is {kinds[0]}, not text", file.url, fix)
    used = {option for where in (*place.places.values(), *place.needed.values()) for option in options(where)}
    counts = Counter(schema.names)
    for name in sorted(used | set(names)):
        if counts[name] > (1 if name in used else MOST_ALIKE):
            fix = f"rewrite the file with one of them, or {'rename one' if name in used else 'rename them'}"
            raise CurateError(f"{counts[name]:,} columns are named `{name}`", file.url, fix)
    return set(names)


def _type_of(fields: list[tuple[str, pa.DataType]], place: str) -> pa.DataType | None:
    """The type at a place; null where only the values can tell (a map, a string that may hold JSON)."""
    for name, kind in fields:
        kind = storage(kind)
        if name == place:
            return kind
        if place.startswith(f"{name}."):
            if not pa.types.is_struct(kind):
                return pa.null()
            inner = _type_of([(field.name, field.type) for field in kind], place[len(name) + 1 :])
            if inner is not None:
                return inner
    return None


def _inner(fields: list[tuple[str, pa.DataType]]) -> list[str]:
    return [f"{name}.{field.name}" for name, kind in fields if pa.types.is_struct(kind) for field in kind]


def raw_rows(file: File, origin: Origin) -> Iterator[dict]:
    with inputs.random_access(file) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(FEW_ROWS):
            yield from batch.to_pylist()


FORMAT = Format(
    "parquet",
    "Parquet",
    read,
    version=3,
    endings=(".parquet", ".pq"),
    compressed=False,
    begins=re.compile(rb"PAR1"),
    raw_rows=raw_rows,
    ranges=ranges,
    seen=seen,
    text_share=2.5,
    reasons=listed(__doc__),
)
