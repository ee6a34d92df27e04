"""What the driver of a large run takes: to plan it, to remember the plan, to watch it, and to find nothing to do.

    python tests/bench/driver.py [--partitions 500] [--large] [--json]

A small release is made first. The parts of its jobs then stand in for those of a run over many partitions: nothing is
computed, only planned, submitted, marked and counted. `--large` takes 20,000 partitions, which are 200,000 jobs, and
for the run that has nothing to do 10,000.

jobs               of the large run, those that write shards too
plan_seconds       to plan it and to remember the plan
watch_seconds      of the whole run, with what it shows, without what the stand-ins take
idle_partitions    of the run that has nothing to do, in a process of its own
idle_run_seconds   how long it takes
status_seconds     `curate status` of it
driver_peak_mb     memory of the process that planned and watched
"""

import argparse
import contextlib
import io
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from releases import release, rows, write_jsonl, write_manifest  # noqa: E402

from curate.engine import plan  # noqa: E402
from curate.engine.job import Job  # noqa: E402
from curate.engine.jobs import run_job  # noqa: E402
from curate.engine.marker import suffix_of  # noqa: E402
from curate.engine.resolve import Resolved  # noqa: E402
from curate.engine.store import Store, _checksum  # noqa: E402
from curate.inspect.progress import follow  # noqa: E402
from curate.inspect.status import status  # noqa: E402
from curate.manifest.manifest import Manifest, load  # noqa: E402
from curate.release import make  # noqa: E402
from curate.sources import File  # noqa: E402
from curate.sources.partitions import Partition, Piece  # noqa: E402

LARGE, IDLE = 20_000, 10_000
ROWS, SHARDS = 30, 2_000
KINDS = ["length", "signals"]


def manifest_in(folder: Path) -> Path:
    write_jsonl(folder / "in" / "a.jsonl", rows(1, ROWS))
    source = {"inputs": ["in"], "pipeline": KINDS, "license": "cc0-1.0"}
    document = {"name": "driver", "version": "1.0.0", "license": "cc0-1.0", "sources": {"web": source}}
    stages = ["exact_dedup", {"near_dedup": {"max_removed": 1}}]
    return write_manifest(folder / "manifest.yaml", document | {"stages": stages})


def inputs(count: int) -> Resolved:
    """As many partitions, each of a file that is not there."""
    files = [File(f"{n:06}.jsonl", f"/nowhere/{n:06}.jsonl", 64 << 20, f"sha256:{n:064x}") for n in range(count)]
    found = [Partition("web", "jsonl", {}, (Piece(file),)) for file in files]
    return Resolved({"web": found}, {"web": []})


def kind(label: str) -> str:
    """A label without its numbers."""
    return re.sub(r"\d+/\d+", "#", label)


class StandIn:
    """Makes parts that are those of the small release in all but the numbers that a release is checked by.

    seconds  that it took so far
    """

    def __init__(self, small: Path, partitions: int):
        store, self.partitions, self.seconds = Store(small / "store"), partitions, 0.0
        self.parts, self.made = {}, {}
        for fp in store.fingerprints():
            marker = store.counts(fp)
            self.parts.setdefault(kind(marker["label"]), (store.part(fp, suffix_of(marker)), marker))

    def submit(self, jobs: list[Job], store: Store, sandboxed: set[str]):
        for job in jobs:
            began = time.perf_counter()
            marker = self.make(job, store)
            self.seconds += time.perf_counter() - began
            yield job, marker

    def make(self, job: Job, store: Store) -> dict:
        if job.task == "barrier":
            return run_job(store.root, job)
        if job.task == "merge":  # which the small release has none of
            part, marker = self.made[job.args["parts"][0]]
        else:
            part, marker = self.parts[kind(job.label).removesuffix(" #" if job.task == "chosen" else "")]
        self.made[job.fp] = part, marker
        marker = marker | {"label": job.label}
        if "read" in job.args:
            ((path, *_),) = job.args["read"]["pieces"]
            marker["files"] = dict.fromkeys([path], *marker["files"].values())
            marker["file_reads"] = dict.fromkeys([path], *marker["file_reads"].values())
        if job.task == "mix":
            documents, drawn = marker["documents"] * self.partitions, marker["drawn"] * SHARDS
            splits = [split | {"shards": SHARDS} for split in marker["splits"]]
            marker |= {"documents": documents, "drawn": drawn, "shards": SHARDS, "splits": splits}
        place = store.part(job.fp, part.suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(part)
        whole = marker | {"checksum": _checksum(job.fp, marker)}
        store.marker_path(job.fp).write_text(json.dumps(whole, sort_keys=True))
        return marker


@contextlib.contextmanager
def stood_in(partitions: int, submit):
    """Inputs that are not there, jobs that are not run, and a release that is not written."""

    @contextlib.contextmanager
    def cluster(*_):
        yield submit

    kept = make.resolve, make.cluster, make.build
    make.resolve = lambda *_: inputs(partitions)
    make.cluster = cluster
    make.build = lambda plan, lock, *_: (Path(), lock, False)
    try:
        yield
    finally:
        make.resolve, make.cluster, make.build = kept


def idle(manifest: Manifest, work: Path, partitions: int) -> dict:
    """A run where all is done, and the status of it."""

    def never(jobs: list[Job], *_):
        raise AssertionError(f"{len(jobs)} jobs to run, such as {jobs[0].label}")

    began = time.perf_counter()
    with stood_in(partitions, never), contextlib.redirect_stderr(io.StringIO()):
        *_, released = make.run_events(manifest, work)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    found = status(manifest, work)
    assert found["made"] == found["jobs"]
    assert found["documents"] == partitions * ROWS == sum(s.read.in_ for s in released.typed.sources.values())
    status_seconds = time.perf_counter() - began
    return {"idle_partitions": partitions, "idle_run_seconds": seconds, "status_seconds": status_seconds}


def measured(folder: Path, small: Path, manifest: Path, partitions: int) -> dict:
    work, loaded = folder / f"work-{partitions}", load(manifest)
    stand_in = StandIn(small, partitions)
    with stood_in(partitions, stand_in.submit), contextlib.redirect_stderr(io.StringIO()):
        began = time.perf_counter()
        plan = make.prepare(loaded, work)
        make.recalling.remember_jobs(plan, plan.jobs.values(), work)
        planned = time.perf_counter() - began
        del plan
        began = time.perf_counter()
        follow(make.run_events(loaded, work))
        watched = time.perf_counter() - began - stand_in.seconds
    jobs = sum(1 for _ in Store(work / "store").fingerprints())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    found = {"partitions": partitions, "jobs": jobs, "plan_seconds": planned, "watch_seconds": watched}
    return found | {"stand_in_seconds": stand_in.seconds, "driver_peak_mb": peak}


def in_a_process(*arguments: object) -> dict:
    command = [sys.executable, __file__, "--part", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=500)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        what, folder, manifest, partitions = given.part
        folder, manifest, partitions = Path(folder), Path(manifest), int(partitions)
        if what == "idle":
            found = idle(load(manifest), folder / f"work-{partitions}", partitions)
        else:
            found = measured(folder, folder / "small", manifest, partitions)
        print(json.dumps(found))
        return
    partitions = LARGE if given.large else given.partitions
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        manifest = manifest_in(folder)
        many, plan.ranges_for = plan.ranges_for, lambda _: 2  # so that it has the jobs of a large mixture
        release(manifest, folder / "small")
        plan.ranges_for = many
        found = in_a_process("measured", folder, manifest, partitions)
        few = min(partitions, IDLE)
        if few < partitions:
            in_a_process("measured", folder, manifest, few)
        found |= in_a_process("idle", folder, manifest, few)
    found = {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}
    print(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
