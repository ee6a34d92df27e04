"""Which jobs can run by now: those whose upstream is made."""

from collections import defaultdict
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from curate.engine.job import Job


class Waves:
    """Hands out jobs in the order of the plan, each once all that it reads is made.

    A job whose upstream fails is never handed out. What a job reads and is not among these jobs is made already.
    """

    def __init__(self, jobs: Iterable[Job]):
        self.jobs = list(jobs)
        place = {job.fp: number for number, job in enumerate(self.jobs)}
        self.behind: dict[str, list[int]] = defaultdict(list)
        self.waits_for = [0] * len(self.jobs)
        for number, job in enumerate(self.jobs):
            for fp in job.upstream:
                if fp in place:
                    self.waits_for[number] += 1
                    self.behind[fp].append(number)
        self.ready = [number for number, left in enumerate(self.waits_for) if not left]
        heapify(self.ready)

    def take(self, most: int) -> list[Job]:
        """The next jobs that can run, at most so many."""
        return [self.jobs[heappop(self.ready)] for _ in range(min(most, len(self.ready)))]

    def made(self, job: Job) -> None:
        """The job has ended well: what only waited for it can run."""
        for number in self.behind.pop(job.fp, ()):
            self.waits_for[number] -= 1
            if not self.waits_for[number]:
                heappush(self.ready, number)
