"""Partitions: the pieces of a source's inputs that are read by one job each.

They come from the inputs alone, never from the number of workers: big Parquet files are cut into ranges of row groups,
small neighbours (by path) are bundled, everything else is a file a partition.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from inspect import signature
from itertools import groupby

import pyarrow as pa

from curate.errors import CurateError, Stopped, refusal
from curate.sources import File, Origin, reader_of
from curate.sources.stores import unchanged

BUNDLE_BYTES = 64 << 20
"""Neighbouring files are bundled up to this size on disk."""

RANGE_BYTES = 128 << 20
"""Parquet files are cut into ranges of row groups of about this size on disk."""


@dataclass(frozen=True)
class Reader:
    """A format as the engine sees it.

    version   raised when the same file no longer gives the same documents
    packages  distributions whose version affects them
    archive   whether documents come as payload and HTTP header, for `extract`
    """

    version: int
    packages: tuple[str, ...] = ()
    archive: bool = False


READERS = {
    "warc": Reader(3, ("fastwarc", "isal", "zstandard"), archive=True),
    "arc": Reader(3, ("fastwarc", "isal", "zstandard"), archive=True),
    "wet": Reader(3, ("fastwarc", "isal", "zstandard")),
    "jsonl": Reader(3),
    "parquet": Reader(3),
}


@dataclass(frozen=True)
class Piece:
    """A file, or some of its row groups (first, end)."""

    file: File
    rows: tuple[int, int] | None = None


@dataclass(frozen=True)
class Partition:
    """What one job reads, and how.

    options  of the manifest's source, as far as the format has them
    """

    source: str
    format: str
    options: dict
    pieces: tuple[Piece, ...]

    @property
    def archive(self) -> bool:
        """Whether its documents come with payload and HTTP header, for `extract`."""
        return READERS[self.format].archive

    @property
    def identity(self) -> dict:
        """What affects the documents: names and digests of the files, and how they are read."""
        reader = READERS[self.format]
        return {
            "source": self.source,
            "format": self.format,
            "version": reader.version,
            "packages": {name: version(name) for name in reader.packages},
            "options": self.options,
            "pieces": [[piece.file.path, piece.file.digest, piece.rows] for piece in self.pieces],
        }


def partitions(source: str, format: str | None, options: dict, files: list[File]) -> list[Partition]:
    """Cut the files of a source (sorted by path) into partitions. Without a format each file's name tells its own."""
    result: list[Partition] = []
    bundle: list[Piece] = []
    kinds = [reader_of(file.path, format).__name__.rpartition(".")[2] for file in files]

    def close(kind: str) -> None:
        if bundle:
            taken = signature(_module(kind).read).parameters
            chosen = {name: value for name, value in options.items() if name in taken}
            result.append(Partition(source, kind, chosen, tuple(bundle)))
            bundle.clear()

    for kind, neighbours in groupby(zip(kinds, files, strict=True), key=lambda pair: pair[0]):
        for _, file in neighbours:
            ranges = file.size > RANGE_BYTES and getattr(_module(kind), "ranges", None)
            pieces = [Piece(file, rows) for rows in ranges(file, RANGE_BYTES)] if ranges else []
            pieces = pieces or [Piece(file)]  # a file without row groups, or that cannot be read, too is read
            size = sum(max(piece.file.size, 0) for piece in bundle)
            alone = len(pieces) > 1 or file.size < 0
            if alone or size + file.size > BUNDLE_BYTES:
                close(kind)
            for piece in pieces:
                bundle.append(piece)
                if alone:
                    close(kind)
        close(kind)
    return result


def read(identity: dict, files: dict[str, File], origin: Origin) -> Iterator[pa.Table]:
    """Read a partition from its identity, block by block. files: where they lie, by path.

    Raises Stopped where a file is no longer what was planned. An error shows no secret of an address.
    """
    module = _module(identity["format"])
    for path, digest, rows in identity["pieces"]:
        options = dict(identity["options"]) | ({"rows": tuple(rows)} if rows else {})
        file = replace(files[path], digest=digest)
        try:
            yield from module.read(file, origin=origin, **options)
        except CurateError as error:
            error.what, error.where = (text.replace(file.url, file.shown) for text in (error.what, error.where))
            error.args = (error.what, error.where, error.fix)
            raise
        except Exception as error:
            if isinstance(error, OSError | MemoryError) or isinstance(refusal(error), Stopped):
                raise
            said = f"{type(error).__name__}: {error}".replace(file.url, file.shown)
            why = f"its reader failed, and what was read before that is used; {said[:300]}"
            origin.lose(path, 0, max(file.size, 1), why)
        unchanged(file)


def _module(format: str):
    return importlib.import_module(f"curate.sources.{format}")
