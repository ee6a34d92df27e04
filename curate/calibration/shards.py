"""Read the documents of releases from their shards: the lengths of all, the rows of some.

Files are read by row groups, so memory holds a few numbers a document and the text of one group.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
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

ROW = ("id", "text", "language", "messages", "tools", "extras")
"""What is read of a document, as far as its shard has it."""

PARTS = 1 << 40
"""A weight is so many parts of the whole at most, as a whole number."""


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
class Pool:
    """Releases that are drawn from together. weights: the share of each; None: as much as it has."""

    releases: list[Shards]
    weights: list[float] | None = None

    @property
    def prefixes(self) -> list[str]:
        """What the names of their sources begin with: that of the release, where there are several."""
        if len(self.releases) == 1:
            return [""]
        names = [release.lock.name for release in self.releases]
        versioned = [f"{release.lock.name}-{release.lock.version}" for release in self.releases]
        return [f"{name}/" for name in (names if len(set(names)) == len(names) else versioned)]

    @property
    def where(self) -> str:
        return ", ".join(str(release.folder) for release in self.releases)


@dataclass(frozen=True)
class DocumentColumns:
    """What drawing needs to know of the documents of some shards, each once, in the order of the line.

    sources  names, sorted
    release  int32[sources], the place of its release in the pool
    total    int64[sources], how much of each is in the shards, copies too: in tokens, or in chunks; weighted, in PARTS
    source   int32[n], place among the names
    size     int64[n], tokens, as the release counted them or as its bytes suggest
    weight   int64[n], how much of its source it is, in tokens or in chunks
    line     uint64[n], the place on the hash line, without repeats
    place    int64[n], the row, counted through all shards
    """

    sources: list[str]
    release: np.ndarray
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
            fix = did_you_mean(phase, phases) or "remove --phase: the release has no phases"
            raise CurateError(f"no phase `{phase}` in the release", str(name), fix)
        train = [path for path in train if path.startswith(f"data/{phase}/")]
    return Shards(held.folder, lock, list(map(held.file, train)), list(map(held.file, validation)))


def open_pool(names: Sequence[str | Path], phase: str | None = None, weights: Sequence[float] | None = None) -> Pool:
    """Releases by their folders or addresses, one phase of each where one was asked for.

    Raises CurateError where one is not there, and for weights that are not one positive number for each.
    """
    if weights is not None and (
        len(weights) != len(names) or not all(isfinite(weight) and weight > 0 for weight in weights)
    ):
        what = f"weights {', '.join(f'{weight:g}' for weight in weights)} for {len(names)} releases"
        raise CurateError(what, "--weights", "pass one positive number per release, such as 0.7,0.3")
    return Pool([open_shards(name, phase) for name in names], None if weights is None else [*weights])


def documents(pool: Pool, seed: int, chunk: int | None = None) -> DocumentColumns:
    """All documents to draw from, by their columns alone. Documents without text are none.

    chunk  weigh by the chunks of so many tokens that documents are cut into, instead of by tokens
    """
    names: dict[str, int] = {}
    found, of_release = [(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int64))], {}
    for number, (release, prefix) in enumerate(zip(pool.releases, pool.prefixes, strict=True)):
        for block in _blocks(release.train, ["id", "source", "n_tokens" if release.counted else "text"]):
            if release.counted:
                size = pc.fill_null(block["n_tokens"].cast(pa.int64()), 0).to_numpy()
            else:
                size = -(-pc.fill_null(pc.binary_length(block["text"]), 0).to_numpy().astype(np.int64) // BYTES_A_TOKEN)
            named = pc.fill_null(block["source"].cast(pa.string()), "unknown")
            codes = coded(pc.binary_join_element_wise(prefix, named, ""), names)
            of_release |= dict.fromkeys(list(names)[len(of_release) :], number)
            found.append((hash_line(block["id"], seed), codes, size))
    line, source, size = (np.concatenate(column) for column in zip(*found, strict=True))
    sources = sorted(names)
    source = np.array([sources.index(name) for name in names], np.int32)[source]
    weight = -(-size // chunk) if chunk else size
    total = np.zeros(len(sources), np.int64)
    np.add.at(total, source, weight)
    release = np.array([of_release[name] for name in sources], np.int32)
    empty = sorted({*range(len(pool.releases))} - {*release[total > 0].tolist()})
    if pool.weights and empty:
        where = str(pool.releases[empty[0]].folder)
        raise CurateError("the release has no documents to draw", where, "remove it and its weight")
    total = _weighted(total, release, pool.weights)
    line, place = np.unique(line, return_index=True)
    there = size[place] > 0
    line, place = line[there], place[there]
    return DocumentColumns(sources, release, total, source[place], size[place], weight[place], line, place)


def _weighted(total: np.ndarray, release: np.ndarray, weights: list[float] | None) -> np.ndarray:
    """How much each source counts where releases have weights: int64[sources]."""
    if weights is None:
        return total
    share = [Fraction(weight) / sum(map(Fraction, weights)) for weight in weights]
    whole = [int(total[release == number].sum()) for number in range(len(weights))]
    parts = [
        round(share[number] * PARTS * int(amount) / whole[number]) if amount else 0
        for amount, number in zip(total, release.tolist(), strict=True)
    ]
    return np.array(parts, np.int64)


def rows(pool: Pool, places: np.ndarray) -> Iterator[pa.Table]:
    """ROW and `place` of the documents at these places (int64[m], ascending), row group by row group."""
    start = 0
    for path in (path for release in pool.releases for path in release.train):
        with _reading(path):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                mine = places[np.searchsorted(places, start) : np.searchsorted(places, stop)]
                if len(mine):
                    table = file.read_row_group(group, columns=_there(file)).take(pa.array(mine - start))
                    yield table.append_column("place", pa.array(mine))
                start = stop


def sample(release: Shards, most: int) -> Iterator[pa.Table]:
    """ROW of documents with about `most` bytes of text in all, evenly spread over the shards, whose order is random."""
    groups = []
    for path in release.train:
        with _reading(path):
            groups += [(path, group) for group in range(pq.ParquetFile(path).num_row_groups)]
    size = sum(shard.text_bytes for shard in release.lock.shards)
    count = len(groups) if size <= most else max(len(groups) * most // size, 1)
    for number in range(min(count, len(groups))):
        path, group = groups[(2 * number + 1) * len(groups) // (2 * count)]
        with _reading(path):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            table = file.read_row_group(group, columns=_there(file))
        held = np.cumsum(pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy())
        enough = int(np.searchsorted(held, -(-most // count))) + 1
        yield table if size <= most else table.slice(0, enough)


def _there(file: pq.ParquetFile) -> list[str]:
    return [name for name in ROW if name in file.schema_arrow.names]


def held_out(pool: Pool) -> Iterator[pa.ChunkedArray]:
    """The texts held out for validation, row group by row group."""
    for block in _blocks([path for release in pool.releases for path in release.validation], ["text"]):
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
