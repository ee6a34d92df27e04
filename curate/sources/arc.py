"""ARC archives, the format before WARC: one line of `URL IP date type ... length`, then as many bytes.

FastWARC does not read them. Rows and reasons are those of `curate.sources.warc`.
"""

import mmap
import re
import zlib
from collections.abc import Iterator

import pyarrow as pa

from curate.sources import File, Origin, archive, inputs
from curate.sources.archive import Record
from curate.sources.http import MAX_PAYLOAD, Damaged

MAX_MEMBER = 2 * MAX_PAYLOAD
_BLANK = re.compile(rb"[\r\n]*")
_LINE = re.compile(
    rb"(?m)^(?P<url>[a-z][a-z0-9+.-]*:.{0,8192}?) (?P<ip>\S+) (?P<date>\d{14}) (?P<type>\S+)(?: .{0,2048})? "
    rb"(?P<length>\d{1,15})\r?$\n"
)


def read(file: File, *, origin: Origin) -> Iterator[pa.Table]:
    """Document tables with the columns of ARCHIVE_SCHEMA. Damage gives rows, never an exception."""
    with inputs.opened(file) as stream:
        yield from archive.tables(records(stream), file, origin)


def records(stream) -> Iterator[Record]:
    """All records of an archive and its damaged places, in order. stream: a local file, open for reading."""
    if not stream.seek(0, 2):
        yield Record("unknown", 0, damage=Damaged("truncated", "the file is empty"))
        return
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:2] != b"\x1f\x8b":
            yield from _records(data, 0)
            return
        position = 0
        while 0 <= position < len(data):
            content, end, damage = _member(data, position)
            for record in _records(content, position):
                # What ends early does so because its member does: one row says it.
                if not (damage and record.damage):
                    yield record
            if damage:
                yield Record("unknown", position, damage=damage)
            position = data.find(b"\x1f\x8b\x08", end)


def _member(data: mmap.mmap, position: int) -> tuple[bytes, int, Damaged | None]:
    """The gzip member at `position`: what could be read, where to look for the next, and what is wrong."""
    member, at, out, size = zlib.decompressobj(31), position, [], 0
    try:
        while not member.eof:
            piece = data[at : at + (1 << 20)]
            if not piece:
                return b"".join(out), position + 1, Damaged("truncated", "the archive ends inside a record")
            at += len(piece)
            while piece and not member.eof:
                content = member.decompress(piece, 1 << 22)
                piece, size = member.unconsumed_tail, size + len(content)
                if size <= MAX_MEMBER:
                    out.append(content)
    except zlib.error as error:
        return b"".join(out), position + 1, Damaged("decompress_failed", str(error))
    problem = Damaged("too_large", f"{size} bytes in one gzip member") if size > MAX_MEMBER else None
    return b"".join(out), at - len(member.unused_data), problem


def _records(data: bytes | mmap.mmap, base: int) -> Iterator[Record]:
    """The records of plain content. base: offset of its gzip member, which is where all its records are."""
    at, plain = 0, isinstance(data, mmap.mmap)
    while at < len(data):
        at = _BLANK.match(data, at).end()
        if at == len(data):
            return
        line = _LINE.match(data, at)
        position = at if plain else base
        if line is None:
            yield Record("unknown", position, damage=Damaged("malformed_record", repr(data[at : at + 40])))
            line = _LINE.search(data, at + 1)
            at = line.start() if line else len(data)
            continue
        record, start, length = _record(line, position), line.end(), int(line["length"])
        at = start + length
        if at > len(data):
            record.damage = Damaged("truncated", f"{len(data) - start} of {length} bytes")
            following = _LINE.search(data, start)
            at = following.start() if following else len(data)
        elif length > MAX_PAYLOAD:
            record.damage = Damaged("too_large", f"{length} bytes")
        else:
            record.block = data[start:at]
            record.http = record.block.startswith(b"HTTP/")
        yield record


def _record(line: re.Match, position: int) -> Record:
    url = line["url"].decode("utf-8", "replace")
    date = line["date"].decode()
    return Record(
        "warcinfo" if url.startswith("filedesc:") else "response",
        position,
        url,
        f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z",
        content_type=line["type"].decode("latin-1"),
        meta={"ip": line["ip"].decode("latin-1")},
    )
