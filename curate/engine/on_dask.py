"""Run jobs on a Dask cluster: workers on this machine, or the cluster of a profile. The only file that imports Dask.

Dask carries jobs and their counts; documents go through the store. The scheduler never holds all jobs of a run: they
are submitted in waves, each job once what it reads is made, and forgotten as they end.
"""

import os
import pickle
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from curate.base import machine
from curate.base.phrases import size
from curate.engine.job import Job
from curate.engine.jobs import run_job
from curate.engine.profile import Profile
from curate.engine.store import Damaged, Store
from curate.engine.waves import Waves
from curate.errors import CurateError

IN_FLIGHT = 1000
"""Jobs that the scheduler has at a time, at least; it has 4 for each thread of a worker."""


@dataclass(frozen=True)
class Connected:
    """A cluster of its own operator carries out the jobs. dashboard: address of its page, or nothing."""

    dashboard: str


@dataclass(frozen=True)
class OutOfMemory:
    """A worker was ended because it used more memory than it may. limit: bytes; 0 where it is not known."""

    worker: str
    limit: int
    local: bool

    def __str__(self) -> str:
        of = f" of {size(self.limit)}" if self.limit else ""
        return f"worker {self.worker} was ended at its memory limit{of}; {self.fix}"

    @property
    def fix(self) -> str:
        return "run with fewer --workers" if self.local else "give each worker more memory, or have fewer on a machine"


class OnDask:
    """A Dask client, started with the first job."""

    def __init__(self, workers: int | None, profile: Profile | None = None):
        self.workers, self.profile = workers or machine.cores(), profile
        self.client = self.cluster = None
        self.rounds = 0

    def start(self) -> None:
        import dask
        from distributed import Client

        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,  # a job that loses its worker comes back to us
                "distributed.worker.preload": ["curate.engine.worker"],
                "distributed.worker.multiprocessing-method": "forkserver",
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
        address, security = None, None
        if self.profile is None:
            security = self._start_here()
        elif self.profile.scheduler:
            address = self.profile.scheduler
        else:
            self.cluster = self.profile.start()
        try:
            self.client = Client(address or self.cluster, timeout=30, set_as_default=False, security=security)
        except (OSError, ValueError) as error:  # ValueError: it is no address
            fix = "check --scheduler, or the profile"
            raise CurateError(f"no Dask scheduler responds: {error}", address or "", fix) from error

    def _start_here(self):
        """Start workers on this machine. Returns the keys of this run: no other user of the machine can give its
        workers a task, and none sees its pages."""
        import dask
        from distributed import LocalCluster
        from distributed.security import Security
        from distributed.utils import get_mp_context

        security = Security.temporary()
        # One process imports what workers need, and they are copies of it.
        get_mp_context().set_forkserver_preload(["distributed", "curate.engine.worker", "curate.engine.jobs"])
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
                    env=dict(os.environ),  # as it is now: that process keeps what was there before
                    dashboard_address=None,  # a page that any user of the machine could open
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else port 8787, or a warning
                    silence_logs=50,
                )
        except RuntimeError as error:
            fix = 'in a script, start it below `if __name__ == "__main__":`, since each worker imports the script; '
            fix += "or use workers=0"
            raise CurateError(f"cannot start workers on this machine: {error}", fix=fix) from None
        return security

    def submit(self, jobs: list[Job], store: Store, sandboxed: set[str]) -> Iterator:
        """Yields (job, its marker or what took it down) as jobs end; Connected first, where the cluster has a page."""
        from distributed import KilledWorker, as_completed

        if self.client is None:
            self.start()
            if page := self._dashboard():
                yield Connected(page)
        self.rounds += 1  # in the keys, else a job that failed before would be answered with its old failure
        waves, running = Waves(jobs), {}
        ended = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        most = max(IN_FLIGHT, 4 * sum(self.client.nthreads().values()))
        while True:
            for job in waves.take(most - len(running)):
                future = self._send(job, store, "sandboxed" if job.fp in sandboxed else "watched")
                running[future.key] = job
                ended.add(future)
            if not running:
                return
            for future, outcome in ended.next_batch():
                job = running.pop(future.key)
                if future.status == "finished":
                    waves.made(job)
                    yield job, outcome
                    continue
                error = outcome[1] if isinstance(outcome, tuple) else outcome
                if isinstance(error, KilledWorker):
                    yield job, self._why_killed(error)
                elif isinstance(error, Damaged):
                    yield job, error
                else:
                    raise error

    def _send(self, job: Job, store: Store, mode: str):
        # Pickled, since Dask would take a string that equals a key for that key's result.
        key, needs = f"job-{job.fp}-{self.rounds}", self.profile.needs(job) if self.profile else None
        return self.client.submit(_run, str(store.root), pickle.dumps(job), mode, key=key, resources=needs)

    def _why_killed(self, error):
        """OutOfMemory where the worker's keeper ended it, else the error."""
        worker = error.last_worker
        told = self.client.get_events("worker-restart-memory")
        if any(event["worker"] == worker.address for _, event in told):
            return OutOfMemory(worker.address, worker.memory_limit or 0, self.profile is None)
        return error

    def _dashboard(self) -> str:
        """The address of the page of a cluster that is not ours; ours has none."""
        if self.profile is None:
            return ""
        try:
            return self.client.dashboard_link or ""
        except (KeyError, AttributeError):  # the scheduler has none
            return ""

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


def _run(store: str, job: bytes, mode: str) -> dict:
    return run_job(store, pickle.loads(job), mode)
