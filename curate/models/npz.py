"""Write arrays to `.npz` files, the same bytes each time; read them without running anything."""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def write_npz(path: str | Path, about: dict, **arrays: np.ndarray) -> None:
    """Write arrays, and what they are as JSON."""
    with open(path, "wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def read_npz(path: str | Path, names: Iterable[str]) -> tuple[Any, dict[str, np.ndarray]]:
    """(about, arrays) of a file, in no more memory than its size: nothing in it is compressed.

    Raises whatever NumPy, zipfile and json raise for a file that is none of these.
    """
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("its arrays are compressed")
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["about"])), {name: file[name] for name in names}
