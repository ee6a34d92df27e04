"""Check how large the pages of a Parquet file are before any is decoded.

A dictionary makes a few hundred bytes into gigabytes of rows. What a file says of itself in its footer need not be
true, so the headers of the pages are read (Thrift's compact protocol, as the Parquet format has it).
"""

import os
from itertools import islice

import pyarrow as pa

MAX_PAGE = 256 << 20
"""Bytes of a page, decompressed, from which on it must not be compressed more than MAX_RATIO times."""

MAX_RATIO = 100
MISTAKES = 16
"""Row groups of a file that may be described wrongly before all after them count as such."""

_DICTIONARY = 2
_SCANNED = 16 << 20


class TooLarge(Exception):
    """A page that would take more memory than its file is worth."""


def longest(stream: pa.NativeFile, chunk, whole: bool, enough: int) -> int:
    """Bytes of the longest value in the dictionary of a column chunk; 0 where it has none.

    chunk   its metadata
    whole   look at all its pages, not at the first alone
    enough  the size of a dictionary that need not be looked into: its size counts as that of its longest value

    Raises TooLarge.
    """
    found = 0
    for kind, size, compressed, count, place in islice(_pages(stream, chunk), None if whole else 1):
        if size > MAX_PAGE and size > MAX_RATIO * compressed:
            raise TooLarge(f"a page of {compressed:,} bytes that expands to {size:,} bytes")
        if kind == _DICTIONARY and chunk.physical_type == "BYTE_ARRAY":
            found = size
            if enough < size <= _SCANNED:
                found = _longest(stream.read_at(compressed, place), size, count, chunk.compression)
    return found


def well_described(metadata, first: int, last: int) -> list[bool]:
    """Of each row group from `first` to `last` (exclusive), whether the footer describes its columns so that Arrow can
    hand that out. Where not, Arrow ends the process: so another one asks, which is lost in its place. Of a file that
    describes MISTAKES wrongly, the others are not asked for."""
    found: list[bool] = []
    while first + len(found) < last:
        if found.count(False) == MISTAKES:
            return found + [False] * (last - first - len(found))
        read, write = os.pipe()
        if not (child := os.fork()):
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                for group in range(first + len(found), last):
                    about = metadata.row_group(group)
                    for column in range(about.num_columns):
                        about.column(column)
                    os.write(write, b".")
            finally:
                os._exit(0)
        os.close(write)
        with open(read, "rb") as told:
            found += [True] * len(told.read())
        os.waitpid(child, 0)
        if first + len(found) < last:
            found.append(False)
    return found


def extent(chunk) -> tuple[int, int]:
    """Where a column chunk begins and ends, in bytes of the file."""
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
    start = chunk.data_page_offset if start is None else min(start, chunk.data_page_offset)
    return start, start + chunk.total_compressed_size


def _pages(stream: pa.NativeFile, chunk):
    """(kind, bytes, bytes compressed, values of a dictionary, place of the content) of each page."""
    place, end = extent(chunk)
    while place < end:
        header, length = _header(stream, place)
        kind, size, compressed = (header.get(field) for field in (1, 2, 3))
        about = header.get(7, {})
        count = about.get(1, 0) if isinstance(about, dict) else None
        if not all(isinstance(value, int) and value >= 0 for value in (kind, size, compressed, count)):
            raise pa.ArrowInvalid(f"no page header at byte {place:,}")
        yield kind, size, compressed, count, place + length
        place += length + compressed


def _header(stream: pa.NativeFile, place: int) -> tuple[dict, int]:
    for count in (1 << 10, 1 << 16, 1 << 24):
        try:
            data = stream.read_at(count, place)
            return _struct(data, 0)
        except IndexError:
            if len(data) < count:
                break
    raise pa.ArrowInvalid(f"no page header at byte {place:,}")


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict, int]:
    """The integers and structs of a Thrift struct by the number of their field, and where it ends."""
    if depth > 8:
        raise pa.ArrowInvalid("a page header is nested too deep")
    fields, number = {}, 0
    while mark := data[at]:
        at += 1
        kind, step = mark & 15, mark >> 4
        if step:
            number += step
        else:
            raw, at = _varint(data, at)
            number = raw >> 1 ^ -(raw & 1)
        if kind in (4, 5, 6):
            raw, at = _varint(data, at)
            fields[number] = raw >> 1 ^ -(raw & 1)
        elif kind == 12:
            fields[number], at = _struct(data, at, depth + 1)
        elif kind == 8:
            length, at = _varint(data, at)
            at += length
        elif kind in (3, 7):
            at += 1 if kind == 3 else 8
        elif kind not in (1, 2):
            raise pa.ArrowInvalid(f"a page header contains a field of type {kind}")
    return fields, at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128 or shift > 63:
            return value, at


def _longest(content: bytes, size: int, count: int, compression: str) -> int:
    if compression != "UNCOMPRESSED":
        try:
            name = {"LZ4": "lz4_raw"}.get(compression, compression.lower())
            content = pa.Codec(name).decompress(content, size, asbytes=True)
        except (pa.ArrowException, OSError, ValueError):
            return size
    at = found = 0
    for _ in range(count):
        length = int.from_bytes(content[at : at + 4], "little")
        found, at = max(found, length), at + 4 + length
        if at >= len(content):
            break
    return min(found, size)
