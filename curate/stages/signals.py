"""Add heuristic signals as columns, for `filter`."""

from typing import Annotated

import pyarrow as pa
import pydantic

from curate.base.parameters import Count
from curate.errors import CurateError, ManifestError, did_you_mean
from curate.kernels.signal_table import GOPHER_STOP_WORDS, SHORT_LINE, SIGNALS
from curate.stage_api import set_column, stage
from curate.stages._signals import measure

_TYPES = {signal.name: signal.dtype.name for signal in SIGNALS}
Name = Annotated[str, pydantic.WithJsonSchema({"type": "string", "enum": list(_TYPES)})]


def _reads(only: list[str], **_) -> tuple[str, ...]:
    problems = [
        CurateError(f"unknown signal `{name}`", "only", did_you_mean(name, _TYPES))
        for name in only
        if name not in _TYPES
    ]
    if problems:
        raise ManifestError(problems)
    return ("text",)


@stage(version=2, reads_from=_reads, adds_from=lambda only, **_: {name: _TYPES[name] for name in only or _TYPES})
def signals(
    docs: pa.Table,
    *,
    only: tuple[Name, ...] = (),
    stop_words: tuple[str, ...] = GOPHER_STOP_WORDS,
    short_line: Count = SHORT_LINE,
) -> pa.Table:
    """Add quality signals as columns, so `filter` can use them and thresholds can be changed in seconds.

    `curate.kernels.signal_table.SIGNALS` defines the unit, range and source of each signal. For a text without words,
    lines and so on, the value is 0, never null.

    only        names of signals, which become column names; empty: all signals
    stop_words  stop words to count, in the language of the documents
    short_line  maximum characters of a short line
    """
    values = measure(docs["text"], only or _TYPES, stop_words=stop_words, short_line=short_line)
    for name in only or _TYPES:
        docs = set_column(docs, name, values[name])
    return docs
