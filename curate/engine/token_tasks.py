"""From shards to sequences of tokens: the tasks `tokenize` and `pack` of `curate.engine.jobs`, and what they came to.

`tokenize` makes a part of one row a document: `input_ids`, its ids as they lie in memory, `eos` at their end. `pack`
makes one of one row a sequence: `input_ids` again, and `pieces`, which say whose tokens they are. So another context or
another way to pack tokenizes nothing anew, and the files for trainers are these parts in other wrappings.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.documents import utf8
from curate.engine.plan import Plan, TokenParts
from curate.engine.store import Store, Writer
from curate.models import tokenizer
from curate.tokens.packing import PIECE, counts, lay, pack
from curate.tokens.requested import COUNTS, check_filled, described

GROUP_BYTES = 32 << 20
"""Tokens in a row group of a part of sequences."""


def tokenize_shard(store: Store, args: dict, draft: Path, counted: dict) -> None:
    """The tokens of each document of a shard, in the order of its rows."""
    encoding = args["call"]
    with Writer(draft) as writer:
        loaded = tokenizer.load(encoding["tokenizer"])
        end = np.array([] if encoding["eos"] is None else [encoding["eos"]], encoding["dtype"])
        counted |= {"documents": 0, "tokens": 0, "longest": 0, "dtype": encoding["dtype"]}
        for _, table in store.stream([args["shard"]]):
            encoded = loaded.encode([text or "" for text in table["text"].to_pylist()])
            length = np.array([len(ids) + len(end) for ids in encoded], np.int64)
            ids = np.concatenate([end[:0], *(part for ids in encoded for part in (ids.astype(end.dtype), end))])
            offsets = np.append(0, np.cumsum(length)) * end.itemsize
            column = pa.LargeBinaryArray.from_buffers(
                pa.large_binary(), len(length), [None, pa.py_buffer(offsets), pa.py_buffer(ids)]
            )
            writer.write(pa.table({"input_ids": column}))
            counted["documents"] += len(length)
            counted["tokens"] += int(length.sum())
            counted["longest"] = max(counted["longest"], int(length.max(initial=0)))


def pack_shard(store: Store, args: dict, draft: Path, counted: dict) -> None:
    """The sequences of a shard."""
    context, dtype = args["context"], np.dtype(store.counts(args["tokenized"])["dtype"])
    read = list(token_blocks(store, args["tokenized"]))
    ids = np.concatenate([np.empty(0, dtype), *(ids for ids, _ in read)])
    length = np.concatenate([np.empty(0, np.int64), *(np.diff(offsets) for _, offsets in read)])
    pieces = pack(length, context, args["pack"])
    sequences = lay(ids, np.append(0, np.cumsum(length)), pieces, context, args["pad"])
    step = max(GROUP_BYTES // (context * dtype.itemsize), 1)
    with Writer(draft) as writer:
        for start in range(0, max(len(sequences), 1), step):
            writer.write(_table(sequences[start : start + step], pieces, start))
    counted |= counts(length, pieces, context) | {"context": context, "dtype": dtype.name}


def token_blocks(store: Store, fp: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The documents of a tokenized part by row groups: their ids end to end, and where each begins (int64[n + 1])."""
    dtype = np.dtype(store.counts(fp)["dtype"])
    for _, table in store.stream([fp]):
        data, offsets = utf8(table["input_ids"])
        yield data.view(dtype), offsets // dtype.itemsize


def sequence_blocks(store: Store, fp: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The sequences of a packed part by row groups: [n, context] of its dtype, and their pieces (PIECE)."""
    marker = store.counts(fp)
    for _, table in store.stream([fp]):
        rows = table["input_ids"].combine_chunks()
        ids = np.frombuffer(rows.buffers()[1] or b"", marker["dtype"])
        begin = rows.offset * marker["context"]
        sequences = ids[begin : begin + len(rows) * marker["context"]].reshape(-1, marker["context"])
        yield sequences, utf8(table["pieces"])[0].view(PIECE)


def tokens_of(plan: Plan, store: Store, parts: list[TokenParts], splits: list[dict]) -> dict:
    """What the lock says of token shards. splits: those of the mixture, in the order of their shards.

    Raises CurateError for a split that does not fill one sequence.
    """
    tokens, encoding = plan.manifest.spec.tokens, plan.encoding
    entries = []
    for split in splits:
        context = tokens.context_of(split["phase"], plan.manifest.spec.mixture) if tokens.packs else None
        entries.append({"phase": split["phase"], "split": split["split"], "context": context, "shards": []})
    for part in parts:
        marker = store.marker(part.packed or part.tokenized)
        entries[part.split]["shards"].append({name: marker[name] for name in COUNTS if name in marker})
    entries = list(map(described, entries))
    for entry in entries:
        check_filled(entry)
    return {
        "tokenizer": {"name": Path(tokens.tokenizer).name, "sha256": encoding.tokenizer.removeprefix("sha256:")},
        "dtype": encoding.dtype,
        "eos": None if tokens.eos is None else {"token": tokens.eos, "id": encoding.eos},
        "pad": encoding.pad,
        "pack": tokens.pack if tokens.packs else None,
        "formats": sorted(set(tokens.formats)),
        "splits": entries,
    }


def _table(sequences: np.ndarray, pieces: np.ndarray, start: int) -> pa.Table:
    """Sequences from the `start`th on, with their pieces."""
    count, width = len(sequences), sequences.shape[1] * sequences.itemsize
    ids = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), count, [None, pa.py_buffer(np.ascontiguousarray(sequences))]
    )
    edges = np.searchsorted(pieces["sequence"], np.arange(start, start + count + 1))
    mine = np.ascontiguousarray(pieces[edges[0] : edges[-1]])
    offsets = (edges - edges[0]) * PIECE.itemsize
    held = pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(mine)])
    return pa.table({"input_ids": ids, "pieces": held})
