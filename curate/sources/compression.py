"""Decompress files of rows and texts, and continue after damage.

What was decompressed before damage is kept, and reading goes on at the next member, frame or stream that is found
and decodes. The work of finding it is bounded, so that a file made to look damaged everywhere costs what its size does.
"""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from curate.sources.codecs import CODECS, MAX_DICTIONARY, SKIPPABLE, plain_dictionary

FEED = 1 << 12
"""Compressed bytes given to a decoder at once: 4 KiB are 128 MiB at most, by the tightest code there is (zstd's)."""

_TRIAL = 1 << 10  # compressed bytes that must decode before a header found after damage is believed
_READ = 1 << 18
_OUT = 1 << 20
_DICTIONARY = b"\x37\xa4\x30\xec"
_SHORTEST = 64  # bytes of a dictionary, however compressed: it holds the tables of four codes
_WHOLE = re.compile(r"check|crc", re.IGNORECASE)  # errors that say the damage is anywhere above


class Told(Protocol):
    """Whom to tell what cannot be read, and what a person should know: an `Origin`, or what stands before one."""

    def lose(self, path: str, first: int, end: int, why: str) -> None: ...

    def note(self, path: str, what: str) -> None: ...


def decompressed(raw: BinaryIO, path: str, named: str | None, origin: Told) -> Iterator[bytes | None]:
    """The content of a file in pieces; None where something is missing between the piece before and the one after.

    raw    the file as it lies on a disk; between pieces it stands where reading them ended
    named  how its name says it is compressed. What its first bytes say counts, with a note where they differ

    What cannot be read goes to `origin.lose`; bytes after the end that hold nothing are noted.
    """
    size = raw.seek(0, 2)
    head = _at(raw, 0, 64)
    kinds = sorted(CODECS, key=lambda name: name != named)
    found = next((name for name in kinds if CODECS[name].magic.match(head)), None)
    if found is None and SKIPPABLE.match(head):
        found = named if named == "lz4" else "zstd"
    if found is None and (named is None or (_is_lines(head) and not _has_frame(raw, named))):
        if named and size:
            origin.note(path, f"it is not compressed, although its name says {named}")
        raw.seek(0)
        yield from iter(lambda: raw.read(_OUT), b"")
        return
    if found and found != named:
        origin.note(path, f"it is compressed with {found}, although its name does not say so")
    reading = _Reading(raw, path, size, found or named, origin)
    for piece in _gathered(reading.pieces()):
        raw.seek(reading.disk.asked)
        yield piece


def _is_lines(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _has_frame(raw: BinaryIO, named: str) -> bool:
    """Whether such a frame begins later: what looks like lines is then a damaged frame that holds them as they are."""
    return CODECS[named].magic.search(_at(raw, 0, _OUT)) is not None


def _gathered(pieces: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """The same in pieces of about 1 MiB: decoders give them by the few thousand bytes."""
    held, count = [], 0
    for piece in pieces:
        if piece is not None:
            held.append(piece)
            count += len(piece)
        if held and (piece is None or count >= _OUT):
            yield b"".join(held)
            held, count = [], 0
        if piece is None:
            yield None
    if held:
        yield b"".join(held)


class _Disk:
    """A file by places. A block of it is held, since most of what is asked for lies near what was before.

    asked  where the bytes that were asked for last end
    """

    def __init__(self, raw: BinaryIO, size: int):
        self.raw, self.size, self.asked = raw, size, 0
        self.block, self.first, self.end = b"", 0, 0

    def at(self, place: int, count: int) -> bytes:
        self.asked = end = min(place + count, self.size)
        if place < self.first or end > self.end:
            self.raw.seek(place)
            self.block, self.first = self.raw.read(max(count, _READ)), place
            self.end = place + len(self.block)
        return self.block[place - self.first : end - self.first]

    def blocks(self, place: int) -> Iterator[bytes]:
        """The file from a place on, in blocks that grow: most units and searches end soon."""
        count = FEED
        while block := self.at(place, count):
            yield block
            place, count = place + len(block), min(2 * count, _READ)


class _Unit:
    """One member, frame or stream, whose first bytes are decoded. Iterating gives its content; then `end` is where
    reading it stopped, and `error` says why it is not whole.

    fed    bytes that the decoder took so far
    given  whether any content came of them
    over   whether it takes no more
    """

    __slots__ = ("decoder", "disk", "end", "error", "fed", "given", "last", "new", "out", "over", "start")

    def __init__(self, disk: _Disk, start: int, new: Callable):
        self.disk, self.start, self.new, self.decoder = disk, start, new, new()
        self.end, self.error, self.fed, self.given, self.over = start, "", 0, False, False
        self.out = self._take(start, disk.at(start, FEED))

    def _take(self, at: int, piece: bytes) -> bytes:
        """The content of what lies at a place, where the decoder stands."""
        try:
            out = self.decoder.decompress(piece)
        except MemoryError:
            raise
        except Exception as error:  # each library has its own kinds
            self.end, self.error, self.over, self.last = at, str(error), True, piece
            return b""
        self.fed += len(piece)
        if out:
            self.given = True
        if self.decoder.eof:
            self.end, self.over = at + len(piece) - len(self.decoder.unused_data or b""), True
        return out

    def __iter__(self) -> Iterator[bytes]:
        out, self.out = self.out, b""
        if out:
            yield out
        at, count = self.start + FEED, 2 * FEED
        while not self.over and (block := self.disk.at(at, count)):
            for first in range(0, len(block), FEED):
                if out := self._take(at + first, block[first : first + FEED]):
                    yield out
                if self.over:
                    break
            at, count = at + len(block), min(2 * count, _READ)
        if self.error:
            yield from self._closer(self.end, self.last)
        elif not self.over:
            self.end, self.error = self.start + self.fed, "it ends early"

    def _closer(self, at: int, piece: bytes) -> Iterator[bytes]:
        """Go up to the damage once more, byte by byte at the end: a decoder that fails keeps what it had."""
        decoder = self.new()
        try:
            for place in range(self.start, at, FEED):
                decoder.decompress(self.disk.at(place, min(FEED, at - place)))
            for place in range(len(piece)):
                self.end = at + place
                if out := decoder.decompress(piece[place : place + 1]):
                    self.given = True
                    yield out
        except MemoryError:
            raise
        except Exception as error:
            self.error = str(error)


class _Reading:
    """A compressed file on its way."""

    def __init__(self, raw: BinaryIO, path: str, size: int, name: str, origin: Told):
        self.disk, self.path, self.size, self.origin = _Disk(raw, size), path, size, origin
        self.name, self.codec = name, CODECS[name]
        self.dictionary: bytes | None = None
        self.new = self.codec.decoders(None)
        self.budget = 3 * size + (4 << 20)  # of bytes that may be decoded in vain

    def pieces(self) -> Iterator[bytes | None]:
        at = self._skipped(0)
        hole: tuple[int, int, str] | None = None  # where damage begins, the start of its unit, what it is
        sound = False  # whether what stands before is whole, so that a hole may be what follows the end
        while at < self.size:
            if hole is None and not self.codec.magic.match(self.disk.at(at, 16)):
                hole = (at, at, self._foreign(at))
                sound = at > 0
            start = at if hole is None else self._next(at)
            if start is None:
                break
            unit = _Unit(self.disk, start, self.new)
            pieces = iter(unit)
            if hole is not None:
                held = self._tried(unit, pieces)
                if held is None:
                    at = start + 1
                    if self.budget < 0:
                        hole = (*hole[:2], f"{hole[2]}; too much of the file is damaged to search for intact parts")
                        break
                    continue
                first, above, why = hole
                self.origin.lose(self.path, first if first < start else above, start, why)
                hole = None
                yield None
                yield from held
            yield from pieces
            if unit.error:
                first = start if _WHOLE.search(unit.error) or not unit.given else unit.end
                if self.name == "bz2" and unit.error != "it ends early":  # what it gave of a block comes before its sum
                    first = max(start, min(first, unit.end - _block(self.disk.at(start, 4))))
                error = unit.error
                if "ictionary" in error and self.dictionary is None:
                    error = "it needs a dictionary that is not in the file: decompress it yourself"
                hole, sound = (first, start, f"{self.codec.name}: {error}"), False
                self.budget -= unit.end - start
                at = start + 1
            else:
                at = self._skipped(unit.end)
        if hole is not None and not self._harmless(hole, sound):
            first, above, why = hole
            self.origin.lose(self.path, first if first < self.size else above, self.size, why)
            yield None

    def _tried(self, unit: _Unit, pieces: Iterator[bytes]) -> list[bytes] | None:
        """The first pieces of what may be a unit, or None where it is not."""
        held = []
        for piece in pieces:
            held.append(piece)
            if unit.fed > _TRIAL:
                return held
        if not unit.error or (unit.error == "it ends early" and held):
            return held
        self.budget -= 512 + unit.end - unit.start + sum(map(len, held)) // 64
        return None

    def _next(self, at: int) -> int | None:
        """Where the next header is, from `at` on."""
        rest = b""
        for block in self.disk.blocks(at):
            if found := self.codec.magic.search(rest + block):
                return at - len(rest) + found.start()
            at, rest = at + len(block), (rest + block)[-16:]
        return None

    def _skipped(self, at: int) -> int:
        """The end of the skippable frames at a place, and of an xz stream's padding. A dictionary in one is kept."""
        if self.name == "xz":
            zeros = 0
            for block in self.disk.blocks(at):
                zeros += len(block) - len(block.lstrip(b"\0"))
                if zeros % 4 or block.lstrip(b"\0"):
                    break
            at += zeros - zeros % 4
        while self.name in ("zstd", "lz4") and SKIPPABLE.match(head := self.disk.at(at, 8)) and len(head) == 8:
            length = int.from_bytes(head[4:], "little")
            if at + 8 + length > self.size:
                break
            if self.name == "zstd" and self.dictionary is None and _SHORTEST < length < MAX_DICTIONARY:
                self.dictionary = plain_dictionary(self.disk.at(at + 8, length), _DICTIONARY)
                self.new = self.codec.decoders(self.dictionary) if self.dictionary else self.new
            at += 8 + length
        return at

    def _harmless(self, hole: tuple[int, int, str], sound: bool) -> bool:
        """Whether what is left only follows the end: padding or foreign bytes, no unit whose header is damaged."""
        first = hole[0]
        if not sound:
            return False
        opening = self.codec.opening
        head = self.disk.at(first, len(opening))
        near = sum(a == b for a, b in zip(head, opening, strict=False)) >= len(opening) - 1
        if near or opening.startswith(head) or SKIPPABLE.match(self.disk.at(first, 4)):
            return False
        count = self.size - first
        self.origin.note(self.path, f"{count:,} bytes after the end of the compressed data, from byte {first:,} on")
        return True

    def _foreign(self, at: int) -> str:
        if at:
            return f"no {self.codec.name} begins here"
        return f"it is not {self.name}: it begins with {self.disk.at(0, 40).decode('ascii', 'replace')!r}"


def _block(head: bytes) -> int:
    """Bytes of a bzip2 stream that a block may take: its size stands in the header, in 100 kB."""
    return int(head[3:4]) * 101_000 + 1000


def _at(raw: BinaryIO, place: int, count: int) -> bytes:
    raw.seek(place)
    return raw.read(count)
