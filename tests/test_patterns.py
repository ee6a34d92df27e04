"""No regular expression of the package takes longer than in proportion to a text that is made to hold it up."""

import re
import time

import pytest
from patterns import hostile, patterns

from curate.stages import strip_urls

SIZE = 4000
SLOW = 0.01
"""Seconds of the processor for SIZE characters: a pattern that needs a text's square needs ten times that."""

SHORT = {"curate.inspect.status": "names of files in the store", "curate.sources.inputs": "globs of a manifest"}
"""{module: what its patterns are given that no stranger makes long}"""


def growth(pattern: re.Pattern, searched: bool) -> float:
    """How many times as long the slowest text takes as one of half its length; 1 where none is slow."""
    slowest = max(range(len(list(hostile(pattern, SIZE)))), key=lambda place: _seconds(pattern, searched, SIZE, place))
    once = min(_seconds(pattern, searched, SIZE, slowest) for _ in range(2))
    if once < SLOW:
        return 1
    return min(_seconds(pattern, searched, 2 * SIZE, slowest) for _ in range(2)) / once


def _seconds(pattern: re.Pattern, searched: bool, size: int, place: int) -> float:
    text = _texts(pattern, size)[place]
    start = time.process_time()
    pattern.match(text)
    if searched:
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - start


_MADE: dict = {}


def _texts(pattern: re.Pattern, size: int) -> list:
    if (key := (pattern, size)) not in _MADE:
        _MADE.clear()
        _MADE[key] = list(hostile(pattern, size))
    return _MADE[key]


def test_no_pattern_backtracks():
    found = patterns() | {"strip_urls": (strip_urls._name(), True)}
    assert len(found) > 150
    taken = {name: growth(*found[name]) for name in found if name.partition(":")[0] not in SHORT}
    assert {name: times for name, times in taken.items() if times > 2.5} == {}


@pytest.mark.parametrize("pattern", [r"\s+$", r"[\w.]+@[\w.]+x", r"\d*\.?\d*x", r"<[^>]*>.*</b>", r"x*x*y"])
def test_patterns_that_backtrack_are_found(pattern):
    tried = re.compile(pattern)
    assert any(_seconds(tried, True, 400, place) * 100 > SLOW for place in range(len(_texts(tried, 400))))
