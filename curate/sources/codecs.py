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
from dataclasses import dataclass, replace
from typing import Any

import lz4.frame
import zstandard
from isal import igzip_lib

STEP = 1 << 18
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

    name     of a frame, for messages
    opening  its first bytes; magic: all that is known of how one begins
    decoder  decoder(dictionary or None) -> with `decompress`, `eof` and `unused_data`, of one frame
    read     see above
    """

    name: str
    opening: bytes
    magic: re.Pattern
    decoder: Callable[[bytes | None], Any]
    read: Callable[..., Iterator[tuple[int, bytes]]]

    def begins(self, data: mmap.mmap, at: int) -> bool:
        return self.magic.match(data, at) is not None

    def find(self, data: mmap.mmap, at: int) -> int | None:
        """Where the next frame from `at` on may begin."""
        found = self.magic.search(data, at)
        return found and found.start()

    def skipped(self, data: mmap.mmap, at: int) -> int:
        """Where a skippable frame at `at` ends; `at` where there is none."""
        if self.name.split()[0] not in ("zstd", "lz4") or not SKIPPABLE.match(data, at) or at + 8 > len(data):
            return at
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        return end if end <= len(data) else at


def codec_of(data: mmap.mmap, named: str | None) -> Codec | None:
    """By the first bytes; where they are no frame, by the name, if there is such a frame anywhere. None: plain.

    named  gzip, zstd, lz4, bz2, xz or None, as the file's name says.
    """
    for codec in CODECS.values():
        if codec.begins(data, 0):
            return codec
    if SKIPPABLE.match(data, 0):
        return CODECS["lz4"] if named == "lz4" else _zstd(data)
    codec = CODECS.get(named)
    return codec if codec and codec.find(data, 0) is not None else None


def _zstd(data: mmap.mmap) -> Codec:
    """zstd, with the dictionary that the file begins with, if it does."""
    dictionary = None
    if data[:4] == _DICTIONARY:
        dictionary = plain_dictionary(data[8 : 8 + int.from_bytes(data[4:8], "little")])
    return replace(CODECS["zstd"], read=_zstd_reader(dictionary))


def plain_dictionary(content: bytes) -> bytes | None:
    """The dictionary in a skippable frame: as it is, or compressed; None where it is damaged or too large."""
    if CODECS["zstd"].magic.match(content):
        try:
            content = zstandard.ZstdDecompressor().stream_reader(content).read(MAX_DICTIONARY + 1)
        except zstandard.ZstdError:
            return None
    return content if 0 < len(content) <= MAX_DICTIONARY else None


def _zstd_decoder(dictionary: bytes | None):
    data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    return zstandard.ZstdDecompressor(dict_data=data, max_window_size=MAX_WINDOW).decompressobj()


def _streamed(new: Callable[[None], Any], errors: tuple[type[Exception], ...]):
    """A reader from a decoder such as those of bz2 and lzma, which say whether they need more."""

    def read(
        data: mmap.mmap, start: int, stop: int, step: Callable[[int], int] = in_steps
    ) -> Iterator[tuple[int, bytes]]:
        stream, at, before = new(None), start, start
        while not stream.eof:
            piece = b""
            if stream.needs_input:
                before, piece = at, data[at : min(at + step(at), stop)]
                at += len(piece)
                if not piece:
                    raise Broken(stop, "it ends early", cut=True)
            try:
                plain = stream.decompress(piece, PLAIN)
            except errors as error:
                why = str(error).rpartition("with code: ")[2]  # as lz4 begins it
                raise Broken(before, why or type(error).__name__) from None
            if plain:
                yield before, plain
        return at - len(stream.unused_data or b"")

    return read


def _zstd_reader(dictionary: bytes | None):
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
        last, stream, fed = False, _zstd_decoder(dictionary), start
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


def _gzip_decoder(_):
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _bz2_decoder(_):
    return bz2.BZ2Decompressor()


def _xz_decoder(_):
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW)


def _lz4_decoder(_):
    return lz4.frame.LZ4FrameDecompressor()


_gzip = _streamed(_gzip_decoder, (igzip_lib.error, EOFError))
_bz2 = _streamed(_bz2_decoder, (OSError, EOFError))
_xz = _streamed(_xz_decoder, (lzma.LZMAError, EOFError))
_lz4 = _streamed(_lz4_decoder, (RuntimeError, EOFError))
_GZIP, _ZSTD, _LZ4 = rb"\x1f\x8b\x08[\x00-\x1f]", rb"\x28\xb5\x2f\xfd", rb"\x04\x22\x4d\x18"
_BZ2, _XZ = rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", rb"\xfd7zXZ\x00\x00[\x00-\x0f]"

CODECS = {
    "gzip": Codec("gzip member", b"\x1f\x8b\x08", re.compile(_GZIP), _gzip_decoder, _gzip),
    "zstd": Codec("zstd frame", b"\x28\xb5\x2f\xfd", re.compile(_ZSTD), _zstd_decoder, _zstd_reader(None)),
    "lz4": Codec("lz4 frame", b"\x04\x22\x4d\x18", re.compile(_LZ4), _lz4_decoder, _lz4),
    "bz2": Codec("bz2 stream", b"BZh", re.compile(_BZ2), _bz2_decoder, _bz2),
    "xz": Codec("xz stream", b"\xfd7zXZ\x00", re.compile(_XZ), _xz_decoder, _xz),
}
