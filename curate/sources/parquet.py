"""Parquet files."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from curate.documents import SCHEMA, document_id
from curate.sources import File, Origin, inputs

TABLE = SCHEMA.append(pa.field("reject", pa.string()))


def ranges(file: File, target_bytes: int) -> list[tuple[int, int]]:
    """Cut a file into ranges of row groups (first, last exclusive), each of about `target_bytes`, uncompressed."""
    with inputs.random_access(file) as stream:
        metadata = pq.ParquetFile(stream).metadata
    cuts, size, first = [], 0, 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= target_bytes:
            cuts.append((first, group + 1))
            first, size = group + 1, 0
    if first < metadata.num_row_groups:
        cuts.append((first, metadata.num_row_groups))
    return cuts


def read(
    file: File,
    *,
    origin: Origin,
    rows: tuple[int, int] | None = None,
    columns: dict | None = None,
    layout: str | None = None,
) -> Iterator[pa.Table]:
    with inputs.random_access(file) as stream:
        parquet = pq.ParquetFile(stream)
        first, last = rows or (0, parquet.num_row_groups)
        position = sum(parquet.metadata.row_group(group).num_rows for group in range(first))
        for batch in parquet.iter_batches(batch_size=8192, row_groups=list(range(first, last))):
            out = []
            for row in batch.to_pylist():
                identity = document_id(origin.source, file.path, position)
                out.append(
                    (
                        identity,
                        origin.source,
                        file.path,
                        position,
                        row.pop("text"),
                        row.pop("url", None),
                        None,
                        None,
                        origin.license,
                        json.dumps(row, sort_keys=True, default=str),
                        None,
                    )
                )
                position += 1
            columns = [pa.array(v, f.type) for v, f in zip(zip(*out, strict=True), TABLE, strict=True)]
            yield pa.Table.from_arrays(columns, schema=TABLE)
