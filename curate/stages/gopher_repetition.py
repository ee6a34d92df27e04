"""Gopher's repetition rules."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Ratio, Share
from curate.stage_api import reject, stage
from curate.stages._signals import measure

_TOP = {n: f"top_{n}_gram_character_ratio" for n in (2, 3, 4)}
_DUPLICATE = {n: f"duplicate_{n}_gram_character_share" for n in range(5, 11)}
_SEGMENTS = (
    "n_characters",
    "duplicate_paragraph_share",
    "duplicate_paragraph_character_share",
    "duplicate_line_share",
    "duplicate_line_character_share",
)
_Share = Ratio | None


@stage(version=2)
def gopher_repetition(
    docs: pa.Table,
    *,
    max_duplicate_lines: Share | None = 0.3,
    max_duplicate_paragraphs: Share | None = 0.3,
    max_duplicate_line_characters: Share | None = 0.2,
    max_duplicate_paragraph_characters: Share | None = 0.2,
    max_top_n_grams: tuple[_Share, _Share, _Share] = (0.20, 0.18, 0.16),
    max_duplicate_n_grams: tuple[_Share, _Share, _Share, _Share, _Share, _Share] = (
        0.15,
        0.14,
        0.13,
        0.12,
        0.11,
        0.10,
    ),
) -> pa.Table:
    """Reject documents that repeat themselves, by Gopher's rules (arXiv:2112.11446, Table A1).

    As in datatrove, every repetition counts except the first occurrence. null switches a rule off.

    max_duplicate_lines       share of lines
    max_duplicate_paragraphs  share of paragraphs
    max_duplicate_line_characters, max_duplicate_paragraph_characters  share of the text
    max_top_n_grams        share of the text in the most frequent n-gram of words, for n = 2, 3, 4
    max_duplicate_n_grams  share of the text in n-grams that occurred before, for n = 5 to 10

    Reads: text
    Reasons: empty, duplicate_paragraphs, duplicate_paragraph_characters, duplicate_lines,
        duplicate_line_characters, top_2_gram, top_3_gram, top_4_gram, duplicate_5_grams, duplicate_6_grams,
        duplicate_7_grams, duplicate_8_grams, duplicate_9_grams, duplicate_10_grams
    """
    values = measure(docs["text"], (*_SEGMENTS, *_TOP.values(), *_DUPLICATE.values()))
    top = zip(_TOP.items(), max_top_n_grams, strict=True)
    duplicate = zip(_DUPLICATE.items(), max_duplicate_n_grams, strict=True)
    return reject(
        docs,
        empty=pc.equal(values["n_characters"], 0),
        duplicate_paragraphs=pc.greater(values["duplicate_paragraph_share"], max_duplicate_paragraphs),
        duplicate_paragraph_characters=pc.greater(
            values["duplicate_paragraph_character_share"], max_duplicate_paragraph_characters
        ),
        duplicate_lines=pc.greater(values["duplicate_line_share"], max_duplicate_lines),
        duplicate_line_characters=pc.greater(values["duplicate_line_character_share"], max_duplicate_line_characters),
        **{f"top_{n}_gram": pc.greater(values[name], most) for (n, name), most in top},
        **{f"duplicate_{n}_grams": pc.greater(values[name], most) for (n, name), most in duplicate},
    )
