"""Archives of numbered records, and what was read of them."""

import bz2
import gzip
import hashlib
import lzma
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from curate.sources import File, Origin
from curate.sources.formats import arc, warc

COMPRESS = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    ".lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
SUMS = {".gz", ".zst", ".bz2", ".xz"}
"""Compressions that find any damage out; the others have no checksum here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


def body(number: int) -> bytes:
    """Text, or bytes that do not compress, so that they lie in the file as they are."""
    noise = b"".join(hashlib.sha256(b"%d %d" % (number, i)).digest() for i in range(8))
    return b"<p>page %d " % number + (noise if number % 3 else noise.hex().encode())


def record(number: int, kind: str = "response", block: bytes | None = None, version: str = "WARC/1.0") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body(number) if block is None else block
    head = (
        f"{version}\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://site.example/{number}\r\n"
        f"WARC-Record-ID: <urn:uuid:{number:032x}>\r\nContent-Type: application/http; msgtype={kind}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def arc_record(number: int) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body(number)
    return b"http://site.example/%d 10.0.0.1 20080430204825 text/html %d\n" % (number, len(block)) + block + b"\n"


def read(folder: Path, data: bytes, name: str) -> tuple[list[dict], Origin]:
    (folder / name).write_bytes(data)
    origin = Origin("test")
    reader = arc if ".arc" in name else warc
    tables = reader.read(File(name, str(folder / name)), origin=origin)
    found = [row for table in tables for row in table.to_pylist()]
    assert len({row["id"] for row in found}) == len(found)
    assert all(row["payload"] is None and row["text"] is None for row in found if row["reject"])
    assert origin.of(name).lost <= len(data)
    return found, origin


def sound(found: list[dict]) -> Counter:
    return Counter(row["payload"] for row in found if row["reject"] is None)
