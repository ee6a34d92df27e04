"""Lay token shards out in a release: `tokens/` beside `data/`, for each shard what the manifest asks for.

tokens/PHASE/train-00000-of-00042.npy, train-00000-of-00042-documents.npy
tokens/PHASE/train-00000-of-00042.bin, train-00000-of-00042.idx
tokens/PHASE/mds/index.json, tokens/PHASE/mds/train-00000-of-00042.000.mds
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from curate.engine.assemble import digest
from curate.engine.plan import TokenParts
from curate.engine.store import Store
from curate.engine.token_tasks import sequence_blocks, token_blocks
from curate.release.typed_lock import File, Lock, TokenCounts, Tokens, TokenSplit, as_json
from curate.tokens.packing import counts, documents, lay, pack
from curate.tokens.requested import described
from curate.tokens.trainer_formats import (
    Documents,
    Sequences,
    read_mds,
    read_megatron,
    read_npy,
    write_mds,
    write_mds_index,
    write_megatron,
    write_npy,
)


def write_token_shards(
    folder: Path, lock: Lock, store: Store, parts: list[TokenParts], kept: dict[str, np.ndarray]
) -> None:
    """Write the token shards of a release, and add their files to its lock.

    parts  in the order of the shards
    kept   {path of a shard: bool[rows], what stays of the documents in its part}, where that is not all
    """
    if not lock.tokens:
        return
    for part, (path, split, number) in zip(parts, _places(folder, lock), strict=True):
        documents = partial(token_blocks, store, part.tokenized)
        sequences = partial(sequence_blocks, store, part.packed)
        keep, count = kept.get(_shard_of(folder, path)), split.shards[number].sequences
        if keep is None:
            _write(path, lock.tokens, split.context, count, documents, sequences)
            continue
        with tempfile.TemporaryDirectory() as aside:
            whole = Path(aside) / path.name
            _write(whole, lock.tokens, split.context, count, documents, sequences)
            split.shards[number] = _pack_again(whole, path, lock.tokens, split.context, keep)
    _finish(folder, lock)


def rewrite_token_shards(release: Path, folder: Path, lock: Lock, kept: dict[str, np.ndarray]) -> None:
    """Write the token shards of a patch version of a release, packed anew where documents are gone, and bring its lock
    up to date. No tokenizer is needed.

    kept  {path of a changed shard: bool[rows], what stays}
    """
    lock.tokens = lock.tokens or None  # a release may be older than token shards, and its lock have no such key
    if not lock.tokens:
        return
    for (old, _, _), (path, split, number) in zip(_places(release, lock), _places(folder, lock), strict=True):
        keep = kept.get(_shard_of(folder, path))
        if keep is None:
            _copy(old, path)
            continue
        split.shards[number] = _pack_again(old, path, lock.tokens, split.context, keep)
    _finish(folder, lock)


def _shard_of(folder: Path, path: Path) -> str:
    """The path in the release of the shard that a token shard is made of."""
    return f"data/{path.relative_to(folder / 'tokens').as_posix()}.parquet"


def _places(folder: Path, lock: Lock) -> Iterator[tuple[Path, TokenSplit, int]]:
    """For each shard, in order: the path of its token shard without an ending, its split, and its number there."""
    data = iter([file.path for file in lock.shards])
    for split in lock.tokens.splits:
        for number in range(len(split.shards)):
            yield folder / next(data).replace("data/", "tokens/", 1).removesuffix(".parquet"), split, number


def _write(
    path: Path,
    tokens: Tokens,
    context: int | None,
    count: int | None,
    documents: Callable[[], Iterable[Documents]],
    sequences: Callable[[], Iterable[Sequences]],
) -> None:
    """Write a token shard in all formats. context: of its split. count: its sequences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if "npy" in tokens.formats:
        write_npy(path, tokens.dtype, context, count, sequences())
    if "megatron" in tokens.formats:
        write_megatron(path, tokens.dtype, documents())
    if "mds" in tokens.formats:
        _in_mds(path).parent.mkdir(exist_ok=True)
        write_mds(_in_mds(path), tokens.dtype, context, sequences())


def _pack_again(old: Path, path: Path, tokens: Tokens, context: int | None, keep: np.ndarray) -> TokenCounts:
    """Write a token shard without some documents. Returns its counts."""
    ids, offsets = _read(old, tokens.formats, len(keep))
    length = np.diff(offsets)
    ids, length = ids[np.repeat(keep, length)], length[keep]
    offsets, sequences = np.append(0, np.cumsum(length)), []
    made = {"documents": len(length), "tokens": len(ids), "longest": int(length.max(initial=0))}
    if context:
        pieces = pack(length, context, tokens.pack)
        sequences.append((lay(ids, offsets, pieces, context, tokens.pad), pieces))
        made = counts(length, pieces, context)
    _write(path, tokens, context, made.get("sequences"), lambda: [(ids, offsets)], lambda: sequences)
    return TokenCounts(**made)


def _read(path: Path, formats: list[str], count: int) -> Documents:
    """The documents of a token shard, from one of its formats."""
    if "megatron" in formats:
        return read_megatron(path)
    sequences, pieces = read_npy(path) if "npy" in formats else read_mds(_in_mds(path))
    return documents(sequences, pieces, count)


def _copy(old: Path, path: Path) -> None:
    """Copy a token shard as it is, in all formats."""
    for of, to in ((old, path), (_in_mds(old), _in_mds(path))):
        for file in of.parent.glob(f"{of.name}[.-]*"):
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to.with_name(file.name))


def _in_mds(path: Path) -> Path:
    return path.parent / "mds" / path.name


def _finish(folder: Path, lock: Lock) -> None:
    """Add up what was counted, write the index of each MDS dataset, and note all files in the lock."""
    lock.tokens.splits = [TokenSplit(**described(as_json(split))) for split in lock.tokens.splits]
    for mds in sorted(folder.glob("tokens/**/mds")):
        write_mds_index(mds)
    for path in sorted(folder.glob("tokens/**/*.*")):
        if path.is_file():  # a phase may have a dot in its name
            lock.files.append(File(path=path.relative_to(folder).as_posix(), **digest(path)))
