"""JSON files that are not JSON Lines: one array of objects, or objects over several lines.

Plain or compressed. Each object is a row. A `.json` file that begins with an array, or with a brace alone on its line,
is read so; any other is JSON Lines.

Rows are found by their brackets and quotes, so a row that is not JSON is rejected by itself. If a row does not end, or
after damage to a compressed file, rows can no longer be separated: the rest of the file counts as lost.

Reasons:
  not_json            the value is not JSON
  not_utf8            the value is not UTF-8
  not_object          the value is JSON, but not an object
  no_text             the text is null or missing
  text_not_string     the text is a number, a list or an object
  no_messages         the conversation is missing or empty
  bad_messages        the conversation is not a list of messages
  no_question         nothing is asked
  no_answer           there is no answer
  not_aligned         lists in the row that belong together differ in length
  bad_images          an image has neither bytes nor a path
  too_large           the value is longer than 16 MiB
  too_deep            the value is nested more than 100 levels deep
  truncated           the file ends within the value, or damage cuts it off
  unreadable          another part of the value cannot be read
"""

import re
from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa

from curate.sources import File, Origin
from curate.sources.format_api import Format, listed
from curate.sources.formats.jsonl import FORMAT as JSONL
from curate.sources.formats.jsonl import objects, row_of
from curate.sources.json_scan import Cut, values
from curate.sources.layouts import BadRow, Mapping
from curate.sources.row_mapping import mapping
from curate.sources.row_tables import BOM, MAX_ROW, Content, Row, excerpt, tables

_OVER_LINES = re.compile(rb"\s*+(?:\[|\{[ \t\r]*+\n)")


def read(file: File, *, origin: Origin, columns: dict | None = None, layout: str | None = None) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is that of the value, from 0.

    Values that cannot be used are counted in `origin.of(file.path)`, bytes that cannot be read too. Raises CurateError
    for a mapping that is none.
    """
    place = mapping(layout, columns)
    yield from tables(_rows(file, origin, place), file, origin, place.more)


def _rows(file: File, origin: Origin, place: Mapping) -> Iterator[Row]:
    content, position = Content(file, origin), 0
    try:
        for value in values(content, MAX_ROW):
            try:
                found = row_of(value.data, place)
            except BadRow as problem:
                found = problem
            if value.data is None:
                why = "a value of more than 16 MiB, or several if a quote or a bracket is missing"
                origin.lose(file.path, value.first, max(value.end, value.first + 1), why)
            yield Row(position, f"value {position + 1}", found)
            position += 1
    except Cut as cut:
        size = file.size if file.size > 0 else content.after
        if cut.first < size:
            origin.lose(file.path, cut.first, min(size, cut.first + size - origin.of(file.path).lost), cut.why)
        if cut.begins:
            yield Row(
                position, f"value {position + 1}", BadRow("truncated", f"{cut.why}: {excerpt(cut.begins)}"), False
            )


def raw_rows(file: File, origin: Origin) -> Iterator[dict]:
    with suppress(Cut):
        yield from objects(value.data for value in values(Content(file, origin), MAX_ROW))


def recognizes(head: bytes) -> bool:
    """Whether first bytes are those of an array, or of an object over several lines: then they are not JSON Lines."""
    return _OVER_LINES.match(head.removeprefix(BOM)) is not None


FORMAT = Format(
    "json",
    "JSON",
    read,
    version=1,
    endings=(".json",),
    begins=JSONL.begins,
    recognizes=recognizes,
    raw_rows=raw_rows,
    text_share=3.0,
    plain_share=1.0,
    reasons=listed(__doc__),
)
