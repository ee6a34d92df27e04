"""Estimate memory, disk and time of a run from the sizes of its inputs.

Documents are counted where they have been read already, and guessed from the bytes on disk where not. The rates were
measured with `tests/bench/` on one core of a 2-core x86 machine; take them as orders of magnitude.
"""

from curate.base import machine
from curate.engine.job import unmade
from curate.engine.lane import Lane
from curate.engine.plan import Plan
from curate.engine.store import Store
from curate.errors import CurateError
from curate.sources.format_api import find_format

DOCUMENT_BYTES = 4_000
ARCHIVE_RATE = 8e6
"""Compressed bytes of archives a core reads and extracts in a second."""

TEXT_RATE = 20e6
"""Bytes of text a core takes through a stage that looks at all of it, in a second."""

PART_SHARE = 0.45
"""Bytes on disk of a byte of text in a part."""

WORKER_BYTES = 700e6


def estimate(plan: Plan, store: Store, workers: int | None = None) -> dict:
    """{"documents", "text_bytes", "worker_bytes", "largest_job_bytes", "disk_bytes", "seconds", "workers"} of a whole
    run; what is made already costs nothing of the last two."""
    workers = workers or machine.cores()
    documents, text = map(sum, zip(*(_size(lane, store) for lane in plan.lanes), strict=True))
    left = unmade(plan.jobs.values(), store.marker)
    share = len(left) / max(len(plan.jobs), 1)
    archives = sum(_on_disk(lane) for lane in plan.lanes if lane.partition.payload)
    schemes = (job.args["call"]["params"].get("scheme") for job in left if job.task == "step")
    keys = documents * 32 * next((scheme["bands"] for scheme in schemes if scheme), 0)  # made, met, sent to shards
    largest = max(40 * documents, *(call.stage.memory(call.params) for _, call in plan.manifest.calls), 0)
    stages = len({(job.scope, job.args["label"]) for job in plan.jobs.values() if job.task == "collect"}) + 2
    seconds = (archives / ARCHIVE_RATE + stages * text / TEXT_RATE) * share / workers
    return {
        "documents": int(documents),
        "text_bytes": int(text),
        "worker_bytes": int(WORKER_BYTES),
        "largest_job_bytes": int(largest),  # sorting all documents on the hash line; union-find takes a tenth
        "disk_bytes": int((4 * PART_SHARE * text + keys) * share),
        "seconds": int(seconds) + 1,
        "workers": workers,
    }


def check_memory(plan: Plan, store: Store, workers: int) -> None:
    """Raise CurateError where a job that is to run needs more memory than each of some workers on this machine has."""
    room = machine.memory() // max(workers, 1)
    left = unmade(plan.jobs.values(), store.marker)
    waiting = {(job.scope, job.args["label"]) for job in left if job.task == "collect"}
    for scope, call in plan.manifest.calls:
        needed = call.stage.memory(call.params)
        if (scope, call.label) in waiting and needed > room:
            what = f"`{call.label}` needs {needed / 1e9:,.1f} GB of memory in one worker"
            there = f"{machine.memory() / 1e9:,.1f} GB on this machine"
            what += f", but there are {there}" + (f" for {workers} workers" if workers > 1 else "")
            fewer = machine.memory() // needed
            fix = f"run with --workers {fewer}, or " if fewer else ""
            raise CurateError(
                what, call.place, f"{fix}change its settings (`curate plan` shows how much memory it needs)"
            )


def _size(lane: Lane, store: Store) -> tuple[float, float]:
    """Documents and bytes of text of a partition."""
    marker = store.marker(lane.parts[0])
    if marker:
        return marker["rows"], marker["kept_bytes"]
    text = find_format(lane.partition.format).text_bytes(lane.partition.pieces[0].file.path, _on_disk(lane))
    return text / DOCUMENT_BYTES, text


def _on_disk(lane: Lane) -> int:
    return sum(max(piece.file.size, 0) for piece in lane.partition.pieces if piece.rows is None or piece.rows[0] == 0)
