"""Read the documents of a release from its shards: the lengths of all, the texts of some.

Files are read by row groups, so memory holds a few numbers a document and the text of one group.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.documents import coded
from curate.errors import CurateError, did_you_mean
from curate.mix.hash_line import hash_line
from curate.mix.mixture import VALIDATION
from curate.release.fetched import hold
from curate.release.typed_lock import Lock

BYTES_A_TOKEN = 4
"""About as many bytes of text are one token, where the release has not counted them."""


@dataclass(frozen=True)
class Shards:
    """A release folder. train, validation: its shards, those of one phase where one was asked for."""

    folder: Path
    lock: Lock
    train: list[Path]
    validation: list[Path]

    @property
    def counted(self) -> bool:
        """Whether its documents come with their number of tokens."""
        return "n_tokens" in self.lock.columns


@dataclass(frozen=True)
class Documents:
    """The documents of some shards, each once, in the order of the line.

    sources  names, sorted
    total    int64[sources], how much of each is in the shards, copies too: in tokens, or in chunks
    source   int32[n], place among the names
    size     int64[n], tokens, as the release counted them or as its bytes suggest
    weight   int64[n], how much of its source it is, in tokens or in chunks
    line     uint64[n], the place on the hash line, without repeats
    place    int64[n], the row, counted through all shards
    """

    sources: list[str]
    total: np.ndarray
    source: np.ndarray
    size: np.ndarray
    weight: np.ndarray
    line: np.ndarray
    place: np.ndarray


def open_shards(name: str | Path, phase: str | None = None) -> Shards:
    """A release by its folder or address, hf://datasets/ORG/NAME@vVERSION.

    Raises CurateError where there is none, or no such phase in it.
    """
    held = hold(name)
    lock = held.lock
    data = [shard.path for shard in lock.shards]
    validation = [path for path in data if path.startswith(f"data/{VALIDATION}/")]
    train = [path for path in data if path not in validation]
    if phase is not None:
        phases = {split.phase for split in lock.mixture.splits if split.phase}
        if phase not in phases:
            fix = did_you_mean(phase, phases) or "leave out --phase: the release has none"
            raise CurateError(f"no phase `{phase}` in the release", str(name), fix)
        train = [path for path in train if path.startswith(f"data/{phase}/")]
    return Shards(held.folder, lock, list(map(held.file, train)), list(map(held.file, validation)))


def documents(release: Shards, seed: int, chunk: int | None = None) -> Documents:
    """All documents to draw from, by their columns alone. Documents without text are none.

    chunk  weigh by the chunks of so many tokens that documents are cut into, instead of by tokens
    """
    names: dict[str, int] = {}
    found = [(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int64))]
    for block in _blocks(release.train, ["id", "source", "n_tokens" if release.counted else "text"]):
        if release.counted:
            size = pc.fill_null(block["n_tokens"].cast(pa.int64()), 0).to_numpy()
        else:
            size = -(-pc.fill_null(pc.binary_length(block["text"]), 0).to_numpy().astype(np.int64) // BYTES_A_TOKEN)
        codes = coded(pc.fill_null(block["source"].cast(pa.string()), "unknown"), names)
        found.append((hash_line(block["id"], seed), codes, size))
    line, source, size = (np.concatenate(column) for column in zip(*found, strict=True))
    sources = sorted(names)
    source = np.array([sources.index(name) for name in names], np.int32)[source]
    weight = -(-size // chunk) if chunk else size
    total = np.zeros(len(sources), np.int64)
    np.add.at(total, source, weight)
    line, place = np.unique(line, return_index=True)
    there = size[place] > 0
    line, place = line[there], place[there]
    return Documents(sources, total, source[place], size[place], weight[place], line, place)


def texts(release: Shards, places: np.ndarray) -> Iterator[pa.Table]:
    """`id`, `text` and `place` of the documents at these places (int64[m], ascending), row group by row group."""
    start = 0
    for path in release.train:
        with _reading(path):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                mine = places[np.searchsorted(places, start) : np.searchsorted(places, stop)]
                if len(mine):
                    table = file.read_row_group(group, columns=["id", "text"]).take(pa.array(mine - start))
                    yield table.append_column("place", pa.array(mine))
                start = stop


def held_out(release: Shards) -> Iterator[pa.ChunkedArray]:
    """The texts held out for validation, row group by row group."""
    for block in _blocks(release.validation, ["text"]):
        yield block["text"]


def all_texts(release: Shards) -> Iterator[pa.Table]:
    """`source` and `text` of all documents but those held out, row group by row group."""
    yield from _blocks(release.train, ["source", "text"])


def _blocks(paths: list[Path], columns: list[str]) -> Iterator[pa.Table]:
    for path in paths:
        with _reading(path):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        fix = "run `curate verify` on the release"
        raise CurateError(f"a shard cannot be read: {error}", str(path), fix) from error
