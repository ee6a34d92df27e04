"""Compute signals of a column of text, for the stages that use them."""

from collections.abc import Collection

import pyarrow as pa

from curate.documents import utf8
from curate.kernels.characters import character_classes
from curate.kernels.marks import word_and_mark_spans
from curate.kernels.signal_table import GOPHER_STOP_WORDS, SHORT_LINE, signals, stop_word_hashes


def measure(
    text: pa.ChunkedArray,
    names: Collection[str],
    *,
    stop_words: Collection[str] = GOPHER_STOP_WORDS,
    short_line: int = SHORT_LINE,
) -> dict[str, pa.Array]:
    """The signals of these names, of each text: int64 or float64[rows], never null; null counts as empty.

    Words and marks are those of `kernels.marks`. Only what the named signals need is counted.
    """
    data, offsets = utf8(text)
    spans = word_and_mark_spans(data, offsets, character_classes())
    hashes = stop_word_hashes(stop_words)
    values = signals(data, offsets, *spans, hashes, short_line=short_line, only=names)
    return {name: pa.array(value) for name, value in values.items()}
