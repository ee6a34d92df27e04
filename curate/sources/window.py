"""The decompressed bytes of an archive, as a window no larger than requested.

Offsets count plain bytes from the stretch's beginning. `disk` says where they come from.
"""

import mmap
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from curate.sources.frames import Chunk, Gap, Padding

BACK = 256
"""Bytes searched again when more has come, since a match may lie across."""


class Window:
    """What a compressed file holds, up to the next gap.

    events         those of `curate.sources.frames`; what comes after the gap stays there
    size           of the file
    begins_record  whether a frame's first bytes begin a record
    padding        called with each padding on the way
    """

    def __init__(self, events: Iterator, size: int, begins_record: Callable, padding: Callable[[Padding], None]):
        self.events, self.size, self.begins_record, self.padding = events, size, begins_record, padding
        self.data, self.base, self.closed = bytearray(), 0, False
        self.gap: Gap | None = None
        self.plain, self.disks, self.frames = [], [], []  # where each chunk begins, here and on disk; its frame
        self.starts: list[int] = []  # where a frame begins with a record

    @property
    def end(self) -> int:
        return self.base + len(self.data)

    def _pull(self) -> bool:
        """Whether one more chunk came."""
        while not self.closed:
            event = next(self.events, None)
            if isinstance(event, Padding):
                self.padding(event)
            elif isinstance(event, Chunk):
                if (not self.frames or self.frames[-1] != event.frame) and self.begins_record(event.plain):
                    self.starts.append(self.end)
                self.plain.append(self.end)
                self.disks.append(event.disk)
                self.frames.append(event.frame)
                self.data += event.plain
                return True
            else:
                self.gap, self.closed = event, True
        return False

    def reach(self, end: int) -> bool:
        """Whether there are bytes up to `end`."""
        while self.end < end and self._pull():
            pass
        return self.end >= end

    def extent(self, start: int, end: int, drop: bool = False) -> int:
        """How far bytes go on from `start`: to `end` at most, to a gap, or to a frame that begins a record.

        drop  do not hold them
        """
        while True:
            place = bisect_right(self.starts, start)
            if place < len(self.starts) and self.starts[place] < end:
                return self.starts[place]
            if drop:
                self.drop(min(end, self.end))
            if self.end >= end:
                return end
            if not self._pull():
                return self.end

    def drop(self, before: int) -> None:
        """Bytes before this offset are not asked for again."""
        if before - self.base > 1 << 16:
            del self.data[: before - self.base]
            self.base = before
            place = bisect_right(self.plain, before) - 1
            if place > 64:
                del self.plain[:place], self.disks[:place], self.frames[:place]
            del self.starts[: bisect_right(self.starts, before - 1)]

    def slice(self, start: int, end: int) -> bytes:
        return bytes(memoryview(self.data)[max(start - self.base, 0) : max(end - self.base, 0)])

    def match(self, pattern: re.Pattern, at: int) -> int | None:
        """Where a match at `at` ends, if there is one. What is to match must be reached before."""
        found = pattern.match(self.data, at - self.base)
        return found and self.base + found.end()

    def find(self, pattern: re.Pattern, at: int) -> int | None:
        """Where the next record begins from `at` on: a match of `pattern`, or a frame that begins a record."""
        at = max(at, self.base)
        while True:
            found = pattern.search(self.data, at - self.base)
            place = bisect_right(self.starts, at - 1)
            known = [self.base + found.start()] if found else []
            known += self.starts[place : place + 1]
            if known:
                return min(known)
            at = max(at, self.end - BACK)
            self.drop(at)
            if not self._pull():
                return None

    def disk(self, at: int) -> int:
        """Where a byte lies on disk: exact where a chunk begins, else in proportion."""
        if not self.plain:
            return self.disk_end
        if at >= self.plain[-1]:
            self._pull()  # for where the last chunk ends
        if at >= self.end:
            return self.disk_end
        place = bisect_right(self.plain, at) - 1
        last = place + 1 == len(self.plain)
        first, end = self.disks[place], self.disk_end if last else self.disks[place + 1]
        size = (self.end if last else self.plain[place + 1]) - self.plain[place]
        return first + max(end - first, 0) * (at - self.plain[place]) // size

    @property
    def disk_end(self) -> int:
        """Where on disk what was read ends: at the gap, or with the file."""
        return self.gap.first if self.gap else self.size

    def frame(self, at: int) -> int:
        """Where on disk the frame begins that holds a byte."""
        return self.frames[bisect_right(self.plain, at) - 1]

    position = frame


class Mapped:
    """A file that is not compressed, as a window: all of it is there."""

    gap, base, closed = None, 0, True

    def __init__(self, data: mmap.mmap):
        self.data, self.end, self.size = data, len(data), len(data)

    def reach(self, end: int) -> bool:
        return end <= self.end

    def extent(self, start: int, end: int, drop: bool = False) -> int:
        return min(end, self.end)

    def drop(self, before: int) -> None:
        pass

    def slice(self, start: int, end: int) -> bytes:
        return self.data[start:end]

    def match(self, pattern: re.Pattern, at: int) -> int | None:
        found = pattern.match(self.data, at)
        return found and found.end()

    def find(self, pattern: re.Pattern, at: int) -> int | None:
        found = pattern.search(self.data, at)
        return found and found.start()

    def disk(self, at: int) -> int:
        return at

    position = disk

    def frame(self, at: int) -> int:
        return 0
