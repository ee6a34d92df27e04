"""Lines of JSON objects, plain or compressed (gzip, zstd, bz2, lz4, xz). Blank lines are counted in
`origin.skipped`. A line that cannot be used is a row without text, and `error` in meta says why. Of a key that
stands twice in an object the last value counts.

Reasons:
  not_json            the line is not JSON
  not_utf8            the line is not UTF-8
  not_object          the line is JSON, but no object
  no_text             the text is null or missing
  text_not_string     the text is a number, a list, an object
  too_large           the line is longer than 16 MiB
  too_deep            the line is nested more than 100 levels deep
  truncated           damage of the compressed file cuts the line
  unreadable          something else of the line cannot be read
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache

import pyarrow as pa

from curate.documents import SCHEMA, document_id
from curate.sources import File, Origin, Rows, compression_of, inputs
from curate.sources.compression import decompressed
from curate.sources.layouts import BadRow, Mapping, mapping, parsed, whole

TABLE = SCHEMA.append(pa.field("reject", pa.string()))
MAX_LINE = 16 << 20
"""Bytes of a line: more is never a document, and may be gigabytes of small objects in memory."""

_HALVES = re.compile(rb"\\u[dD]")  # escapes that may spell half a character
_BOM = b"\xef\xbb\xbf"
_NOTHING = (None,) * 5


def read(file: File, *, origin: Origin, columns: dict | None = None, layout: str | None = None) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is the line, from 0.

    Lines that cannot be used are counted in `origin.of(file.path)`, bytes that cannot be read too: whoever asked for
    the documents decides how many are too many. Raises CurateError for a mapping that is none.
    """
    place, rows, found = mapping(layout, columns), Rows(TABLE, origin.block_bytes), origin.of(file.path)
    told = False  # whether the damage that the last line lies beside is told of already
    with inputs.opened(file) as raw:
        pieces = decompressed(raw, file.path, compression_of(file.path), origin)
        for position, (line, sound) in enumerate(_lines(pieces)):
            if line is not None and not line.removeprefix(_BOM).strip():
                origin.skipped["blank_line"] += sound
                continue
            try:
                text, others = _row(line, place)
                reason = None
            except BadRow as problem:
                text, others = None, _NOTHING
                reason = problem if sound else BadRow("truncated", f"damage cuts the line: {_excerpt(line or b'')}")
                if told and not sound:
                    continue
            told = reason is not None and not sound
            url, date, language, license_, meta = others
            found.rows += 1
            if reason:
                meta = _said(reason.detail)
                if sound:
                    found.bad_rows += 1
                    found.first_bad = found.first_bad or f"line {position + 1}: {reason.reason}: {whole(reason.detail)}"
            if rows.full(len(text or "")):
                yield rows.take()
            identity = document_id(origin.source, file.path, position)
            where = (identity, origin.source, file.path, position)
            outcome = (license_ or origin.license, meta, reason and reason.reason)
            rows.add((*where, text, url, date, language, *outcome), len(text or ""))
    if rows:
        yield rows.take()


def _lines(pieces: Iterator[bytes | None]) -> Iterator[tuple[bytes | None, bool]]:
    """The lines, without their ends, and whether they are sound: damage may have cut the others at either end.

    None stands for a line that is too long.
    """
    held, size, sound = [], 0, True
    for piece in pieces:
        if piece is None:
            if size:
                yield b"".join(held) if size <= MAX_LINE else None, False
            held, size, sound = [], 0, False
            continue
        head, *lines = piece.split(b"\n")
        for line in lines:
            size += len(head)
            yield (b"".join((*held, head)) if held else head) if size <= MAX_LINE else None, sound
            held, size, sound, head = [], 0, True, line
        size += len(head)
        held = [*held, head] if size <= MAX_LINE and head else held if size <= MAX_LINE else []
    if size:
        yield b"".join(held) if size <= MAX_LINE else None, sound


def _row(line: bytes | None, place: Mapping) -> tuple[str, tuple]:
    """Text and the other columns of a line. Raises BadRow, and nothing else: no line stops a run."""
    if line is None:
        raise BadRow("too_large", f"more than {MAX_LINE >> 20} MiB")
    try:
        row = parsed(line.removeprefix(_BOM).decode())
        if not isinstance(row, dict):
            raise BadRow("not_object", f"{type(row).__name__}: {_excerpt(line)}")
        text = place.text(row)
        return whole(text) if _HALVES.search(line) else text, place.others(row)
    except UnicodeDecodeError as error:
        raise BadRow("not_utf8", str(error)) from None
    except (BadRow, MemoryError):
        raise
    except Exception as error:
        raise BadRow("not_json", f"{error}: {_excerpt(line)}") from None


@lru_cache(64)
def _said(detail: str) -> str:
    return json.dumps({"error": whole(detail)}, ensure_ascii=False)


def _excerpt(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace"))
