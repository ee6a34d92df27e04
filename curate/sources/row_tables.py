"""What the formats of rows share: lines of a file past damage, and rows on their way into document tables."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa

from curate.documents import SCHEMA, document_id
from curate.sources import File, Origin, Rows, compression_of, inputs
from curate.sources.compression import decompressed
from curate.sources.layouts import BadRow, whole

TABLE = SCHEMA.append(pa.field("reject", pa.string()))
MAX_ROW = 16 << 20
"""Bytes of a row: more is never a document, and may be gigabytes of small objects in memory."""

BOM = b"\xef\xbb\xbf"
_NOTHING = (None,) * 5


class Row(NamedTuple):
    """One row of a file.

    position  in the file, from 0
    shown     where it is, for people: `line 3`
    found     its text, and (url, date, language, license, meta); or why it cannot be used
    sound     false: damage of the compressed file may have cut it
    lines     how many lines or rows it counts for, where it cannot be used
    """

    position: int
    shown: str
    found: tuple[str, tuple] | BadRow
    sound: bool = True
    lines: int = 1


class Content:
    """The content of a file in pieces, decompressed; None where something is missing.

    before, after  between which bytes on disk the last piece was read: exact where the file is not compressed
    damaged        where on disk the last damage ends
    """

    def __init__(self, file: File, origin: Origin):
        self.file, self.origin, self.note = file, origin, origin.note
        self.before = self.after = self.size = self.damaged = 0

    def lose(self, path: str, first: int, end: int, why: str) -> None:
        self.damaged = end
        self.origin.lose(path, first, end, why)

    def __iter__(self) -> Iterator[bytes | None]:
        with inputs.opened(self.file) as raw:
            for piece in decompressed(raw, self.file.path, compression_of(self.file.path), self):
                self.before, self.after = self.after, raw.tell()
                self.size = len(piece or b"")
                yield piece

    def place(self, left: int) -> int:
        """Where on disk so many bytes before the end of the last piece are."""
        return self.after - (self.after - self.before) * min(left, self.size) // max(self.size, 1)


def lines(file: File, origin: Origin) -> Iterator[tuple[bytes | None, bool]]:
    """The lines of a file, without their ends, and whether they are sound: damage may have cut others at either end.

    None stands for a line that is too long.
    """
    held, size, sound = [], 0, True
    for piece in Content(file, origin):
        if piece is None:
            if size:
                yield b"".join(held) if size <= MAX_ROW else None, False
            held, size, sound = [], 0, False
            continue
        head, *rest = piece.split(b"\n")
        for line in rest:
            size += len(head)
            yield (b"".join((*held, head)) if held else head) if size <= MAX_ROW else None, sound
            held, size, sound, head = [], 0, True, line
        size += len(head)
        held = [*held, head] if size <= MAX_ROW and head else held if size <= MAX_ROW else []
    if size:
        yield b"".join(held) if size <= MAX_ROW else None, sound


def tables(rows: Iterable[Row], file: File, origin: Origin) -> Iterator[pa.Table]:
    """Document tables of rows. Those that cannot be used stay, without text, with `error` in meta, and are counted.

    Of rows beside one stretch of damage only the first is told: how many are missing there nobody knows.
    """
    waiting, found = Rows(TABLE, origin.block_bytes), origin.of(file.path)
    told = False  # whether the damage that the last row lies beside is told of already
    for row in rows:
        bad = row.found if isinstance(row.found, BadRow) else None
        if bad and told and not row.sound:
            continue
        told = bad is not None and not row.sound
        text, others = (None, _NOTHING) if bad else row.found
        url, date, language, license_, meta = others
        found.rows += row.lines
        if bad:
            meta = _said(bad.detail)
            if row.sound:
                found.bad_rows += row.lines
                found.first_bad = found.first_bad or f"{row.shown}: {bad.reason}: {whole(bad.detail)}"
        if waiting.full(len(text or "")):
            yield waiting.take()
        identity = document_id(origin.source, file.path, row.position)
        where = (identity, origin.source, file.path, row.position)
        outcome = (license_ or origin.license, meta, bad and bad.reason)
        waiting.add((*where, text, url, date, language, *outcome), len(text or ""))
    if waiting:
        yield waiting.take()


def excerpt(data: bytes) -> str:
    """The beginning of a row, as an error shows it."""
    return repr(data[:60].decode("utf-8", "replace"))


@lru_cache(64)
def _said(detail: str) -> str:
    return json.dumps({"error": whole(detail)}, ensure_ascii=False)
