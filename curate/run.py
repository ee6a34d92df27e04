"""Runs a plan and yields what happens. The only file that imports Dask.

Dask carries jobs and their counts; documents go through the store. Without a scheduler's address a cluster of one
process a worker is started on this machine; `workers=0` runs everything in this process.
"""

import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from curate import machine
from curate import plan as planning
from curate import recall as recalling
from curate.code import check_code
from curate.damage import SHOWN, check_damage, file_reads
from curate.errors import CurateError, Stopped
from curate.estimate import check_memory
from curate.failures import check_failures
from curate.failures import warnings as failures
from curate.funnel import funnel_lines
from curate.isolate import hang_seconds
from curate.job import Job, unmade
from curate.jobs import run_job
from curate.lock import lay_out, make_lock
from curate.manifest import Manifest, load
from curate.max_removed import check_max_removed, warnings
from curate.plan import Plan
from curate.release.build import build
from curate.release.earlier import carrying
from curate.resolve import resolve
from curate.resources import note_places
from curate.sandbox import Sandbox
from curate.store import Damaged, Store
from curate.sums import check_sums

WORK = "work"
"""The work folder, unless one is named: it holds `store/` and `releases/`."""

ATTEMPTS = 4
"""How often a run starts again over lost workers and damaged parts before it gives up."""


@dataclass(frozen=True)
class Started:
    """A round of jobs begins. reused: how many were made already."""

    jobs: int
    reused: int


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


@dataclass(frozen=True)
class Released:
    """The release is written. changed: whether its folder holds other content than before."""

    path: Path
    lock: dict
    changed: bool


def prepare(manifest: Manifest, work: str | Path = WORK) -> Plan:
    """Find and identify the inputs of a manifest, and plan it.

    Raises CurateError for an input that is not there, and for a work folder that is a file, ManifestError for stages
    that do not fit together.
    """
    _check_folder(Path(work).absolute())
    carried = carrying(manifest, Path(work))
    found = resolve(carried, Path(work))
    plan = planning.make(carried, found.partitions, found.earlier)
    plan.not_taken = found.not_taken
    with suppress(OSError):  # nothing depends on it: a work folder may be read-only
        recalling.remember(plan, manifest, Path(work))
    return plan


def _check_folder(work: Path) -> None:
    there = next(path for path in (work, *work.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise CurateError("the work folder is not a folder", str(there), "name a folder with --work or CURATE_WORK")


def recall(manifest: Manifest, work: str | Path = WORK) -> Plan:
    """The last plan of a manifest, for which its inputs need not be at hand. Where it has not been planned yet, or its
    text has changed since, as `prepare`."""
    _check_folder(Path(work).absolute())
    return recalling.recall(manifest, Path(work)) or prepare(manifest, work)


def run(
    manifest: Manifest | str | Path,
    work: str | Path = WORK,
    workers: int | None = None,
    scheduler: str | None = None,
    replace: bool = False,
    allow_empty: bool = False,
    allow_code: Iterable[str] = (),
) -> Iterator[Started | Ended | Lost | Released]:
    """Make the release of a manifest, yielding what happens; the last is Released.

    work       folder for the store and the releases
    workers    processes on this machine; None: one a core; 0: everything in this process, but what strangers wrote,
               which is read in one that may be lost (see `curate.sandbox`)
    scheduler  address of a running Dask scheduler to use instead; its workers must see the work folder and the inputs
    replace    put the release in the place of one of the same name and version that has another digest
    allow_empty  release nothing, where no document is left
    allow_code  modules whose functions the manifest may name, beside those in CURATE_ALLOW_CODE: see `curate.code`

    Whatever was made before is not made again, and a run that was interrupted resumes. Raises CurateError for what is
    wrong with the manifest or the inputs, with a note of the documents kept so far, Stopped where running again
    resumes.
    """
    if not isinstance(manifest, Manifest):
        manifest = load(manifest)
    check_code(manifest, allow_code)
    work = Path(work).absolute()
    with cluster(workers, scheduler) as submit:  # before anything is read: a sandbox is a copy of this process
        plan, store = prepare(manifest, work), Store(work / "store")
        if scheduler is None:
            check_memory(plan, store, machine.cores() if workers is None else workers)
        recalling.remember_jobs(plan, plan.jobs.values(), work)
        note_places(work, plan.resources)
        try:
            yield from _release(plan, store, submit, work, replace, allow_empty)
        except CurateError as error:
            if not isinstance(error, Stopped) and (lines := list(funnel_lines(plan, store))):
                error.add_note("\n".join(lines))
            raise


def _release(plan: Plan, store: Store, submit, work: Path, replace: bool, allow_empty: bool):
    """Run the jobs of a plan, then those of its shards, and write the release."""
    for _ in range(ATTEMPTS):
        with _placed(plan):
            yield from execute(list(plan.jobs.values()), store, submit)
        check_damage(plan, store)
        check_failures(plan, store)
        check_max_removed(plan, store)
        splits = store.counts(plan.mix)["splits"]
        _check_empty(plan, store, splits, allow_empty)
        shards = planning.shards(plan, splits)
        jobs = [*plan.jobs.values(), *shards.jobs]  # all, since a damaged part may lie further up
        recalling.remember_jobs(plan, jobs, work)
        parts = lay_out(plan, store, shards.data, shards.index)
        yield from execute(jobs, store, submit)
        try:
            check_sums(plan, shards, store)
            said = [*plan.manifest.warnings, *warnings(plan, store), *failures(plan, store)]
            lock = make_lock(plan, store, parts, shards.tokens, shards.scattered) | {"warnings": said}
            path, lock, changed = build(plan, lock, store, parts, shards.tokens, work / "releases", replace)
        except Damaged as error:
            store.discard(error.fp)
            yield Lost([job for job in jobs if job.fp == error.fp], "its part was damaged; it is rebuilt")
            continue
        yield Released(path, lock, changed)
        return
    raise Stopped("a part of the release cannot be read back", str(work), "check the disk, and run again to resume")


def _check_empty(plan: Plan, store: Store, splits: list[dict], allowed: bool) -> None:
    """Raise CurateError where no document is left to release, and name what could not be read."""
    if allowed or plan.manifest.document.extends or any(split["documents"] for split in splits):
        return
    fix = "see which step removed them; if an empty release is intended, pass --allow-empty"
    reads = [item for found in file_reads(plan, store).values() for item in found.items()]
    lost = [f"\n  {path}: {read.lost:,} bytes lost; {read.damage[0]}" for path, read in reads if read.lost]
    what = "the release is empty: no document is left" + "".join(lost[:SHOWN])
    raise CurateError(what, plan.manifest.name, fix)


@contextmanager
def _placed(plan: Plan) -> Iterator[None]:
    """Name the place in the manifest of what a stage found wrong while it ran."""
    try:
        yield
    except CurateError as error:
        source, label = getattr(error, "source", None), getattr(error, "label", None)
        lists = [plan.manifest.pipelines.get(source, []), plan.manifest.stages, *plan.manifest.pipelines.values()]
        call = next((call for calls in lists for call in calls if call.label == label), None)
        if call is None:
            raise
        if source:
            error.what += f" (in source `{source}`)"
        raise call.blame(error) from error


def execute(jobs: list[Job], store: Store, submit) -> Iterator[Started | Ended | Lost]:
    """Run the jobs that are not made, again where workers are lost, until all are."""
    isolate: set[str] = set()
    for _ in range(ATTEMPTS):
        missing = unmade(jobs, store.marker)
        yield Started(len(missing), len(jobs) - len(missing))
        if not missing:
            return
        crashed, damaged = [], []
        for job, outcome in submit(missing, store, isolate):
            if isinstance(outcome, dict):
                yield Ended(job, outcome)
            elif isinstance(outcome, Damaged):
                store.discard(outcome.fp)
                damaged.append(job)
            else:
                crashed.append(job)
        if crashed:
            isolate |= {job.fp for job in crashed}
            yield Lost(crashed, "their worker was lost; each document runs in isolation now")
        if damaged:
            yield Lost(damaged, "a part they read was damaged; it is rebuilt")
    missing = unmade(jobs, store.marker)
    if missing:
        raise Stopped(
            f"{len(missing)} jobs did not finish in {ATTEMPTS} attempts, the first being `{missing[0].label}`",
            fix="see whether the machine runs out of memory (fewer --workers need less), and run again to resume",
        )


@contextmanager
def cluster(workers: int | None, scheduler: str | None):
    """A function submit(jobs, store, isolate) that yields (job, its marker or what took it down) as jobs end."""
    held = _Here() if workers == 0 and not scheduler else _Dask(workers, scheduler)
    try:
        yield held.submit
    finally:
        held.close()


class _Here:
    """This process, and its sandbox for jobs that read what strangers wrote."""

    def __init__(self):
        self.sandbox = Sandbox() if hang_seconds() else None

    def submit(self, jobs: list[Job], store: Store, isolate: set[str]):
        lost: set[str] = set()
        for job in jobs:
            if lost & {*job.upstream}:
                lost.add(job.fp)
                continue
            try:
                if job.fp in isolate:
                    outcome = run_job(store.root, job, "isolated")
                elif job.task == "map" and self.sandbox:
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
                "distributed.worker.preload": ["curate.worker"],
                "distributed.worker.profile.enabled": False,  # it would free a parser's trees in a foreign thread
                "distributed.comm.timeouts.connect": "60s",
                "distributed.admin.low-level-log-length": 0,
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
            raise CurateError(f"no Dask scheduler answers: {error}", self.scheduler, "check --scheduler") from error

    def submit(self, jobs: list[Job], store: Store, isolate: set[str]):
        from distributed import KilledWorker, as_completed

        if self.client is None:
            self.start()
        self.rounds += 1  # in the keys, else a job that failed before would be answered with its old failure
        futures, by_key = {}, {}
        for job in jobs:
            mode = "isolated" if job.fp in isolate else "watched"
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
