"""Stop a run in which a stage removes more of a source than its `max_removed` allows."""

from collections import Counter
from collections.abc import Iterator

import pyarrow.compute as pc

from curate.engine.plan import Plan
from curate.engine.store import Store
from curate.errors import CurateError, ManifestError
from curate.manifest.call import Call

SHOWN = 5

MUCH = 0.95
"""The share of a source from which a stage that has no `max_removed` is worth a warning."""


def exceeding(plan: Plan, store: Store) -> list[tuple[Call, str, dict]]:
    """Of `counted` what removed more than the `max_removed` of its stage."""
    return [
        (call, source, count)
        for call, source, count in counted(plan, store)
        if call.max_removed is not None and count["in"] - count["kept"] > call.max_removed * count["in"]
    ]


def too_much(plan: Plan, store: Store, found: list[tuple[Call, str, dict]]) -> CurateError:
    """The error of stages that removed too much. Reads the evidence.

    It shows what took them: of near-duplicates the largest clusters, since texts that many pages share and chains of
    resemblances are what goes wrong; else the reasons, with documents to look at.
    """
    problems = []
    for call, source, count in found:
        what = f"{_share(call, source, count)}, more than its `max_removed` of {call.max_removed:.0%}"
        clusters = "cluster" in call.stage.adds(call.params)
        shown = _largest(plan, store) if clusters else _reasons(plan, store, call, source, count)
        fix = f"inspect them with `curate explain`; if this is intended, set `max_removed: 1` for `{call.label}`"
        problems.append(CurateError("\n".join([what, *shown]), call.place, fix))
    return problems[0] if len(problems) == 1 else ManifestError(problems)


def warnings(plan: Plan, store: Store) -> list[str]:
    """A sentence for each stage without `max_removed` that took nearly all of a source."""
    return [
        f"{_share(call, source, count)}; if this is not intended, set `max_removed` for it"
        for call, source, count in counted(plan, store)
        if call.max_removed is None and count["in"] - count["kept"] > MUCH * count["in"]
    ]


def counted(plan: Plan, store: Store) -> Iterator[tuple[Call, str, dict]]:
    """Each stage with what it counted of each source: {"in", "kept", "reasons"}."""
    counts: dict[tuple[str, str], dict[str, dict]] = {}
    for job in plan.jobs.values():
        if job.task in ("map", "collect"):
            marker = store.marker(job.fp)
            for label, more in marker["stages"].items():
                by_source = counts.setdefault((job.scope, label), {})
                count = by_source.setdefault(marker["source"], {"in": 0, "kept": 0, "reasons": Counter()})
                count["in"] += more["in"]
                count["kept"] += more["kept"]
                count["reasons"].update(more["reasons"])
    for scope, call in plan.manifest.calls:
        for source, count in counts.get((scope, call.label), {}).items():
            yield call, source, count


def _share(call: Call, source: str, count: dict) -> str:
    removed = count["in"] - count["kept"]
    share = f"{removed / count['in']:.1%}"
    return f"`{call.label}` removes {removed:,} of {count['in']:,} documents of source `{source}` ({share})"


def _reasons(plan: Plan, store: Store, call: Call, source: str, count: dict) -> Iterator[str]:
    """How many of each reason, and an id that `curate explain` takes."""
    examples = store.counts(plan.evidence["evidence/rejected.parquet"])["examples"]
    mine = {row["reason"]: row["id"] for row in examples if row["stage"] == call.label and row.get("source") == source}
    for reason, documents in count["reasons"].most_common(SHOWN):
        yield f"  {documents:>10,} {reason}" + (f", such as {mine[reason]}" if reason in mine else "")


def _largest(plan: Plan, store: Store) -> Iterator[str]:
    """The largest clusters: how many documents, and the id that `curate explain` takes."""
    found = store.open(plan.evidence["evidence/near_duplicates.parquet"]).read(columns=["cluster", "cluster_size"])
    groups = found.group_by(["cluster", "cluster_size"]).aggregate([])
    groups = groups.filter(pc.greater(groups["cluster_size"], 1))
    groups = groups.sort_by([("cluster_size", "descending"), ("cluster", "ascending")]).slice(0, SHOWN)
    yield from ["largest clusters:"] if groups.num_rows else []
    yield from (f"  {row['cluster_size']:>10,} documents like {row['cluster']}" for row in groups.to_pylist())
