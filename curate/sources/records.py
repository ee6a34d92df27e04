"""Read the records of WARC and ARC one after another, past damage.

One rule for what cannot be read: its bytes on disk are lost, told once for each stretch; and where a document's header
was read, the document is a row with its reason too. Reading goes on at the next record, frame or not.
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from curate.sources.codecs import codec_of
from curate.sources.frames import Padding, frames
from curate.sources.http import MAX_PAYLOAD, Damaged
from curate.sources.window import Mapped, Window

DOCUMENTS = ("response", "resource", "conversion", "revisit")
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?+[\r\n]*+")
AHEAD = 16 << 10
"""Bytes looked at to tell whether a record begins."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


@dataclass(slots=True)
class Record:
    """One record of an archive.

    kind      as WARC-Type names it.
    position  where it begins on disk: in a compressed file, where the frame begins that it begins in.
    block     what follows the record's own header; None where it could not be read, or is not asked for.
    http      whether the block is an HTTP response.
    digest    `algorithm:value` of the block, where the archive has one.
    meta      what else is known of it.
    unusable  why its content is none, though the record itself is sound.
    damage    why it cannot be used.
    """

    kind: str
    position: int
    url: str | None = None
    date: str | None = None
    record_id: str | None = None
    content_type: str = ""
    identified_type: str | None = None
    block: bytes | None = None
    http: bool = False
    digest: str | None = None
    meta: dict = field(default_factory=dict)
    unusable: Damaged | None = None
    damage: Damaged | None = None


class Grammar(Protocol):
    """A format of archives.

    start     finds where a record begins, in bytes of any kind
    newlines  line ends after each record
    """

    start: re.Pattern
    newlines: int

    def begins(self, plain: bytes) -> bool:
        """Whether a frame's first bytes begin a record."""

    def header(self, window: Window | Mapped, at: int) -> tuple[Record, int, int] | None:
        """The record at `at`, where its block starts, and its length; None where no whole header is."""


class Losses:
    """What could not be read of a file, by stretches, in order; passed on to `origin` one by one."""

    def __init__(self, origin, path: str, size: int):
        self.origin, self.path, self.size, self.total = origin, path, size, 0
        self.last: tuple[int, int, str] | None = None

    def lose(self, first: int, end: int, why: str) -> None:
        if self.last and first <= self.last[1]:
            first, end, why = self.last[0], max(end, self.last[1]), self.last[2]
        else:
            self.close()
        self.last = (first, end, why)

    def close(self) -> None:
        if self.last:
            first, end, why = self.last
            self.origin.lose(self.path, first, end, why)
            self.total, self.last = self.total + max(end - first, 0), None

    def padding(self, event: Padding) -> None:
        where = "after the end of the compressed data" if event.end == self.size else "between compressed frames"
        self.origin.note(
            self.path, f"{event.end - event.first:,} bytes {where}, from byte {event.first:,}: {event.what}"
        )


def records(data: mmap.mmap, named: str | None, grammar: Grammar, losses: Losses) -> Iterator[Record]:
    """The records of an archive, in order, those damaged whose header could be read among them.

    named  the compression that the file's name tells
    """
    head = data[:AHEAD]
    # What is left of a frame that lost its header may begin as a record does, but does not go on so.
    line = head.lstrip(b"\r\n").partition(b"\n")[0]
    goes_on = grammar.start.search(head) is not None and not _CONTROL.search(line)
    plain = grammar.begins(head) and (named is None or goes_on)
    codec = None if plain else codec_of(data, named)
    if codec is None:
        yield from _stretch(Mapped(data), grammar, losses)
        return
    events = frames(data, codec, grammar.begins)
    while True:
        window = Window(events, len(data), grammar.begins, losses.padding)
        yield from _stretch(window, grammar, losses)
        if window.gap is None:
            return


def _stretch(window: Window | Mapped, grammar: Grammar, losses: Losses) -> Iterator[Record]:
    at = _blank(window, 0)
    while window.reach(at + 1):
        window.drop(at)
        found = grammar.header(window, at)
        if found is None:
            at = _lose(window, grammar, losses, window.disk(at), at, at + 1, None)
        elif found[0].damage:
            record, start, _ = found
            at = _lose(window, grammar, losses, window.disk(at), at, start, record.damage)
            if record.kind in DOCUMENTS:
                yield record
        else:
            at = yield from _block(window, grammar, losses, at, *found)
        at = _blank(window, at)
    if window.gap:
        losses.lose(window.gap.first, window.gap.end, window.gap.why)


def _block(window, grammar: Grammar, losses: Losses, at: int, record: Record, start: int, length: int):
    """A record whose header is sound; returns where to go on."""
    large, end = length > MAX_PAYLOAD, start + length
    first = window.disk(at) if large else None
    reached = window.extent(start, end, drop=large)
    if reached < end:
        problem = Damaged("truncated", f"{reached - start} of {length} bytes")
    else:
        problem = _after(window, grammar, start, end)
    if problem:
        first = window.disk(at) if first is None else first
        following = _lose(window, grammar, losses, first, at, max(start, window.base), problem)
        record.damage = problem if following < window.end or not window.gap else _of_gap(window, problem)
    else:
        following = end
        if record.kind in DOCUMENTS and large:
            record.damage = Damaged("too_large", f"{length} bytes")
        elif record.kind in DOCUMENTS:
            record.block = window.slice(start, end)
            record.http = record.http or (record.kind == "response" and record.block.startswith(b"HTTP/"))
    if record.kind in DOCUMENTS or not problem:
        yield record
    return following


def _after(window, grammar: Grammar, start: int, end: int) -> Damaged | None:
    """What the end of a record's block says against it: its frame is damaged, or something else goes on there."""
    after = _blank(window, end, AHEAD)
    frame = window.frame(max(end, start + 1) - 1)
    if not window.reach(after + 1):
        gap = window.gap
        return Damaged("decompress_failed", gap.why) if gap and gap.frame == frame and not gap.cut else None
    window.reach(after + AHEAD)
    lines = window.slice(end, min(after, end + 4)).count(b"\n")
    if lines >= grammar.newlines or window.frame(after) != frame or window.match(grammar.start, after) is not None:
        return None
    return Damaged("malformed_record", "it does not end where its length says")


def _of_gap(window, problem: Damaged) -> Damaged:
    return Damaged("truncated" if window.gap.cut else "decompress_failed", f"{problem.detail}: {window.gap.why}")


def _lose(window, grammar: Grammar, losses: Losses, first: int, at: int, search: int, problem: Damaged | None) -> int:
    """Lose what begins at byte `first` of the file, plain byte `at`, up to the next record, and return where that is.

    search  where to look for it from
    """
    seen = window.slice(at, at + 40)
    following = window.find(grammar.start, search)
    if following is not None:
        why = f"{problem.reason}: {problem.detail}" if problem else f"no record where one should begin: {seen!r}"
        losses.lose(first, window.disk(following), why)
        return following
    if window.gap:
        losses.lose(first, window.gap.end, window.gap.why)
    elif problem:
        losses.lose(first, window.size, f"{problem.reason}: {problem.detail}")
    elif grammar.begins(seen):
        losses.lose(first, window.size, "the file ends inside the header of a record")
    else:
        losses.lose(first, window.size, f"no record where one should begin: {seen!r}")
    return window.end


def _blank(window, at: int, most: int | None = None) -> int:
    """Where line ends from `at` on are over. most: bytes to look at, where what is before is still asked for."""
    end = None if most is None else at + most
    while window.reach(at + 1) and (end is None or at < end):
        after = window.match(_BLANK, at)
        if after == at:
            break
        at = after
        if end is None:
            window.drop(at)
    return at
