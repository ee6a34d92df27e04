"""The answer of a query, as people and programs want it."""

import io
import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from curate.base.terminal import shown_json, table
from curate.errors import CurateError

WIDEST = 60
"""Characters of a value in a table; the other formats have all."""


def write_answer(answer: pa.Table, format: str) -> bool:
    """Write bytes to stdout, if that is what the format is: Parquet, and CSV that goes to a file or a program."""
    if format == "parquet":
        if sys.stdout.isatty():
            fix = "redirect it to a file: curate query ... --format parquet > answer.parquet"
            raise CurateError("Parquet is not printed on a terminal", "--format", fix)
        pq.write_table(answer, _stdout())
        return True
    if format == "csv" and not sys.stdout.isatty():
        pyarrow.csv.write_csv(_flat(answer), _stdout())
        return True
    return False


def answer_lines(answer: pa.Table, format: str) -> Iterator[str]:
    """The lines of a table for people, of CSV, or of JSON."""
    if format == "json":
        yield from (shown_json(row) for row in answer.to_pylist())
    elif format == "csv":
        sink = io.BytesIO()
        pyarrow.csv.write_csv(_flat(answer), sink)
        yield from sink.getvalue().decode(errors="replace").splitlines()
    else:
        numbers = [i for i, field in enumerate(answer.schema) if pa.types.is_integer(field.type)]
        rows = [tuple(answer.column_names), *(tuple(map(_cell, row.values())) for row in answer.to_pylist())]
        yield from table(rows, frozenset(numbers))


def _stdout() -> BinaryIO:
    sys.stdout.flush()
    return sys.stdout.buffer


def _cell(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _flat(answer: pa.Table) -> pa.Table:
    """Lists and structs as JSON text, which CSV has no form for."""
    for place, field in enumerate(answer.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            values = [None if value is None else json.dumps(value, default=str) for value in answer[place].to_pylist()]
            answer = answer.set_column(place, field.name, pa.array(values, pa.string()))
    return answer
