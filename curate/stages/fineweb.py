"""FineWeb's own rules, against lists and menus."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Count, Ratio, Share
from curate.stage_api import reject, stage
from curate.stages._signals import measure

_SIGNALS = (
    "n_newline_lines",
    "terminal_line_share",
    "short_line_share",
    "duplicate_newline_line_character_share",
    "newline_ratio",
)


@stage(version=2)
def fineweb(
    docs: pa.Table,
    *,
    min_terminal_lines: Share | None = 0.12,
    max_short_lines: Share | None = 0.67,
    short_line: Count = 30,
    max_duplicate_line_characters: Share | None = 0.01,
    max_newline_ratio: Ratio | None = 0.3,
) -> pa.Table:
    """Reject lists, menus and the like by FineWeb's rules (arXiv:2406.17557, 3.6). null switches a rule off.

    min_terminal_lines  share of lines that end in a terminal mark of any script
    max_short_lines     share of lines of at most `short_line` characters
    short_line          maximum characters of a short line
    max_duplicate_line_characters  share of the text in lines equal to an earlier one
    max_newline_ratio   ratio of newlines to words and marks

    Reads: text
    Reasons: empty, few_terminal_lines, short_lines, duplicate_line_characters, list
    """
    values = measure(docs["text"], _SIGNALS, short_line=short_line)
    return reject(
        docs,
        empty=pc.equal(values["n_newline_lines"], 0),
        few_terminal_lines=pc.less(values["terminal_line_share"], min_terminal_lines),
        short_lines=pc.greater(values["short_line_share"], max_short_lines),
        duplicate_line_characters=pc.greater(
            values["duplicate_newline_line_character_share"], max_duplicate_line_characters
        ),
        list=pc.greater(values["newline_ratio"], max_newline_ratio),
    )
