"""How long a document is."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.stage import reject, set_column, stage


@stage(version=1)
def length(
    docs: pa.Table,
    *,
    min_chars: int = 0,
    max_chars: int | None = None,
    min_words: int = 50,
    max_words: int | None = 100_000,
) -> pa.Table:
    """Reject documents that are too short or too long, and keep their length.

    min_chars, max_chars  Unicode characters; null: no limit
    min_words, max_words  words between white space; null: no limit. The defaults are those of Gopher and DCLM.

    Reads: text
    Adds: n_chars (int32, characters), n_words (int32, words)
    Reasons: too_short, too_long, too_few_words, too_many_words
    """
    text = pc.fill_null(docs["text"], "")
    n_chars = pc.utf8_length(text).cast(pa.int32())
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(text))
    n_words = pc.if_else(pc.equal(n_chars, 0), 0, pc.list_value_length(words)).cast(pa.int32())
    docs = set_column(set_column(docs, "n_chars", n_chars), "n_words", n_words)
    return reject(
        docs,
        too_short=pc.less(n_chars, min_chars),
        too_long=pc.greater(n_chars, max_chars),
        too_few_words=pc.less(n_words, min_words),
        too_many_words=pc.greater(n_words, max_words),
    )
