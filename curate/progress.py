"""Show how a run goes on: a live line on a terminal, a line now and then in a log. All of it on stderr."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from curate.run import Ended, Lost, Started
from curate.terminal import shown

SPARSE_SECONDS = 15


def follow(events: Iterator) -> Any:
    """Consume the events of a run and show them. Returns the last, which is what it made."""
    console = Console(file=sys.stderr, highlight=False)
    watch = _Live(console) if console.is_terminal else _Log(console)
    with watch:
        for event in events:
            watch.count(event)
            if isinstance(event, Lost):
                names = ", ".join(job.label for job in event.jobs[:3])
                console.print(shown(f"again: {names} ({event.why})"), markup=False)
    return event


class _Counting:
    """Documents read and kept so far, by the newest part of each lane."""

    def __init__(self, console: Console):
        self.console, self.started = console, time.monotonic()
        self.jobs = self.done = self.read = self.out = 0

    def count(self, event) -> None:
        if isinstance(event, Started):
            self.jobs, self.done = event.jobs, 0
        elif isinstance(event, Ended):
            self.done += 1
            if "read" in event.marker:
                self.read += event.marker["rows"]
                self.out += event.marker["read"]["in"] - event.marker["read"]["kept"]
            self.out += sum(count["in"] - count["kept"] for count in event.marker.get("stages", {}).values())
        self.show(event)

    @property
    def words(self) -> str:
        if not self.read:
            return ""
        rate = self.read / max(time.monotonic() - self.started, 1e-3)
        return f"{self.read:,} documents read, {rate:,.0f}/s, {max(0, 1 - self.out / self.read):.1%} kept"


class _Live(_Counting):
    def __enter__(self):
        columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
        columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[words]}")]
        self.progress = Progress(*columns, console=self.console, transient=True)
        self.task = self.progress.add_task("jobs", total=None, words="")
        self.progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self.progress.stop()

    def show(self, event) -> None:
        label = shown(event.job.label) if isinstance(event, Ended) else "starting"
        self.progress.update(self.task, description=label, total=self.jobs, completed=self.done, words=self.words)


class _Log(_Counting):
    def __enter__(self):
        self.last = time.monotonic()
        return self

    def __exit__(self, *exception) -> None:
        pass

    def show(self, event) -> None:
        if isinstance(event, Started) and event.jobs:
            self.console.print(f"{event.jobs:,} jobs to run, {event.reused:,} reused", markup=False)
        elif isinstance(event, Ended) and time.monotonic() - self.last >= SPARSE_SECONDS:
            self.last = time.monotonic()
            self.console.print(f"{self.done:,} of {self.jobs:,} jobs; {self.words}", markup=False)
