"""Stop a run in which a stage fails on most documents of a source; warn of other failures."""

from collections.abc import Iterator

from curate.engine.guard import hopeless
from curate.engine.max_removed import counted
from curate.engine.plan import Plan
from curate.engine.store import Store
from curate.errors import ManifestError
from curate.manifest.call import Call

MOST = 0.5
"""The share of a source's documents that a stage may fail on; more, and more than one, are a fault of the stage."""


def check_failures(plan: Plan, store: Store) -> None:
    """Raise CurateError where a stage raised an exception on most documents of a source. It names the first."""
    problems = []
    for call, source, count, failed in _failed(plan, store):
        if failed > 1 and failed > MOST * count["in"]:
            where = f"{failed:,} of {count['in']:,} documents of source `{source}`"
            problem = hopeless(call.label, where, _first(plan, store, call, source)["error"])
            problems.append(call.blame(problem))
    if problems:
        raise problems[0] if len(problems) == 1 else ManifestError(problems)


def warnings(plan: Plan, store: Store) -> list[str]:
    """A sentence for each stage that failed on documents of a source. No message, since it may quote a document."""
    said = []
    for call, source, _, failed in _failed(plan, store):
        first = _first(plan, store, call, source)
        kind = first["error"].partition(":")[0]
        documents = f"{failed:,} document{'s' if failed > 1 else ''}"
        such = f"such as {first['id']} ({kind})"
        said.append(
            f"`{call.label}` failed on {documents} of source `{source}`, {such}; rejected as `{call.stage.name}_failed`"
        )
    return said


def _failed(plan: Plan, store: Store) -> Iterator[tuple[Call, str, dict, int]]:
    for call, source, count in counted(plan, store):
        if failed := count["reasons"].get(f"{call.stage.name}_failed"):
            yield call, source, count, failed


def _first(plan: Plan, store: Store, call: Call, source: str) -> dict:
    """The first document that a stage failed on, and its error."""
    for job in plan.jobs.values():
        if job.task == "map":
            marker = store.marker(job.fp)
            if marker["source"] == source and (found := marker.get("failures", {}).get(call.label)):
                return found[0]
    return {"id": "", "error": "an error that is not noted"}
