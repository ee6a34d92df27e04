"""Parse HTTP responses in archives: header, body, transfer and content encodings.

Archivers often take a transfer or content encoding off and leave the header that names it. So a body that
does not begin as its encoding would is taken as it is.
"""

import io
import re
import zlib
from dataclasses import dataclass

from fastwarc.stream_io import BrotliReader, ZstdReader

MAX_PAYLOAD = 64 << 20
"""Bytes. A larger body is not read: one document must fit a worker many times over."""

MAX_HEADER = 1 << 20
_PIECE, MAX_PIECE = 8 << 10, 1 << 20


class Damaged(Exception):
    """A record that cannot be used: `reason` as in `curate.sources.formats.warc`, and what was found."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(slots=True)
class Response:
    """kind: media type. codings: in the order they were applied in. The rest as in the document table."""

    body: bytes
    status: int
    kind: str | None
    charset: str | None
    robots: str | None
    codings: list[str]


_STATUS = re.compile(rb"HTTP/\d(?:\.\d+)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_FIELDS = re.compile(
    rb"(?im)^(content-type|content-encoding|transfer-encoding|x-robots-tag|tdm-reservation)"
    rb"[ \t]*:[ \t]*([^\r\n]*)"
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)
_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]++")


def parse(block: bytes) -> Response:
    """Split a response into header and body. Raises Damaged `bad_http` where it has no status line."""
    line = _STATUS.match(block)
    if line is None:
        raise Damaged("bad_http", f"no status line: {block[:40]!r}")
    end = _END.search(block, 0, MAX_HEADER)
    if end is None and len(block) > MAX_HEADER:
        raise Damaged("bad_http", f"header longer than {MAX_HEADER} bytes")
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    head = _FOLD.sub(b" ", head)
    fields: dict[str, list[str]] = {}
    for name, value in _FIELDS.findall(head):
        fields.setdefault(name.decode().lower(), []).append(value.decode("latin-1").strip())
    kind, charset = media_type(fields.get("content-type", [""])[-1])
    robots = [f"{n}: {v}" for n in ("x-robots-tag", "tdm-reservation") for v in fields.get(n, ())]
    codings = ",".join(fields.get("content-encoding", []) + fields.get("transfer-encoding", []))
    codings = [name.strip().lower() for name in codings.split(",")] if codings else []
    return Response(body, int(line[1]), kind, charset, "\n".join(robots) or None, codings)


def media_type(value: str) -> tuple[str | None, str | None]:
    """Media type and charset of a Content-Type, both lower case."""
    charset = _CHARSET.search(value)
    return value.partition(";")[0].strip().lower() or None, charset[1].lower() if charset else None


def decode(body: bytes, codings: list[str], limit: int = MAX_PAYLOAD) -> bytes:
    """Take the encodings off a body, last applied first. Names that are no encoding are passed over.

    Raises Damaged: bad_chunking, bad_encoding, truncated, or too_large for more than `limit` bytes.
    """
    for coding in reversed(codings):
        if take_off := _DECODERS.get(coding):
            body = take_off(body, limit)
            if len(body) > limit:
                raise Damaged("too_large", f"more than {limit} bytes once decoded")
    return body


_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


def _dechunk(body: bytes, limit: int) -> bytes:
    at, pieces = 0, []
    while at < len(body):
        size = _CHUNK.match(body, at)
        if size is None:
            if not pieces:
                return body
            tail = body[at : at + 40]
            cut = re.fullmatch(rb"[ \t]*[0-9a-fA-F]*[ \t]*(;[^\r\n]*)?\r?", tail)
            raise Damaged("truncated" if cut else "bad_chunking", f"no chunk size at byte {at} of the body: {tail!r}")
        start, length = size.end(), int(size[1], 16)
        if length == 0:
            return b"".join(pieces)
        if start + length > len(body):
            raise Damaged("truncated", f"the chunk at byte {at} of the body ends early")
        pieces.append(body[start : start + length])
        at = start + length
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)
    if not pieces:
        return body
    raise Damaged("truncated", "the last chunk is missing")


def _gunzip(body: bytes, limit: int) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    out, size, at = [], 0, 0
    while body.startswith(b"\x1f\x8b", at):  # members may follow one another; what else follows is padding
        member = zlib.decompressobj(31)
        while not member.eof:
            piece = member.unconsumed_tail or body[at : at + _PIECE]  # of a few KiB, for there may be many members
            at += 0 if member.unconsumed_tail else len(piece)
            out.append(_inflate(member, piece, min(limit + 1 - size, MAX_PIECE), final=not piece))
            size += len(out[-1])
            if size > limit:
                return b"".join(out)
        at -= len(member.unused_data)
    return b"".join(out)


def _deflate(body: bytes, limit: int) -> bytes:
    for bits in (15, -15):  # servers send either: with zlib's header, or bare
        try:
            return _inflate(zlib.decompressobj(bits), body, limit + 1)
        except Damaged as damage:
            problem = damage
    return _as_is(body, problem)


def _inflate(stream, body: bytes, limit: int, final: bool = True) -> bytes:
    try:
        data = stream.decompress(body, limit)
    except zlib.error as error:
        raise Damaged("bad_encoding", str(error)) from None
    if final and not stream.eof and len(data) < limit:
        raise Damaged("truncated", "the compressed body ends early")
    return data


def _through(reader):
    def take_off(body: bytes, limit: int) -> bytes:
        try:
            return reader(io.BytesIO(body)).read(limit + 1)
        except OSError as error:
            return _as_is(body, Damaged("bad_encoding", str(error)))

    return take_off


def _as_is(body: bytes, problem: Damaged) -> bytes:
    """The body where it is a page that only claims to be compressed."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return body
    raise problem


_DECODERS = {
    "chunked": _dechunk,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _deflate,
    "br": _through(BrotliReader),
    "zstd": _through(ZstdReader),
}
