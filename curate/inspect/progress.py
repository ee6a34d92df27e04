"""Show the progress of a run: a live line on a terminal, a line now and then in a log. All of it on stderr."""

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

from curate.base.terminal import shown
from curate.engine.execute import Ended, Lost, Started

SPARSE_SECONDS = 15
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
            if isinstance(event, Lost):
                names = ", ".join(job.label for job in event.jobs[:3])
                watch.say(f"retrying {names}: {event.why}")
    return event


class _Counting:
    """Documents read and rejected so far, by the jobs of this run."""

    def __init__(self, console: Console):
        self.console, self.started = console, time.monotonic()
        self.rounds = self.jobs = self.done = self.read = self.out = 0
        self.reading = 0.0

    def count(self, event) -> None:
        if isinstance(event, Started):
            self.jobs, self.done, self.rounds = event.jobs, 0, self.rounds + 1
        elif isinstance(event, Ended):
            self.done += 1
            if "read" in event.marker:
                self.read, self.reading = self.read + event.marker["rows"], time.monotonic() - self.started
                self.out += event.marker["read"]["in"] - event.marker["read"]["kept"]
            self.out += sum(count["in"] - count["kept"] for count in event.marker.get("stages", {}).values())
        self.show(event)

    def beginning(self, event: Started) -> str:
        """What a run, or another round of it, has to do."""
        if self.rounds > 1:
            return f"{event.jobs:,} more jobs to run"
        if event.reused:
            return (
                f"resuming: {event.reused:,} of {event.reused + event.jobs:,} jobs are done, {event.jobs:,} jobs to run"
            )
        return f"{event.jobs:,} jobs to run"

    @property
    def words(self) -> str:
        if not self.read:
            return ""
        return f"{self.read:,} documents read ({self.read / max(self.reading, 1e-3):,.0f}/s), {self.out:,} rejected"


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
        if isinstance(event, Started) and event.jobs and event.reused and self.rounds == 1:
            self.say(self.beginning(event))
        elif isinstance(event, Ended) and _detail == EVERYTHING:
            self.say(f"{event.job.label}: done")
        label = shown(event.job.label) if isinstance(event, Ended) else "starting"
        self.progress.update(self.task, description=label, total=self.jobs, completed=self.done, words=self.words)

    def say(self, line: str) -> None:
        self.console.print(shown(line), markup=False)


class _Log(_Counting):
    def __enter__(self):
        self.last = time.monotonic()
        return self

    def __exit__(self, *exception) -> None:
        pass

    def show(self, event) -> None:
        if isinstance(event, Started) and event.jobs:
            self.say(self.beginning(event))
        elif isinstance(event, Ended) and _detail == EVERYTHING:
            self.say(f"{event.job.label}: done ({self.done:,} of {self.jobs:,} jobs)")
        elif isinstance(event, Ended) and time.monotonic() - self.last >= SPARSE_SECONDS:
            self.last = time.monotonic()
            words = f"; {self.words}" if self.words else ""
            self.say(f"{self.done:,} of {self.jobs:,} jobs done{words}")

    def say(self, line: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')} {shown(line)}", markup=False, soft_wrap=True)
