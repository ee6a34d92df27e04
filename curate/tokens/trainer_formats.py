"""Write and read token shards: NumPy, Megatron-LM's .bin/.idx, MosaicML's MDS.

Written by NumPy alone.

Each writer takes blocks, so that a shard of any size needs the memory of one, and gives the same bytes however they are
cut.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from curate.tokens.packing import PIECE


class Documents(NamedTuple):
    """ids: of all documents end to end. offsets: int64[documents + 1], where each begins. mask: uint8 of each id, 1 for
    those to train on, or None."""

    ids: np.ndarray
    offsets: np.ndarray
    mask: np.ndarray | None = None


class Sequences(NamedTuple):
    """tokens: [sequences, context]. pieces: PIECE[pieces]. mask: uint8 of each token, 1 for those to train on, or
    None."""

    tokens: np.ndarray
    pieces: np.ndarray
    mask: np.ndarray | None = None


MEGATRON_MAGIC, MEGATRON_DTYPES = b"MMIDIDX\0\0", {8: "<u2", 4: "<i4"}
"""Head of an .idx, and what its codes of types mean: that of ids beyond uint16 is signed."""

MDS_BYTES = 64 << 20
"""Most bytes of an .mds file, as MDSWriter has it: what a trainer downloads at once."""


def write_npy(
    path: Path, dtype: str, context: int, count: int, blocks: Iterable[Sequences], masked: bool = False
) -> None:
    """NAME.npy, [count, context] of `dtype`; NAME-documents.npy, PIECE[pieces]; if `masked` NAME-mask.npy, uint8 of the
    same shape. path: without its ending."""
    pieces = []
    with ExitStack() as stack:
        file = stack.enter_context(_npy_file(f"{path}.npy", dtype, (count, context)))
        mask = stack.enter_context(_npy_file(f"{path}-mask.npy", "uint8", (count, context))) if masked else None
        for block in blocks:
            file.write(np.ascontiguousarray(block.tokens).data)
            if mask:
                mask.write(np.ascontiguousarray(block.mask).data)
            pieces.append(block.pieces)
    np.save(f"{path}-documents.npy", np.concatenate([np.empty(0, PIECE), *pieces]), allow_pickle=False)


@contextmanager
def _npy_file(path: str, dtype: str, shape: tuple[int, int]) -> Iterator[BinaryIO]:
    with open(path, "wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def read_npy(path: Path) -> Sequences:
    """What `write_npy` wrote."""
    mask = Path(f"{path}-mask.npy")
    mask = np.load(mask, mmap_mode="r") if mask.is_file() else None
    return Sequences(np.load(f"{path}.npy", mmap_mode="r"), np.load(f"{path}-documents.npy"), mask)


def write_megatron(path: Path, dtype: str, blocks: Iterable[Documents]) -> None:
    """NAME.bin, the ids of all documents; NAME.idx, as Megatron-LM's `IndexedDataset` reads it, one sequence a
    document. path: without its ending."""
    length = [np.empty(0, np.int64)]
    with open(f"{path}.bin", "wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block.ids).data)
            length.append(np.diff(block.offsets))
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
    return Documents(np.fromfile(f"{path}.bin", dtype), np.append(0, np.cumsum(length, dtype=np.int64)))


def write_mds(path: Path, dtype: str, context: int, blocks: Iterable[Sequences], masked: bool = False) -> None:
    """NAME.000.mds and so on, each of at most `MDS_BYTES`; `write_mds_index` makes a dataset of those in a folder.

    A sample has `tokens` ([context] of `dtype`), `pieces` (int32[pieces, 4]: start, stop, document, offset), and if
    `masked` a `mask` (uint8[context]).

    path  without its ending
    """
    columns = {"mask": (f"ndarray:uint8:{context}", context)} if masked else {}
    columns |= {"pieces": ("ndarray:int32", None)}
    columns |= {"tokens": (f"ndarray:{dtype}:{context}", context * np.dtype(dtype).itemsize)}
    head = {
        "column_encodings": [encoding for encoding, _ in columns.values()],
        "column_names": [*columns],
        "column_sizes": [size for _, size in columns.values()],
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
    for tokens, pieces, mask in blocks:
        edges = np.searchsorted(pieces["sequence"], pieces["sequence"][:1] + np.arange(len(tokens) + 1))
        inside = pieces.view("<i4").reshape(-1, len(PIECE))[:, 1:]
        masks = [b""] * len(tokens) if mask is None else map(np.ndarray.tobytes, mask)
        for ids, before, begin, end in zip(tokens, masks, edges[:-1], edges[1:], strict=True):
            held = struct.pack("<BII", 2 << 2 | 2, end - begin, 4) + inside[begin:end].tobytes()
            yield struct.pack("<I", len(held)) + before + held + ids.tobytes()


def _write_samples(path: Path, number: int, head: bytes, samples: list[bytes]) -> None:
    begin = np.cumsum([4 + 4 * (len(samples) + 1) + len(head), *map(len, samples)]).astype("<u4")
    content = [struct.pack("<I", len(samples)), begin.tobytes(), head, *samples]
    path.with_name(f"{path.name}.{number:03d}.mds").write_bytes(b"".join(content))


def read_mds(path: Path, dtype: str, context: int, masked: bool = False) -> Sequences:
    """What `write_mds` wrote."""
    tokens, pieces, masks, width = [], [], [], context if masked else 0
    for file in sorted(path.parent.glob(f"{path.name}.*.mds")):
        content = file.read_bytes()
        (count,) = struct.unpack_from("<I", content)
        begin = np.frombuffer(content, "<u4", count + 1, 4).tolist()
        for at in begin[:-1]:
            size, many = struct.unpack_from("<I", content, at)[0], struct.unpack_from("<I", content, at + width + 5)[0]
            inside = np.frombuffer(content, "<i4", many * 4, at + width + 13).reshape(many, 4)
            numbered = np.insert(inside, 0, len(tokens), axis=1)
            pieces.append(np.ascontiguousarray(numbered).view(PIECE).reshape(-1))
            masks.append(np.frombuffer(content, np.uint8, width, at + 4))
            tokens.append(np.frombuffer(content, dtype, context, at + 4 + width + size))
    shape = (-1, context)
    mask = np.array(masks, np.uint8).reshape(shape) if masked else None
    return Sequences(np.array(tokens, dtype).reshape(shape), np.concatenate([np.empty(0, PIECE), *pieces]), mask)
