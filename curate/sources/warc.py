"""WARC archives, plain or compressed (gzip, lz4, zstd), read by FastWARC.

Documents are records of type response, resource, conversion and revisit (always rejected); other records are
counted in `origin.skipped`. The text of a WET archive is in `text`, what others hold in `payload`. A damaged
place gives one row without either, with its offset as position and `error` in meta; reading goes on at the
next record that can be found.

Reasons:
  revisit             the record says only that the content was the same as before
  truncated           the archive, or the response in it, ends before its end
  malformed_record    no record where one should be, or one that does not end where it says
  decompress_failed   the compression of the archive is damaged
  digest_mismatch     the block is not what its WARC-Block-Digest says
  bad_http            no HTTP status line
  bad_chunking        the chunks of the transfer encoding do not follow one another
  bad_encoding        the content encoding (gzip, deflate, br, zstd) cannot be taken off
  not_utf8            extracted text (WET) that is not UTF-8
  too_large           more than 64 MiB
"""

import mmap
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
from fastwarc.stream_io import GzipReader, Lz4Reader, ZstdReader
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from curate.sources import File, Origin, archive, compression_of, inputs
from curate.sources.archive import DOCUMENTS, Record
from curate.sources.http import MAX_PAYLOAD, Damaged

_NAMES = "warcinfo response resource request metadata revisit conversion continuation unknown"
_KINDS = {int(getattr(WarcRecordType, name)): name for name in _NAMES.split()}
_META = {
    "WARC-IP-Address": "ip",
    "WARC-Payload-Digest": "payload_digest",
    "WARC-Truncated": "cut_by_crawler",
    "WARC-Refers-To-Target-URI": "refers_to_url",
    "WARC-Refers-To-Date": "refers_to_date",
}
_START = re.compile(rb"(?<=\n)WARC/[01]\.\d")
_FRAMES = {
    "gzip": (b"\x1f\x8b\x08", GzipReader),
    "zstd": (b"\x28\xb5\x2f\xfd", ZstdReader),
    "lz4": (b"\x04\x22\x4d\x18", Lz4Reader),
}
_BLANK = re.compile(rb"[\r\n]*")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:\s*(\d+)")


def read(file: File, *, origin: Origin) -> Iterator[pa.Table]:
    """Document tables with the columns of ARCHIVE_SCHEMA. Damage gives rows, never an exception."""
    with inputs.opened(file) as stream:
        yield from archive.tables(records(stream, compression_of(file.path)), file, origin)


def records(stream: BinaryIO, compression: str | None = None) -> Iterator[Record]:
    """All records of an archive and its damaged places, in order.

    stream       a local file, open for reading.
    compression  what its name says, for a file whose first bytes are damaged.
    """
    if not stream.seek(0, 2):
        yield Record("unknown", 0, damage=Damaged("truncated", "the file is empty"))
        return
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        compression = _compression(data, compression)
        magic, reader = _FRAMES.get(compression, (None, None))
        pattern = re.compile(re.escape(magic)) if magic else _START
        start, told = 0, False  # told: this stretch of damage has its row already
        while start is not None:
            record, at, damage, ended = None, start, None, False
            stream.seek(start)
            try:
                for found in ArchiveIterator(stream, parse_http=False):
                    if record:
                        yield record
                    record, told = _record(found, None if reader else len(data)), False
                    if record.damage and record.damage.reason != "too_large":
                        break
                else:
                    ended = record is not None
                    if ended:
                        at = _unfinished(stream, record.position, compression) if reader else None
                    if at is not None:
                        damage = Damaged("truncated", "the archive ends inside a record")
            except OSError as error:
                reason = "malformed_record" if "header" in str(error).lower() else "decompress_failed"
                damage = Damaged(reason, str(error))
                if record:
                    at, problem = _end(stream, data, record.position, compression)
                    if problem:
                        record.damage, damage = problem, None
                    elif at == len(data) or (at > record.position and pattern.match(data, at)):
                        damage = None  # only blank lines too many; if not, the next round tells
            broken = record and record.damage and record.damage.reason != "too_large"
            if record:
                told = bool(broken)
                yield record
            if damage and not told:
                told = True
                yield Record("unknown", at, damage=damage)
            if ended:
                return
            found = pattern.search(data, record.position + 1 if broken else max(at, start + 1))
            start = found.start() if found else None


def _compression(data: mmap.mmap, named: str | None) -> str | None:
    """By the first bytes; where they are no frame, by the name, if there is such a frame anywhere."""
    for compression, (magic, _) in _FRAMES.items():
        if data[: len(magic)] == magic:
            return compression
    if data[1:4] == b"\x2a\x4d\x18":  # a frame with the dictionary of those that follow
        return "zstd"
    return named if named in _FRAMES and data.find(_FRAMES[named][0]) >= 0 else None


def _record(found: WarcRecord, size: int | None) -> Record:
    """What FastWARC found, as a record. size: of the archive, where it is not compressed."""
    headers, kind = found.headers, _KINDS.get(int(found.record_type), "unknown")
    if kind == "unknown":
        stated = headers.get("WARC-Type", "").strip().lower()
        kind = stated if stated in DOCUMENTS else kind
    length, stated = found.content_length, headers.get("Content-Length", "")
    url = headers.get("WARC-Target-URI", "").strip("<> ") or None
    record = Record(kind, found.stream_pos, url, headers.get("WARC-Date"), headers.get("WARC-Record-ID"))
    if kind == "unknown" and not headers.get("WARC-Type"):
        record.damage = Damaged("malformed_record", "no WARC-Type")
    elif not stated.strip().isdigit():
        record.damage = Damaged("malformed_record", f"Content-Length is {stated!r}")
    elif size is not None and found.stream_pos + length > size:
        record.damage = Damaged("truncated", f"{length} bytes do not fit the archive")
    if record.damage:
        return record
    try:
        wanted = kind in DOCUMENTS and length <= MAX_PAYLOAD
        record.block = found.reader.read(length) if wanted and length else b""
        got = len(record.block) if wanted else found.consume()
    except OSError as error:
        record.damage = Damaged("decompress_failed", str(error))
        return record
    if got < length:
        record.damage = Damaged("truncated", f"{got} of {length} bytes")
    elif kind in DOCUMENTS:
        if not wanted:
            record.damage = Damaged("too_large", f"{length} bytes")
        record.content_type = headers.get("Content-Type", "")
        record.http = found.is_http or (kind == "response" and record.block.startswith(b"HTTP/"))
        record.digest = headers.get("WARC-Block-Digest")
        record.meta = {name: headers.get(header) for header, name in _META.items()}
    return record


def _end(stream: BinaryIO, data: mmap.mmap, position: int, compression: str | None) -> tuple[int, Damaged | None]:
    """Where the record at `position` ends, when FastWARC has read it and failed on what follows; and what is
    wrong with that record itself, if it is the one that does not end where it says."""
    magic, reader = _FRAMES.get(compression, (b"", None))
    if data[position : position + len(magic)] != magic:
        return position, None  # the archive is one frame: there is no coming back to a record
    stream.seek(position)
    source = reader(stream) if reader else stream
    try:
        head = b""
        while not head.endswith((b"\r\n\r\n", b"\n\n")) and (byte := source.read(1)):
            head += byte  # no byte more than was read before, for the next may be one that cannot be read
        stated = _LENGTH.search(head)
        left = length = int(stated[1]) if stated else 0
        while left > 0 and (piece := source.read(min(left, 1 << 20))):
            left -= len(piece)
        if source.read(4).strip(b"\r\n"):
            return position, Damaged("malformed_record", "it does not end where its Content-Length says")
        if reader is None:
            return _BLANK.match(data, position + len(head) + length).end(), None
        source.read(1)
    except OSError as error:
        if source.frame_start_position() == position and "descriptor" not in str(error):
            return position, Damaged("decompress_failed", str(error))
    following = re.compile(re.escape(magic)).search(data, position + 1)
    end = following.start() if following else len(data)
    try:
        pa.CompressedInputStream(pa.py_buffer(data[position:end]), compression).read()
    except OSError:  # something else lies between this frame and the next
        return position, None
    return end, None


def _unfinished(stream: BinaryIO, position: int, compression: str) -> int | None:
    """Offset of the frame that the archive ends inside, if it does: FastWARC may say nothing of it.

    position  of the last record.
    """
    magic, reader = _FRAMES[compression]
    stream.seek(position)
    if stream.read(len(magic)) != magic:
        return None
    with os.fdopen(os.dup(stream.fileno()), "rb") as copy:  # Arrow closes what it reads
        copy.seek(position)
        source = pa.CompressedInputStream(pa.PythonFile(copy), compression)
        try:
            while source.read(1 << 20):
                pass
            return None
        except OSError:
            stream.seek(position)
    frames = reader(stream)
    try:
        while frames.read(1 << 20):
            pass
    except OSError:
        pass
    return frames.frame_start_position()
