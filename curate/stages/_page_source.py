"""What the source of a page shows before it is parsed, so that most pages need no repair.

A look at the bytes costs a tenth of a parse. It says whether a parser would take too long, and where the text of the
page may need help, so that most elements are never touched from Python.
"""

import html
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.kernels import html as kernel

JUDGED = "data-curate-judged"
"""Attribute that candidates get."""
_ATTRIBUTE = b" " + JUDGED.encode()
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
_PERMALINK = re.compile(rb"<a\s[^<>]*+>\s*+\Z", re.IGNORECASE)
_BEFORE = 500
"""Bytes looked at before a pilcrow, for the link around it."""


@dataclass(frozen=True)
class Source:
    """A page's UTF-8 bytes, and what `curate.kernels.html.scan` finds in them."""

    page: bytes
    counts: np.ndarray
    candidates: np.ndarray
    lone: np.ndarray

    @property
    def has_candidates(self) -> bool:
        return len(self.candidates) > 0

    def mark(self, text: str) -> str:
        """A noncharacter that the page, `text`, does not have; nothing, where no text gets one."""
        if not (len(self.lone) or self.counts[kernel.SCRIPTS] or self.counts[kernel.FORMULAS]):
            return ""
        return next((mark for mark in _MARKS if mark not in text), "")

    def marked(self, mark: str) -> bytes:
        """The page with a mark behind each lone text that the library would drop, and an attribute on each candidate.

        A text that is one character of the private use area, which means something in the page's own font alone, gets
        none, and neither does the pilcrow of a link to its own heading.
        """
        page, sign = self.page, mark.encode()
        edits = [(place, _ATTRIBUTE) for place in self.candidates.tolist()]
        for start, end in self.lone.tolist() if mark else ():
            if _is_taken_for_an_icon(page[start:end]) and not _is_permalink(page, start, end):
                edits.append((end, sign))
        if not edits:
            return page
        edits.sort()
        pieces, at = [], 0
        for place, new in edits:
            pieces += (page[at:place], new)
            at = place
        return b"".join((*pieces, page[at:]))


def look(page: bytes) -> Source:
    return Source(page, *kernel.scan(np.frombuffer(page, np.uint8)))


@lru_cache(4096)
def _is_taken_for_an_icon(source: bytes) -> bool:
    text = html.unescape(source.decode("utf-8", "replace")).strip(" \t\n\f\r\0")
    data = text.encode("utf-8", "replace")
    return text == "\xb6" or (len(data) == 3 and data[-1] >= 0x80 and not "\ue000" <= text <= "\uf8ff")


def _is_permalink(page: bytes, start: int, end: int) -> bool:
    source = page[start:end]
    return (
        html.unescape(source.decode("utf-8", "replace")) == "\xb6"
        and _PERMALINK.search(page, max(0, start - _BEFORE), start) is not None
    )
