"""Partitions: the pieces of a source's inputs that are read by one job each.

They come from the inputs alone, never from the number of workers: big Parquet files are cut into ranges of row groups,
small neighbours (by path) are bundled, everything else is a file a partition.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import pyarrow as pa

from curate.sources import File, Origin

BUNDLE_BYTES = 64 << 20
"""Neighbouring files are bundled up to this size on disk."""

RANGE_BYTES = 128 << 20
"""Parquet files are cut into ranges of row groups of about this size on disk."""


@dataclass(frozen=True)
class Piece:
    """A file, or some of its row groups (first, end)."""

    file: File
    rows: tuple[int, int] | None = None


@dataclass(frozen=True)
class Partition:
    """What one job reads, and how.

    options  `layout`, `columns`, `max_bad_rows` of the manifest's source
    """

    source: str
    format: str
    options: dict
    pieces: tuple[Piece, ...]

    @property
    def archive(self) -> bool:
        """Whether its documents come with payload and HTTP header, for `extract`."""
        return _module(self.format).ARCHIVE

    @property
    def identity(self) -> dict:
        """What bears on the documents: names and digests of the files, and how they are read."""
        module = _module(self.format)
        return {
            "source": self.source,
            "format": self.format,
            "version": module.VERSION,
            "packages": {name: version(name) for name in module.PACKAGES},
            "options": self.options,
            "pieces": [[piece.file.path, piece.file.digest, piece.rows] for piece in self.pieces],
        }


def partitions(source: str, format: str, options: dict, files: list[File]) -> list[Partition]:
    """Cut the files of a source (sorted by path) into partitions."""
    result, bundle, size = [], [], 0
    ranges = getattr(_module(format), "ranges", None)
    for file in files:
        pieces = [Piece(file)]
        if ranges and file.size > RANGE_BYTES:
            pieces = [Piece(file, rows) for rows in ranges(file, RANGE_BYTES)]
        alone = len(pieces) > 1 or file.size < 0
        if bundle and (alone or size + file.size > BUNDLE_BYTES):
            result.append(tuple(bundle))
            bundle, size = [], 0
        if alone:
            result += [(piece,) for piece in pieces]
        else:
            bundle += pieces
            size += file.size
    if bundle:
        result.append(tuple(bundle))
    return [Partition(source, format, options, pieces) for pieces in result]


def read(identity: dict, urls: dict[str, str], origin: Origin) -> Iterator[pa.Table]:
    """Read a partition from its identity and the addresses of its files, block by block."""
    module = _module(identity["format"])
    for path, digest, rows in identity["pieces"]:
        file = File(path, urls[path], digest=digest)
        yield from module.read(
            file, origin=origin, rows=tuple(rows) if rows else None, **identity["options"]
        )


def _module(format: str):
    return importlib.import_module(f"curate.sources.{format}")
