"""How many documents each step has kept so far, for runs that are not finished."""

from collections.abc import Iterable, Iterator

from curate.base.phrases import reasons
from curate.base.terminal import table
from curate.engine.plan import Plan
from curate.engine.shard_tasks import add
from curate.engine.store import Store


def funnel_counts(plan: Plan, store: Store) -> Iterator[tuple[str, str, dict]]:
    """(source, stage, {"in", "kept", "reasons"}) of what was read and of each stage, of the jobs that are made."""
    found: dict[str, dict[tuple[str, str], dict]] = {name: {} for name in plan.manifest.spec.sources}
    for job in plan.jobs.values():
        marker = store.marker(job.fp) if job.task in ("map", "collect") else None
        if marker:
            counts = found[marker["source"]]
            if "read" in job.args:
                add(counts.setdefault(("", "read"), {}), marker["read"])
            for label, count in marker["stages"].items():  # the same stage may be a source's own and one of all sources
                add(counts.setdefault((job.scope, label), {}), count)
    for name, counts in found.items():
        steps = [("", "read"), *((name, call.label) for call in plan.manifest.pipelines[name])]
        steps += [("", call.label) for call in plan.manifest.stages]
        yield from ((name, label, counts[scope, label]) for scope, label in steps if (scope, label) in counts)


def funnel_lines(plan: Plan, store: Store) -> Iterator[str]:
    """A table of what was read and what each stage kept, of the jobs that are made; nothing where none is."""
    rows = [
        (name, label, count["in"], count["kept"], reasons(count["reasons"]))
        for name, label, count in funnel_counts(plan, store)
    ]
    if rows:
        yield "so far:"
        yield from funnel_table(rows)


def funnel_table(rows: Iterable[tuple[str, str, int, int, str]]) -> Iterator[str]:
    """Rows of source, stage, documents in, kept and reasons as a table that names each source once."""
    shown: list[tuple] = [("source", "stage", "in", "kept", "reasons")]
    before = None
    for name, *counts in rows:
        shown.append((name if name != before else "", *counts))
        before = name
    yield from table(shown, frozenset({2, 3}))
