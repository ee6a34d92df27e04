"""Keys of 64 bits that more than one row has."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def as_before(key: np.ndarray) -> np.ndarray:
    """bool[n]: which keys are the same as the one before them."""
    return np.append(False, key[1:] == key[:-1])[: len(key)]


def meet(rows: pa.Table) -> pa.Table:
    """The rows whose `key` (uint64) another one has too, sorted by it: most have not, and go no further."""
    rows = rows.take(pc.sort_indices(rows["key"]))
    same = as_before(rows["key"].to_numpy())
    return rows.filter(pa.array(same | np.append(same[1:], False)))
