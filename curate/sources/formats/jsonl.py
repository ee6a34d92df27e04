"""JSON Lines.

Plain or compressed (gzip, zstd, bz2, lz4, xz). Blank lines are counted in `origin.skipped`. A line that cannot be used
is a row without text, and `error` in meta says why. Of a key that stands twice in an object the last value counts.

Reasons:
  not_json            the line is not JSON
  not_utf8            the line is not UTF-8
  not_object          the line is JSON, but not an object
  no_text             the text is null or missing
  text_not_string     the text is a number, a list or an object
  no_messages         the conversation is missing or empty
  bad_messages        the conversation is not a list of messages
  no_question         nothing is asked
  no_answer           there is no answer
  not_aligned         lists in the row that belong together differ in length
  bad_images          an image has neither bytes nor a path
  too_large           the line is longer than 16 MiB
  too_deep            the line is nested more than 100 levels deep
  truncated           damage to the compressed file cuts off the line
  unreadable          another part of the line cannot be read
"""

import re
from collections.abc import Iterable, Iterator

import pyarrow as pa

from curate.sources import File, Origin
from curate.sources.format_api import Format, listed
from curate.sources.layouts import BadRow, Found, Mapping, parsed, whole
from curate.sources.row_mapping import mapping
from curate.sources.row_tables import BOM, MAX_ROW, Row, excerpt, lines, tables

_HALVES = re.compile(rb"\\u[dD]")  # escapes that may spell half a character


def read(file: File, *, origin: Origin, columns: dict | None = None, layout: str | None = None) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is the line, from 0.

    Lines that cannot be used are counted in `origin.of(file.path)`, bytes that cannot be read too: whoever asked for
    the documents decides how many are too many. Raises CurateError for a mapping that is none.
    """
    place = mapping(layout, columns)
    yield from tables(_rows(file, origin, place), file, origin, place.more)


def _rows(file: File, origin: Origin, place: Mapping) -> Iterator[Row]:
    for position, (line, sound) in enumerate(lines(file, origin)):
        if line is not None and not line.removeprefix(BOM).strip():
            origin.skipped["blank_line"] += sound
            continue
        try:
            found = row_of(line, place)
        except BadRow as problem:
            found = problem if sound else BadRow("truncated", f"damage cuts the line: {excerpt(line or b'')}")
        yield Row(position, f"line {position + 1}", found, sound)


def row_of(line: bytes | None, place: Mapping) -> list[Found]:
    """The documents of an object in JSON. Raises BadRow, and nothing else: no row stops a run."""
    if line is None:
        raise BadRow("too_large", f"more than {MAX_ROW >> 20} MiB")
    try:
        row = parsed(line.removeprefix(BOM).decode())
        if not isinstance(row, dict):
            raise BadRow("not_object", f"{type(row).__name__}: {excerpt(line)}")
        found = place.read(row)
        return [_whole(one) for one in found] if _HALVES.search(line) else found
    except UnicodeDecodeError as error:
        raise BadRow("not_utf8", str(error)) from None
    except (BadRow, MemoryError):
        raise
    except Exception as error:
        raise BadRow("not_json", f"{error}: {excerpt(line)}") from None


def _whole(found: Found) -> Found:
    return found if found.text is None else found._replace(text=whole(found.text))


def raw_rows(file: File, origin: Origin) -> Iterator[dict]:
    yield from objects(line for line, _ in lines(file, origin))


def objects(texts: Iterable[bytes | None]) -> Iterator[dict]:
    """The objects among texts of JSON."""
    for text in texts:
        try:
            row = parsed((text or b"").removeprefix(BOM).decode())
        except (BadRow, UnicodeDecodeError):
            continue
        if isinstance(row, dict):
            yield row


FORMAT = Format(
    "jsonl",
    "JSON Lines",
    read,
    version=3,
    endings=(".jsonl", ".ndjson", ".jsonlines", ".jl", ".json"),
    begins=re.compile(rb"[{\[]"),
    may_be_empty=True,
    raw_rows=raw_rows,
    text_share=3.0,
    plain_share=1.0,
    reasons=listed(__doc__),
)
