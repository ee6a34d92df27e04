"""Reject documents that are too short or too long."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Count
from curate.documents import comparable, utf8
from curate.kernels.words import word_spans
from curate.stage_api import reject, set_column, stage


@stage(version=2)
def length(
    docs: pa.Table,
    *,
    min_chars: Count = 0,
    max_chars: Count | None = None,
    min_words: Count = 50,
    max_words: Count | None = 100_000,
    normalized: bool = False,
) -> pa.Table:
    """Reject documents that are too short or too long, and add columns with their length.

    min_chars, max_chars  number of Unicode characters; null: no limit
    min_words, max_words  number of words, not counting punctuation; null: no limit. The defaults are Gopher's
    normalized            count the characters of the text in lowercase, without ASCII punctuation, with white space
                          collapsed, as SlimPajama does

    Reads: text
    Adds: n_chars (int32, characters), n_words (int32, words)
    Reasons: too_short, too_long, too_few_words, too_many_words
    """
    text = comparable(docs["text"]) if normalized else docs["text"]
    n_chars = pc.fill_null(pc.utf8_length(text), 0).cast(pa.int32())
    _, _, words = word_spans(*utf8(docs["text"]))
    n_words = pa.array(np.diff(words), pa.int32())
    docs = set_column(set_column(docs, "n_chars", n_chars), "n_words", n_words)
    return reject(
        docs,
        too_short=pc.less(n_chars, min_chars),
        too_long=pc.greater(n_chars, max_chars),
        too_few_words=pc.less(n_words, min_words),
        too_many_words=pc.greater(n_words, max_words),
    )
