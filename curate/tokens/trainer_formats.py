"""Token shards as trainers read them: NumPy arrays, Megatron-LM's .bin/.idx, MosaicML's MDS, written by NumPy alone.

Each writer takes blocks, so that a shard of any size needs the memory of one, and gives the same bytes however they are
cut. Documents are (ids, offsets): the ids of all end to end, and int64[documents + 1] where each begins. Sequences are
(tokens [sequences, context], pieces of the type `curate.tokens.packing.PIECE`).
"""

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from curate.tokens.packing import PIECE

Documents = tuple[np.ndarray, np.ndarray]
Sequences = tuple[np.ndarray, np.ndarray]

MEGATRON_MAGIC, MEGATRON_DTYPES = b"MMIDIDX\0\0", {8: "<u2", 4: "<i4"}
"""Head of an .idx, and what its codes of types mean: that of ids beyond uint16 is signed."""

MDS_BYTES = 64 << 20
"""Most bytes of an .mds file, as MDSWriter has it: what a trainer downloads at once."""


def write_npy(path: Path, dtype: str, context: int, count: int, blocks: Iterable[Sequences]) -> None:
    """NAME.npy, [count, context] of `dtype`; NAME-documents.npy, PIECE[pieces]. path: without its ending."""
    pieces = []
    with open(f"{path}.npy", "wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (count, context)}
        np.lib.format.write_array_header_1_0(file, header)
        for tokens, held in blocks:
            file.write(np.ascontiguousarray(tokens).data)
            pieces.append(held)
    np.save(f"{path}-documents.npy", np.concatenate([np.empty(0, PIECE), *pieces]), allow_pickle=False)


def read_npy(path: Path) -> Sequences:
    """What `write_npy` wrote."""
    return np.load(f"{path}.npy", mmap_mode="r"), np.load(f"{path}-documents.npy")


def write_megatron(path: Path, dtype: str, blocks: Iterable[Documents]) -> None:
    """NAME.bin, the ids of all documents; NAME.idx, as Megatron-LM's `IndexedDataset` reads it, one sequence a
    document. path: without its ending."""
    length = [np.empty(0, np.int64)]
    with open(f"{path}.bin", "wb") as file:
        for ids, offsets in blocks:
            file.write(np.ascontiguousarray(ids).data)
            length.append(np.diff(offsets))
    length = np.concatenate(length)
    kind = 8 if np.dtype(dtype).itemsize == 2 else 4
    begin = np.append(0, np.cumsum(length))[:-1] * np.dtype(dtype).itemsize
    with open(f"{path}.idx", "wb") as file:
        file.write(MEGATRON_MAGIC + struct.pack("<QBQQ", 1, kind, len(length), len(length) + 1))
        for array in (length.astype("<i4"), begin.astype("<i8"), np.arange(len(length) + 1, dtype="<i8")):
            file.write(array.data)


def read_megatron(path: Path) -> Documents:
    """What `write_megatron` wrote."""
    index = Path(f"{path}.idx").read_bytes()
    _, kind, count, _ = struct.unpack_from("<QBQQ", index, len(MEGATRON_MAGIC))
    length = np.frombuffer(index, "<i4", count, len(MEGATRON_MAGIC) + 25)
    dtype = np.dtype(MEGATRON_DTYPES[kind].replace("i", "u"))
    return np.fromfile(f"{path}.bin", dtype), np.append(0, np.cumsum(length, dtype=np.int64))


def write_mds(path: Path, dtype: str, context: int, blocks: Iterable[Sequences]) -> None:
    """NAME.000.mds and so on, each of at most `MDS_BYTES`; `write_mds_index` makes a dataset of those in a folder.

    A sample has `tokens` ([context] of `dtype`) and `pieces` (int32[pieces, 4]: start, stop, document, offset).

    path  without its ending
    """
    head = {
        "column_encodings": ["ndarray:int32", f"ndarray:{dtype}:{context}"],
        "column_names": ["pieces", "tokens"],
        "column_sizes": [None, context * np.dtype(dtype).itemsize],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": MDS_BYTES,
        "version": 2,
    }
    head = json.dumps(head, sort_keys=True).encode()
    number, size, samples = 0, 0, []
    for sample in _samples(blocks):
        size += len(sample) + 4
        if samples and len(head) + 8 + size > MDS_BYTES:
            _write_samples(path, number, head, samples)
            number, size, samples = number + 1, len(sample) + 4, []
        samples.append(sample)
    if samples:
        _write_samples(path, number, head, samples)


def write_mds_index(folder: Path) -> None:
    """index.json of the .mds files of a folder, from what they say of themselves."""
    shards = []
    for path in sorted(folder.glob("*.mds")):
        with open(path, "rb") as file:
            (count,) = struct.unpack("<I", file.read(4))
            begin = np.frombuffer(file.read(4 * (count + 1)), "<u4")[0]
            head = json.loads(file.read(begin - file.tell()))
        raw = {"basename": path.name, "bytes": path.stat().st_size, "hashes": {}}
        shards.append(head | {"raw_data": raw, "samples": count, "zip_data": None})
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": shards}, sort_keys=True), encoding="utf-8")


def _samples(blocks: Iterable[Sequences]) -> Iterator[bytes]:
    """Each sequence as MDS has it: the size of the column without a fixed one, then the columns. An array of any shape
    begins with its number of axes and the type of their lengths (2: uint32)."""
    for tokens, pieces in blocks:
        edges = np.searchsorted(pieces["sequence"], pieces["sequence"][:1] + np.arange(len(tokens) + 1))
        inside = pieces.view("<i4").reshape(-1, len(PIECE))[:, 1:]
        for ids, begin, end in zip(tokens, edges[:-1], edges[1:], strict=True):
            held = struct.pack("<BII", 2 << 2 | 2, end - begin, 4) + inside[begin:end].tobytes()
            yield struct.pack("<I", len(held)) + held + ids.tobytes()


def _write_samples(path: Path, number: int, head: bytes, samples: list[bytes]) -> None:
    begin = np.cumsum([4 + 4 * (len(samples) + 1) + len(head), *map(len, samples)]).astype("<u4")
    content = [struct.pack("<I", len(samples)), begin.tobytes(), head, *samples]
    path.with_name(f"{path.name}.{number:03d}.mds").write_bytes(b"".join(content))


def read_mds(path: Path) -> Sequences:
    """What `write_mds` wrote."""
    tokens, pieces = [], []
    for file in sorted(path.parent.glob(f"{path.name}.*.mds")):
        content = file.read_bytes()
        (count,) = struct.unpack_from("<I", content)
        begin = np.frombuffer(content, "<u4", count + 1, 4).tolist()
        _, dtype, context = json.loads(content[8 + 4 * count : begin[0]])["column_encodings"][1].split(":")
        for at in begin[:-1]:
            size, _, many, _ = struct.unpack_from("<IBII", content, at)
            inside = np.frombuffer(content, "<i4", many * 4, at + 13).reshape(many, 4)
            numbered = np.insert(inside, 0, len(tokens), axis=1)
            pieces.append(np.ascontiguousarray(numbered).view(PIECE).reshape(-1))
            tokens.append(np.frombuffer(content, dtype, int(context), at + 4 + size))
    return np.array(tokens, dtype).reshape(-1, int(context)), np.concatenate([np.empty(0, PIECE), *pieces])
