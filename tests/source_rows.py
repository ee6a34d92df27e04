"""Files of rows as the tests of their readers write and read them."""

import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.documents import SCHEMA
from curate.sources import File, Origin
from curate.sources.formats import jsonl, parquet

COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    ".lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def lines(tmp_path: Path, data: bytes, name: str = "a.jsonl", origin: Origin | None = None, **options) -> list[dict]:
    (tmp_path / name).write_bytes(data)
    file = File(name, str(tmp_path / name))
    tables = list(jsonl.read(file, origin=origin or Origin("test"), **options))
    assert all(table.schema.names == [*SCHEMA.names, "reject"] for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def table(tmp_path: Path, data, row_group_size: int | None = None, **options) -> list[dict]:
    name = "a.parquet"
    data = data if isinstance(data, pa.Table) else pa.table(data)
    pq.write_table(data, tmp_path / name, row_group_size=row_group_size)
    tables = list(parquet.read(File(name, str(tmp_path / name)), origin=Origin("test"), **options))
    assert all(found.schema.names == [*SCHEMA.names, "reject"] for found in tables)
    return [row for found in tables for row in found.to_pylist()]
