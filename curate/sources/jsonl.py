"""Lines of JSON objects, plain or compressed (gzip, zstd, bz2, lz4, xz). Blank lines are counted in
`origin.skipped`. A line that cannot be used is a row without text, and `error` in meta says why.

Reasons:
  not_json            the line is not JSON
  not_utf8            the line is not UTF-8
  not_object          the line is JSON, but no object
  no_text             the text is null or missing
  text_not_string     the text is a number, a list, an object
  too_large           the line is longer than 256 MiB
  truncated           the compressed file ends early or is damaged: nothing was read from here on
"""

import json
import lzma
import re
from collections.abc import Iterator

import pyarrow as pa

from curate.documents import SCHEMA, document_id
from curate.errors import CurateError
from curate.sources import File, Origin, Rows, compression_of, inputs
from curate.sources.layouts import BadRow, mapping

TABLE = SCHEMA.append(pa.field("reject", pa.string()))
MAX_LINE = 256 << 20
_PIECE = 1 << 22
_HALVES = re.compile(rb"\\u[dD]")  # escapes that may spell half a character
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)  # NaN and infinities are no JSON


def read(
    file: File,
    *,
    origin: Origin,
    columns: dict | None = None,
    layout: str | None = None,
    max_bad_rows: float = 0.01,
) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is the line, from 0.

    max_bad_rows  the share of lines that may be unusable. Raises CurateError at the end of a file with more.
    """
    place, rows = mapping(layout, columns), Rows(TABLE, origin.block_bytes)
    count = bad = 0
    first_bad = ""
    with inputs.opened(file) as raw:
        for position, line in enumerate(_lines(_plain(raw, file))):
            reason = None
            if isinstance(line, BadRow):
                text, others, reason = None, (None,) * 5, line
            elif not line or line.isspace():
                origin.skipped["blank_line"] += 1
                continue
            else:
                try:
                    row = _parse(line)
                    text, others = place.text(row), place.others(row)
                except BadRow as problem:
                    text, others, reason = None, (None,) * 5, problem
            url, date, language, licence, meta = others
            count += 1
            if reason:
                meta = json.dumps({"error": reason.detail}, ensure_ascii=False)
                if reason.reason != "truncated":
                    bad += 1
                    first_bad = first_bad or f"line {position + 1}: {reason.reason}: {reason.detail}"
            if rows.full(len(text or "")):
                yield rows.take()
            identity = document_id(origin.source, file.path, position)
            where = (identity, origin.source, file.path, position)
            outcome = (licence or origin.license, meta, reason and reason.reason)
            rows.add((*where, text, url, date, language, *outcome), len(text or ""))
    if bad > max_bad_rows * count:
        fix = "mend the file, map its columns with `columns:` or `layout:`, or raise `max_bad_rows`"
        if first_bad.endswith("'['"):
            fix = "the file is one JSON array: write one object a line, as `jq -c '.[]'` does"
        raise CurateError(f"{bad} of {count} lines of {file.path} cannot be used", first_bad, fix)
    if rows:
        yield rows.take()


def _plain(raw, file: File):
    """The file without its compression."""
    compression = compression_of(file.path)
    if compression == "xz":
        return lzma.open(raw)
    return pa.CompressedInputStream(pa.PythonFile(raw), compression) if compression else raw


def _lines(stream) -> Iterator[bytes | BadRow]:
    """The lines of a file, without their ends; BadRow for one too long, and where decompression failed."""
    rest, first, long = b"", True, False
    while True:
        try:
            piece = stream.read(_PIECE)
        except (OSError, EOFError, lzma.LZMAError) as error:
            if rest:
                yield rest
            yield BadRow("truncated", str(error))
            return
        if first:
            piece, first = piece.removeprefix(b"\xef\xbb\xbf"), False
        if not piece:
            break
        *lines, tail = piece.split(b"\n")
        if not lines:
            rest, long = (b"", True) if long or len(rest) > MAX_LINE else (rest + tail, False)
            continue
        yield BadRow("too_large", f"more than {MAX_LINE} bytes") if long else rest + lines[0]
        yield from lines[1:]
        rest, long = tail, False
    if long:
        yield BadRow("too_large", f"more than {MAX_LINE} bytes")
    elif rest:
        yield rest


def _parse(line: bytes) -> dict:
    try:
        row = _DECODER.decode(line.decode())
        if _HALVES.search(line):
            whole = json.dumps(row, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
            row = json.loads(whole.decode("utf-16-le", "replace"))
    except UnicodeDecodeError as error:
        raise BadRow("not_utf8", str(error)) from None
    except (ValueError, RecursionError) as error:
        raise BadRow("not_json", f"{error}: {_excerpt(line)}") from None
    if not isinstance(row, dict):
        raise BadRow("not_object", f"{type(row).__name__}: {_excerpt(line)}")
    return row


def _excerpt(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace"))
