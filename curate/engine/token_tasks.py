"""The tasks `tokenize` and `pack`: from shards to sequences of tokens.

`tokenize` makes a part of one row a document: `input_ids`, its ids as they lie in memory, `eos` at their end; with a
chat template also `mask`, a byte for each id, and `reason` and `detail` of a row that is left out. `pack` makes one of
one row a sequence: `input_ids` and `mask` again, and `pieces`, which say whose tokens they are. So another context or
another way to pack tokenizes nothing anew, and the files for trainers are these parts in other wrappings.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import utf8
from curate.engine.plan import Plan, TokenParts
from curate.engine.stage_sandbox import hang_seconds
from curate.engine.store import Store, Writer
from curate.models import tokenizer
from curate.tokens.chat_process import RenderingProcess
from curate.tokens.chat_rows import ChatEncoder, Encoded
from curate.tokens.packing import PIECE, counts, fitting, lay, pack
from curate.tokens.requested import COUNTS, LEFT_OUT, LONGER, TRAINED, check_filled, described
from curate.tokens.trainer_formats import Documents, Sequences

GROUP_BYTES = 32 << 20
"""Tokens in a row group of a part of sequences."""

LEFT_OUT_SCHEMA = pa.schema([("document", pa.int64()), ("reason", pa.string()), ("detail", pa.string())])


def tokenize_shard(store: Store, args: dict, draft: Path, counted: dict) -> None:
    """The tokens of each document of a shard, in the order of its rows."""
    encoding = args["call"]
    with Writer(draft) as writer:
        loaded = tokenizer.load(encoding["tokenizer"])
        end = np.array([] if encoding["eos"] is None else [encoding["eos"]], encoding["dtype"])
        counted |= {"documents": 0, "tokens": 0, "longest": 0, "dtype": encoding["dtype"]}
        if chat := encoding.get("chat"):
            _tokenize_chats(store, args["shard"], writer, loaded, chat, end, counted)
            return
        for _, table in store.stream([args["shard"]]):
            encoded = loaded.encode([text or "" for text in table["text"].to_pylist()])
            encoded = [np.concatenate([ids.astype(end.dtype), end]) for ids in encoded]
            writer.write(pa.table({"input_ids": _binary(encoded, end.dtype)}))
            _count(counted, encoded)


def _tokenize_chats(
    store: Store, shard: str, writer: Writer, loaded: tokenizer.Tokenizer, chat: dict, end: np.ndarray, counted: dict
) -> None:
    """The same of a shard whose rows may be conversations. chat: see `curate.tokens.requested.Encoding`."""
    masked, left_out = chat["train_on"] == "assistant", Counter()
    counted |= {TRAINED: 0} if masked else {}
    with RenderingProcess(chat["files"], chat["date"], masked, hang_seconds() / 10 or None) as process:
        encoder = ChatEncoder(loaded, process, end)
        for _, table in store.stream([shard]):
            rows = encoder.encode(table)
            writer.write(_chat_table(rows, end.dtype, masked))
            _count(counted, [row.ids for row in rows])
            left_out.update(row.why.reason for row in rows if row.why)
            if masked:
                counted[TRAINED] += sum(int(row.mask.sum()) for row in rows)
    if left_out:
        counted[LEFT_OUT] = dict(sorted(left_out.items()))


def _chat_table(rows: list[Encoded], dtype: np.dtype, masked: bool) -> pa.Table:
    columns = {"input_ids": _binary([row.ids for row in rows], dtype)}
    if masked:
        columns["mask"] = _binary([row.mask for row in rows], np.dtype(np.uint8))
    for name in ("reason", "detail"):
        columns[name] = pa.array([row.why and getattr(row.why, name) for row in rows], pa.string())
    return pa.table(columns)


def _binary(arrays: list[np.ndarray], dtype: np.dtype) -> pa.Array:
    """Arrays as they lie in memory: large_binary[n]."""
    data = np.concatenate([np.empty(0, dtype), *(one.astype(dtype, copy=False) for one in arrays)])
    offsets = np.append(0, np.cumsum([len(one) for one in arrays], dtype=np.int64)) * dtype.itemsize
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(arrays), buffers)


def _count(counted: dict, ids: list[np.ndarray]) -> None:
    counted["documents"] += len(ids)
    counted["tokens"] += sum(map(len, ids))
    counted["longest"] = max(counted["longest"], *map(len, ids), 0)


def pack_shard(store: Store, args: dict, draft: Path, counted: dict) -> None:
    """The sequences of a shard."""
    context, dtype = args["context"], np.dtype(store.counts(args["tokenized"])["dtype"])
    documents = joined(token_blocks(store, args["tokenized"]), dtype)
    there = np.diff(documents.offsets)
    length = fitting(there, context, args.get("split", "when_longer"))
    pieces = pack(length, context, args["pack"])
    sequences = laid(documents, pieces, context, args["pad"])
    step = max(GROUP_BYTES // (context * dtype.itemsize), 1)
    with Writer(draft) as writer:
        for start in range(0, max(len(sequences.tokens), 1), step):
            writer.write(_table(sequences, start, start + step))
    counted |= counts(length, pieces, context) | {"context": context, "dtype": dtype.name}
    if sequences.mask is not None:
        counted[TRAINED] = int(sequences.mask.sum())
    if longer := int((length < there).sum()):
        counted[LEFT_OUT] = {LONGER: longer}


def joined(blocks: Iterable[Documents], dtype: np.dtype) -> Documents:
    """Blocks of documents as one."""
    blocks = list(blocks)
    ids = np.concatenate([np.empty(0, dtype), *(block.ids for block in blocks)])
    length = np.concatenate([np.empty(0, np.int64), *(np.diff(block.offsets) for block in blocks)])
    masks = [block.mask for block in blocks if block.mask is not None]
    return Documents(ids, np.append(0, np.cumsum(length)), np.concatenate(masks) if masks else None)


def laid(documents: Documents, pieces: np.ndarray, context: int, pad: int) -> Sequences:
    """Documents as sequences, by their pieces. No padding is in the mask."""
    ids, offsets, mask = documents
    masks = None if mask is None else lay(mask, offsets, pieces, context, 0)
    return Sequences(lay(ids, offsets, pieces, context, pad), pieces, masks)


def token_blocks(store: Store, fp: str) -> Iterator[Documents]:
    """The documents of a tokenized part by row groups."""
    dtype = np.dtype(store.counts(fp)["dtype"])
    for _, table in store.stream([fp]):
        data, offsets = utf8(table["input_ids"])
        mask = utf8(table["mask"])[0] if "mask" in table.column_names else None
        yield Documents(data.view(dtype), offsets // dtype.itemsize, mask)


def sequence_blocks(store: Store, fp: str) -> Iterator[Sequences]:
    """The sequences of a packed part by row groups."""
    marker = store.counts(fp)
    for _, table in store.stream([fp]):
        tokens = _fixed(table["input_ids"], marker["dtype"], marker["context"])
        mask = _fixed(table["mask"], "uint8", marker["context"]) if "mask" in table.column_names else None
        yield Sequences(tokens, utf8(table["pieces"])[0].view(PIECE), mask)


def _fixed(column: pa.ChunkedArray, dtype: str, width: int) -> np.ndarray:
    """A column of arrays of one width as they lie in memory: [n, width]."""
    rows = column.combine_chunks()
    held, begin = np.frombuffer(rows.buffers()[1] or b"", dtype), rows.offset * width
    return held[begin : begin + len(rows) * width].reshape(-1, width)


def left_out(store: Store, part: TokenParts, context: int | None) -> pa.Table:
    """The documents of a shard that its token shard has no tokens of: `document` (int64, the row), `reason`, `detail`.

    context: of its sequences, if documents longer than that are left out.
    """
    found, start, size = [LEFT_OUT_SCHEMA.empty_table()], 0, np.dtype(store.counts(part.tokenized)["dtype"]).itemsize
    for _, table in store.stream([part.tokenized]):
        count, none = table.num_rows, pa.nulls(table.num_rows, pa.string())
        reason, detail = (table[name] if name in table.column_names else none for name in ("reason", "detail"))
        if context:
            length = pc.divide(pc.binary_length(table["input_ids"]), size)
            longer, told = pc.greater(length, context), pc.cast(length, pa.string())
            told = pc.binary_join_element_wise(told, "tokens", " ")
            reason, detail = pc.if_else(longer, LONGER, reason), pc.if_else(longer, told, detail)
        rows = pa.array(np.arange(start, start + count))
        found.append(pa.table([rows, reason, detail], schema=LEFT_OUT_SCHEMA).filter(reason.is_valid()))
        start += count
    return pa.concat_tables(found)


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
        tokenized, marker = store.marker(part.tokenized), store.marker(part.packed or part.tokenized)
        entry = {name: marker[name] for name in (*COUNTS, TRAINED) if name in marker}
        left = {} if part.packed is None else marker.get(LEFT_OUT, {})
        if left := left | tokenized.get(LEFT_OUT, {}):
            entry[LEFT_OUT] = dict(sorted(left.items()))
        entries[part.split]["shards"].append(entry)
    entries = list(map(described, entries))
    for entry in entries:
        check_filled(entry)
    chat = encoding.chat and {"name": Path(tokens.chat_template).name, **encoding.chat}
    held = {
        "tokenizer": {"name": Path(tokens.tokenizer).name, "sha256": encoding.tokenizer.removeprefix("sha256:")},
        "dtype": encoding.dtype,
        "eos": None if tokens.eos is None else {"token": tokens.eos, "id": encoding.eos},
        "pad": encoding.pad,
        "pack": tokens.way,
        "formats": sorted(set(tokens.formats)),
    }
    held |= {"split": "never"} if tokens.leaves_out else {}
    held |= {"chat": chat} if chat else {}
    return held | {"splits": entries}


def _table(sequences: Sequences, start: int, stop: int) -> pa.Table:
    """Some sequences, with their pieces."""
    tokens, pieces, count = sequences.tokens[start:stop], sequences.pieces, len(sequences.tokens[start:stop])
    columns = {"input_ids": _as_column(tokens)}
    if sequences.mask is not None:
        columns["mask"] = _as_column(sequences.mask[start:stop])
    edges = np.searchsorted(pieces["sequence"], np.arange(start, start + count + 1))
    mine = np.ascontiguousarray(pieces[edges[0] : edges[-1]])
    offsets = (edges - edges[0]) * PIECE.itemsize
    held = pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(mine)])
    return pa.table(columns | {"pieces": held})


def _as_column(rows: np.ndarray) -> pa.Array:
    """A fixed-size binary of each row of a matrix."""
    width = rows.shape[1] * rows.itemsize
    buffers = [None, pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), buffers)
