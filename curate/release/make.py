"""From a manifest to its release: resolve, plan, run the jobs, build."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curate.base import machine
from curate.engine import plan as planning
from curate.engine import recall as recalling
from curate.engine.damage import SHOWN, check_damage, file_reads
from curate.engine.estimate import check_memory
from curate.engine.execute import ATTEMPTS, Ended, Lost, Started, cluster, execute
from curate.engine.failures import check_failures
from curate.engine.failures import warnings as failures
from curate.engine.funnel import funnel_lines
from curate.engine.max_removed import exceeding, too_much, warnings
from curate.engine.on_dask import Connected
from curate.engine.plan import Plan
from curate.engine.profile import profile_of
from curate.engine.resolve import resolve
from curate.engine.store import Damaged, Store
from curate.engine.sums import check_sums
from curate.engine.weights import weigh
from curate.errors import CurateError, Stopped
from curate.manifest.allowed_code import check_code
from curate.manifest.manifest import Manifest, load
from curate.models.resources import note_places
from curate.release.build import build
from curate.release.earlier import carrying, earlier
from curate.release.new_lock import lay_out, make_lock
from curate.release.typed_lock import Lock, as_json

WORK = "work"
"""The work folder, unless one is named: it holds `store/` and `releases/`."""


@dataclass(frozen=True)
class Released:
    """The release is written. typed: its lock. changed: whether its folder holds other content than before."""

    path: Path
    typed: Lock
    changed: bool

    @cached_property
    def lock(self) -> dict[str, Any]:
        """What went in, what was counted, what came out, as `lock.json` has it."""
        return as_json(self.typed)


def prepare(manifest: Manifest, work: str | Path = WORK) -> Plan:
    """Find and identify the inputs of a manifest, and plan its run.

    Raises CurateError for a missing input, or a work folder that is a file; ManifestError for stages that do not fit
    together.
    """
    _check_folder(Path(work).absolute())
    carried = carrying(manifest, Path(work))
    found = resolve(carried, Path(work))
    plan = planning.make(carried, found.partitions, earlier(carried))
    plan.not_taken = found.not_taken
    with suppress(OSError):  # nothing depends on it: a work folder may be read-only
        recalling.remember(plan, manifest, Path(work))
    return plan


def _check_folder(work: Path) -> None:
    there = next(path for path in (work, *work.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise CurateError("the work folder is not a folder", str(there), "set a folder with --work or CURATE_WORK")


def recall(manifest: Manifest, work: str | Path = WORK) -> Plan:
    """The last plan of a manifest, for which its inputs need not be at hand. Where it has not been planned yet, or its
    text has changed since, as `prepare`."""
    _check_folder(Path(work).absolute())
    return recalling.recall(manifest, Path(work)) or prepare(manifest, work)


def run_events(
    manifest: Manifest | str | Path,
    work: str | Path = WORK,
    workers: int | None = None,
    scheduler: str | None = None,
    replace: bool = False,
    allow_empty: bool = False,
    allow_code: Iterable[str] = (),
    profile: str | Path | None = None,
) -> Iterator[Started | Connected | Ended | Lost | Released]:
    """Build the release of a manifest and yield events; the last is Released.

    work       folder for the store and the releases
    workers    number of processes on this machine; None: one per core; 0: everything in this process, except that
               untrusted data is read in a separate one (see `curate.engine.job_sandbox`)
    scheduler  address of a running Dask scheduler to use instead; its workers must see the work folder and the inputs
    replace    overwrite a release with the same name and version but a different digest
    allow_empty  write a release even if it contains no documents
    allow_code  modules whose functions the manifest may use, in addition to those in CURATE_ALLOW_CODE; see
                `curate.manifest.allowed_code`
    profile    YAML file with the Dask cluster to use, see `curate.engine.profile`; it can name any class, so use only
               your own

    Earlier results are reused, and an interrupted run resumes. Raises CurateError if the manifest or the inputs are
    wrong, with a note of the documents kept so far; Stopped if running again resumes.
    """
    if not isinstance(manifest, Manifest):
        manifest = load(manifest)
    check_code(manifest, allow_code)
    work, elsewhere = Path(work).absolute(), profile_of(scheduler, profile)
    with cluster(workers, elsewhere) as submit:  # before anything is read: a sandbox is a copy of this process
        plan, store = prepare(manifest, work), Store(work / "store")
        if elsewhere is None:
            check_memory(plan, store, machine.cores() if workers is None else workers)
        recalling.remember_jobs(plan, plan.jobs.values(), work)
        note_places(work, plan.resources)
        try:
            yield from _release(plan, store, submit, work, replace, allow_empty)
        except CurateError as error:
            if not isinstance(error, Stopped) and (lines := list(funnel_lines(plan, store))):
                error.add_note("\n".join(lines))
            raise


def _release(
    plan: Plan, store: Store, submit: Callable, work: Path, replace: bool, allow_empty: bool
) -> Iterator[Started | Connected | Ended | Lost | Released]:
    """Run the jobs of a plan, then those of its shards, and write the release."""
    evidence = [plan.jobs[fp] for fp in plan.evidence.values()]
    settling = [job for job in plan.jobs.values() if job not in evidence]
    for _ in range(ATTEMPTS):
        with _placed(plan):
            yield from execute(settling, store, submit, weigh(plan, settling, shards_later=True))
        check_damage(plan, store)
        check_failures(plan, store)
        if found := exceeding(plan, store):
            yield from execute(list(plan.jobs.values()), store, submit)  # with the evidence, which the error shows
            raise too_much(plan, store, found)
        splits = store.counts(plan.mix)["splits"]
        _check_empty(plan, store, splits, allow_empty)
        shards = planning.shards(plan, splits)
        jobs = [*settling, *shards.jobs, *evidence]  # all, since a damaged part may lie further up
        recalling.remember_jobs(plan, jobs, work)
        parts = lay_out(plan, store, shards.data, shards.index)
        yield from execute(jobs, store, submit, weigh(plan, jobs))
        try:
            check_sums(plan, shards, store)
            said = [*plan.manifest.warnings, *warnings(plan, store), *failures(plan, store)]
            lock = make_lock(plan, store, parts, shards.tokens, shards.scattered, said)
            path, lock, changed = build(plan, lock, store, parts, shards.tokens, work / "releases", replace)
        except Damaged as error:
            store.discard(error.fp)
            yield Lost([job for job in jobs if job.fp == error.fp], "its part was damaged and will be rebuilt")
            continue
        yield Released(path, lock, changed)
        return
    raise Stopped("a part of the release cannot be read back", str(work), "check the disk, and run again to resume")


def _check_empty(plan: Plan, store: Store, splits: list[dict], allowed: bool) -> None:
    """Raise CurateError where no document is left to release, and name what could not be read."""
    if allowed or plan.manifest.spec.extends or any(split["documents"] for split in splits):
        return
    fix = "check which step removed them; if an empty release is intended, pass --allow-empty"
    reads = [item for found in file_reads(plan, store).values() for item in found.items()]
    lost = [f"\n  {path}: {read.lost:,} bytes lost; {read.damage[0]}" for path, read in reads if read.lost]
    what = "the release is empty: no documents were kept" + "".join(lost[:SHOWN])
    raise CurateError(what, plan.manifest.name, fix)


@contextmanager
def _placed(plan: Plan) -> Iterator[None]:
    """Name the place in the manifest of what a stage found wrong while it ran."""
    try:
        yield
    except CurateError as error:
        source, label = getattr(error, "source", None), getattr(error, "label", None)
        lists = [plan.manifest.pipelines.get(source or "", []), plan.manifest.stages, *plan.manifest.pipelines.values()]
        call = next((call for calls in lists for call in calls if call.label == label), None)
        if call is None:
            raise
        if source:
            error.what += f" (in source `{source}`)"
        raise call.blame(error) from error
