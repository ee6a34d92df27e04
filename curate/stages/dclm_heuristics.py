"""DCLM's rules, its authors' version of RefinedWeb's."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Count, Newlines, Ratio, Share
from curate.documents import flat, utf8
from curate.kernels.characters import character_classes
from curate.kernels.dclm import clean, count_words
from curate.stage_api import reject, set_column, stage
from curate.stages._signals import measure
from curate.stages._text import change_matching, texts

_TOP = {n: f"dclm_top_{n}_gram_character_ratio" for n in (2, 3, 4)}
_DUPLICATE = {n: f"dclm_duplicate_{n}_gram_character_share" for n in range(5, 11)}
_SIGNALS = (
    "dclm_n_plain_words",
    "dclm_mean_word_length",
    "dclm_symbol_ratio",
    "dclm_bullet_line_share",
    "dclm_ellipsis_line_share",
    "dclm_letterless_word_share",
    "dclm_n_stop_words",
    "dclm_duplicate_line_share",
    "dclm_duplicate_line_character_share",
    "dclm_duplicate_paragraph_share",
    "dclm_duplicate_paragraph_character_share",
    *_TOP.values(),
    *_DUPLICATE.values(),
)
_PHRASES = [
    re.compile(phrase, re.IGNORECASE)
    for phrase in (r"\s?(?:items in cart)", r"\s?(?:read more...)$", r"^(?:sign-in)\s?")
]
_ANY_PHRASE = "(?i)[iı]tems [iı]n cart|read more|s[iı]gn-[iı]n"
_LONGEST_WITH_PHRASE = 10  # words
_Share = Ratio | None
_Shares = tuple[_Share, _Share, _Share, _Share, _Share, _Share]


@stage(version=1)
def dclm_heuristics(
    docs: pa.Table,
    *,
    max_newlines: Newlines = 2,
    min_words: Count = 50,
    max_words: Count = 100_000,
    min_mean_word_length: Ratio | None = 3,
    max_mean_word_length: Ratio | None = 10,
    max_symbol_ratio: Ratio | None = 0.1,
    max_bullet_lines: Share | None = 0.9,
    max_ellipsis_lines: Share | None = 0.3,
    max_letterless_words: Share | None = 0.2,
    min_stop_words: Count | None = 2,
    max_duplicate_lines: Share | None = 0.3,
    max_duplicate_paragraphs: Share | None = 0.3,
    max_duplicate_line_characters: Share | None = 0.2,
    max_duplicate_paragraph_characters: Share | None = 0.2,
    max_top_n_grams: tuple[_Share, _Share, _Share] = (0.20, 0.18, 0.16),
    max_duplicate_n_grams: _Shares = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10),
    max_upper_case: Share = 0.5,
    max_digits: Share = 0.999999,
    min_line_words: Count = 2,
    max_removed_words: Share = 0.05,
) -> pa.Table:
    """Reject documents, and remove lines from the others, by DCLM's heuristics (arXiv:2406.11794, 4.2).

    The rules are applied in DCLM's order, which is that of the parameters; `null` switches a rule off. The
    repetition rules are Gopher's, counted as in DCLM: all copies of repeated text count. Then lines are removed:
    lines with too many capitals or digits, counters such as "3 likes", and lines with too few words. From lines of at
    most 10 words, "items in cart" is removed anywhere, "read more..." at the end, and "sign-in" at the beginning. A
    document that lost too much in this way is rejected. A rejected document keeps its text.

    max_newlines          maximum newlines in a row; further ones are removed
    min_words, max_words  number of words between spaces that begin with a letter or digit
    min_mean_word_length, max_mean_word_length  mean characters of all words between spaces
    max_symbol_ratio      ratio of `#` and ellipses to words
    max_bullet_lines      share of lines that begin with a bullet
    max_ellipsis_lines    share of lines that end with an ellipsis
    max_letterless_words  share of words without a letter
    min_stop_words        occurrences of Gopher's eight stop words
    max_duplicate_lines   share of lines
    max_duplicate_paragraphs  share of paragraphs
    max_duplicate_line_characters, max_duplicate_paragraph_characters  share of the text
    max_top_n_grams       share of the text in the most frequent n-gram of words, for n = 2, 3, 4
    max_duplicate_n_grams  share of the text in repeated n-grams, for n = 5 to 10
    max_upper_case, max_digits  share of a line's characters
    min_line_words        minimum words of a line that is not empty
    max_removed_words     share of the words that were in removed lines

    Reads: text
    Adds: previous_word_count (int32, words before lines were removed)
    Changes: text
    Reasons: too_few_words, too_many_words, short_words, long_words, too_many_symbols, bullet_lines,
        ellipsis_lines, letterless_words, too_few_stop_words, duplicate_lines, duplicate_paragraphs,
        duplicate_line_characters, duplicate_paragraph_characters, top_2_gram, top_3_gram, top_4_gram,
        duplicate_5_grams, duplicate_6_grams, duplicate_7_grams, duplicate_8_grams, duplicate_9_grams,
        duplicate_10_grams, too_many_words_removed
    """
    original = flat(docs["text"])
    text = pc.replace_substring_regex(original, rf"\n{{{max_newlines + 1},}}", "\n" * max_newlines)
    classes = character_classes()
    n_words = count_words(*utf8(text), classes)
    left = _without_lines(text, max_upper_case, max_digits, min_line_words)
    n_left = count_words(*utf8(left), classes)
    removed = np.divide(n_words - n_left, n_words, out=np.ones(len(n_words)), where=n_words > 0)

    values = measure(text, _SIGNALS)
    top = zip(_TOP.items(), max_top_n_grams, strict=True)
    duplicate = zip(_DUPLICATE.items(), max_duplicate_n_grams, strict=True)
    docs = reject(
        set_column(docs, "previous_word_count", pa.array(n_words)),
        too_few_words=n_words < min_words,
        too_many_words=n_words > max_words,
        short_words=pc.less(values["dclm_mean_word_length"], min_mean_word_length),
        long_words=pc.greater(values["dclm_mean_word_length"], max_mean_word_length),
        too_many_symbols=pc.greater(values["dclm_symbol_ratio"], max_symbol_ratio),
        bullet_lines=pc.greater(values["dclm_bullet_line_share"], max_bullet_lines),
        ellipsis_lines=pc.greater(values["dclm_ellipsis_line_share"], max_ellipsis_lines),
        letterless_words=pc.greater(values["dclm_letterless_word_share"], max_letterless_words),
        too_few_stop_words=pc.less(values["dclm_n_stop_words"], min_stop_words),
        duplicate_lines=pc.greater(values["dclm_duplicate_line_share"], max_duplicate_lines),
        duplicate_paragraphs=pc.greater(values["dclm_duplicate_paragraph_share"], max_duplicate_paragraphs),
        duplicate_line_characters=pc.greater(
            values["dclm_duplicate_line_character_share"], max_duplicate_line_characters
        ),
        duplicate_paragraph_characters=pc.greater(
            values["dclm_duplicate_paragraph_character_share"], max_duplicate_paragraph_characters
        ),
        **{f"top_{n}_gram": pc.greater(values[name], most) for (n, name), most in top},
        **{f"duplicate_{n}_grams": pc.greater(values[name], most) for (n, name), most in duplicate},
        too_many_words_removed=removed > max_removed_words,
    )
    return set_column(docs, "text", pc.if_else(docs["reject"].is_null(), left, original))


def _without_lines(text: pa.Array, max_upper: float, max_digits: Share, min_words: Count) -> pa.Array:
    """The texts after the line modifiers."""
    data, offsets = clean(*utf8(text), character_classes(), max_upper, max_digits, min_words)
    return change_matching(texts(data, offsets, text), _ANY_PHRASE, _without_phrases)


def _without_phrases(page: str) -> str:
    for phrase in _PHRASES:
        lines = []
        for line in page.split("\n"):
            left = phrase.sub("", line) if len(line.split()) <= _LONGEST_WITH_PHRASE else line
            if not line or left.strip():
                lines.append(left)
        page = "\n".join(lines).strip()
    return page
