"""The decompressed bytes of an archive, frame by frame, and its damaged places.

After a damaged frame reading goes on at the next that can be read. It is looked for from the damaged one's own
beginning, since a frame that lost bytes is read into the next one before that shows: so what was last read of a frame
is held back until more of it is read, and comes out only up to where the next one begins. No byte is in two frames.
"""

import mmap
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from curate.sources.codecs import PLAIN, STEP, Broken, Codec

HELD, HELD_PLAIN = 4 * STEP, 64 << 20
"""Bytes on disk, and plain bytes at most, that are held back."""

FINE = 64
"""Bytes on disk read at a time where a frame is damaged: as much may be lost before the place itself."""

SMALL = 32
"""Bytes after the end of a file that are too few to have been a record."""

AGAIN, FREE, TRY = 8, 1 << 20, 512
"""How many times over a file may be read in search of the next frame, after a first MiB, and what a place that is tried
counts at least: so no file takes long."""

_WHOLE = re.compile(r"(?<!block)checksum", re.IGNORECASE)
"""An error that says the damage may be anywhere in the frame."""

_TEXT = re.compile(rb"[\x00\t-\r\x1a\x20-\x7e]*+")


class Chunk(NamedTuple):
    """frame: where on disk its frame begins; disk: where the bytes begin that it was made of."""

    frame: int
    disk: int
    plain: bytes


class Gap(NamedTuple):
    """Bytes `first` to `end` of the file. frame: the damaged one, where one is. cut: the file ends inside it."""

    first: int
    end: int
    why: str
    frame: int | None = None
    cut: bool = False


class Padding(NamedTuple):
    """Bytes that are no frame, and never were."""

    first: int
    end: int
    what: str


def frames(data: mmap.mmap, codec: Codec, begins_record: Callable[[bytes], bool]) -> Iterator[Chunk | Gap | Padding]:
    """What a file holds, in order.

    begins_record  whether plain bytes begin a record: tells the next frame from what looks like one.
    """
    at, size, restarts = 0, len(data), Restarts(data, codec, begins_record)
    while at < size:
        if codec.begins(data, at):
            at = yield from _frame(data, codec, at, restarts)
        elif (end := codec.skipped(data, at)) > at:
            at = end
        else:
            end = codec.find(data, at)
            yield _between(data, codec, at, size if end is None else end)
            at = size if end is None else end


def _frame(data: mmap.mmap, codec: Codec, start: int, restarts: "Restarts") -> Iterator[Chunk | Gap]:
    """One frame; returns where to go on."""
    held, made, sent = deque(), 0, 0
    reader = codec.read(data, start, len(data))
    try:
        while True:
            try:
                disk, plain = next(reader)
            except StopIteration as stop:
                yield from held
                return stop.value
            held.append(Chunk(start, disk, plain))
            made += len(plain)
            while held[0].disk < disk - HELD or (len(held) > 1 and made - sent > HELD_PLAIN):
                sent += len(held[0].plain)
                yield held.popleft()
    except Broken as broken:
        problem = broken
    following = restarts.after(start, problem, held[0].disk if held else start)
    cut = problem.cut and following == len(data)
    empty = not made
    if cut:  # sound as far as it goes
        yield from held
    else:
        careful = held[0].disk if held else start
        held.clear()
        stop, first, again, size = min(problem.at + STEP, following), careful, [], 0
        try:
            for disk, plain in codec.read(data, start, stop, lambda at: STEP if at < careful else FINE):
                empty = False
                skip = min(sent, len(plain))  # it was handed out before
                sent, size = sent - skip, size + len(plain) - skip
                first = first if again else disk
                again.append(plain[skip:])
                if size >= PLAIN:
                    yield Chunk(start, first, b"".join(again))
                    again, size = [], 0
        except Broken as nearer:
            problem = nearer if nearer.at < stop else problem
        if size:
            yield Chunk(start, first, b"".join(again))
    why = f"the file ends inside a {codec.name}" if cut else f"a damaged {codec.name}: {problem.why}"
    if _WHOLE.search(problem.why):  # all of it was read, and any of it may be wrong
        empty, why = True, f"the checksum of a {codec.name} is wrong: the data read from it may be damaged"
    yield Gap(start if empty else min(problem.at, following), following, why, start, cut)
    return following


def _between(data: mmap.mmap, codec: Codec, first: int, end: int) -> Gap | Padding:
    """What lies where a frame should begin: padding at the end of a file, zeros between frames, or damage."""
    content, last = data[first : min(end, first + PLAIN)], end == len(data)
    if not content.strip(b"\x00\r\n"):
        return Padding(first, end, "zeros" if b"\x00" in content else "blank lines")
    if last and codec.opening.startswith(content):
        return Gap(first, end, f"the file ends inside a {codec.name}", first, cut=True)
    if last and (len(content) < SMALL or len(set(content)) == 1 or _text(content)):
        return Padding(first, end, f"no {codec.name}: {content[:20]!r}")
    return Gap(first, end, f"no {codec.name} where one should begin: {content[:20]!r}")


def _text(content: bytes) -> bool:
    if _TEXT.fullmatch(content):
        return True
    try:
        return content.decode().isprintable()
    except UnicodeDecodeError:
        return False


class Restarts:
    """Where reading goes on after a damaged frame. Reads no byte of the file more than AGAIN times in all.

    count  how often a place was tried.
    """

    def __init__(self, data: mmap.mmap, codec: Codec, begins_record: Callable[[bytes], bool]):
        self.data, self.codec, self.begins_record = data, codec, begins_record
        self.spent = self.farthest = self.count = 0

    def after(self, start: int, problem: Broken, free: int) -> int:
        """The offset of the next frame after one that is damaged; the file's end where there is none.

        free  from where on nothing of the damaged frame was handed out.
        """
        self._spend(start, problem.at)
        at = max(start + 1, free)
        while self.spent <= AGAIN * self.farthest + FREE:
            at = self.codec.find(self.data, at)
            if at is None:
                return len(self.data)
            if at >= problem.at or self._sound(at):
                return at
            at += 1
        found = self.codec.find(self.data, max(at, (self.spent - FREE) // AGAIN))  # past what was paid for
        return len(self.data) if found is None else found

    def _sound(self, at: int) -> bool:
        """Whether the frame at `at`, within one that failed later, begins with a record."""
        reader = self.codec.read(self.data, at, len(self.data))
        try:
            _, plain = next(reader, (at, b""))
        except Broken as problem:
            self._spend(at, problem.at)
            return False
        self._spend(at, min(at + STEP, len(self.data)))
        return self.begins_record(plain)

    def _spend(self, start: int, end: int) -> None:
        self.count += 1
        self.spent += max(end - start, TRY)
        self.farthest = max(self.farthest, end)
