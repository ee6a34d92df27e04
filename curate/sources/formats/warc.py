"""WARC archives (ISO 28500, versions 0.17 to 1.1).

Plain or compressed, a frame for each record or one for all.

Documents are records of type response, resource, conversion and revisit (always rejected); other records are
counted in `origin.skipped`, and so are the logs that crawlers write into their archives (`crawler_log`). The text of
a WET archive is in `text`, the content of other archives in `payload`. Unreadable parts of a file are counted by
`origin.lose`, and a document whose header was read is still a row, with `error` in meta. Compressions: gzip, zstd,
lz4, bz2, xz.

Header fields are read as ISO 28500 defines them and as archives contain them: names in any case, white space before
the colon, continuation lines, lines that end in only a line feed, UTF-8 or else Latin-1. If a field occurs twice, the
first is used.

Reasons:
  revisit             the record only states that the content was the same as before
  truncated           the archive, the frame, or the response ends before the end of the record; or the record
                      continues in records of type continuation
  malformed_record    the record does not end where it should, or does not state where it ends
  decompress_failed   the compression of the archive is damaged
  digest_mismatch     the block does not match its WARC-Block-Digest
  bad_http            no HTTP status line
  bad_chunking        the chunks of the transfer encoding are malformed
  bad_encoding        the content encoding (gzip, deflate, br, zstd) cannot be decoded
  not_utf8            extracted text (WET) that is not UTF-8
  too_large           more than 64 MiB
  unreadable          another part of the record cannot be read
"""

import re
from collections.abc import Iterator

import pyarrow as pa

from curate.sources import File, Origin, archive
from curate.sources.format_api import Format, listed
from curate.sources.http import Damaged
from curate.sources.records import Record
from curate.sources.window import Mapped, Window

MAX_HEADER = 1 << 20
_KINDS = {"warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"}
_META = {
    b"warc-ip-address": "ip",
    b"warc-payload-digest": "payload_digest",
    b"warc-truncated": "cut_by_crawler",
    b"warc-refers-to-target-uri": "refers_to_url",
    b"warc-refers-to-date": "refers_to_date",
}
_VERSION = rb"(?i:WARC)/\d{1,3}\.[\d.]{1,12}[ \t]*+\r?\n"
_HEAD = re.compile(_VERSION)
_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]{0,8}(?i:WARC)/\d")
_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]++")
_RESPONSE = re.compile(rb"application/http\s*;.*msgtype\s*=\s*[\"']?response", re.IGNORECASE)


def read(file: File, *, origin: Origin) -> Iterator[pa.Table]:
    """Document tables with the columns of ARCHIVE_SCHEMA. Damage is told to `origin`, and never an exception."""
    yield from archive.tables(Warc(), file, origin)


class Warc:
    """How records of a WARC archive begin: see `curate.sources.records`."""

    start = re.compile(_VERSION + rb"[!-9;-~]{1,100}[ \t]*+:")
    newlines = 2

    def begins(self, plain: bytes) -> bool:
        return _BEGINS.match(plain) is not None

    def header(self, window: Window | Mapped, at: int) -> tuple[Record, int, int] | None:
        head, start = self._head(window, at)
        if head is None:
            return None
        fields = _fields(head)
        record = _record(fields, window.position(at))
        record.damage = _damage(fields, record)
        if not record.damage and record.kind != "continuation" and fields.get(b"warc-segment-number", b"").isdigit():
            record.unusable = Damaged("truncated", "it goes on in a record of the kind `continuation`")
        return record, start, 0 if record.damage else int(fields[b"content-length"])

    def _head(self, window: Window | Mapped, at: int) -> tuple[bytes | None, int]:
        """The lines of a header, and where they end: before the next version line, within MAX_HEADER."""
        size = 4096
        while True:
            whole = window.reach(at + size)
            text = window.slice(at, at + size)
            if not _HEAD.match(text):
                return None, at
            end, other = _END.search(text), self.start.search(text, 5)
            if other and (end is None or other.start() < end.start()):
                return None, at
            if end:
                return text[: end.start()], at + end.end()
            if not whole or size >= MAX_HEADER:
                return None, at
            size *= 4


def _record(fields: dict[bytes, bytes], position: int) -> Record:
    """What a header says of its record."""
    claimed = fields.get(b"content-type", b"")
    kind = _text(fields.get(b"warc-type", b"")).lower() or ("response" if _RESPONSE.match(claimed) else "")
    return Record(
        kind if kind in _KINDS else "unknown",
        position,
        url=_text(fields.get(b"warc-target-uri", b"")).strip("<> ") or None,
        date=_text(fields.get(b"warc-date")),
        record_id=_text(fields.get(b"warc-record-id")),
        content_type=_text(claimed),
        identified_type=_text(fields.get(b"warc-identified-payload-type")),
        http=_text(claimed).partition(";")[0].strip().lower() == "application/http",
        digest=_text(fields.get(b"warc-block-digest")),
        meta={name: _text(fields.get(field)) for field, name in _META.items()},
    )


def _damage(fields: dict[bytes, bytes], record: Record) -> Damaged | None:
    """Why a header does not tell what its record is, or where it ends."""
    length = fields.get(b"content-length", b"")
    if record.kind == "unknown" and not fields.get(b"warc-type"):
        return Damaged("malformed_record", "no WARC-Type")
    if not length.isdigit() or len(length) > 18:
        return Damaged("malformed_record", f"Content-Length is {_text(length)[:40]!r}")
    return None


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Header fields by name in lower case; of several of one name the first."""
    fields = {}
    for line in reversed(_FOLD.sub(b" ", head).split(b"\n")):
        name, colon, value = line.partition(b":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return fields


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


FORMAT = Format(
    "warc",
    "WARC",
    read,
    version=3,
    endings=(".warc",),
    packages=("fastwarc", "isal", "zstandard"),
    payload=True,
    begins=re.compile(rb"WARC/\d", re.IGNORECASE),
    text_share=0.15,
    reasons=listed(__doc__),
)
