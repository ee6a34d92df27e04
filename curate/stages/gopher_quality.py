"""Gopher's quality rules."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Count, Ratio, Share
from curate.kernels.signal_table import GOPHER_STOP_WORDS
from curate.stage_api import reject, stage
from curate.stages._signals import measure

_SIGNALS = (
    "n_words",
    "mean_word_length",
    "hash_ratio",
    "ellipsis_ratio",
    "bullet_line_share",
    "ellipsis_line_share",
    "letter_word_share",
    "n_stop_words",
)


@stage(version=2)
def gopher_quality(
    docs: pa.Table,
    *,
    min_words: Count | None = 50,
    max_words: Count | None = 100_000,
    min_mean_word_length: Ratio | None = 3,
    max_mean_word_length: Ratio | None = 10,
    max_symbol_ratio: Ratio | None = 0.1,
    max_bullet_lines: Share | None = 0.9,
    max_ellipsis_lines: Share | None = 0.3,
    min_letter_words: Share | None = 0.8,
    min_stop_words: Count | None = 2,
    stop_words: tuple[str, ...] = GOPHER_STOP_WORDS,
) -> pa.Table:
    """Reject documents by Gopher's quality rules (arXiv:2112.11446, A1.1), as datatrove implements them.

    null switches a rule off. `curate.kernels.signal_table` defines how the signals are counted.

    min_words, max_words  number of words, not counting punctuation
    min_mean_word_length, max_mean_word_length  mean characters per word
    max_symbol_ratio      ratio of `#`, and of ellipses, to words and marks
    max_bullet_lines      share of lines that begin with a bullet
    max_ellipsis_lines    share of lines that end with an ellipsis
    min_letter_words      share of words and marks with a letter
    min_stop_words        number of different stop words, compared as written
    stop_words            the list of stop words

    Reads: text
    Reasons: too_few_words, too_many_words, short_words, long_words, too_many_hashes, too_many_ellipses,
        bullet_lines, ellipsis_lines, too_few_letters, too_few_stop_words
    """
    values = measure(docs["text"], _SIGNALS, stop_words=stop_words)
    return reject(
        docs,
        too_few_words=pc.less(values["n_words"], min_words),
        too_many_words=pc.greater(values["n_words"], max_words),
        short_words=pc.less(values["mean_word_length"], min_mean_word_length),
        long_words=pc.greater(values["mean_word_length"], max_mean_word_length),
        too_many_hashes=pc.greater(values["hash_ratio"], max_symbol_ratio),
        too_many_ellipses=pc.greater(values["ellipsis_ratio"], max_symbol_ratio),
        bullet_lines=pc.greater(values["bullet_line_share"], max_bullet_lines),
        ellipsis_lines=pc.greater(values["ellipsis_line_share"], max_ellipsis_lines),
        too_few_letters=pc.less(values["letter_word_share"], min_letter_words),
        too_few_stop_words=pc.less(values["n_stop_words"], min_stop_words),
    )
