"""Arrays and tables that may outgrow memory: large ones are memory-mapped files that the OS pages in and out.

The files have no name, so that nothing of them stays behind, and lie in the folder for temporary files (`TMPDIR`).
"""

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np
import pyarrow as pa

IN_MEMORY = 512 << 20
"""Bytes from which on an array or a table lies in a file."""


def zeros(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """As `np.zeros`. Raises OSError where a file of that size cannot be had."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < IN_MEMORY or not size:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):  # else a disk that is full kills the process when a page is written
            os.posix_fallocate(file.fileno(), 0, size)
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


class Pile:
    """Arrays put end to end, as they come."""

    def __init__(self, dtype: type):
        self.dtype, self.waiting, self.bytes = dtype, [], 0
        self.file: IO[bytes] | None = None

    def add(self, array: np.ndarray) -> None:
        self.waiting.append(np.ascontiguousarray(array, self.dtype))
        self.bytes += self.waiting[-1].nbytes
        if self.bytes >= IN_MEMORY:
            self._spill()

    def array(self) -> np.ndarray:
        """One-dimensional, of all that was added. Nothing can be added to it."""
        if self.file is None:
            return np.concatenate([np.empty(0, self.dtype), *(held.ravel() for held in self.waiting)])
        with self.file:
            self._spill()
            return np.asarray(np.memmap(self.file, self.dtype, "r+"))

    def _spill(self) -> None:
        self.file = self.file or tempfile.TemporaryFile()  # noqa: SIM115 (`array` closes it)
        for held in self.waiting:
            held.tofile(self.file)
        self.file.flush()
        self.waiting, self.bytes = [], 0


def together(tables: Iterable[pa.Table]) -> pa.Table:
    """Tables of one schema end to end, at least one."""
    held, size, tables = deque(), 0, iter(tables)
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= IN_MEMORY:
            return _mapped(held, tables)
    return pa.concat_tables(held)


def _mapped(held: deque[pa.Table], rest: Iterator[pa.Table]) -> pa.Table:
    with tempfile.TemporaryFile() as file:
        with pa.ipc.new_file(file, held[0].schema) as writer:
            while held:
                writer.write_table(held.popleft())
            for table in rest:
                writer.write_table(table)
        file.flush()
        return pa.ipc.open_file(pa.py_buffer(np.memmap(file, np.uint8, "r"))).read_all()
