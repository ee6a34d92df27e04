"""Remove lines or paragraphs already seen in the corpus: menus, notices, boilerplate."""

from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Bins, Count
from curate.dedup import _keep_order as keep_order
from curate.dedup._repeated import as_before, meet
from curate.dedup._units import SEPARATORS, join, split
from curate.documents import flat, hashes128
from curate.stage_api import Step, group, reject, set_column


@group(version=2, max_removed=0.9, reads_from=lambda keep, **_: ("text", *keep_order.columns(keep)))
def line_dedup(
    *,
    unit: Literal["lines", "paragraphs"] = "lines",
    numbers: Literal["keep", "fold"] = "keep",
    min_chars: Count = 1,
    keep: list[str] = [],  # noqa: B006
    bins: Bins = 0,
) -> list[Step]:
    """Remove every line that occurred before, in an earlier document or earlier in the same one.

    Lines are compared in lowercase, without control characters and surrounding space, and without punctuation unless
    they contain a digit. The comparison uses 64-bit hashes: among a billion lines, about 0.03 collide by chance. Lines
    that are empty in this form are kept and not counted.
    "Earlier" means keep order, as in all stages that deduplicate; lines of rejected documents count as seen too.

    unit       lines, or paragraphs: the text between empty lines.
    numbers    keep: lines that differ in a number are different, as the rows of a table are. fold: every digit is
               compared as 0, and punctuation is always ignored. This is CCNet's rule, which treats dates and counters
               as boilerplate.
    min_chars  a document that lost lines is rejected, with its original text, if fewer characters than this are left,
               not counting space.
    keep       columns that decide whose line comes first, after the priority of the source: lowest value first, or
               with a `-` highest first; then the lowest id.
    bins       number of shuffle partitions; 0: chosen by the size of the inputs. Does not affect the result.

    Changes: text

    Adds: n_lines (int32, lines or paragraphs that count), n_lines_removed (int32, of these)

    Reasons: nothing_new

    Source: Wenzek et al. 2020, "CCNet: extracting high quality monolingual datasets from web crawl data", 3.1, where
    the unit is the line and numbers are folded. Unlike there, accents are not folded.
    """
    order = keep_order.columns(keep)
    return [
        Step(partial(hash_units, unit=unit, numbers=numbers), "docs", bins, reads=("text",)),
        Step(meet, "bins"),
        Step(partial(ranked, keep=keep), "docs", bins, reads=("id", "priority", *order)),
        Step(partial(find_repeated, keep=keep), "bins"),
        Step(partial(take_out, unit=unit, numbers=numbers, min_chars=min_chars), "apply"),
    ]


def hash_units(docs: pa.Table, *, unit: str, numbers: str) -> pa.Table:
    """64 bits of each line that counts, and its place in its document."""
    units, starts = split(docs["text"], SEPARATORS[unit])
    seen, which = compared(units, numbers)
    counts = _count(seen)[which]
    key = hashes128(seen)[0][which[counts]]
    row = np.repeat(np.arange(docs.num_rows), np.diff(starts))[counts]
    place = (np.arange(len(units)) - np.repeat(starts[:-1], np.diff(starts)))[counts].astype(np.int32)
    return pa.table({"doc": docs["doc"].to_numpy()[row], "place": place, "key": key, "bin": key})


def ranked(docs: pa.Table, rows: pa.Table, *, keep: list[str]) -> pa.Table:
    """These lines with what decides which is the first."""
    compared = pa.table({"priority": docs["priority"], "id": docs["id"]} | keep_order.carried(docs, keep))
    found = compared.take(pa.array(np.searchsorted(docs["doc"].to_numpy(), rows["doc"].to_numpy())))
    for name in ("doc", "place", "key"):
        found = found.append_column(name, rows[name])
    return found.append_column("bin", rows["key"])


def find_repeated(rows: pa.Table, *, keep: list[str]) -> pa.Table:
    """The lines that an earlier document, or an earlier place of the same, has already."""
    rows = rows.sort_by([("key", "ascending"), *keep_order.sort_keys(keep), ("place", "ascending")])
    return rows.select(["doc", "place"]).filter(pa.array(as_before(rows["key"].to_numpy())))


def take_out(docs: pa.Table, repeated: pa.Table, *, unit: str, numbers: str, min_chars: int) -> pa.Table:
    """The documents without those lines."""
    separator = SEPARATORS[unit]
    units, starts = split(docs["text"], separator)
    row = np.searchsorted(docs["doc"].to_numpy(), repeated["doc"].to_numpy())
    stays = np.ones(len(units), bool)
    stays[starts[row] + repeated["place"].to_numpy()] = False
    seen, which = compared(units, numbers)
    removed = _sums(~stays, starts)
    text = join(units, starts, stays, separator)
    left = pc.utf8_length(pc.replace_substring_regex(text, r"[\s\p{Z}]+", ""))
    out = pc.and_(pa.array(removed > 0), pc.less(left, min_chars))
    changed = pc.and_(pa.array(removed > 0), pc.invert(out))
    docs = set_column(docs, "text", pc.if_else(changed, text, flat(docs["text"])))
    docs = set_column(docs, "n_lines", pa.array(_sums(_count(seen)[which], starts)))
    docs = set_column(docs, "n_lines_removed", pa.array(removed))
    return reject(docs, nothing_new=out)


def compared(units: pa.Array, numbers: str) -> tuple[pa.Array, np.ndarray]:
    """The forms that are compared, string[distinct units], and which of them each unit has: int32[units].

    What a page repeats is read once: a megabyte may be half a million lines, but few of them differ.
    """
    coded = units.dictionary_encode()
    return normalize(coded.dictionary, numbers), coded.indices.to_numpy()


def _count(seen: pa.Array) -> np.ndarray:
    """Whether units of such a form count: bool[distinct units]."""
    return pc.not_equal(seen, "").to_numpy(zero_copy_only=False)


def normalize(lines: pa.Array, numbers: str) -> pa.Array:
    """What two lines have in common when they count as one."""
    lines = pc.utf8_lower(lines)
    if numbers == "fold":
        bare = pc.replace_substring_regex(pc.replace_substring_regex(lines, r"\p{Nd}", "0"), r"[\p{P}\p{Cc}]+", "")
    else:
        lines = pc.replace_substring_regex(lines, r"\p{Cc}+", "")
        numbered = pc.match_substring_regex(lines, r"\p{Nd}")  # a point or a sign is part of a number
        bare = pc.if_else(numbered, lines, pc.replace_substring_regex(lines, r"\p{P}+", ""))
    return pc.utf8_trim_whitespace(bare)


def _sums(counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """How many units count in each document: int32[documents]."""
    return np.diff(np.concatenate([[0], np.cumsum(counts)])[starts]).astype(np.int32)
