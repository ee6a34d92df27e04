"""Sums that must agree before a release is built: what one job passed on is what the next one has."""

from curate.plan import Plan, Shards
from curate.store import Damaged, Store


def check_sums(plan: Plan, shards: Shards, store: Store) -> None:
    """Raise Damaged where the mixture had not all documents that were kept, or a shard has not all that it drew.

    The parts that may be wrong are discarded, so that they are made anew.
    """
    mixed = store.counts(plan.mix)
    kept = sum(store.counts(lane.parts[-1])["kept"] for lane in plan.lanes)
    if mixed["documents"] != kept:
        what = f"it has {mixed['documents']:,} documents of {kept:,}"
        _discard([job.fp for job in plan.jobs.values() if job.task == "order"], plan.mix, store, what)
    for fp, drawn in zip(shards.data, mixed["drawn"], strict=True):
        if (rows := store.counts(fp)["rows"]) != drawn:
            scattered = [job.fp for job in shards.jobs if job.task == "scatter"]
            _discard(scattered, fp, store, f"it has {rows:,} documents of {drawn:,}")


def _discard(read: list[str], fp: str, store: Store, what: str) -> None:
    for part in read:
        store.discard(part)
    raise Damaged(fp, store.part(fp), what)
