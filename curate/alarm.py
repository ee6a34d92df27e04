"""Stop a run in which a stage takes far more of a source than anyone would want, before it becomes a release."""

from collections import Counter

import pyarrow.compute as pc

from curate.errors import CurateError
from curate.plan import Plan
from curate.store import Store

SHOWN = 5


def check_alarms(plan: Plan, store: Store) -> None:
    """Raise CurateError where a stage with a parameter `alarm` removed more than that share of a source.

    The error shows the largest clusters, since they are what goes wrong: texts that many pages share, or chains of
    resemblances.
    """
    counts: dict[tuple[str, str], Counter] = {}
    alarms, places = {}, {}
    for job in plan.jobs.values():
        if job.task == "collect" and "alarm" in job.args["call"]["params"]:
            label = job.args["call"]["label"]
            marker = store.marker(job.fp)
            count = counts.setdefault((label, marker["lane"]), Counter())
            count.update({name: marker["stages"][label][name] for name in ("in", "kept")})
            alarms[label] = job.args["call"]["params"]["alarm"]
    for call in [*plan.manifest.stages, *(call for calls in plan.manifest.pipelines.values() for call in calls)]:
        places.setdefault(call.label, call.place)
    for (label, source), count in counts.items():
        removed = count["in"] - count["kept"]
        if removed > alarms[label] * count["in"]:
            what = f"`{label}` removes {removed:,} of {count['in']:,} documents of source `{source}`"
            what += f" ({removed / count['in']:.1%}, alarm at {alarms[label]:.0%})\n{_largest(plan, store)}"
            fix = f"look at the clusters with `curate explain`; if this is meant, set `alarm: 1` for `{label}`"
            raise CurateError(what, places[label], fix)


def _largest(plan: Plan, store: Store) -> str:
    """The largest clusters: how many documents, and the id that `curate explain` takes."""
    fp = plan.evidence.get("evidence/near_duplicates.parquet")
    if fp is None:
        return ""
    found = store.open(fp).read(columns=["cluster", "cluster_size", "source"])
    groups = found.group_by(["cluster", "cluster_size"]).aggregate([("source", "count_distinct")])
    groups = groups.sort_by([("cluster_size", "descending"), ("cluster", "ascending")]).slice(0, SHOWN)
    lines = ["largest clusters:"]
    lines += [f"  {row['cluster_size']:>10,} documents like {row['cluster']}" for row in groups.to_pylist()]
    return "\n".join(lines) if pc.count(found["cluster"]).as_py() else ""
