"""Rows on their way from job to job: a part holds them by bin, so that whoever reads one bin reads little else.

    FP.arrows   a schema; then slices, each of rows of one bin; the mark that ends a stream; the index
    index       of each slice the bin, its place and a checksum, and the schema again
    "bins"      in the marker: where the index is, how long, its checksum, and of how many slices

Up to its index, such a file is a stream of Arrow IPC. A slice is read with its index alone: two ranges of a file,
whatever else is in it. It is compressed if that is worth its while.

Many parts with many bins are many small slices. `merge` puts those of some parts together, so that a reader of a bin
has fewer files to open.

`doc` (uint64) stands for a document in such parts: its partition's place << 32 | its row.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa

from curate.base.spill import together
from curate.engine.store import Damaged, Store, reading
from curate.stage_api import set_column

GATHERED_BYTES = 128 << 20
"""How much a writer gathers in memory before it writes slices, and a merge reads at a time."""

SMALL_BYTES = 1 << 16
"""Below this, compressing a slice takes longer than it saves."""

INDEX = np.dtype([("bin", "<u4"), ("crc", "<u4"), ("offset", "<u8"), ("length", "<u8")])
END = b"\xff\xff\xff\xff\0\0\0\0"
"""The mark with which a stream of Arrow IPC ends."""

PLAIN, QUICK = pa.ipc.IpcWriteOptions(), pa.ipc.IpcWriteOptions(compression="lz4")  # read once: quick before small


class BinnedWriter:
    """Sorts rows into bins by their column `bin` (uint32), which is not itself written.

    A context manager: if the block ends well, the file is whole and `counts["bins"]` says where its index is.
    """

    def __init__(self, path: Path, counts: dict):
        self.path, self.counts = path, counts
        self.file: BinaryIO | None = None
        self.schema, self.head = pa.schema([]), b""
        self.index: list[tuple[int, int, int, int]] = []
        self.waiting: list[pa.Table] = []
        self.bytes = 0

    def write(self, table: pa.Table) -> None:
        self.waiting.append(table)
        self.bytes += table.nbytes
        if self.bytes >= GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        table = pa.concat_tables(self.waiting).combine_chunks()
        self.waiting, self.bytes = [], 0
        bins = table["bin"].to_numpy()
        table = table.drop_columns("bin")
        if (bins[1:] < bins[:-1]).any():
            few = bins.max() < 1 << 16  # of 16 bits NumPy makes a radix sort, which is several times as fast
            order = np.argsort(bins.astype(np.uint16) if few else bins, kind="stable")
            table, bins = table.take(pa.array(order)), bins[order]
        self.begin(table.schema)
        starts = np.flatnonzero(np.diff(bins, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(bins)], strict=False):
            self.put(int(bins[start]), table.slice(start, stop - start))

    def begin(self, schema: pa.Schema) -> None:
        """Start the file, all of whose rows have this schema, unless it is begun."""
        if self.file is None:
            self.schema, self.head = schema, schema.serialize().to_pybytes()
            self.file = open(self.path, "wb")  # noqa: SIM115 (closed when the block ends)
            self.file.write(self.head)
        elif not schema.equals(self.schema):
            raise ValueError(f"rows of one part have two schemas:\n{self.schema}\n{schema}")

    def put(self, number: int, table: pa.Table) -> None:
        """Write rows of one bin as a slice."""
        sink = pa.BufferOutputStream()
        options = QUICK if table.nbytes > SMALL_BYTES else PLAIN
        with pa.ipc.new_stream(sink, self.schema, options=options) as stream:  # with dictionaries of its own
            stream.write_table(table)
        data = memoryview(sink.getvalue())[len(self.head) : -len(END)]
        self.index.append((number, zlib.crc32(data), self.file.tell(), len(data)))
        self.file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        try:
            if not kind:
                self.flush()
                self.file.write(END)
                index = np.array(self.index, INDEX).tobytes() + self.head
                self.counts["bins"] = [self.file.tell(), len(index), zlib.crc32(index), len(self.index)]
                self.file.write(index)
        finally:
            if self.file:
                self.file.close()


class Slices:
    """The slices of a part. Whatever does not have its checksum raises Damaged."""

    def __init__(self, store: Store, fp: str):
        self.store, self.fp = store, fp
        offset, length, crc, count = store.counts(fp)["bins"]
        index = self._sound(store.read_range(fp, offset, length), crc)
        self.index, self.head = np.frombuffer(index, INDEX, count), index[count * INDEX.itemsize :]
        self.schema = pa.ipc.read_schema(pa.py_buffer(self.head))

    def of(self, number: int, columns: Iterable[str] | None = None) -> pa.Table:
        """The rows of a bin, with these columns or all."""
        names = self.schema.names if columns is None else list(dict.fromkeys(columns))
        tables = [table for _, table in self.read(self.index[self.index["bin"] == number], names)]
        return pa.concat_tables(tables or [self.schema.empty_table().select(names)])

    def read(self, wanted: np.ndarray, names: list[str]) -> Iterator[tuple[int, pa.Table]]:
        """(bin, table) of slices, as the index has them. Those that lie together are read together."""
        fields = sorted(map(self.schema.get_field_index, names))
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        apart = wanted["offset"][1:] != (wanted["offset"] + wanted["length"])[:-1]
        starts = [*np.flatnonzero(np.concatenate([[True], apart])).tolist(), len(wanted)]
        for run in (wanted[start:stop].tolist() for start, stop in pairwise(starts) if stop):
            (_, _, first, _), (_, _, last, size) = run[0], run[-1]
            data = memoryview(self.store.read_range(self.fp, first, last + size - first))
            for number, crc, offset, length in run:
                rows = self._sound(data[offset - first :][:length], crc)
                with reading(self.store, self.fp), pa.ipc.open_stream(self.head + rows, options=options) as stream:
                    table = stream.read_all().select(names)
                yield number, table

    def _sound(self, data: bytes, crc: int) -> bytes:
        if zlib.crc32(data) != crc:
            raise Damaged(self.fp, self.store.part(self.fp, ".arrows"), "it is not what was written")
        return data


def of_bin(
    store: Store, fps: Iterable[str], number: int, columns: Iterable[str] | None = None
) -> Iterator[tuple[int, pa.Table]]:
    """All rows that parts sent to a bin, with these columns or all: (place of the part among `fps`, table), in that
    order."""
    for place, fp in enumerate(fps):
        yield place, Slices(store, fp).of(number, columns)


def of_all(store: Store, fps: Iterable[str]) -> Iterator[tuple[int, pa.Table]]:
    """All rows of parts, one slice at a time: (place of the part among `fps`, table). Of a part without rows too."""
    for place, fp in enumerate(fps):
        slices = Slices(store, fp)
        if not len(slices.index):
            yield place, slices.schema.empty_table()
        for start in range(len(slices.index)):
            yield from (
                (place, table) for _, table in slices.read(slices.index[start : start + 1], slices.schema.names)
            )


def row_of(doc: pa.ChunkedArray) -> np.ndarray:
    """uint64[n]: the row of each document in its partition."""
    return doc.to_numpy() & np.uint64(0xFFFFFFFF)


def partition_of(doc: pa.ChunkedArray) -> np.ndarray:
    """uint32[n]: the place of each document's partition."""
    return (doc.to_numpy() >> np.uint64(32)).astype(np.uint32)


def globally(table: pa.Table, place: int, local: bool) -> pa.Table:
    """The table with `doc` valid in all partitions, where it was a row of one so far."""
    if not local:
        return table
    doc = table["doc"].to_numpy() | (np.uint64(place) << np.uint64(32))
    return set_column(table, "doc", pa.array(doc, pa.uint64()))


def sent_to(store: Store, before: list[str], number: int, local: bool) -> pa.Table:
    """The rows that the parts of a step sent to a bin or a partition, sorted by `doc`."""
    rows = together(globally(table, place, local) for place, table in of_bin(store, before, number))
    doc = rows["doc"].to_numpy()
    if (doc[1:] < doc[:-1]).any():
        rows = rows.take(pa.array(np.argsort(doc, kind="stable")))
    return rows


def for_block(sent: pa.Table, docs: pa.Table) -> pa.Table:
    """Of the rows sent to a partition those for the documents of one block, with `doc` as the block has it."""
    row = row_of(sent["doc"])
    wanted = docs["doc"].to_numpy()
    start, stop = np.searchsorted(row, [wanted[0], wanted[-1] + np.uint64(1)]) if len(wanted) else (0, 0)
    return set_column(sent, "doc", pa.array(row)).slice(start, stop - start)


def merge(store: Store, args: dict, draft: Path, counts: dict) -> None:
    """Parts as one, bin by bin, with the rows of each part in the order of the parts.

    args  `parts`; `first`, the place of the first; `local`, whether `doc` is a row of its partition so far
    """
    parts = [Slices(store, fp) for fp in args["parts"]]
    index = np.concatenate([part.index for part in parts])
    bins, of = np.unique(index["bin"], return_inverse=True)
    window = np.cumsum(np.bincount(of, index["length"])) // GATHERED_BYTES  # of bins that are read at a time
    with BinnedWriter(draft, counts) as writer:
        writer.begin(globally(parts[0].schema.empty_table(), 0, args["local"]).schema)
        for number in np.unique(window):
            mine = bins[window == number]
            held: dict[int, list[pa.Table]] = {int(bin): [] for bin in mine}
            for place, part in enumerate(parts, args["first"]):
                for bin, table in part.read(part.index[np.isin(part.index["bin"], mine)], part.schema.names):
                    held[bin].append(globally(table, place, args["local"]))
            for bin in mine.tolist():
                writer.put(bin, pa.concat_tables(held.pop(bin)).combine_chunks())
