"""Pictures as Arrow columns: their size, and how Pillow opens them within limits.

What strangers call a picture may be made to harm whoever opens it. So its format is one of FORMATS, its size is read
from its header before any pixel is decoded, and a file that says one size and holds another is decoded to the size it says.
"""  # noqa: E501

import io
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import CurateError

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")
"""What is decoded, by Pillow's own code and libraries. Others run programs, or read files that the picture names."""

MOST_PIXELS = 178_956_970
"""Of a picture: twice what Pillow warns of, from where on it refuses. In memory that is 700 MB."""

SIDE = 8
"""A picture is hashed by SIDE rows of SIDE + 1 points."""


class Picture(NamedTuple):
    """What became of a picture.

    problem  why it is of no use: missing, undecodable, bomb; empty where it is
    points   uint8[SIDE, SIDE + 1], the picture in gray, scaled down; None where it is of no use
    """

    problem: str
    format: str = ""
    width: int | None = None
    height: int | None = None
    points: np.ndarray | None = None


def picture_bytes(images: pa.ChunkedArray) -> np.ndarray:
    """Bytes of the pictures of each row (`IMAGES`): int64[rows]."""
    found = [np.zeros(0, np.int64)]
    for chunk in images.chunks:
        sizes = pc.fill_null(pc.binary_length(pc.struct_field(chunk.flatten(), "bytes")), 0)
        ends = np.append(0, np.cumsum(sizes.to_numpy(), dtype=np.int64))
        found.append(np.diff(ends[np.append(0, np.cumsum(counts(chunk)))]))
    return np.concatenate(found)


def counts(images: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """How many pictures each row has: int64[rows]."""
    return pc.fill_null(pc.list_value_length(images), 0).to_numpy().astype(np.int64)


def each(images: pa.ChunkedArray) -> Iterator[bytes | None]:
    """The bytes of the pictures of all rows, one after the other; None where there are none."""
    for chunk in images.chunks:
        for value in pc.struct_field(chunk.flatten(), "bytes"):
            yield value.as_py()


def decoded(data: bytes | None, max_pixels: int = MOST_PIXELS) -> Picture:
    """A picture, decoded as a whole. max_pixels: of a picture that is decoded, at most MOST_PIXELS.

    Raises CurateError where Pillow is not installed, and for no bytes whatever.
    """
    Image = _pillow()
    if data is None:
        return Picture("missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, which are dealt with here, and of odd metadata
            with Image.open(io.BytesIO(data), formats=[name.upper() for name in FORMATS]) as image:
                known = {"jpeg": "jpeg", "mpo": "jpeg"}
                format = known.get(image.format.lower(), image.format.lower())
                width, height = image.size
                if width * height > max_pixels:
                    return Picture("bomb", format, width, height)
                gray = image.convert("L")
                small = gray.resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS)
                return Picture("", format, width, height, np.asarray(small, np.uint8))
    except Image.DecompressionBombError:
        return Picture("bomb")
    except MemoryError:
        raise
    except Exception:  # each decoder has its own
        return Picture("undecodable")


def distributions(**_) -> tuple[str, ...]:
    """The distributions that affect what is decoded. Raises CurateError where Pillow is not installed."""
    _pillow()
    return ("pillow",)


def _pillow():
    try:
        from PIL import Image
    except ImportError:
        raise CurateError("Pillow is not installed", fix='pip install "curate-corpus[images]"') from None
    return Image
