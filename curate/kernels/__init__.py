"""Numba loops: arrays in, arrays out.

Text comes in as Arrow lays it out: ``data`` (uint8, the UTF-8 bytes of all documents, end to end) and
``offsets`` (int64, one more than there are documents), so that document ``i`` is
``data[offsets[i]:offsets[i + 1]]``. Nothing here knows of tables, files, configuration or logging.
"""

import numba

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
"""Compile on first call, keep the machine code on disk, and let other threads run meanwhile."""
