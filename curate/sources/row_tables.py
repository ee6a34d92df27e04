"""What the formats of rows share: lines past damage, and from rows to document tables."""

import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import text_of
from curate.documents import MORE, SCHEMA, document_id
from curate.sources import File, Origin, Rows, compression_of, inputs
from curate.sources.compression import decompressed
from curate.sources.layouts import BadRow, Found, whole
from curate.stage_api import set_column

TABLE = SCHEMA.append(pa.field("reject", pa.string()))
MAX_ROW = 16 << 20
"""Bytes of a row: more is never a document, and may be gigabytes of small objects in memory."""

BOM = b"\xef\xbb\xbf"
_NOTHING = Found(None, (None,) * 5)


class Row(NamedTuple):
    """One row of a file.

    position  in the file, from 0
    shown     where it is, for people: `line 3`
    found     its documents, or why it cannot be used
    sound     false: damage of the compressed file may have cut it
    lines     how many lines or rows it counts for, where it cannot be used
    """

    position: int
    shown: str
    found: list[Found] | BadRow
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
            size = max(os.fstat(raw.fileno()).st_size, 1)
            for piece in decompressed(raw, self.file.path, compression_of(self.file.path), self):
                self.before, self.after = self.after, raw.tell()
                self.size = len(piece or b"")
                self.origin.reached(self.after / size)
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


def with_more(names: tuple[str, ...]) -> pa.Schema:
    """The schema of a reader's tables with these of `curate.documents.MORE`."""
    return pa.schema([*TABLE, *(pa.field(name, MORE[name].type) for name in names)]) if names else TABLE


def tables(rows: Iterable[Row], file: File, origin: Origin, more: tuple[str, ...] = ()) -> Iterator[pa.Table]:
    """Document tables of rows. Those that cannot be used stay, without text, with `error` in meta, and are counted.

    more  columns of `curate.documents.MORE` that the documents have too.

    Of rows beside one stretch of damage only the first is told: how many are missing there nobody knows.
    """
    waiting, found = Rows(with_more(more), origin.block_bytes), origin.of(file.path)
    told = False  # whether the damage that the last row lies beside is told of already
    for row in rows:
        bad = row.found if isinstance(row.found, BadRow) else None
        if bad and told and not row.sound:
            continue
        told = bad is not None and not row.sound
        found.rows += row.lines
        if bad and row.sound:
            found.bad_rows += row.lines
            found.first_bad = found.first_bad or f"{row.shown}: {bad.reason}: {whole(bad.detail)}"
        for one in [_NOTHING] if bad else row.found:
            url, date, language, license_, meta = one.others
            size = len(one.text or "") + sum(map(_length, one.more))
            if waiting.full(size):
                yield _with_text(waiting.take(), more)
            identity = document_id(origin.source, file.path, row.position, record=one.record)
            where = (identity, origin.source, file.path, row.position)
            outcome = (license_ or origin.license, _said(bad.detail) if bad else meta, bad and bad.reason)
            held = one.more or (None,) * len(more)
            waiting.add((*where, one.text, url, date, language, *outcome, *held), size)
    if waiting:
        yield _with_text(waiting.take(), more)


def _with_text(table: pa.Table, more: tuple[str, ...]) -> pa.Table:
    """The table with the text of its messages where it has no other."""
    if not more:
        return table
    return set_column(table, "text", pc.coalesce(table["text"], text_of(table)))


def _length(value: Any) -> int:
    """About how many bytes a value of a layout has: a string, bytes, messages or pictures."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list):
        return sum(_length(part) for item in value if isinstance(item, dict) for part in item.values())
    return 0


def excerpt(data: bytes) -> str:
    """The beginning of a row, as an error shows it."""
    return repr(data[:60].decode("utf-8", "replace"))


@lru_cache(64)
def _said(detail: str) -> str:
    return json.dumps({"error": whole(detail)}, ensure_ascii=False)
