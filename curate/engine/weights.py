"""How much work each job of a run is, for progress and the time left.

The weights are guesses from the sizes of the inputs, like those of `curate.engine.estimate`. How fast this machine is
shows as the run goes on.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from curate.engine.estimate import ARCHIVE_RATE, TEXT_RATE
from curate.engine.job import Job
from curate.engine.lane import Lane
from curate.engine.plan import Plan
from curate.sources.format_api import find_format

GROUP, RELEASE = 1 / 3, 1 / 2
"""Time that a group stage takes, and the writing of a release, for each second of a stage that looks at all text."""

COSTS = {"order": 0.05, "mix": 0.05, "tokenize": 1.0, "pack": 0.05}
"""The same of all jobs of a task that is neither of a stage nor writes a release."""


class Weights(NamedTuple):
    """About how many seconds of a core jobs take: {fingerprint: seconds}, and all those that are planned later."""

    jobs: dict[str, float]
    later: float


NO_WEIGHTS = Weights({}, 0.0)


def weigh(plan: Plan, jobs: Iterable[Job], shards_later: bool = False) -> Weights:
    """What jobs of a plan weigh.

    A map job weighs what it reads and what each of its stages looks at; any other job an equal share of what the jobs
    of its stage, or of its kind, look at. shards_later: whether the jobs that write shards are yet to be planned.
    """
    reads: dict[str, float] = {}
    looks: dict[str, float] = {}
    of_source: Counter[str] = Counter()
    for lane, size in _sizes(plan.lanes):
        format = find_format(lane.partition.format)
        seconds = format.text_bytes(lane.partition.pieces[0].file.path, size) / TEXT_RATE
        looks |= dict.fromkeys(lane.parts, seconds)
        reads[lane.parts[0]] = size / ARCHIVE_RATE if format.payload else 0.0
        of_source[lane.source] += seconds
    of_source[""] = whole = sum(of_source.values())
    weights: dict[str, float] = {}
    alike: dict[tuple, list[str]] = defaultdict(list)
    for job in jobs:
        label = job.where.get("label") or job.args.get("label", "")
        if job.task == "map":
            weights[job.fp] = reads.get(job.fp, 0.0) + looks[job.fp] * max(len(job.args["stages"]), 1)
        elif job.task != "barrier":
            alike[job.scope, label, GROUP if label else COSTS.get(job.task, RELEASE)].append(job.fp)
    for (scope, _, cost), fps in alike.items():
        weights |= dict.fromkeys(fps, of_source[scope] * cost / len(fps))
    later = RELEASE + (COSTS["tokenize"] if plan.encoding else 0.0)
    return Weights(weights, whole * later if shards_later else 0.0)


def _sizes(lanes: list[Lane]) -> Iterator[tuple[Lane, float]]:
    """Each lane with its bytes on disk; those of a file that is read in ranges in equal shares."""
    ranges = Counter((lane.source, piece.file.path) for lane in lanes for piece in lane.partition.pieces)
    for lane in lanes:
        pieces = lane.partition.pieces
        yield lane, sum(max(piece.file.size, 0) / ranges[lane.source, piece.file.path] for piece in pieces)
