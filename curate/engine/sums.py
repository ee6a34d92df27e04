"""Check, before a release is built, that every job received what the previous one sent."""

from curate.engine.plan import Plan, ShardJobs
from curate.engine.store import Damaged, Store


def check_sums(plan: Plan, shards: ShardJobs, store: Store) -> None:
    """Raise Damaged where the mixture had not all documents that were kept, or a shard has not all that it drew.

    The parts that may be wrong are discarded, so that they are made anew.
    """
    mixed = store.counts(plan.mix)
    kept = sum(store.counts(lane.parts[-1])["kept"] for lane in plan.lanes)
    if mixed["documents"] != kept:
        what = f"it has {mixed['documents']:,} documents of {kept:,}"
        passed = ("order", "line", "draw", "cut")
        _discard([job.fp for job in plan.jobs.values() if job.task in passed], plan.mix, store, what)
    drawn = dict(zip(shards.data, mixed["drawn"], strict=True))
    if wrong := [fp for fp in drawn if store.counts(fp)["rows"] != drawn[fp]]:
        what = f"it has {store.counts(wrong[0])['rows']:,} documents of {drawn[wrong[0]]:,}"
        scattered = [job.fp for job in shards.jobs if job.task in ("scatter", "merge")]
        _discard([*scattered, *wrong], wrong[0], store, what)


def _discard(parts: list[str], fp: str, store: Store, what: str) -> None:
    for part in parts:
        store.discard(part)
    raise Damaged(fp, store.part(fp), what)
