"""Split texts into lines or paragraphs, and join them again."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SEPARATORS = {"lines": "\n", "paragraphs": "\n\n"}


def split(text: pa.ChunkedArray, separator: str) -> tuple[pa.Array, np.ndarray]:
    """All units of all texts, end to end, and where those of each begin: int64[documents + 1]. Null has one, empty."""
    parts = pc.split_pattern(pc.fill_null(text, "").combine_chunks(), separator)
    return parts.flatten(), np.append(0, np.cumsum(pc.list_value_length(parts), dtype=np.int64))


def join(units: pa.Array, starts: np.ndarray, stays: np.ndarray, separator: str) -> pa.Array:
    """The texts made of those units that stay (bool[units]): string[documents]."""
    bounds = np.append(0, np.cumsum(stays))[starts]
    kept = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), units.filter(pa.array(stays)))
    return pc.binary_join(kept, separator)
