"""Progress of running jobs: what each has counted so far, in small files.

A job writes its own file, and whoever shows the run reads it.

    store/running/FINGERPRINT.json   {"documents", "share"} of a job so far

Nothing depends on these files. A job writes its own at most once a second, and removes it when it ends. What a run that
was killed left goes when the jobs run again, or with `gc`.
"""

import json
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from curate.engine.store import Store
from curate.models.resources import read_note, remove, write_text

FOLDER = "running"
SECONDS = 1.0
"""How long a job waits before it writes again."""


@dataclass(frozen=True)
class Counts:
    """How far a running job is. documents: done so far; share: of its input, 0 to 1, as far as its reader tells."""

    documents: int
    share: float


class Meter:
    """Notes how far a job is, block by block and step by step, while the block of this context manager runs.

    steps  that a block takes: it is read, and goes through some stages. Its documents count step by step.
    clock  seconds; the job began when the meter was made
    """

    def __init__(self, store: Store, fp: str, steps: int, clock: Callable[[], float] = time.monotonic):
        self.path, self.steps, self.clock = _folder(store) / f"{fp}.json", steps, clock
        self.last, self.wrote = clock(), False
        self.step = self.before = self.rows = 0
        self.start = self.end = 0.0

    def read(self, rows: int, share: float) -> None:
        """The next block has been read, and with it this share of the input."""
        self.before, self.rows, self.step = self.before + self.rows, rows, 0
        self.start, self.end = self.end, share
        self.passed()

    def passed(self) -> None:
        """The block has taken another step. A note that cannot be written is no reason to stop."""
        self.step += 1
        now = self.clock()
        if now - self.last < SECONDS:
            return
        self.last, self.wrote = now, True
        way = self.step / self.steps
        counts = Counts(self.before + int(self.rows * way), round(self.start + (self.end - self.start) * way, 4))
        with suppress(OSError):
            self.path.parent.mkdir(exist_ok=True)
            write_text(self.path, json.dumps(asdict(counts)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        if self.wrote:
            with suppress(OSError):
                remove(self.path)


def running(store: Store, wanted: Collection[str], newest: float = float("inf")) -> dict[str, Counts]:
    """{fingerprint: its counts} of those of the wanted jobs that have written any.

    newest  seconds: what was written longer ago does not count
    """
    found = {}
    for fp, path in _files(store):
        if fp in wanted:
            with suppress(OSError, ValueError, KeyError, TypeError):
                if time.time() - path.stat().st_mtime <= newest:
                    noted = json.loads(read_note(path))
                    found[fp] = Counts(int(noted["documents"]), min(max(float(noted["share"]), 0.0), 1.0))
    return found


def forget(store: Store, fps: Collection[str]) -> None:
    """Remove what jobs that are about to run have left from before."""
    for fp, path in _files(store):
        if fp in fps:
            with suppress(OSError):
                remove(path)


def _folder(store: Store) -> Path:
    return store.root / FOLDER


def _files(store: Store) -> list[tuple[str, Path]]:
    """Fingerprint and file of each job that has written one."""
    try:
        paths = [Path(entry.path) for entry in os.scandir(_folder(store)) if entry.name.endswith(".json")]
    except OSError:  # nothing has been written
        return []
    return [(path.stem, path) for path in paths]
