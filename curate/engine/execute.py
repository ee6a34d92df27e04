"""Run jobs, in this process or on Dask, and yield what happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from curate.engine.job import Job, unmade
from curate.engine.job_sandbox import JobSandbox
from curate.engine.jobs import run_job
from curate.engine.on_dask import Connected, OnDask, OutOfMemory
from curate.engine.profile import Profile
from curate.engine.running import forget
from curate.engine.stage_sandbox import hang_seconds
from curate.engine.store import Damaged, Store
from curate.engine.weights import NO_WEIGHTS, Weights
from curate.errors import Stopped

ATTEMPTS = 4
"""How often a run starts again over lost workers and damaged parts before it gives up."""


@dataclass(frozen=True)
class Started:
    """A round of jobs begins.

    missing  the jobs that it runs
    reused   how many were made already
    store    where running jobs say how far they are, see `curate.engine.running`
    weights  what the jobs are worth, to tell how far the run is
    """

    missing: list[Job]
    reused: int
    store: Store
    weights: Weights

    @property
    def jobs(self) -> int:
        return len(self.missing)


@dataclass(frozen=True)
class Ended:
    """A job ended. marker: what it counted."""

    job: Job
    marker: dict


@dataclass(frozen=True)
class Lost:
    """Jobs took their worker down, or found a damaged part, and run again."""

    jobs: list[Job]
    why: str


def execute(
    jobs: list[Job], store: Store, submit, weights: Weights = NO_WEIGHTS
) -> Iterator[Started | Connected | Ended | Lost]:
    """Run the jobs that are not made, again where workers are lost, until all are."""
    sandboxed: set[str] = set()
    memory = ""
    for _ in range(ATTEMPTS):
        missing = unmade(jobs, store.markers(job.fp for job in jobs).__contains__)
        forget(store, {job.fp for job in missing})
        yield Started(missing, len(jobs) - len(missing), store, weights)
        if not missing:
            return
        crashed, damaged = [], []
        for happened in submit(missing, store, sandboxed):
            if isinstance(happened, Connected):
                yield happened
                continue
            job, outcome = happened
            if isinstance(outcome, dict):
                yield Ended(job, outcome)
            elif isinstance(outcome, Damaged):
                store.discard(outcome.fp)
                damaged.append(job)
            elif isinstance(outcome, OutOfMemory):
                memory = outcome.fix
                crashed.append(job)
                yield Lost([job], str(outcome))
            else:
                crashed.append(job)
        if crashed:
            sandboxed |= {job.fp for job in crashed}
            yield Lost(crashed, "their worker was lost; each document now runs in a sandbox")
        if damaged:
            yield Lost(damaged, "a part they read was damaged and will be rebuilt")
    missing = unmade(jobs, store.markers(job.fp for job in jobs).__contains__)
    if missing:
        what = f"{len(missing)} jobs did not finish in {ATTEMPTS} attempts, the first being `{missing[0].label}`"
        why = memory or "check whether the machine runs out of memory (fewer --workers need less)"
        raise Stopped(what, fix=f"{why}, and run again to resume")


@contextmanager
def cluster(workers: int | None, profile: Profile | None = None):
    """A function submit(jobs, store, sandboxed) that yields (job, its marker or what took it down) as jobs end.

    workers  processes on this machine; 0: this one. Of no account where a profile says what cluster to use.
    """
    held = _Here() if workers == 0 and not profile else OnDask(workers, profile)
    try:
        yield held.submit
    finally:
        held.close()


class _Here:
    """This process, and its sandbox for jobs that read what strangers wrote."""

    def __init__(self):
        self.sandbox = JobSandbox() if hang_seconds() else None

    def submit(self, jobs: list[Job], store: Store, sandboxed: set[str]):
        lost: set[str] = set()
        for job in jobs:
            if lost & {*job.upstream}:
                lost.add(job.fp)
                continue
            try:
                if job.fp in sandboxed and job.task == "map":
                    outcome = run_job(store.root, job, "sandboxed")
                elif job.task in ("map", "tokenize") and self.sandbox:
                    outcome = self.sandbox.run(store.root, job)
                else:
                    outcome = run_job(store.root, job)
            except Damaged as error:
                yield job, error
                return
            if outcome is None:
                lost.add(job.fp)
            yield job, outcome

    def close(self) -> None:
        if self.sandbox:
            self.sandbox.end()
