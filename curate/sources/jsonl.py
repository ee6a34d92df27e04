"""Lines of JSON."""

import json
from collections.abc import Iterator

import pyarrow as pa

from curate.documents import SCHEMA, document_id
from curate.sources import File, Origin, compression_of, inputs

TABLE = SCHEMA.append(pa.field("reject", pa.string()))


def read(
    file: File,
    *,
    origin: Origin,
    columns: dict | None = None,
    layout: str | None = None,
    max_bad_rows: float = 0.01,
) -> Iterator[pa.Table]:
    rows, size = [], 0
    with (
        inputs.local(file) as path,
        pa.input_stream(str(path), compression=compression_of(file.path)) as stream,
    ):
        import io

        for position, line in enumerate(io.BufferedReader(stream, 1 << 20)):
            if not line.strip():
                continue
            row = json.loads(line)
            text = row.pop("text")
            identity = document_id(origin.source, file.path, position)
            rows.append(
                (
                    identity,
                    origin.source,
                    file.path,
                    position,
                    text,
                    row.pop("url", None),
                    None,
                    None,
                    origin.license,
                    json.dumps(row, sort_keys=True),
                    None,
                )
            )
            size += len(text)
            if size >= origin.block_bytes:
                yield _table(rows)
                rows, size = [], 0
    if rows:
        yield _table(rows)


def _table(rows: list[tuple]) -> pa.Table:
    columns = [
        pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), TABLE, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=TABLE)
