"""Cut a source's inputs into partitions, each read by one job.

They come from the inputs alone, never from the number of workers: big Parquet files are cut into ranges of row groups,
small neighbours (by path) are bundled, everything else is a file a partition.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

import pyarrow as pa

from curate.errors import CurateError, Stopped, refusal
from curate.sources import File, Origin, picture_files
from curate.sources.format_api import MAPPING, Format, find_format, format_for
from curate.sources.picture_files import Pictures, with_pictures
from curate.sources.row_mapping import mapping
from curate.sources.stores import unchanged

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

    options   of the manifest's source, as far as the format has them
    pictures  where the pictures lie that its rows name
    """

    source: str
    format: str
    options: dict
    pieces: tuple[Piece, ...]
    pictures: tuple[File, ...] = ()

    @property
    def where(self) -> dict[str, File]:
        """Its files, and the places of its pictures, by what `identity` calls them."""
        held = {piece.file.path: piece.file for piece in self.pieces}
        return held | {picture_files.called(place): place for place in self.pictures}

    @property
    def payload(self) -> bool:
        """Whether its documents come as payload, for `extract`."""
        return find_format(self.format).payload

    @property
    def more(self) -> tuple[str, ...]:
        """The columns of `curate.documents.MORE` that its documents have."""
        mapped = {name: self.options[name] for name in MAPPING if name in self.options}
        return mapping(**mapped).more

    @property
    def identity(self) -> dict:
        """What affects the documents: names and digests of the files, and how they are read."""
        return {
            "source": self.source,
            **find_format(self.format).identity(),
            "options": self.options,
            "pieces": [[piece.file.path, piece.file.digest, piece.rows] for piece in self.pieces],
            **({"images": [picture_files.called(place) for place in self.pictures]} if self.pictures else {}),
        }


def partitions(source: str, format: str | None, options: dict, files: list[File]) -> list[Partition]:
    """Cut the files of a source (sorted by path) into partitions. Without a format each file tells its own.

    options  that the manifest sets. Raises CurateError for one that none of the files' formats has.
    """
    result: list[Partition] = []
    bundle: list[Piece] = []
    released = options.get("layout") == "curate"
    kinds = [format_for(file.path, format or file.format) for file in files]
    _check_options(source, options, kinds)

    def close(kind: Format) -> None:
        if bundle:
            given = options | ({"layout": kind.seen(bundle[0].file)} if released and kind.seen else {})
            result.append(Partition(source, kind.name, kind.configure(given), tuple(bundle)))
            bundle.clear()

    for kind, neighbours in groupby(zip(kinds, files, strict=True), key=lambda pair: pair[0]):
        for _, file in neighbours:
            ranges = kind.ranges if file.size > RANGE_BYTES else None
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


def _check_options(source: str, options: dict, kinds: list[Format]) -> None:
    """Raise CurateError for an option that would do nothing."""
    known = {name for kind in kinds for name in kind.options.model_fields} | {*MAPPING}
    for name in options:
        if name not in known:
            read = ", ".join(sorted({kind.name for kind in kinds}))
            what = f"no file of source `{source}` has a format with the option `{name}`; the formats are {read}"
            raise CurateError(what, f"sources.{source}.options.{name}", "remove it, or set `format:`")


def read(identity: dict, files: dict[str, File], origin: Origin) -> Iterator[pa.Table]:
    """Read a partition from its identity, block by block. files: where they lie, see `Partition.where`.

    Raises Stopped where a file is no longer what was planned. An error shows no secret of an address.
    """
    named = identity.get("images")
    with Pictures(files[name] for name in named) if named else nullcontext() as pictures:
        yield from _read(identity, files, origin, pictures)


def _read(identity: dict, files: dict[str, File], origin: Origin, pictures: Pictures | None) -> Iterator[pa.Table]:
    reader = find_format(identity["format"]).read
    ends = [0, *accumulate(max(files[path].size, 1) for path, *_ in identity["pieces"])]
    for (path, digest, rows), (start, end) in zip(identity["pieces"], pairwise(ends), strict=True):
        origin.span = start / ends[-1], end / ends[-1]
        options = dict(identity["options"]) | ({"rows": tuple(rows)} if rows else {})
        file = replace(files[path], digest=digest)
        try:
            yield from with_pictures(reader(file, origin=origin, **options), pictures, origin)
        except CurateError as error:
            error.what, error.where = (text.replace(file.url, file.shown) for text in (error.what, error.where))
            error.args = (error.what, error.where, error.fix)
            raise
        except Exception as error:
            if isinstance(error, OSError | MemoryError) or isinstance(refusal(error), Stopped):
                raise
            said = f"{type(error).__name__}: {error}".replace(file.url, file.shown)
            why = f"its reader failed, and rows read before that are used: {said[:300]}"
            origin.lose(path, 0, max(file.size, 1), why)
        origin.reached(1)
        unchanged(file)
