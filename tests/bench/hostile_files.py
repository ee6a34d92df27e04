"""Files that are made to hold a reader up, in each format and compressed in every way it knows."""

import bz2
import gzip
import json
import lzma
import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from curate.sources import COMPRESSIONS
from curate.sources.layouts import LAYOUTS


def record(url: str, block: bytes, more: bytes = b"", conversion: bool = False) -> bytes:
    """A WARC record of an HTTP response, or of a text."""
    kind, media = "response", b"application/http; msgtype=response"
    kind, media = ("conversion", b"text/plain") if conversion else (kind, media)
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:{url}>\r\n".encode()
    head += b"Content-Type: %b\r\nContent-Length: %d\r\n" % (media, len(block))
    return head + more + b"\r\n" + block + b"\r\n\r\n"


def archives(size: int) -> dict[str, bytes]:
    """Hostile WARC archives, plain and compressed, by the ends of their names."""
    page, chance = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", random.Random(0)
    small, member = gzip.compress(record("http://e/", page + b"\r\na")), gzip.compress(b"")
    noise = chance.randbytes(size)
    frame = gzip.compress(record("http://e/", page + b"\r\n" + noise[: size // 2]))
    chunks = page + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (size // 6) + b"0\r\n\r\n"
    text = b"a " * (size // 2)
    deep = zlib.compress(bytes(500 * size), 9)[: 2 * size]
    return {
        "records.warc.gz": small * (size // len(small)),
        "members.warc.gz": small + member * (size // len(member)),
        "restarts.warc.gz": small + (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xed\xc0") * (size // 12),
        "damage.warc.gz": small + bytes(byte ^ (place % 97 == 5) for place, byte in enumerate(frame)) * 2,
        "headers.warc": record("http://e/", page + b"\r\na", b"X: y\r\n" * (size // 6)),
        "fields.warc": record("http://e/", page + b"X: y\r\n" * (size // 6) + b"\r\na"),
        "folds.warc": record("http://e/", page + b"\r\na", b"X: y\r\n" + b" z\r\n" * (size // 4)),
        "versions.warc": b"WARC/1.0\r\n" * (size // 10),
        "starts.warc": b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 9999999\r\n\r\n" * (size // 59),
        "newlines.warc": b"\r\n" * (size // 2),
        "chunks.warc": record("http://e/", chunks),
        "codings.warc": record("http://e/", page + b"Content-Encoding: " + b"gzip, " * (size // 6) + b"gzip\r\n\r\na"),
        "expands.warc": record("http://e/", page + b"Content-Encoding: deflate\r\n\r\n" + deep),
        "noise.warc": noise,
        "one.warc.wet": record("http://e/", text, conversion=True),
        "records.warc.wet": record("http://e/", b"a", conversion=True) * (size // 150),
        "halves.warc.wet": record("http://e/", b"\xed\xa0\x80" * (size // 3), conversion=True),
        "lines.arc": b"http://e/ 1.1.1.1 20250101000000 text/html 1\na\n" * (size // 48),
        "spaces.arc": b"http:" + b" 202501010000001" * (size // 16),
        "one.arc": b"http:a" * (size // 6),
    }


def rows(size: int) -> dict[str, bytes]:
    """Hostile JSON lines."""
    text = json.dumps({"text": "x" * size}).encode()
    return {
        "line.jsonl": text,
        "letters.jsonl": b"x" * size,
        "deep.jsonl": b"[" * size,
        "objects.jsonl": b'{"a":' * (size // 5),
        "empty.jsonl": b"{}\n" * (size // 3),
        "blank.jsonl": b"\n" * size,
        "tiny.jsonl": b'{"text":"a"}\n' * (size // 13),
        "halves.jsonl": b'{"text":"' + b"\\ud800" * (size // 6) + b'"}\n',
        "keys.jsonl": b'{"text":"a",' + b",".join(b'"%d":0' % number for number in range(size // 9)) + b"}\n",
        "arrays.jsonl": b'{"text":"a","x":[' + b"[]," * (size // 3) + b"0]}\n",
        "number.jsonl": b'{"text":"a","x":' + b"9" * size + b"}\n",
        "quotes.jsonl": b'"' * size,
        "escapes.jsonl": b'{"text":"' + b"\\" * size,
        "strings.jsonl": json.dumps({"text": "a", "meta": '{"a":' + "[]," * (size // 4)}).encode() + b"\n",
        "inner.jsonl": json.dumps({"text": "a", "metadata": '{"url":"' + "\\" * (size // 2)}).encode() + b"\n",
    }


def values(size: int) -> dict[str, bytes]:
    """Hostile JSON files that are no JSON lines."""
    return {
        "brackets.json": b"[" * size,
        "closers.json": b"[]}" * (size // 3),
        "elements.json": b"[" + b"0," * (size // 2) + b"0]",
        "objects.json": b'{\n"a":' * (size // 6),
        "rows.json": b"[" + b'{"text":"a"},' * (size // 13) + b"{}]",
        "quotes.json": b"[" + b'"' * size,
        "escapes.json": b'[{"text":"' + b"\\" * size,
        "string.json": b'[{"text":"' + b"x" * size,
        "commas.json": b"[" + b"," * size + b"]",
        "words.json": b"[\n" + b"x\n" * (size // 2),
    }


def plain(size: int) -> dict[str, bytes]:
    """Hostile tables in text, texts and pages."""
    return {
        "commas.csv": b"text,a\n" + b"," * size,
        "quotes.csv": b"text\n" + b'"' * size,
        "open.csv": b"text\n" + b'"\n' * (size // 2),
        "fields.csv": b"text\n" + b'"a\n",' * (size // 5),
        "names.csv": b",".join(b"%d" % number for number in range(size // 8)) + b",text\n" + b"," * (size // 8),
        "tiny.csv": b"text\n" + b"a\n" * (size // 2),
        "blank.tsv": b"text\n" + b"\n" * size,
        "letters.txt": b"x" * size,
        "zeros.txt": b"\0" * size,
        "bytes.txt": b"\xff" * size,
        "tags.html": b"<p>" * (size // 3),
    }


CONTENTS = {
    "json": b'[{"text":"a"}]',
    "csv": b"text\na\n",
    "txt": b"a\n",
    "html": b"<p>a</p>",
    "jsonl": b'{"text":"a"}\n',
    "warc": record("http://e/", b"HTTP/1.1 200 OK\r\n\r\na"),
    "arc": b"http://e/ 1.1.1.1 20250101000000 text/html 1\na\n",
    "warc.wet": record("http://e/", b"a", conversion=True),
}


def compressed(format: str, size: int) -> dict[str, bytes]:
    """Hostile files of lines or of records, compressed in each way there is."""
    found, content = {}, CONTENTS[format]
    for ending, name in COMPRESSIONS.items():
        pack = PACKED[name]
        empty, noise = pack(b""), random.Random(ending).randbytes(size)
        one, kind = pack(content), f".{format}{ending}"
        found["units" + kind] = one * (size // len(one))
        found["empty" + kind] = one + empty * (size // len(empty))
        found["starts" + kind] = one + (empty[:10] + b"\xed\xc0") * (size // 12)
        found["openings" + kind] = one + empty[:4] * (size // 4)
        found["noise" + kind] = one[:20] + noise
        found["damage" + kind] = _damaged(pack, content, noise[: 1 << 19]) * max(size >> 19, 1)
        found["zeros" + kind] = pack(content + bytes(20 * size))
    return found


def _damaged(pack: Callable, content: bytes, noise: bytes) -> bytes:
    """A unit with damage every thousand bytes. How much of it can be read is chance, so that a larger file has more of
    the same."""
    whole = bytearray(pack(content * (len(noise) // 99) + noise[: len(noise) // 2]))
    whole[100::997] = bytes(byte ^ 255 for byte in whole[100::997])
    return bytes(whole)


PACKED = {
    "gzip": partial(gzip.compress, mtime=0),
    "zstd": zstandard.compress,
    "bz2": bz2.compress,
    "lz4": lz4.frame.compress,
    "xz": lzma.compress,
}


UNPACK = (gzip.decompress, zstandard.decompress, bz2.decompress, lz4.frame.decompress, lzma.decompress)


def plain_size(content: bytes) -> int:
    """Bytes of a file once it is decompressed, where it is sound and all of it is; else as it lies on disk."""
    for unpack in UNPACK:
        with suppress(Exception):  # of another compression, or damaged
            return max(len(unpack(content)), len(content))
    return len(content)


def tables(size: int, folder: Path) -> dict[str, bytes]:
    """Hostile Parquet files."""
    found, path = {}, folder / "made.parquet"
    groups, columns = size // 150, size // 300
    shapes = {
        "groups": (pa.table({"text": ["a"] * groups}), {"row_group_size": 1}),
        "twice": (pa.table([["a"]] * columns, ["text", *["x"] * (columns - 1)]), {}),
        "fields": (pa.table({"text": ["a"], "x": _struct(columns)}), {}),
        "inside": (pa.table({"text": ["a"] * columns, "x": [_inside(30)] * columns}), {}),
        "same": (pa.table({"text": ["x" * 9999] * (size // 100)}), {}),
        "lists": (pa.table({"text": ["a"], "x": [[0] * (size // 4)]}), {"use_dictionary": False}),
        "columns": (pa.table({"text": ["a"]} | {f"c{n}": [n] for n in range(columns)}), {}),
        "described": (pa.table({"text": ["a"] * columns, "x": [["x", None]] * columns}), {"row_group_size": 1}),
        "noise": (pa.table({"text": [random.Random(0).randbytes(size)]}), {}),
    }
    for name, (table, options) in shapes.items():
        pq.write_table(table, path, **options)
        found[f"{name}.parquet"] = path.read_bytes()
    sound = found["same.parquet"]
    optional = b"\x25\x02\x18\x07element"
    found["described.parquet"] = found["described.parquet"].replace(optional, optional.replace(b"\x02", b"\x00"))
    found["damaged.parquet"] = sound[:200] + random.Random(1).randbytes(size) + sound[-2000:]
    return found


def _struct(count: int) -> pa.Array:
    """A struct of so many fields of one name."""
    return pa.StructArray.from_arrays([pa.array([1])] * count, ["a"] * count)


def _inside(levels: int) -> list:
    """A list in a list, so many levels deep."""
    return [_inside(levels - 1)] if levels else []


LAID_OUT = dict.fromkeys(("strings.jsonl", "inner.jsonl", "arrays.jsonl"), (None, *LAYOUTS))
"""{file: layouts to read it by}, where not by the names of columns alone."""


def files(name: str, size: int, folder: Path) -> dict[str, bytes]:
    """The hostile files of a kind, by name."""
    return tables(size, folder) if name == "tables" else READERS[name](size)


READERS = {"archives": archives, "rows": rows, "values": values, "plain": plain, "tables": tables}
READERS |= {f"compressed_{format}": partial(compressed, format) for format in CONTENTS}
