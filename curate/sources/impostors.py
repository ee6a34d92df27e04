"""Detect files that are not what they are called: Git LFS pointers, error and sign-in pages."""

import re
import zlib
from contextlib import suppress
from typing import NamedTuple

from curate.sources.format_api import Format, find_format, formats

HEAD = 1024
"""First bytes of a file that are looked at."""

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"/annex/objects/|\.git/annex/")
_LINK = re.compile(rb"(?:\.\./)+[^\0\n]{1,400}")
_OTHERS = [
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), "a zip file", "unpack it"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar file", "unpack it"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07"), "a 7z or RAR file", "unpack it"),
    (re.compile(rb"\x1f\x8b\x08"), "compressed twice", "decompress it once"),
    (re.compile(rb"\x1f[\x9d\xa0]"), "a `compress` file", "decompress it with `gzip -d`"),
    (re.compile(rb"\x02\x21\x4c\x18"), "an lz4 file in the legacy format", "decompress it with `lz4 -d`"),
    (re.compile(rb"\x5d\0\0[\0-\x80][\0-\x08](?:\xff{8}|.{4}\0{4})", re.DOTALL), "an .lzma file", "unpack it: `xz -d`"),
    (re.compile(rb"\xff\x06\0\0sNaPpY"), "compressed with Snappy", "decompress it"),
    (re.compile(rb"%PDF-"), "a PDF", "extract its text into rows"),
    (re.compile(rb"ARROW1\0\0"), "an Arrow file", "write it as Parquet"),
    (re.compile(rb"\xff{4}.{3}\0\x10\0\0\0", re.DOTALL), "an Arrow stream", "write it as Parquet"),
    (re.compile(rb"Obj\x01"), "an Avro file", "write it as Parquet"),
    (re.compile(rb"ORC[^\x20-\x7e]"), "an ORC file", "write it as Parquet"),
    (re.compile(rb"SQLite format 3\0"), "an SQLite database", "write its rows as Parquet"),
    (re.compile(rb"\x89HDF\r\n|\x93NUMPY"), "a NumPy or HDF5 file", "write its rows as Parquet"),
]
"""Files of another format: what begins so is neither rows nor an archive, whatever it is called."""

_CODE = re.compile(rb"<Code>([\w.-]{1,60})</Code>")
_PAGE = re.compile(rb"<(?:(?:!doctype\s+html|html|head|body|title|meta|script)\b|!--)", re.IGNORECASE)


class Impostor(NamedTuple):
    """What a file is in place of data, and what to do."""

    what: str
    fix: str


def impostor(head: bytes, kind: str | None = None) -> Impostor | None:
    """What a file is, if it cannot be one of rows or archives. Plain code on a few bytes.

    head  its first bytes, at least some hundred
    kind  the format that is expected of it, if one is known
    """
    if head.startswith(b"\x1f\x8b"):
        packed, head = head, b""  # where it is damaged, reading it will tell
        with suppress(zlib.error):
            head = zlib.decompressobj(31).decompress(packed, 1024)
    expected = find_format(kind) if kind else None
    holds = expected.holds if expected else "records"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if pointer := _pointer(head, text):
        return pointer
    if holds == "anything":
        return None
    if text.startswith(b"<") and holds != "text":
        return _markup(text)
    for pattern, what, fix in _OTHERS:
        if pattern.match(head):
            return Impostor(f"{what}, not data", fix)
    if expected is None or holds == "text" or (expected.begins and expected.begins.match(text)):
        return None
    return _other_format(text, expected)


def _pointer(head: bytes, text: bytes) -> Impostor | None:
    """What stands in place of a file that is kept elsewhere."""
    if text.startswith(_LFS):
        return Impostor("a Git LFS pointer, not the data", "run `git lfs pull` in its clone")
    if len(head) < 512 and _ANNEX.search(head) and text.startswith((b"/annex", b"../", b".git")):
        return Impostor("a git-annex pointer, not the data", "run `git annex get` or `datalad get` in its clone")
    if len(head) < 512 and _LINK.fullmatch(head):
        return Impostor(
            "the text of a link, not what it points to", "fetch or clone it on a file system that supports links"
        )
    return None


def _markup(text: bytes) -> Impostor:
    if _PAGE.match(text):
        fix = "fetch it again: this is an error or a sign-in page; for a folder of pages, set `format: html`"
        return Impostor("an HTML page, not data", fix)
    code = _CODE.search(text)
    what = f"an object store error ({code[1].decode()})" if code else "XML"
    return Impostor(f"{what}, not data", "fetch it again")


def _other_format(text: bytes, expected: Format) -> Impostor | None:
    """Which other format a file begins as."""
    found = [one for one in formats().values() if one.begins and one.begins.match(text)]
    if not found:
        return None
    told = next((one for one in found if one.recognizes and one.recognizes(text)), found[0])
    what = f"{told.title} where {expected.title} was expected"
    return Impostor(what, f"fetch it again, or set `format: {told.name}`")
