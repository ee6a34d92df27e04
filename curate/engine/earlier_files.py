"""Check files of an earlier release before they are used as parts: their digest, columns and rows."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import COLUMNS
from curate.errors import CurateError

FIX = "run `curate verify` on that release, and download it again from where it was published"


def check_earlier(path: Path, expected: dict) -> int:
    """Check a shard or an index of an earlier release. Returns its rows.

    expected  "digest" (sha256:...), "rows" (or None), and for an index "column" and "width" (bytes of a value, or None)

    Raises CurateError if the file is not the one in the lock, or its contents are invalid.
    """
    with path.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != expected["digest"]:
        what = f"a file of an earlier release has the digest {found[:19]}…, not {expected['digest'][:19]}…"
        raise CurateError(what, str(path), FIX)
    try:
        parquet, rows = pq.ParquetFile(path, page_checksum_verification=True), 0
        look = _index if "column" in expected else _shard
        for block in parquet.iter_batches(columns=[expected["column"]] if "column" in expected else None):
            block.validate(full=True)
            look(block, expected)
            rows += block.num_rows
        if not rows:
            look(pa.RecordBatch.from_pylist([], parquet.schema_arrow), expected)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise CurateError(f"a file of an earlier release cannot be used: {error}", str(path), FIX) from None
    if expected.get("rows") not in (None, rows):
        what = f"a file of an earlier release has {rows:,} rows, but {expected['rows']:,} were expected"
        raise CurateError(what, str(path), FIX)
    return rows


def _shard(block: pa.RecordBatch, expected: dict) -> None:
    for name in ("id", "text"):
        if name not in block.schema.names:
            raise ValueError(f"it has no column `{name}`")
    for name, column in COLUMNS.items():
        if name in block.schema.names and block.schema.field(name).type != column.type:
            raise ValueError(f"its column `{name}` is {block.schema.field(name).type}, not {column.type}")
    if block.column("id").null_count or block.column("text").null_count:
        raise ValueError("a document has no id or no text")


def _index(block: pa.RecordBatch, expected: dict) -> None:
    keys = block.column(expected["column"])
    if keys.type != pa.binary() or keys.null_count:
        raise ValueError(f"its column `{expected['column']}` is not binary, or has a null")
    if expected["width"] and len(keys) and not np.all(pc.binary_length(keys).to_numpy() == expected["width"]):
        raise ValueError(f"a value of `{expected['column']}` does not have {expected['width']} bytes")
