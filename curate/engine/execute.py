"""Run jobs, here or on Dask, and yield what happens. The only file that imports Dask.

Dask carries jobs and their counts; documents go through the store. Without a scheduler's address a cluster of one
process a worker is started on this machine; `workers=0` runs everything in this process.
"""

import pickle
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from curate.base import machine
from curate.engine.job import Job, unmade
from curate.engine.job_sandbox import JobSandbox
from curate.engine.jobs import run_job
from curate.engine.running import forget
from curate.engine.stage_sandbox import hang_seconds
from curate.engine.store import Damaged, Store
from curate.engine.weights import NO_WEIGHTS, Weights
from curate.errors import CurateError, Stopped

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


def execute(jobs: list[Job], store: Store, submit, weights: Weights = NO_WEIGHTS) -> Iterator[Started | Ended | Lost]:
    """Run the jobs that are not made, again where workers are lost, until all are."""
    sandboxed: set[str] = set()
    for _ in range(ATTEMPTS):
        missing = unmade(jobs, store.marker)
        forget(store, {job.fp for job in missing})
        yield Started(missing, len(jobs) - len(missing), store, weights)
        if not missing:
            return
        crashed, damaged = [], []
        for job, outcome in submit(missing, store, sandboxed):
            if isinstance(outcome, dict):
                yield Ended(job, outcome)
            elif isinstance(outcome, Damaged):
                store.discard(outcome.fp)
                damaged.append(job)
            else:
                crashed.append(job)
        if crashed:
            sandboxed |= {job.fp for job in crashed}
            yield Lost(crashed, "their worker was lost; each document now runs in a sandbox")
        if damaged:
            yield Lost(damaged, "a part they read was damaged and will be rebuilt")
    missing = unmade(jobs, store.marker)
    if missing:
        raise Stopped(
            f"{len(missing)} jobs did not finish in {ATTEMPTS} attempts, the first being `{missing[0].label}`",
            fix="check whether the machine runs out of memory (fewer --workers need less), and run again to resume",
        )


@contextmanager
def cluster(workers: int | None, scheduler: str | None):
    """A function submit(jobs, store, sandboxed) that yields (job, its marker or what took it down) as jobs end."""
    held = _Here() if workers == 0 and not scheduler else _Dask(workers, scheduler)
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


class _Dask:
    """A Dask client, started with the first job."""

    def __init__(self, workers: int | None, scheduler: str | None):
        self.workers, self.scheduler = workers or machine.cores(), scheduler
        self.client = self.cluster = None
        self.rounds = 0

    def start(self) -> None:
        import dask
        from distributed import Client, LocalCluster
        from distributed.security import Security

        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,  # a job that loses its worker comes back to us
                "distributed.worker.preload": ["curate.engine.worker"],
                "distributed.worker.profile.enabled": False,  # it would free a parser's trees in a foreign thread
                "distributed.comm.timeouts.connect": "60s",
                "distributed.admin.low-level-log-length": 0,
                # What a job frees the next one takes: given back to the system at once, as Dask wants it, all pages
                # are cleared again, a third of the time of jobs that only move rows.
                "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 512 << 20,
                "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
                "distributed.nanny.pre-spawn-environ.MIMALLOC_PURGE_DELAY": 2000,
                # Arrow asks for pages of 2 MiB, where the system has them: a tenth of a run went on page faults.
                "distributed.nanny.pre-spawn-environ.MIMALLOC_ALLOW_LARGE_OS_PAGES": 1,
            }
        )
        security = None
        if self.scheduler is None:
            # Keys of this run: no other user of the machine can give its workers a task, and none sees its pages.
            security = Security.temporary()
            dask.config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []})
            try:
                with _deaf_to_ctrl_c():
                    self.cluster = LocalCluster(
                        n_workers=self.workers,
                        threads_per_worker=1,
                        host="127.0.0.1",
                        protocol="tls://",
                        security=security,
                        memory_limit=machine.memory() // self.workers,
                        dashboard_address=None,  # a page that any user of the machine could open
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else port 8787, or a warning
                        silence_logs=50,
                    )
            except RuntimeError as error:
                fix = 'in a script, start it below `if __name__ == "__main__":`, since each worker imports the script; '
                fix += "or use workers=0"
                raise CurateError(f"cannot start workers on this machine: {error}", fix=fix) from None
        try:
            address = self.cluster or self.scheduler
            self.client = Client(address, timeout=30, set_as_default=False, security=security)
        except (OSError, ValueError) as error:  # ValueError: it is no address
            raise CurateError(f"no Dask scheduler responds: {error}", self.scheduler, "check --scheduler") from error

    def submit(self, jobs: list[Job], store: Store, sandboxed: set[str]):
        from distributed import KilledWorker, as_completed

        if self.client is None:
            self.start()
        self.rounds += 1  # in the keys, else a job that failed before would be answered with its old failure
        futures, by_key = {}, {}
        for job in jobs:
            mode = "sandboxed" if job.fp in sandboxed else "watched"
            upstream = [futures[fp] for fp in job.upstream if fp in futures]
            # Pickled, since Dask would take a string that equals a key for that key's result.
            future = self.client.submit(
                _run, str(store.root), pickle.dumps(job), mode, upstream, key=f"job-{job.fp}-{self.rounds}"
            )
            futures[job.fp], by_key[future.key] = future, job
        for future in as_completed(list(futures.values()), loop=self.client.loop):
            job = by_key[future.key]
            if future.status == "finished":
                yield job, future.result()
                continue
            if any(futures[fp].status == "error" for fp in job.upstream if fp in futures):
                continue  # it never ran
            error = future.exception()
            if not isinstance(error, KilledWorker | Damaged):
                raise error
            yield job, error

    def close(self) -> None:
        for held in (self.client, self.cluster):
            if held is not None:
                held.close(timeout=5)


@contextmanager
def _deaf_to_ctrl_c():
    """Processes started meanwhile never hear Ctrl-C, which is for the one that runs the plan."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Blocked, not ignored: the processes take the mask over, and a Ctrl-C meanwhile is heard here as soon as they run.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(store: str, job: bytes, mode: str, upstream: list) -> dict:
    return run_job(store, pickle.loads(job), mode)
