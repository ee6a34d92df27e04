"""Read all rows of a small file at once, such as an evaluation set."""

import json
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.sources import compression_of
from curate.sources.format_api import find_format, format_of


def all_rows(path: Path, columns: Collection[str] = ()) -> list[dict]:
    """The rows of a file. Raises pa.ArrowException, OSError or ValueError where it cannot be read.

    columns  those to read of a Parquet file; all, if it has none of them.
    """
    if format_of(path.name) == "parquet":
        file = pq.ParquetFile(path)
        there = file.schema_arrow.names
        return file.read([name for name in there if name in columns] or there).to_pylist()
    with pa.input_stream(str(path), compression=compression_of(path.name)) as stream:
        data = stream.read()
    if find_format("json").recognizes(data[:1024]):
        found = json.loads(data)
        rows = found if isinstance(found, list) else [found]
    else:
        rows = [json.loads(line) for line in data.split(b"\n") if line.strip()]
    if wrong := [row for row in rows if not isinstance(row, dict)]:
        raise ValueError(f"a row is not an object: {str(wrong[0])[:60]}")
    return rows
