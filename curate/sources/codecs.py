"""Decompress archives frame by frame: gzip, zstd, lz4, bz2, xz.

    read(data, start, stop, step) -> Iterator[(offset on disk, plain bytes)], which returns the offset of its end

data   the file, mapped
start  of the frame
stop   where to stop reading at the latest
step   compressed bytes to take at a time, by offset: the piece that fails is lost whole

Formats: RFC 1952 (gzip), RFC 8878 (zstd), github.com/lz4/lz4 (lz4_Frame_format.md). The dictionary of a .warc.zst
lies in a skippable frame at its beginning (iipc.github.io/warc-specifications, "warc-zstd").
"""

import bz2
import lzma
import mmap
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import lz4.frame
import zstandard
from isal import igzip_lib

STEP, FIRST = 1 << 18, 1 << 12
PLAIN = 1 << 20
"""Plain bytes made at a time, of whatever little a bomb is made of."""

MAX_WINDOW = 1 << 31
"""Bytes that a decoder may look back: what `zstd --long=31` and the largest dictionaries of xz need."""

MAX_DICTIONARY = 64 << 20


def in_steps(at: int) -> int:
    return STEP


SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
"""How frames of zstd and lz4 begin that hold no data."""

_DICTIONARY = b"\x5d\x2a\x4d\x18"


class Broken(Exception):
    """A frame that cannot be read on: at which offset of the file, whether because the file ends, and why."""

    def __init__(self, at: int, why: str, cut: bool = False):
        super().__init__(at, why)
        self.at, self.why, self.cut = at, why, cut


@dataclass(frozen=True)
class Codec:
    """A way to compress.

    name        of a frame, for messages
    opening     its first bytes; magic: all that is known of how one begins
    decoders    decoders(dictionary or None)() -> with `decompress`, `eof` and `unused_data`, of one frame. It may share
                what takes long to make with the one before, which is of no use any more then
    reader      reader(decoders(dictionary or None)) -> `read`
    dictionary  for `read`
    """

    name: str
    opening: bytes
    magic: re.Pattern
    decoders: Callable[[bytes | None], Callable[[], Any]]
    reader: Callable[[Callable[[], Any]], Callable[..., Iterator[tuple[int, bytes]]]]
    dictionary: bytes | None = None

    @cached_property
    def read(self) -> Callable[..., Iterator[tuple[int, bytes]]]:
        """See above."""
        return self.reader(self.decoders(self.dictionary))

    def begins(self, data: mmap.mmap, at: int) -> bool:
        return self.magic.match(data, at) is not None

    def find(self, data: mmap.mmap, at: int) -> int | None:
        """Where the next frame from `at` on may begin."""
        found = self.magic.search(data, at)
        return found and found.start()

    def skipped(self, data: mmap.mmap, at: int) -> int:
        """Where a skippable frame at `at` ends; `at` where there is none."""
        if not SKIPPABLE.match(data, at) or self.name.split()[0] not in ("zstd", "lz4") or at + 8 > len(data):
            return at
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        return end if end <= len(data) else at


def codec_of(data: mmap.mmap, named: str | None) -> Codec | None:
    """By the first bytes; where they are no frame, by the name, if there is such a frame anywhere. None: plain.

    named  gzip, zstd, lz4, bz2, xz or None, as the file's name says.

    It is for this file alone, since its decoders share what they are made of.
    """
    for codec in CODECS.values():
        if codec.begins(data, 0):
            return replace(codec)
    if SKIPPABLE.match(data, 0):
        return replace(CODECS["lz4"]) if named == "lz4" else replace(CODECS["zstd"], dictionary=_dictionary(data))
    codec = CODECS.get(named)
    return replace(codec) if codec and codec.find(data, 0) is not None else None


def _dictionary(data: mmap.mmap) -> bytes | None:
    """The dictionary that a zstd file begins with, if it does."""
    if data[:4] == _DICTIONARY:
        return plain_dictionary(data[8 : 8 + int.from_bytes(data[4:8], "little")])
    return None


def plain_dictionary(content: bytes, opening: bytes = b"") -> bytes | None:
    """The dictionary in a skippable frame: as it is, or compressed; None where it cannot be decompressed, does not
    begin with `opening`, or is too large."""
    if CODECS["zstd"].magic.match(content):
        stream = zstandard.ZstdDecompressor().stream_reader(content)
        try:
            content = stream.read(len(opening))
            if content == opening:  # what may expand to very much is no more than begun else
                content += stream.read(MAX_DICTIONARY + 1)
        except zstandard.ZstdError:
            return None
    return content if content.startswith(opening) and 0 < len(content) <= MAX_DICTIONARY else None


def _zstd_decoders(dictionary: bytes | None) -> Callable[[], Any]:
    """Without a dictionary that is damaged: frames that need it say so."""
    if dictionary:
        with suppress(zstandard.ZstdError):
            data = zstandard.ZstdCompressionDict(dictionary)
            shared = zstandard.ZstdDecompressor(dict_data=data, max_window_size=MAX_WINDOW)
            shared.decompressobj()
            return shared.decompressobj
    return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj


def _zstd(new: Callable[[], Any]):
    def read(
        data: mmap.mmap, start: int, stop: int, step: Callable[[int], int] = in_steps
    ) -> Iterator[tuple[int, bytes]]:
        """A block at a time: at most 128 KiB, whatever it is made of, and no byte of what follows is read."""
        form = data[start + 4] if start + 4 < stop else 0
        if form & 8:
            raise Broken(start, "a reserved bit of the frame header is set")
        single, sums = form >> 5 & 1, form >> 2 & 1
        size_bytes = (single, 2, 4, 8)[form >> 6]
        at = start + 5 + (not single) + (0, 1, 2, 4)[form & 3] + size_bytes
        last, stream, fed = False, new(), start
        while not last:
            if at + 3 > stop:
                raise Broken(stop, "it ends early", cut=True)
            head = int.from_bytes(data[at : at + 3], "little")
            last, kind, size = head & 1, head >> 1 & 3, head >> 3
            if kind == 3 or size > 1 << 17:
                raise Broken(at, "a block header is damaged")
            at += 3 + (1 if kind == 1 else size) + (4 if last and sums else 0)
            if at > stop:
                raise Broken(stop, "it ends early", cut=True)
            try:
                plain = stream.decompress(data[fed:at])
            except zstandard.ZstdError as error:
                raise Broken(fed, str(error).removeprefix("zstd decompressor error: ")) from None
            if plain:
                yield fed, plain
            fed = at
        return at

    return read


def _streamed(errors: tuple[type[Exception], ...], new: Callable[[], Any]):
    """A reader from decoders such as those of bz2 and lzma, which say whether they need more."""

    def read(
        data: mmap.mmap, start: int, stop: int, step: Callable[[int], int] = in_steps
    ) -> Iterator[tuple[int, bytes]]:
        """A step at a time, or PLAIN of what it holds. Of the first a little before the rest: most frames of a file
        that has very many are over then."""
        stream, at, before, end, held = new(), start, start, start, b""
        while not stream.eof:
            piece = b""
            if stream.needs_input:
                if at == end:
                    if held:
                        yield before, held
                    before, end, held = at, min(at + step(at), stop), b""
                piece = data[at : min(at + FIRST, end) if at == start else end]
                at += len(piece)
                if not piece:
                    raise Broken(stop, "it ends early", cut=True)
            try:
                held += stream.decompress(piece, PLAIN - len(held))
            except errors as error:
                why = str(error).rpartition("with code: ")[2]  # as lz4 begins it
                raise Broken(before, why or type(error).__name__) from None
            if len(held) == PLAIN:
                yield before, held
                held = b""
        if held:
            yield before, held
        return at - len(stream.unused_data or b"")

    return read


def _gzip():
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _xz():
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW)


def _codec(name: str, opening: bytes, magic: bytes, new: Callable[[], Any], *errors: type[Exception]) -> Codec:
    return Codec(name, opening, re.compile(magic), lambda _: new, partial(_streamed, (*errors, EOFError)))


_GZIP, _ZSTD, _LZ4 = rb"\x1f\x8b\x08[\x00-\x1f]", rb"\x28\xb5\x2f\xfd", rb"\x04\x22\x4d\x18"
_BZ2, _XZ = rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", rb"\xfd7zXZ\x00\x00[\x00-\x0f]"

CODECS = {
    "gzip": _codec("gzip member", b"\x1f\x8b\x08", _GZIP, _gzip, igzip_lib.error),
    "zstd": Codec("zstd frame", b"\x28\xb5\x2f\xfd", re.compile(_ZSTD), _zstd_decoders, _zstd),
    "lz4": _codec("lz4 frame", b"\x04\x22\x4d\x18", _LZ4, lz4.frame.LZ4FrameDecompressor, RuntimeError),
    "bz2": _codec("bz2 stream", b"BZh", _BZ2, bz2.BZ2Decompressor, OSError),
    "xz": _codec("xz stream", b"\xfd7zXZ\x00", _XZ, _xz, lzma.LZMAError),
}
