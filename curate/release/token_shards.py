"""Write the token shards of a release: `tokens/` beside `data/`.

tokens/PHASE/train-00000-of-00042.npy, train-00000-of-00042-documents.npy, train-00000-of-00042-mask.npy
tokens/PHASE/train-00000-of-00042.bin, train-00000-of-00042.idx
tokens/PHASE/mds/index.json, tokens/PHASE/mds/train-00000-of-00042.000.mds
tokens/PHASE/train-00000-of-00042-left-out.parquet
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.engine.plan import TokenParts
from curate.engine.shard_tasks import digest
from curate.engine.store import Store, Writer
from curate.engine.token_tasks import LEFT_OUT_SCHEMA, laid, left_out, sequence_blocks, token_blocks
from curate.release.lock_values import as_json
from curate.release.token_lock import TokenCounts, Tokens, TokenSplit
from curate.release.typed_lock import File, Lock
from curate.tokens.packing import counts, documents, fitting, pack
from curate.tokens.requested import LEFT_OUT, TRAINED, described
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
        shard = _shard_of(folder, path)
        keep, counted = kept.get(shard), split.shards[number]
        longest = split.context if lock.tokens.split == "never" else None
        left = left_out(store, part, longest) if counted.left_out else LEFT_OUT_SCHEMA.empty_table()
        if keep is None:
            _write(path, lock.tokens, split.context, counted.sequences, documents, sequences)
            _write_left_out(path, folder / shard, left)
            continue
        with tempfile.TemporaryDirectory() as aside:
            whole = Path(aside) / path.name
            _write(whole, lock.tokens, split.context, counted.sequences, documents, sequences)
            split.shards[number] = _pack_again(whole, path, lock.tokens, split.context, keep, left, folder / shard)
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
        shard = _shard_of(folder, path)
        keep = kept.get(shard)
        if keep is None:
            _copy(old, path)
            continue
        left = _read_left_out(old)
        split.shards[number] = _pack_again(old, path, lock.tokens, split.context, keep, left, folder / shard)
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
        write_npy(path, tokens.dtype, context, count, sequences(), tokens.masked)
    if "megatron" in tokens.formats:
        write_megatron(path, tokens.dtype, documents())
    if "mds" in tokens.formats:
        _in_mds(path).parent.mkdir(exist_ok=True)
        write_mds(_in_mds(path), tokens.dtype, context, sequences(), tokens.masked)


def _pack_again(
    old: Path, path: Path, tokens: Tokens, context: int | None, keep: np.ndarray, left: pa.Table, shard: Path
) -> TokenCounts:
    """Write a token shard without some documents. Returns its counts.

    left   the documents that it leaves out already
    shard  the shard without these documents
    """
    held = _without(_read(old, tokens, context, len(keep)), keep)
    there, sequences = np.diff(held.offsets), []
    made = {"documents": len(there), "tokens": len(held.ids), "longest": int(there.max(initial=0))}
    if context:
        length = fitting(there, context, tokens.split or "when_longer")
        pieces = pack(length, context, tokens.pack)
        sequences.append(laid(held, pieces, context, tokens.pad))
        made = counts(length, pieces, context)
    if held.mask is not None:
        made[TRAINED] = int(held.mask.sum())
    rows = left["document"].to_numpy()
    left = left.set_column(0, "document", pa.array((np.cumsum(keep) - 1)[rows])).filter(pa.array(keep[rows]))
    if left.num_rows:
        found = pc.value_counts(left["reason"]).to_pylist()
        made[LEFT_OUT] = {one["values"]: one["counts"] for one in sorted(found, key=lambda one: one["values"])}
    _write(path, tokens, context, made.get("sequences"), lambda: [held], lambda: sequences)
    _write_left_out(path, shard, left)
    return TokenCounts(**made)


def _without(held: Documents, keep: np.ndarray) -> Documents:
    """Documents without those that are not kept."""
    length = np.diff(held.offsets)
    tokens = np.repeat(keep, length)
    mask = None if held.mask is None else held.mask[tokens]
    return Documents(held.ids[tokens], np.append(0, np.cumsum(length[keep])), mask)


def _read(path: Path, tokens: Tokens, context: int | None, count: int) -> Documents:
    """The documents of a token shard, from one of its formats."""
    if "megatron" in tokens.formats:
        return read_megatron(path)
    npy = "npy" in tokens.formats
    held = read_npy(path) if npy else read_mds(_in_mds(path), tokens.dtype, context, tokens.masked)
    ids, offsets = documents(held.tokens, held.pieces, count)
    return Documents(ids, offsets, None if held.mask is None else documents(held.mask, held.pieces, count)[0])


def _write_left_out(path: Path, shard: Path, left: pa.Table) -> None:
    """NAME-left-out.parquet: `document`, `id`, `reason` and `detail` of those that a token shard leaves out, if any."""
    if left.num_rows:
        ids = pq.read_table(shard, columns=["id"])["id"].take(left["document"])
        with Writer(Path(f"{path}-left-out.parquet")) as writer:
            writer.write(left.add_column(1, "id", ids))


def _read_left_out(path: Path) -> pa.Table:
    file = Path(f"{path}-left-out.parquet")
    return pq.read_table(file).drop_columns("id") if file.is_file() else LEFT_OUT_SCHEMA.empty_table()


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
