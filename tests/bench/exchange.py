"""What it costs to send rows from many partitions to many bins: slices of Arrow IPC beside row groups of Parquet.

    python tests/bench/exchange.py [--partitions 100] [--bins 100] [--large] [--json]

Rows are those that near-duplicates are found by: a document, its signature's keys, its id and source. Each partition
writes a part, then each bin reads what all of them sent to it, in one process. `--large`: 1,000 partitions and 500
bins. Parquet writes its row groups and reads its bins as the store did before, and of `--parquet-bins` bins alone,
since it takes long.

ms_per_pair          processor time for each partition and bin, to write and to read
write_ms, read_ms    its two halves
merged_ms_per_pair   with parts merged before they are read: to write, merge and read
parquet_ms_per_pair  the same of Parquet
x_parquet            Parquet's over ours
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.engine.exchange import BinnedWriter, merge, of_bin
from curate.engine.planner import MERGED
from curate.engine.store import Store

ROWS_PER_BIN = 20


def table_of(bins: int, chance: np.random.Generator) -> pa.Table:
    """What a partition sends: rows sorted by bin, about as many for each."""
    count = bins * ROWS_PER_BIN
    ids = pa.array([chance.bytes(16).hex() for _ in range(count)])
    columns = {
        "doc": np.arange(count, dtype=np.uint64),
        "id": ids,
        "key": chance.integers(0, 1 << 64, count, np.uint64),
        "priority": np.zeros(count, np.int32),
        "n_bytes": chance.integers(100, 9000, count),
    }
    return pa.table(columns | {"bin": np.sort(chance.integers(0, bins, count)).astype(np.uint32)})


def spent(work: Callable[[], None]) -> float:
    """Milliseconds of processor time, of all threads."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def slices(folder: Path, table: pa.Table, partitions: int, bins: int) -> dict[str, float]:
    store, fps = Store(folder), [f"{number:032x}" for number in range(partitions)]
    groups = {f"{first:031x}m": fps[first : first + MERGED] for first in range(0, partitions, MERGED)}

    def write() -> None:
        for fp in fps:
            with store.commit(fp) as (draft, counts), BinnedWriter(draft, counts) as writer:
                writer.write(table)

    def merged() -> None:
        for fp, parts in groups.items():
            with store.commit(fp) as (draft, counts):
                merge(store, {"parts": parts, "first": 0, "local": False}, draft, counts)

    def read(fps: list[str]) -> int:
        return sum(table.num_rows for number in range(bins) for _, table in of_bin(store, fps, number))

    pairs = partitions * bins
    found = {"write_ms": spent(write) / pairs, "read_ms": spent(lambda: read(fps)) / pairs}
    merging = (spent(merged) + spent(lambda: read([*groups]))) / pairs
    assert read([*groups]) == table.num_rows * partitions
    return {"ms_per_pair": sum(found.values()), **found, "merged_ms_per_pair": found["write_ms"] + merging}


def parquet(folder: Path, table: pa.Table, partitions: int, bins: int, read: int) -> float:
    """Milliseconds for each partition and bin; of so many bins that are read."""
    paths = [folder / f"{number}.parquet" for number in range(partitions)]
    starts = np.searchsorted(table["bin"].to_numpy(), np.arange(bins + 1)).tolist()
    rows = table.drop_columns("bin")

    def write() -> None:
        for path in paths:
            with pq.ParquetWriter(path, rows.schema, compression="lz4", use_dictionary=False) as writer:
                for start, stop in pairwise(starts):
                    writer.write_table(rows.slice(start, stop - start))

    def read_bins() -> None:
        for number in range(read):
            for path in paths:
                pq.ParquetFile(path, page_checksum_verification=True).read_row_groups([number])

    return spent(write) / partitions / bins + spent(read_bins) / partitions / read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=100)
    parser.add_argument("--bins", type=int, default=100)
    parser.add_argument("--large", action="store_true", help="1,000 partitions and 500 bins")
    parser.add_argument("--parquet-partitions", type=int, default=50, help="how many Parquet is measured with")
    parser.add_argument("--parquet-bins", type=int, default=10, help="how many bins of them are read")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    partitions, bins = (1000, 500) if options.large else (options.partitions, options.bins)
    table = table_of(bins, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "parquet").mkdir()
        found = slices(Path(folder) / "slices", table, partitions, bins)
        few = min(partitions, options.parquet_partitions), bins, min(bins, options.parquet_bins)
        found["parquet_ms_per_pair"] = parquet(Path(folder) / "parquet", table, *few)
    found["x_parquet"] = found["parquet_ms_per_pair"] / found["ms_per_pair"]
    found = {name: round(value, 4) for name, value in found.items()} | {"partitions": partitions, "bins": bins}
    for name, value in found.items():
        print(f"{name:22}{value:>10}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
