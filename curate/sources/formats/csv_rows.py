"""CSV and TSV, with column names in the first row.

Plain or compressed. Fields may be quoted, and hold delimiters and line ends then. An empty field is null, blank lines
are counted in `origin.skipped`.

An unusable row is a row without text, and counts once for every line it spans: after a missing quote, it includes the
lines that follow.

Reasons:
  not_csv             a quote is missing or misplaced
  wrong_columns       the row has more or fewer fields than there are names
  not_utf8            the row is not UTF-8
  no_text             the text is empty
  no_messages         the conversation is empty
  bad_messages        the conversation is not a list of messages
  no_question         nothing is asked
  no_answer           there is no answer
  not_aligned         lists in the row that belong together differ in length
  bad_images          an image has neither bytes nor a path
  not_json            the conversation is not JSON
  too_deep            the conversation is nested more than 100 levels deep
  too_large           the row is longer than 16 MiB
  truncated           damage to the compressed file cuts off the row
  unreadable          another part of the row cannot be read
"""

import csv
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import pyarrow as pa
from pydantic import AfterValidator, Field

from curate.errors import CurateError, did_you_mean
from curate.sources import COMPRESSIONS, File, Origin
from curate.sources.format_api import Format, listed
from curate.sources.layouts import BadRow, Found, Mapping, options
from curate.sources.row_mapping import mapping
from curate.sources.row_tables import BOM, MAX_ROW, Row, excerpt, lines, tables

TABS = (".tsv", ".tab")
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def _separates(value: str | None) -> str | None:
    if value is not None and (len(value) != 1 or value in '"\r\n'):
        raise ValueError('a delimiter must be one character other than a quote or a line break; write `delimiter: ";"`')
    return value


Delimiter = Annotated[
    str | None,
    AfterValidator(_separates),
    Field(description="character between fields; default: a tab in .tsv and .tab, else a comma"),
]
Names = Annotated[
    list[Annotated[str, Field(min_length=1)]] | None,
    Field(min_length=1, description="column names, if the file has no header row"),
]


def read(
    file: File,
    *,
    origin: Origin,
    columns: dict | None = None,
    layout: str | None = None,
    delimiter: Delimiter = None,
    names: Names = None,
) -> Iterator[pa.Table]:
    """Document tables, text and what `layout` and `columns` name; position is that of the row, from 0.

    Rows that cannot be used are counted in `origin.of(file.path)`, bytes that cannot be read too. Raises CurateError
    for a mapping that is none, and for a file that lacks a column, has one twice or is UTF-16.
    """
    place = mapping(layout, columns)
    found = _rows(file, origin, place, columns or {}, delimiter or delimiter_of(file.path), names)
    yield from tables(found, file, origin, place.more)


def delimiter_of(path: str) -> str:
    """What stands between fields, as the ending of a file says: a tab, or a comma."""
    name = path.lower()
    bare = next((name.removesuffix(ending) for ending in COMPRESSIONS if name.endswith(ending)), name)
    return "\t" if bare.endswith(TABS) else ","


def raw_rows(file: File, origin: Origin) -> Iterator[dict]:
    text = (line.decode("utf-8-sig", "replace") for line, _ in lines(file, origin) if line is not None)
    csv.field_size_limit(MAX_ROW)
    with suppress(csv.Error):
        for row in csv.DictReader(text, delimiter=delimiter_of(file.path)):
            yield {name: value or None for name, value in row.items() if name}


def _rows(
    file: File, origin: Origin, place: Mapping, columns: dict, delimiter: str, names: list[str] | None
) -> Iterator[Row]:
    csv.field_size_limit(MAX_ROW)
    feed = _Lines(file, origin)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    position = 0
    while True:
        feed.begin()
        try:
            fields = next(reader)
            if feed.bad:
                raise feed.bad
        except StopIteration:
            return
        except csv.Error as error:
            fields = BadRow("not_csv", f"{error}: {excerpt(feed.first)}")
        except BadRow as problem:
            fields = problem
        if fields == []:  # a byte order mark, or a carriage return, is all of it
            origin.skipped["blank_line"] += 1
            continue
        if names is None and isinstance(fields, BadRow) and not feed.first.startswith(_WIDE):
            left = file.size - origin.of(file.path).lost if file.size >= 0 else 1
            why = f"its header row cannot be read: {fields.reason}: {fields.detail}"
            if left > 0:
                origin.lose(file.path, 0, left, why)
            else:  # damage has all of it already
                origin.note(file.path, why)
            return
        if names is None:
            names = _header(fields, feed, file, place, columns, delimiter)
            continue
        if isinstance(fields, list):
            fields = _row_of(fields, names, place)
        yield Row(position, f"line {feed.start}", fields, feed.sound, max(feed.taken, 1))
        position += 1


def _row_of(fields: list[str], names: list[str], place: Mapping) -> list[Found] | BadRow:
    """The documents of a row, or why it cannot be used."""
    if len(fields) != len(names):
        return BadRow("wrong_columns", f"{len(fields):,} fields, not {len(names):,}: {' | '.join(fields)[:60]!r}")
    row = {name: value or None for name, value in zip(names, fields, strict=True)}
    try:
        return place.read(row)
    except BadRow as problem:
        return problem
    except MemoryError:
        raise
    except Exception as error:
        return BadRow("unreadable", f"{type(error).__name__}: {error}")


def _header(
    fields: list[str] | BadRow, feed: "_Lines", file: File, place: Mapping, columns: dict, delimiter: str
) -> list[str]:
    """The names of the columns. Raises CurateError where one that is needed is not there, or twice."""
    if feed.first.startswith(_WIDE):
        fix = "convert it: `iconv -f UTF-16 -t UTF-8`"
        raise CurateError("the CSV file is UTF-16, not UTF-8", file.url, fix)
    wanted = place.needed | {name: at for name, at in columns.items() if isinstance(at, str)}
    for name, where in wanted.items():
        if not any(option in fields or option.partition(".")[0] in fields for option in options(where)):
            others = [mark for mark in ",;\t|" if mark != delimiter and mark in fields[0]]
            instead = f"set `columns: {{{name}: ...}}`" if place.places else "set another `layout:`"
            fix = f"{did_you_mean(where, fields)}; {instead}, or `options: {{names: [...]}}`"
            if len(fields) == 1 and others:
                fix = f"its fields seem to be separated by {others[0]!r}: set `options: {{delimiter: ...}}`"
            raise CurateError(f"no column `{where}` for {name}", file.url, fix)
    for where in place.places.values():
        for option in options(where):
            if fields.count(option) > 1:
                fix = "rewrite the file with one of them, or rename one"
                raise CurateError(f"{fields.count(option)} columns are named `{option}`", file.url, fix)
    return fields


class _Lines:
    """The lines of a file, as `csv.reader` takes them one by one.

    start  number of the row's first line, from 1; first: that line
    taken  how many lines the row has so far
    sound  whether damage has not cut any of them
    bad    why the row cannot be used, though its fields may be told apart
    """

    def __init__(self, file: File, origin: Origin):
        self.lines, self.number, self.skipped = lines(file, origin), 0, origin.skipped
        self.begin()

    def begin(self) -> None:
        """A row begins with the next line."""
        self.start, self.first, self.taken, self.size = self.number + 1, b"", 0, 0
        self.sound, self.bad = True, None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, sound = next(self.lines)
        if line == b"" and sound and not self.taken:
            line, sound = self._after_blank_lines()
        self.number, self.taken, self.sound = self.number + 1, self.taken + 1, self.sound and sound
        self.size += MAX_ROW + 1 if line is None else len(line)
        if self.size > MAX_ROW:
            raise BadRow("too_large", f"more than {MAX_ROW >> 20} MiB")
        if self.number == 1:
            line = line.removeprefix(BOM)
        self.first = self.first or line
        if not sound:
            raise BadRow("truncated", f"damage cuts the row: {excerpt(line)}")
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            said = f"{error}; convert the file, as `iconv -f WINDOWS-1252 -t UTF-8` does"
            self.bad = self.bad or BadRow("not_utf8", said)
            return line.decode("utf-8", "replace") + "\n"

    def _after_blank_lines(self) -> tuple[bytes | None, bool]:
        """The next line that is not blank: between rows, `csv` takes longer to skip them."""
        blank = 1
        try:
            for line, sound in self.lines:
                if line or not sound or line is None:
                    return line, sound
                blank += 1
            raise StopIteration
        finally:
            self.skipped["blank_line"] += blank
            self.number, self.start = self.number + blank, self.start + blank


FORMAT = Format(
    "csv",
    "CSV",
    read,
    version=1,
    endings=(".csv", *TABS),
    in_folders=False,
    may_be_empty=True,
    raw_rows=raw_rows,
    text_share=3.0,
    plain_share=1.0,
    reasons=listed(__doc__),
)
