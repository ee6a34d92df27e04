"""Plain text in UTF-8: one document per file, or several with a separator.

Plain or compressed. Line ends and white space stay as they are, but those around a separator. Empty documents are
counted in `origin.skipped`.

Reasons:
  not_utf8            the document is not UTF-8
  too_large           the document is longer than 16 MiB
  truncated           damage to the compressed file cuts off the document
"""

from collections.abc import Iterator
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from curate.sources import File, Origin
from curate.sources.format_api import Format, listed
from curate.sources.layouts import BadRow, Found
from curate.sources.row_tables import BOM, MAX_ROW, Content, Row, tables

_NOTHING = (None,) * 5

Separator = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=1000,
        description='separator of documents, such as "<|endoftext|>" or "\\n---\\n"; default: one document per file',
    ),
]


def read(file: File, *, origin: Origin, separator: Separator = None) -> Iterator[pa.Table]:
    """Document tables; position is that of the document in the file, from 0. Documents that cannot be used are counted
    in `origin.of(file.path)`, bytes that cannot be read too."""
    yield from tables(_rows(file, origin, separator.encode() if separator else None), file, origin)


def _rows(file: File, origin: Origin, separator: bytes | None) -> Iterator[Row]:
    for position, (data, sound) in enumerate(_documents(Content(file, origin), separator)):
        found = _text_of(data if position or data is None else data.removeprefix(BOM), sound, separator is not None)
        if isinstance(found, str) and not found.strip():
            origin.skipped["empty_document"] += 1
            continue
        found = found if isinstance(found, BadRow) else [Found(found, _NOTHING)]
        yield Row(position, f"document {position + 1}", found, sound)


def _text_of(data: bytes | None, sound: bool, trimmed: bool) -> str | BadRow:
    if data is None:
        return BadRow("too_large", f"more than {MAX_ROW >> 20} MiB; `options: {{separator: ...}}` splits a file")
    if not sound:
        return BadRow("truncated", "damage cuts the document")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return BadRow("not_utf8", f"{error}; convert the file, as `iconv -f WINDOWS-1252 -t UTF-8` does")
    return text.strip("\r\n") if trimmed else text


def _documents(content: Content, separator: bytes | None) -> Iterator[tuple[bytes | None, bool]]:
    """What stands between separators, None where it is too large, and whether no damage cuts it."""
    held, dropped, sound, begun = b"", False, True, False
    for piece in content:
        if piece is None:
            if held or dropped or not begun:
                yield None if dropped else held, False
            held, dropped, sound, begun = b"", False, False, True
            continue
        begun = True
        parts = (held + piece).split(separator) if separator else [held + piece]
        for part in parts[:-1]:
            yield None if dropped or len(part) > MAX_ROW else part, sound
            dropped, sound = False, True
        held = parts[-1]
        if len(held) > MAX_ROW:
            keep = len(separator) - 1 if separator else 0
            held, dropped = held[len(held) - keep :], True
    if held or dropped:
        yield None if dropped else held, sound


FORMAT = Format(
    "text",
    "plain text",
    read,
    version=1,
    endings=(".txt", ".text", ".md", ".rst"),
    in_folders=False,
    holds="text",
    text_share=3.0,
    plain_share=1.0,
    reasons=listed(__doc__),
)
