"""Pictures, rows that name them, and manifests over both, for tests."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from releases import write_manifest

from curate.base.messages import IMAGES

CHAT = {"name": "pictures", "version": "1.0.0", "license": "cc0-1.0"}


def picture(seed: int, width: int = 32, height: int = 24, kind: str = "PNG", **options) -> bytes:
    """A picture of a few smooth shapes."""
    chance = np.random.default_rng(seed)
    small = Image.fromarray(chance.integers(0, 256, (5, 6, 3), np.uint8))
    stream = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(stream, kind, **options)
    return stream.getvalue()


def noise(seed: int, side: int) -> bytes:
    """A picture that does not compress: some 3 * side * side bytes."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def named(*paths: str | None) -> list[dict]:
    """A row's pictures, by their paths."""
    return [{"bytes": None, "path": path} for path in paths]


def held(*pictures: bytes | None) -> list[dict]:
    """A row's pictures, by their bytes."""
    return [{"bytes": data, "path": None} for data in pictures]


def write_rows(path: Path, rows: list[list[dict] | None], texts: list[str] | None = None) -> None:
    """Rows with these pictures, as a release has them. texts: by default a mark for each picture and a number."""
    texts = texts or [f"{'<image>' * len(row or ())} row {number}" for number, row in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts, "images": pa.array(rows, IMAGES)}), path)


def manifest(folder: Path, images: str | list[str] | None = None, pipeline: tuple = (), **more) -> Path:
    """A manifest over `rows.parquet` in a folder. more: keys of the source, or of the manifest."""
    source = {"inputs": ["rows.parquet"], "layout": "curate", "pipeline": list(pipeline)}
    source |= {} if images is None else {"images": images}
    for name in [*more]:
        if name in ("layout", "max_bad_rows", "follow_links", "inputs"):
            source[name] = more.pop(name)
    return write_manifest(folder / "manifest.yaml", CHAT | {"sources": {"seen": source}} | more)
