"""Read and commit parts, the cached results of jobs. The only writer of Parquet.

    store/ab/FP.parquet   the part that the job with fingerprint FP made
    store/ab/FP.arrows    the same, of a job that sends rows to others
    store/ab/FP.json      its marker: counts, the size of the part and a checksum of its footer, and one of all this

A part is written beside its place, renamed into it, and only then gets its marker, renamed too. The marker is the
only state: a part without one does not exist, and two runs that make the same part at once do no harm, since they
write the same bytes.

Two shapes of part:
- a *column part* has one row a document of its partition and one row group a block, so that the parts of a partition
  can be read side by side;
- a *binned part* has rows on their way to somewhere, see `curate.engine.exchange`.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Self
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.documents import REJECT
from curate.engine.marker import UNREADABLE, checked, said, suffix_of
from curate.engine.marker import checksum as _checksum
from curate.errors import CurateError, refusal
from curate.models.resources import put, read_note, remove

DICTIONARY = ("source", "path", "language", "license", "reject", "split", "stage", "reason", "key")
"""Columns of few distinct values. Dictionaries of anything else cost time and save nothing."""


class Damaged(CurateError):
    """A part that cannot be read back. The engine discards it and makes it anew."""

    def __init__(self, fp: str, path: Path, error: object):
        super().__init__(f"a part in the store is damaged: {error}", str(path), "run the same command again")
        self.fp, self.path, self.error = fp, path, error

    def __reduce__(self):
        return type(self), (self.fp, self.path, str(self.error))


class Writer:
    """A Parquet file that is the same bytes for the same row groups, however their tables were chunked.

    A context manager: the file is whole when the block ends well, and closed however it ends.
    """

    def __init__(self, path: Path, codec: str = "zstd", level: int | None = 1, content_defined: bool = False):
        self.path, self.codec, self.level, self.content_defined = path, codec, level, content_defined
        self.file: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Append the table as one row group."""
        if self.file is None:
            self.file = pq.ParquetWriter(
                self.path,
                table.schema,
                compression=self.codec,
                compression_level=self.level,
                use_dictionary=[name for name in DICTIONARY if name in table.column_names],
                write_page_checksum=True,
                use_content_defined_chunking=self.content_defined,
                store_schema=True,
            )
        self.file.write_table(table.combine_chunks(), row_group_size=max(table.num_rows, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        if self.file is None:
            return
        with suppress(Exception) if kind else nullcontext():  # the error of the block is the one to see
            self.file.close()


class Store:
    """The parts of a work folder."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.listed: dict[str, tuple[tuple, bytes]] = {}

    def part(self, fp: str, suffix: str = ".parquet") -> Path:
        return self.root / f"{fp[:2]}/{fp}{suffix}"

    def marker_path(self, fp: str) -> Path:
        return self.part(fp, ".json")

    def marker(self, fp: str) -> dict | None:
        """What the job that made this part counted, or None if it is not made, if its file is gone or cut, or if the
        marker is not what was written."""
        if held := self.listed.get(fp):
            return said(held[1])
        try:
            raw = read_note(self.marker_path(fp))
            marker = checked(fp, raw)
            if self.part(fp, suffix_of(marker)).stat().st_size == marker["bytes_on_disk"]:
                return marker
        except UNREADABLE:
            pass
        return None

    def markers(self, fps: Iterable[str]) -> set[str]:
        """Which of these parts are made, as `marker` has it, from one listing of the store.

        Their markers are remembered: until the next listing `marker` and `counts` answer from memory, and a marker that
        has not changed since is not read again.
        """
        files, known, self.listed = self._sizes(), self.listed, {}
        for fp in fps:
            state = files.get(f"{fp}.json"), files.get(f"{fp}.parquet"), files.get(f"{fp}.arrows")
            if state[0] is None:
                continue
            before, raw = known.get(fp, (None, b""))
            try:
                if before != state:
                    raw = read_note(self.marker_path(fp))
                    marker = checked(fp, raw)
                    if files[fp + suffix_of(marker)][0] != marker["bytes_on_disk"]:
                        continue
            except UNREADABLE:
                continue
            self.listed[fp] = state, raw
        return {*self.listed}

    def _sizes(self) -> dict[str, tuple[int, int, int]]:
        """{name: (bytes, time of change in ns, inode)} of all parts and markers."""
        found = {}
        for folder in self.root.glob("??"):
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(OSError):
                        at = entry.stat()
                        found[entry.name] = (at.st_size, at.st_mtime_ns, at.st_ino)
        return found

    def counts(self, fp: str) -> dict:
        """The marker of a part that a job reads. Raises Damaged where it is not to be believed."""
        marker = self.marker(fp)
        if marker is None:
            raise Damaged(fp, self.marker_path(fp), "its marker does not match it")
        return marker

    def discard(self, fp: str) -> None:
        """Forget a part: its marker first, so that it is never seen without its file."""
        self.listed.pop(fp, None)
        for suffix in (".json", ".parquet", ".arrows"):
            remove(self.part(fp, suffix))

    @contextmanager
    def commit(self, fp: str) -> Iterator[tuple[Path, dict]]:
        """Yield a path to write the part at and a dictionary to count in; make both real if the block ends well.

        Raises Stopped when the disk is full. Whatever goes wrong, nothing half-written stays.
        """
        marker_path = self.marker_path(fp)
        draft = self.part(fp, f".{uuid4().hex}.tmp")
        counts: dict = {}
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            yield draft, counts
            counts["bytes_on_disk"] = draft.stat().st_size
            if (suffix := suffix_of(counts)) == ".parquet":
                counts["footer"] = _footer(draft)
            put(draft, self.part(fp, suffix))
            counts = json.loads(json.dumps(counts))  # as it will be read
            draft.write_text(json.dumps(counts | {"checksum": _checksum(fp, counts)}, sort_keys=True))
            put(draft, marker_path)
            for other in {".parquet", ".arrows"} - {suffix}:
                remove(self.part(fp, other))  # of an earlier version, if any
        except OSError as error:
            if known := refusal(error):
                raise known from error
            raise
        finally:
            draft.unlink(missing_ok=True)

    def read_range(self, fp: str, offset: int, length: int) -> bytes:
        """So many bytes of a binned part. What they are is the caller's to check."""
        with reading(self, fp), open(self.part(fp, ".arrows"), "rb") as file:
            file.seek(offset)
            return file.read(length)

    def open(self, fp: str) -> pq.ParquetFile:
        """The part for reading. Its footer and, later, its pages are checked: a damaged part is never passed over."""
        with reading(self, fp):
            if _footer(self.part(fp)) != self.counts(fp)["footer"]:
                raise pa.ArrowInvalid("its footer is not the one that was written")
            return pq.ParquetFile(self.part(fp), page_checksum_verification=True)

    def blocks(self, parts: dict[str, list[str]]) -> Iterator[pa.Table]:
        """The named columns of a partition, block by block.

        parts  {fingerprint: its columns}; the row groups of the first one are the blocks.
        """
        files = {fp: self.open(fp) for fp in parts}
        start, lead = 0, next(iter(files.values()))
        for group in range(lead.num_row_groups):
            stop = start + lead.metadata.row_group(group).num_rows
            fields, columns = [], []
            for fp, names in parts.items():
                with reading(self, fp):
                    rows = _rows(files[fp], start, stop, names)
                fields += rows.schema
                columns += rows.columns
            yield pa.table(columns, schema=pa.schema(fields))
            start = stop

    def behind(self, barrier: str) -> list[str]:
        """The parts that a barrier stands for."""
        with reading(self, barrier):
            return self.open(barrier).read()["part"].to_pylist()

    def row(self, fp: str, row: int) -> dict:
        """One row of a column part."""
        with reading(self, fp):
            return _rows(self.open(fp), row, row + 1, None).to_pylist()[0]

    def stream(self, fps: Iterable[str]) -> Iterator[tuple[int, pa.Table]]:
        """All rows of column parts, one row group at a time: (place of the part among `fps`, table)."""
        for place, fp in enumerate(fps):
            with reading(self, fp):
                file = self.open(fp)
            for group in range(file.num_row_groups):
                with reading(self, fp):
                    table = file.read_row_group(group)
                yield place, table

    def fingerprints(self) -> Iterator[str]:
        """All parts that have a marker."""
        for marker in sorted(self.root.glob("??/*.json")):
            yield marker.stem


def _footer(path: Path) -> int:
    """CRC-32 of a Parquet file's footer, which unlike its pages has no checksum of its own."""
    with open(path, "rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-min(length + 8, file.tell() + 4), os.SEEK_END)
        return zlib.crc32(file.read())


def _rows(file: pq.ParquetFile, start: int, stop: int, columns: list[str] | None) -> pa.Table:
    """Rows start to stop of the file, wherever its row groups lie."""
    first, groups, before = None, [], 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if (before < stop and before + count > start) or (start == stop == before):
            first = before if first is None else first
            groups.append(group)
        before += count
    table = file.read_row_groups(groups, columns=columns)
    return table.slice(0 if first is None else start - first, stop - start)


@contextmanager
def reading(store: Store, fp: str) -> Iterator[None]:
    """What cannot be read raises Damaged."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise Damaged(fp, store.part(fp), error) from error


def live_blocks(store: Store, reading: dict) -> Iterator[pa.Table]:
    """The live rows of a partition, block by block, with `doc` (uint64, the row)."""
    start = 0
    for block in store.blocks(reading):
        rows = np.arange(start, start + block.num_rows, dtype=np.uint64)
        start += block.num_rows
        block = block.append_column("doc", pa.array(rows))
        if REJECT.name in block.column_names:  # an earlier release has only what is in
            if block[REJECT.name].null_count < block.num_rows:  # which would copy all texts
                block = block.filter(block[REJECT.name].is_null())
            block = block.drop_columns(REJECT.name)
        yield block


def widened(kind: pa.DataType) -> pa.DataType:
    """A type with large strings and bytes, within lists and structs too."""
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(widened(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(widened(field.type)) for field in kind])
    return {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(kind, kind)
