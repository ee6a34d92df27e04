"""Progress of a run on stderr: a live line on a terminal, occasional lines in a log."""

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from curate.base.terminal import shown
from curate.engine.execute import Ended, Lost, Started
from curate.engine.on_dask import Connected
from curate.inspect.pace import LOOK_SECONDS, Pace

STEP = 0.05
"""Share of the work after which a log has another line."""

SPARSE_SECONDS, DENSE_SECONDS = 300, 1
"""A log has a line at least as often, and at most."""

BAR_WIDTH, BAR_FROM = 20, 100
"""Characters of the bar, on terminals of at least so many."""

NOTHING, NOW_AND_THEN, EVERYTHING = range(3)
_detail = NOW_AND_THEN


def set_detail(detail: int) -> None:
    """How much is said while jobs run: NOTHING, NOW_AND_THEN, or EVERYTHING, each job as it ends."""
    global _detail
    _detail = detail


def follow(events: Iterator) -> Any:
    """Consume the events of a run and show them. Returns the last, which is what it made."""
    console = Console(file=sys.stderr, highlight=False, quiet=_detail == NOTHING)
    watch = _Live(console) if console.is_terminal else _Log(console)
    with watch:
        for event in events:
            watch.count(event)
            if isinstance(event, Connected):
                watch.say(f"dashboard: {event.dashboard}")
            if isinstance(event, Lost):
                names = ", ".join(job.label for job in event.jobs[:3])
                watch.say(f"retrying {names}: {event.why}")
    return event


class _Watch:
    """Shows what happens, and about once a second how far the running jobs are."""

    def __init__(self, console: Console):
        self.console, self.pace, self.label = console, Pace(), ""
        self.ended, self.lock, self.thread = threading.Event(), threading.RLock(), None
        self.last, self.steps = time.monotonic(), 0

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.ended.set()
        if self.thread:
            self.thread.join()

    def count(self, event) -> None:
        with self.lock:
            self.pace.count(event)
            if isinstance(event, Ended):
                self.label = shown(event.job.label)
            self.show(event)
        if self.thread is None and not self.console.quiet:  # not before: until now the process may copy itself
            self.thread = threading.Thread(target=self._tick, daemon=True)
            self.thread.start()

    def _tick(self) -> None:
        while not self.ended.wait(LOOK_SECONDS):
            with self.lock:
                self.pace.look()
                self.show(None)

    def due(self) -> bool:
        """Whether a log should have another line: 5% more is done, or nothing was said for long."""
        steps, seconds = int(self.pace.share / STEP + 1e-6), time.monotonic() - self.last
        if seconds < SPARSE_SECONDS and (steps <= self.steps or seconds < DENSE_SECONDS):
            return False
        self.last, self.steps = time.monotonic(), steps
        return True

    def beginning(self, event: Started) -> str:
        """What a run, or another round of it, has to do."""
        if self.pace.rounds > 1:
            return f"{event.jobs:,} more jobs to run"
        if event.reused:
            return (
                f"resuming: {event.reused:,} of {event.reused + event.jobs:,} jobs are done, {event.jobs:,} jobs to run"
            )
        return f"{event.jobs:,} jobs to run"


class _Live(_Watch):
    def __enter__(self):
        columns = [TextColumn("{task.fields[line]}", markup=False, table_column=Column(no_wrap=True))]
        columns = [*columns, TimeElapsedColumn()]
        self.room = len(" 0:00:00")  # that the line leaves
        if self.console.width >= BAR_FROM:
            columns.insert(0, BarColumn(BAR_WIDTH))
            self.room += BAR_WIDTH + 1
        self.progress = Progress(*columns, console=self.console, transient=True)
        self.task = self.progress.add_task("", total=None, line="starting")
        self.progress.start()
        return self

    def __exit__(self, *exception) -> None:
        super().__exit__(*exception)
        self.progress.stop()

    def show(self, event) -> None:
        if isinstance(event, Started) and event.jobs and event.reused and self.pace.rounds == 1:
            self.say(self.beginning(event))
        elif isinstance(event, Ended) and _detail == EVERYTHING:
            self.say(f"{event.job.label}: done")
        if _detail == EVERYTHING and self.due():
            self.say(self.pace.sentence)
        line, share = self.pace.line(self.console.width - self.room, self.label), self.pace.share
        self.progress.update(self.task, total=1.0 if share else None, completed=share, line=line)

    def say(self, line: str) -> None:
        self.console.print(shown(line), markup=False)


class _Log(_Watch):
    def show(self, event) -> None:
        if isinstance(event, Started) and event.jobs:
            self.say(self.beginning(event))
        elif isinstance(event, Ended) and _detail == EVERYTHING:
            self.say(f"{event.job.label}: done ({self.pace.done:,} of {self.pace.jobs:,} jobs)")
        if self.due():
            self.say(self.pace.sentence)

    def say(self, line: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')} {shown(line)}", markup=False, soft_wrap=True)
