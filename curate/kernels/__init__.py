"""Numba loops: arrays in, arrays out.

Text comes in as Arrow lays it out: ``data`` (uint8, the UTF-8 bytes of all documents, end to end) and
``offsets`` (int64, one more than there are documents), so that document ``i`` is
``data[offsets[i]:offsets[i + 1]]``. Nothing here knows of tables, files, configuration or logging.

Machine code is kept in the user's cache, in a folder named by a digest of all kernels: Numba itself would not
notice that a function which a kernel calls has changed in another file.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numba


def _cache_folder() -> str:
    """The folder for machine code: the user's choice, else one of their cache, else a temporary one."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = home / "curate" / "kernels" / digest.hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    return str(folder if writable else Path(tempfile.gettempdir()) / f"curate-kernels-{os.getuid()}-{folder.name}")


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = _cache_folder()

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
"""Compile on first call, keep the machine code on disk, and let other threads run meanwhile."""

device = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
"""For functions that kernels call once a character: they allocate nothing, so they are compiled without counting
references to the arrays they are given, which would cost more than their work."""
