"""How many documents each step of a run has kept so far, for runs that end before their release."""

from collections.abc import Iterator

from curate.base.phrases import reasons
from curate.base.terminal import table
from curate.engine.assemble import add
from curate.engine.plan import Plan
from curate.engine.store import Store


def funnel_lines(plan: Plan, store: Store) -> Iterator[str]:
    """A table of what was read and what each stage kept, of the jobs that are made; nothing where none is."""
    found: dict[str, dict[tuple[str, str], dict]] = {name: {} for name in plan.manifest.document.sources}
    for job in plan.jobs.values():
        marker = store.marker(job.fp) if job.task in ("map", "collect") else None
        if marker:
            counts = found[marker["lane"]]
            if "read" in job.args:
                add(counts.setdefault(("", "read"), {}), marker["read"])
            for label, count in marker["stages"].items():  # the same stage may be a source's own and one of all sources
                add(counts.setdefault((job.scope, label), {}), count)
    rows = [("source", "stage", "in", "kept", "reasons")]
    for name, counts in found.items():
        steps = [("", "read"), *((name, call.label) for call in plan.manifest.pipelines[name])]
        steps += [("", call.label) for call in plan.manifest.stages]
        ordered = [(label, counts[scope, label]) for scope, label in steps if (scope, label) in counts]
        for place, (label, count) in enumerate(ordered):
            rows.append((name if not place else "", label, count["in"], count["kept"], reasons(count["reasons"])))
    if len(rows) > 1:
        yield "so far:"
        yield from table(rows, frozenset({2, 3}))
