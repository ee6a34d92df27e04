"""ARC archives, the format before WARC.

One line of `URL IP date type ... length`, then as many bytes.

Rows, reasons and compressions are those of `curate.sources.formats.warc`.
Format: archive.org/web/researcher/ArcFileFormat.php
"""

import re
from collections.abc import Iterator

import pyarrow as pa

from curate.sources import File, Origin, archive
from curate.sources.format_api import Format
from curate.sources.formats.warc import FORMAT as WARC
from curate.sources.http import Damaged
from curate.sources.records import Record
from curate.sources.window import Mapped, Window

MAX_LINE = 16 << 10
_LINE = rb"[a-zA-Z][a-zA-Z0-9+.-]{1,15}:[^\n]{1,8192}? \d{12,18} \S"
_BEGINS = re.compile(rb"[\r\n]{0,8}" + _LINE)
_DATE = re.compile(rb"\d{12,18}")


def read(file: File, *, origin: Origin) -> Iterator[pa.Table]:
    """Document tables with the columns of ARCHIVE_SCHEMA. Damage is told to `origin`, and never an exception."""
    yield from archive.tables(Arc(), file, origin)


class Arc:
    """How records of an ARC archive begin: see `curate.sources.records`."""

    start = re.compile(rb"(?<=\n)" + _LINE)
    newlines = 1

    def begins(self, plain: bytes) -> bool:
        return _BEGINS.match(plain) is not None

    def header(self, window: Window | Mapped, at: int) -> tuple[Record, int, int] | None:
        for size in (512, MAX_LINE):
            window.reach(at + size)
            line, newline, _ = window.slice(at, at + size).partition(b"\n")
            if newline:
                break
        if not newline or not _BEGINS.match(line):
            return None
        parts = line.rstrip(b"\r").split(b" ")
        place = next((n for n, part in enumerate(parts) if n > 1 and _DATE.fullmatch(part)), None)
        if place is None or place + 2 >= len(parts):
            return None
        url, date = b" ".join(parts[: place - 1]).decode("utf-8", "replace"), parts[place].decode()
        record = Record(
            "warcinfo" if url.startswith("filedesc:") else "response",
            window.position(at),
            url,
            f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14] or '00'}Z",
            content_type=parts[place + 1].decode("latin-1"),
            meta={"ip": parts[place - 1].decode("latin-1")},
        )
        start, length = at + len(line) + 1, parts[-1]
        if not length.isdigit() or len(length) > 15:
            record.damage = Damaged("malformed_record", f"its length is {length[:40].decode('latin-1')!r}")
            return record, start, 0
        return record, start, int(length)


FORMAT = Format(
    "arc",
    "ARC",
    read,
    version=3,
    endings=(".arc",),
    packages=("fastwarc", "isal", "zstandard"),
    payload=True,
    begins=re.compile(rb"filedesc:"),
    text_share=0.15,
    reasons=WARC.reasons,
)
