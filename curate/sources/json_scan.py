"""Find where the values of a JSON file end, piece by piece, in bounded memory."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from curate.sources.row_tables import Content

_SPACE = re.compile(rb"(?:[\s,]++|\xef\xbb\xbf)*+")
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_CONTAINER = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_ITEM = re.compile(rb'[^",\]]*+')  # a number or a word in an array
_LINE = re.compile(rb"[^\n]*+")
_OPEN, _QUOTE = b"{[", b'"'[0]


class Value(NamedTuple):
    """A value, and where it lies on disk. data: None where it is larger than the limit."""

    data: bytes | None
    first: int
    end: int


class Cut(Exception):
    """The values from some place on disk on cannot be told apart.

    why     for people
    begins  the first bytes of the value that is cut, if one is
    """

    def __init__(self, first: int, why: str, begins: bytes):
        super().__init__(first, why)
        self.first, self.why, self.begins = first, why, begins


def values(content: Content, limit: int) -> Iterator[Value]:
    """The elements of an array, or values one after another: objects, and whatever else there is in their place.

    Raises Cut at the end, where the file ends within an array or a value, or is damaged.
    """
    scan, data, at = _Scanner(), b"", 0
    first: int | None = None  # where the value begins in data
    begun = dropped = 0  # where it begins on disk, and bytes of it that are not held any more
    for piece in content:
        if piece is None:
            raise Cut(
                content.damaged, "values after the damage cannot be separated", b"" if first is None else data[first:]
            )
        data = data + piece if data else piece
        while True:
            if first is None:
                at, found = scan.begin(data, at)
                if not found:
                    break
                first, begun = at, content.place(len(data) - at)
            at, found = scan.end(data, at)
            if not found:
                break
            whole = not dropped and at - first <= limit
            yield Value(data[first:at] if whole else None, begun, content.place(len(data) - at))
            first, dropped = None, 0
        if first is not None and dropped + at - first > limit:
            first, dropped = at, dropped + at - first
        start = at if first is None else first
        data, at, first = data[start:], at - start, None if first is None else 0
    if first is not None and scan.bare and not scan.array:
        yield Value(None if dropped else data[first:], begun, content.after)
    elif first is not None or scan.array:
        where = max(content.after - 1, 0) if first is None else begun
        raise Cut(where, "the file ends within an array or a value", b"" if first is None else data[first:])


class _Scanner:
    """What is open where scanning is.

    array   whether values are elements of an array
    bare    whether the value is neither an object nor an array
    depth   brackets of the value that are open
    string  whether a string is open
    """

    def __init__(self):
        self.array = self.bare = self.string = False
        self.depth = 0

    def begin(self, data: bytes, at: int) -> tuple[int, bool]:
        """Where the next value begins, if one does."""
        while (at := _SPACE.match(data, at).end()) < len(data):
            if self.array and data.startswith(b"]", at):
                self.array = False
            elif not self.array and data.startswith(b"[", at):
                self.array = True
            else:
                self.depth, self.string, self.bare = 0, False, data[at] not in _OPEN
                return at, True
            at += 1
        return at, False

    def end(self, data: bytes, at: int) -> tuple[int, bool]:
        """Where the value ends, or how far it was looked for."""
        while at < len(data):
            if self.string:
                at = _STRING.match(data, at).end()
                if at == len(data) or data[at] != _QUOTE:  # half an escape
                    return at, False
                self.string = False
            else:
                at = self._between().match(data, at).end()
                if at == len(data):
                    break
                if data[at] == _QUOTE:
                    self.string = True
                elif self.bare:
                    return at, True
                else:
                    self.depth += 1 if data[at] in _OPEN else -1
                    if self.depth == 0:
                        return at + 1, True
            at += 1
        return at, False

    def _between(self) -> re.Pattern:
        return _CONTAINER if not self.bare else _ITEM if self.array else _LINE
