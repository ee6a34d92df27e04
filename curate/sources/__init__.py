"""Find inputs, and read them as document tables.

`formats` has a file for each format, `layouts` maps the columns of known datasets.

A format reads a file by

    read(file, *, origin, ...) -> Iterator[pa.Table]

yields tables of at most `origin.block_bytes` of text or payload (one document where it alone is larger), in
the order of the file, with the columns of `curate.documents` and `reject` (string; null where sound).
"""

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa

from curate.base.redact import bare_url

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

BLOCK_BYTES = int(os.environ.get("CURATE_BLOCK_BYTES", 64 << 20))
"""Text or payload in one block: what a worker holds at a time. Does not affect a release."""

COMPRESSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
COMPRESSIONS |= {".xz": "xz"}

UNREADABLE = "unreadable"
"""The reason of a row or record at which its reader failed in a way that nobody foresaw."""

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}
MAGIC |= {b"\xfd7zXZ\x00": "xz"} | {bytes([0x50 + n]) + b"\x2a\x4d\x18": "zstd" for n in range(16)}
"""{first bytes: compression}; the last ones begin a skippable frame, which may hold a dictionary of zstd."""


@dataclass(frozen=True)
class File:
    """An input file.

    path    its name under the root of the source's inputs: part of document ids, the same on every machine.
    url     where it lies now: an absolute local path, or an address with a scheme. It may hold secrets: print `shown`.
    size    bytes; -1 where a server does not tell.
    digest  `sha256:...` of a local file, else what the server gives that changes with the content.
    seen    of a local file: size, times of change and inode when it was hashed, so that a later change is noticed.
    format  what it is: as the manifest says, or its ending and first bytes tell. Empty where nobody does.
    """

    path: str
    url: str
    size: int = -1
    digest: str = ""
    seen: str = ""
    format: str = ""

    @property
    def shown(self) -> str:
        """The address for people, without user, password, query and fragment."""
        return shown(self.url)


@dataclass
class FileRead:
    """What reading one file came to, beside its documents. Counts of several readers of a file add up.

    lost      bytes of the file, as it lies on disk, that could not be read
    damage    the first places where that was, each a sentence with its offset
    notes     what a person should know though nothing is lost, such as bytes after the end of compressed data
    rows      rows or lines that were looked at, where the format has rows; 0 for archives
    bad_rows  of them those that could not be used
    first_bad the first of them, for the error
    """

    SHOWN: ClassVar[int] = 5

    lost: int = 0
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    bad_rows: int = 0
    first_bad: str = ""


@dataclass
class Origin:
    """What a reader is told about the source it reads for, and where it counts what it passes over.

    skipped  records that are not documents (`request`, `warcinfo`, `blank_line`, ...), counted by kind.
    files    what reading came to, by the path of the file.
    share    of all that is to be read what has been, 0 to 1, as far as readers tell. For people alone.
    """

    source: str
    license: str | None = None
    block_bytes: int = BLOCK_BYTES
    skipped: Counter = field(default_factory=Counter)
    files: dict[str, FileRead] = field(default_factory=dict)
    share: float = 0.0
    span: tuple[float, float] = (0.0, 1.0)
    """Between which shares the file lies that is read now."""

    def reached(self, share: float) -> None:
        """So much of the file that is read now, 0 to 1, has been read."""
        start, end = self.span
        self.share = start + (end - start) * min(max(share, 0.0), 1.0)

    def of(self, path: str) -> FileRead:
        if (found := self.files.get(path)) is None:
            found = self.files[path] = FileRead()
        return found

    def lose(self, path: str, first: int, end: int, why: str) -> None:
        """Bytes `first` to `end` (exclusive) of a file on disk cannot be read. Reading goes on after them."""
        found = self.of(path)
        found.lost += max(end - first, 0)
        if len(found.damage) < FileRead.SHOWN:
            found.damage.append(f"bytes {first:,} to {end:,}: {why}")

    def note(self, path: str, what: str) -> None:
        """Something a person should know of a file, though no document is lost by it."""
        notes = self.of(path).notes
        if len(notes) < FileRead.SHOWN:
            notes.append(what)


def is_remote(url: str) -> bool:
    """Whether an address has a scheme; else it is a local path."""
    return _SCHEME.match(url) is not None


def shown(url: str) -> str:
    """An address as it may be printed: no user, password, query or fragment, and only characters that print."""
    return escaped(bare_url(url) + ("?…" if "?" in url else "") if is_remote(url) else url)


def escaped(name: str) -> str:
    """A file name with what is no UTF-8, or does not print, as escapes: `caf\\xe9.jsonl`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def compression_of(path: str, head: bytes = b"") -> str | None:
    """How a file is compressed: gzip, zstd, bz2, lz4, xz, or None.

    head  its first bytes, where they are at hand: what they say counts before the ending, so that plain lines called
          `.gz` are plain and `part-00000` may be compressed. Without them the ending decides.
    """
    if head:
        return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    return next((name for ending, name in COMPRESSIONS.items() if path.lower().endswith(ending)), None)


def name_of(url: str) -> str:
    """The name of a file by its address: the last part of the path."""
    return PurePosixPath(unquote(urlsplit(url).path, errors="surrogateescape")).name


class Rows:
    """Rows on their way into tables of about `limit` bytes of text or payload."""

    OVERHEAD = 512  # bytes of Python objects in a row beside its text: keeps blocks of tiny documents small

    def __init__(self, schema: pa.Schema, limit: int):
        self.schema, self.limit, self.rows, self.size = schema, limit, [], 0

    def __bool__(self) -> bool:
        return bool(self.rows)

    def full(self, size: int) -> bool:
        """Whether a row of `size` bytes more belongs in the next table."""
        return bool(self.rows) and self.size + size + self.OVERHEAD > self.limit

    def add(self, row: tuple, size: int) -> None:
        self.rows.append(row)
        self.size += size + self.OVERHEAD

    def take(self) -> pa.Table:
        """The table of what was added; the next one starts empty."""
        rows, self.rows, self.size = self.rows, [], 0
        try:
            return self._table(rows)
        except MemoryError:
            raise
        except Exception:  # a value that Arrow does not take, and the row it is of is out alone
            return pa.concat_tables([self._row(row) for row in rows]).combine_chunks()

    def _table(self, rows: list[tuple]) -> pa.Table:
        arrays = [
            binary(values) if pa.types.is_binary(field.type) else pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), self.schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _row(self, row: tuple) -> pa.Table:
        try:
            return self._table([row])
        except MemoryError:
            raise
        except Exception as error:
            values = dict(zip(self.schema.names, row, strict=True))
            kept = {name: values[name] for name in ("id", "source", "path", "position")}
            kept |= {"reject": UNREADABLE, "meta": json.dumps({"error": f"{type(error).__name__}: {error}"})}
            return self._table([tuple(kept.get(name) for name in self.schema.names)])


def binary(values: Sequence[bytes | None]) -> pa.Array:
    """pa.array(values, pa.binary()), several times as fast for what is large: Arrow's memory is used again."""
    sizes = np.fromiter((len(value or b"") for value in values), np.int64, len(values))
    if sizes.sum() >= 1 << 31:  # more than the offsets of `binary` reach: Arrow's own error says so
        return pa.array(values, pa.binary())
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    valid = pa.array([value is not None for value in values], pa.bool_())
    data, end = pa.allocate_buffer(int(sizes.sum())), 0
    bytes_of_data = memoryview(data).cast("B")
    for value in filter(None, values):
        start, end = end, end + len(value)
        bytes_of_data[start:end] = value
    return pa.Array.from_buffers(pa.binary(), len(values), [valid.buffers()[1], pa.py_buffer(offsets), data])
