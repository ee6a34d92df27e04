"""The pace of a run: documents so far, documents per second, and time left."""

import time
from collections import deque
from collections.abc import Callable

from curate.base.phrases import counted
from curate.engine.execute import Ended, Lost, Started
from curate.engine.job import Job
from curate.engine.running import Counts, running
from curate.engine.weights import NO_WEIGHTS

LOOK_SECONDS = 1.0
"""How often running jobs are looked at, at most."""

RATE_SECONDS = 10.0
"""Over how long documents a second are counted, at least."""

SOON, LITTLE = 3.0, 0.02
"""Before so many seconds, or so much of the work, nothing is said of the time left."""


class Speed:
    """How fast a number rises: over the last seconds, or its last change, whichever is longer."""

    def __init__(self):
        self.changes: deque[tuple[float, float]] = deque()

    def note(self, now: float, value: float) -> None:
        if not self.changes or value != self.changes[-1][1]:
            self.changes.append((now, value))

    def over(self, seconds: float, now: float) -> float:
        """So much a second. What came before these seconds is forgotten."""
        while len(self.changes) > 2 and self.changes[1][0] <= now - seconds:
            self.changes.popleft()
        if not self.changes:
            return 0.0
        (start, first), (_, last) = self.changes[0], self.changes[-1]
        return max(last - first, 0.0) / max(now - start, 1e-3)


class Pace:
    """Counts what the jobs of a run have done: those that ended by their markers, running ones by what they write.

    clock  seconds

    documents  that were read, rejected ones too
    rejected   of those of the jobs that have ended
    done       jobs that have ended, of so many jobs
    share      of the work, 0 to 1
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock, self.began, self.looked = clock, 0.0, 0.0
        self.event: Started | None = None
        self.missing: dict[str, Job] = {}
        self.jobs = self.done = self.rounds = self.unread = 0
        self.ended_documents = self.rejected = 0
        self.ended_weight = self.total_weight = 0.0
        self.running: dict[str, Counts] = {}
        self.reading, self.working = Speed(), Speed()

    def count(self, event: Started | Ended | Lost) -> None:
        """Something happened."""
        if isinstance(event, Started):
            self.began = self.clock() if self.event is None else self.began
            self.event, self.running, self.rounds = event, {}, self.rounds + 1
            self.missing = {job.fp: job for job in event.missing}
            self.jobs, self.done = (event.jobs, 0) if event.jobs else (self.jobs, self.done)
            self.unread = sum("read" in job.args for job in event.missing)
            left = sum(self._weight(fp) for fp in self.missing) + event.weights.later
            self.total_weight = self.ended_weight + left
        elif isinstance(event, Ended):
            self.done += 1
            self.running.pop(event.job.fp, None)
            self.missing.pop(event.job.fp, None)
            self.ended_weight += self._weight(event.job.fp)
            if "read" in event.job.args:
                self.unread -= 1
                self.ended_documents += event.marker["rows"]
                self.rejected += event.marker["read"]["in"] - event.marker["read"]["kept"]
            self.rejected += sum(count["in"] - count["kept"] for count in event.marker.get("stages", {}).values())
        self._note()

    def look(self) -> None:
        """See how far the running jobs are, unless that was a moment ago. One that has just ended stays as it was seen
        last, until its end is known."""
        if self.event and self.clock() - self.looked >= LOOK_SECONDS:
            self.looked = self.clock()
            self.running |= running(self.event.store, self.missing)
            self._note()

    def _note(self) -> None:
        now = self.clock()
        self.reading.note(now, self.documents)
        self.working.note(now, self._done_weight)

    def _weight(self, fp: str) -> float:
        return (self.event.weights if self.event else NO_WEIGHTS).jobs.get(fp, 0.0)

    @property
    def _done_weight(self) -> float:
        return self.ended_weight + sum(self._weight(fp) * counts.share for fp, counts in self.running.items())

    @property
    def documents(self) -> int:
        within = (counts.documents for fp, counts in self.running.items() if "read" in self.missing[fp].args)
        return self.ended_documents + sum(within)

    @property
    def share(self) -> float:
        return min(self._done_weight / self.total_weight, 1.0) if self.total_weight else 0.0

    @property
    def rate(self) -> float | None:
        """Documents a second lately; None where none are read any more, or not yet."""
        return self.reading.over(RATE_SECONDS, self.clock()) if self.unread and self.documents else None

    @property
    def left(self) -> float | None:
        """About how many seconds the rest takes, by how fast the work was lately; None where too little of it is done
        to tell."""
        now, share = self.clock(), self.share
        if now - self.began < SOON or not LITTLE < share < 1:
            return None
        speed = self.working.over(max(3 * RATE_SECONDS, (now - self.began) / 4), now)
        return (self.total_weight - self._done_weight) / speed if speed else None

    @property
    def _rate(self) -> str:
        return "" if self.rate is None else f" ({self.rate:,.0f}/s)"

    def line(self, width: int, label: str = "") -> str:
        """The run in a line of at most `width` characters: what matters least is left out where it is too long."""
        pieces = {
            "jobs": f"{self.done:,}/{self.jobs:,} jobs",
            "documents": counted(self.documents, "document") + self._rate if self.documents else "",
            "rejected": f"{self.rejected:,} rejected" if self.rejected else "",
            "left": "" if self.left is None else about(self.left),
            "label": label,
        }
        for least in ("", "label", "rejected", "jobs"):
            pieces.pop(least, None)
            text = "  ".join(filter(None, pieces.values()))
            if len(text) <= width:
                break
        return text[:width]

    @property
    def sentence(self) -> str:
        """The run in a line of a log."""
        pieces = [f"{self.share:.0%}: {self.done:,} of {self.jobs:,} jobs done"]
        if self.documents:
            pieces.append(f"{self.documents:,} documents read{self._rate}, {self.rejected:,} rejected")
        if self.left is not None:
            pieces.append(about(self.left))
        return "; ".join(pieces)


def about(seconds: float) -> str:
    """`about 2 min left`: no more precise than a guess is."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than 1 min left"
    if minutes < 57.5:
        step = 1 if minutes < 9.5 else 5
        return f"about {max(step * round(minutes / step), 1)} min left"
    hours = minutes / 60
    if hours < 47.5:
        return f"about {round(2 * hours) / 2 if hours < 9.75 else round(hours):g} h left"
    return f"about {round(hours / 24)} days left"
