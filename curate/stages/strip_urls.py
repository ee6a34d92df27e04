"""Remove URLs, e-mail addresses and host names from the text."""

import re
from functools import cache
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import flat
from curate.stage_api import reject, set_column, stage
from curate.stages._text import change_matching

_HOST, _PATH = r"[-a-zA-Z0-9@:%._+~#=]", r"[-a-zA-Z0-9()@:%_+.~#?&/=]"
_SCHEME = r"(?:(?:https?|ftp)://)?"
_ADDRESS = re.compile(rf"\s{{0,10}}\b{_SCHEME}(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{_PATH}*")
_HAS_ADDRESS = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"


@stage(version=2)
def strip_urls(docs: pa.Table, *, as_published: bool = False) -> pa.Table:
    """Remove URLs, e-mail addresses, host names and IP addresses from the text, with the space before them.

    By DCLM's rule (arXiv:2406.11794), a name counts if it ends in a lowercase top-level domain.

    as_published  do what DCLM's code does: it requires a top-level domain at the very start of the page (`re.match`),
                  in any case, and leaves the names in all other pages. IP addresses are removed either way

    Reads: text
    Changes: text
    Reasons: empty
    """
    text = flat(docs["text"])
    named = change_matching(text, _has_name(), lambda page: _name().sub("", page))
    text = pc.if_else(_begins_with_domain(text), named, text) if as_published else named
    text = change_matching(text, _HAS_ADDRESS, lambda page: _ADDRESS.sub("", page))
    return reject(set_column(docs, "text", text), empty=pc.equal(pc.fill_null(text, ""), ""))


def _begins_with_domain(text: pa.Array) -> pa.Array:
    return pc.fill_null(pc.match_substring_regex(text, rf"^(?i:{_domains()})"), False)


@cache
def _has_name() -> str:
    """For RE2, which knows the ends of ASCII's words only: any text that `_name` matches matches this too."""
    return rf"{_HOST}\.(?:{_domains()})"


@cache
def _name() -> re.Pattern:
    """A host begins where no character of one stands before it, so that each is tried once."""
    return re.compile(rf"\s{{0,10}}{_SCHEME}(?<!{_HOST}){_HOST}+\.(?:{_domains()})\b{_PATH}*")


def _domains() -> str:
    """Alternatives by their first letter, the longest first: the names in IANA's root zone when DCLM took its list."""
    names = sorted(Path(__file__).with_name("top_level_domains.txt").read_text(encoding="utf-8").split())
    by_letter = (
        (letter, sorted((name[1:] for name in group), key=len, reverse=True))
        for letter, group in groupby(names, key=lambda name: name[0])
    )
    return "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in by_letter)
