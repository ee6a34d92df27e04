"""Texts that a kernel wrote, as a column."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def replace(text: pa.ChunkedArray, mask, data: np.ndarray, offsets: np.ndarray) -> pa.ChunkedArray:
    """The column with new texts where the mask is true and there was one: `data[offsets[i]:offsets[i + 1]]`.

    mask     bool[rows]
    data     uint8[bytes], well-formed UTF-8
    offsets  int64[rows + 1]
    """
    changed = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    mask = pc.and_(pa.array(mask), text.is_valid())
    return pc.if_else(mask, changed.cast(text.type), text)
