"""Reject documents whose pictures are missing, broken, of odd size, or not marked in the text."""

from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.base.messages import IMAGES
from curate.base.parameters import Positive
from curate.base.pictures import (
    FORMATS,
    MOST_PIXELS,
    SIDE,
    Picture,
    counts,
    decoded,
    distributions,
    each,
    picture_bytes,
)
from curate.documents import hashes128
from curate.kernels.image_hash import bit_counts, difference_hashes
from curate.stage_api import reject, set_column, stage

LEAST_BITS = 8
"""Bits that are set in a hash that says something: one color all over, or nearly so, looks like any other."""


@stage(version=1, packages=distributions, hazard=True)
def images(
    docs: pa.Table,
    *,
    min_width: Annotated[Positive, Field(description="pixels")] = 1,
    min_height: Annotated[Positive, Field(description="pixels")] = 1,
    max_width: Annotated[Positive | None, Field(description="pixels; null: no limit")] = None,
    max_height: Annotated[Positive | None, Field(description="pixels; null: no limit")] = None,
    max_pixels: Annotated[
        int, Field(gt=0, le=MOST_PIXELS, description="width times height; an image that declares more is not decoded")
    ] = MOST_PIXELS // 2,
    formats: Annotated[
        list[Literal["jpeg", "png", "webp", "gif", "bmp", "tiff"]],
        Field(min_length=1, description="formats to keep, by the content of the files, not by their names"),
    ] = [*FORMATS],  # noqa: B006
    mark: Annotated[
        str | None, Field(min_length=1, description="the mark for an image in the text; null: no marks")
    ] = "<image>",
) -> pa.Table:
    """Reject documents whose images are missing, broken, too small or too large, or do not match the marks in the text.

    Every image is fully decoded; of images with several frames, only one. The text must have as many marks as the row
    has images; a document without either is kept. `image_dedup` compares the hashes.

    Reads: text, images
    Adds: n_images (int32, images), image_widths (list[int32], pixels), image_heights (list[int32], pixels),
    image_bytes (int64, bytes of all its images), image_digests (list[string], blake2b-128 of the bytes of each),
    image_hashes (list[uint64], 64-bit difference hash of each; null if meaningless, as for one color)
    Reasons: picture_missing, undecodable, bomb, other_format, too_small, too_large, marks_differ
    """
    column = docs["images"] if "images" in docs.column_names else _none(docs.num_rows)
    count, data = counts(column), list(each(column))
    found = [decoded(one, max_pixels) for one in data]
    row = np.repeat(np.arange(docs.num_rows), count)
    width, height = (np.array([getattr(one, name) or 0 for one in found], np.int64) for name in ("width", "height"))
    sized = width > 0

    def any_of(mask: np.ndarray) -> np.ndarray:
        return np.bincount(row[mask], minlength=docs.num_rows) > 0

    def of_problem(name: str) -> np.ndarray:
        return any_of(np.array([one.problem == name for one in found], bool))

    hashes, says = _hashes(found)
    high, low = hashes128(pa.array(data, pa.binary()))
    digests = [f"{one:016x}{other:016x}" for one, other in zip(high.tolist(), low.tolist(), strict=True)]
    there = np.array([one is not None for one in data], bool)
    added = {
        "n_images": pa.array(count, pa.int32()),
        "image_widths": _lists(count, pa.array(width, pa.int32(), mask=~sized)),
        "image_heights": _lists(count, pa.array(height, pa.int32(), mask=~sized)),
        "image_bytes": pa.array(picture_bytes(column), pa.int64()),
        "image_digests": _lists(count, pa.array(np.array(digests, object), pa.string(), mask=~there)),
        "image_hashes": _lists(count, pa.array(hashes, pa.uint64(), mask=~says)),
    }
    for name, values in added.items():
        docs = set_column(docs, name, values)
    marked = pc.fill_null(pc.count_substring(docs["text"], mark), 0).to_numpy() if mark else count
    largest = [max_width or width.max(initial=0), max_height or height.max(initial=0)]
    return reject(
        docs,
        picture_missing=of_problem("missing"),
        undecodable=of_problem("undecodable"),
        bomb=of_problem("bomb"),
        other_format=any_of(np.array([bool(one.format) and one.format not in formats for one in found], bool)),
        too_small=any_of(sized & ((width < min_width) | (height < min_height))),
        too_large=any_of((width > largest[0]) | (height > largest[1])),
        marks_differ=marked != count,
    )


def _hashes(found: list[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each picture, and whether it says something: uint64[n], bool[n]."""
    points = [np.zeros((SIDE, SIDE + 1), np.uint8) if one.points is None else one.points for one in found]
    hashes = difference_hashes(np.array(points, np.uint8).reshape(-1, SIDE, SIDE + 1))
    return hashes, bit_counts(hashes) >= LEAST_BITS


def _lists(count: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(count)), pa.int32()), values)


def _none(rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(rows, IMAGES)])
