"""Token shards as trainers read them, in plain Python, and releases that have some."""

import json
import struct
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
from releases import one_source, rows
from small_tokenizers import small_tokenizer
from tokenizers import Tokenizer

from curate.release.lock import read_lock

FORMATS = ["npy", "megatron", "mds"]
PIECE = ("sequence", "start", "stop", "document", "offset")


def manifest(folder, tokens, count=60, **more):
    """About 60 documents of 80 words in some shards. tokens: beside the tokenizer."""
    tokens = {"tokenizer": small_tokenizer(), "eos": "<s>", "context": 128} | tokens
    tokens = {name: value for name, value in tokens.items() if value is not None}
    return one_source(folder, rows(1, count), [], **({"shards": {"size": "8KB"}, "tokens": tokens} | more))


def phased(folder, **tokens):
    """Two phases with contexts of their own, and documents held out."""
    phases = [{"name": "main", "context": 64, "budget": 25}, {"name": "long", "context": 300}]
    mixture = {"unit": "documents", "validation": 0.2, "phases": phases}
    return manifest(folder, {"context": None} | tokens, mixture=mixture)


def shards(path, folder=""):
    """{name without ending: {row of the shard: its ids}} as `tokenizers` has them, the shards of a split."""
    lock, found = read_lock(path), {}
    oracle = Tokenizer.from_file(small_tokenizer())
    oracle.no_truncation()
    for file in lock["files"]:
        if file["path"].startswith(f"data/{folder}"):
            texts = pq.read_table(path / file["path"])["text"].to_pylist()
            ids = [[*oracle.encode(text, add_special_tokens=False).ids, oracle.token_to_id("<s>")] for text in texts]
            found[file["path"].removeprefix("data/").removesuffix(".parquet")] = ids
    return found


def from_npy(path, name):
    tokens = np.load(path / "tokens" / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    pieces = np.load(path / "tokens" / f"{name}-documents.npy", mmap_mode="r", allow_pickle=False)
    assert pieces.dtype.names == PIECE
    return tokens, pieces


def from_megatron(path, name):
    """The documents of a .bin/.idx, by the layout that Megatron-LM documents."""
    index = (path / "tokens" / f"{name}.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, documents = struct.unpack("<QBQQ", index[9:34])
    assert version == 1
    dtype = {8: np.uint16, 4: np.int32}[code]
    lengths = np.frombuffer(index, np.int32, sequences, 34)
    pointers = np.frombuffer(index, np.int64, sequences, 34 + lengths.nbytes)
    ends = np.frombuffer(index, np.int64, documents, 34 + lengths.nbytes + pointers.nbytes)
    assert len(index) == 34 + lengths.nbytes + pointers.nbytes + ends.nbytes
    content = (path / "tokens" / f"{name}.bin").read_bytes()
    found = [np.frombuffer(content, dtype, size, begin).tolist() for size, begin in zip(lengths, pointers, strict=True)]
    assert [list(range(start, stop)) for start, stop in pairwise(ends)] == [[n] for n in range(sequences)]
    assert len(content) == sum(lengths) * np.dtype(dtype).itemsize
    return found


def from_mds(folder, masks=None):
    """The samples of an MDS dataset of columns `pieces` (any shape) and `tokens` (one shape), in order.

    masks  where to put the column `mask` (one shape), which there is then too
    """
    columns = ["pieces", "tokens"] if masks is None else ["mask", "pieces", "tokens"]
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        assert (shard["version"], shard["format"], shard["column_names"]) == (2, "mds", columns)
        _, dtype, context = shard["column_encodings"][-1].split(":")
        width = 0 if masks is None else int(context)
        content = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert shard["raw_data"]["bytes"] == len(content)
        (count,) = struct.unpack_from("<I", content)
        assert count == shard["samples"]
        for start, stop in pairwise(np.frombuffer(content, np.uint32, count + 1, 4).tolist()):
            sample = content[start:stop]
            (size,) = struct.unpack_from("<I", sample)
            if masks is not None:
                assert (shard["column_encodings"][0], shard["column_sizes"][0]) == (f"ndarray:uint8:{width}", width)
                masks.append(np.frombuffer(sample[4 : 4 + width], np.uint8))
                sample = sample[:4] + sample[4 + width :]
            assert sample[4] == 2 << 2 | 2  # two axes, their lengths in uint32
            shape = struct.unpack_from("<II", sample, 5)
            pieces = np.frombuffer(sample[13 : 4 + size], np.int32).reshape(shape)
            tokens = np.frombuffer(sample[4 + size :], dtype)
            assert len(tokens) == int(context) == shard["column_sizes"][-1] // tokens.itemsize
            yield tokens, pieces


def documents(tokens, pieces, count):
    """The ids of each document, put together from its pieces."""
    found = [[] for _ in range(count)]
    for sequence, start, stop, document, offset in sorted(pieces.tolist(), key=lambda piece: (piece[3], piece[4])):
        assert len(found[document]) == offset
        found[document] += tokens[sequence, start:stop].tolist()
    return found
