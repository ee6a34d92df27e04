"""Stop a run whose inputs could not be read, before it becomes a release: every such file is named at once."""

from collections import Counter

from curate.errors import CurateError
from curate.plan import Plan
from curate.store import Store

SHOWN = 20


def check_damage(plan: Plan, store: Store) -> None:
    """Raise CurateError where more of a source's bytes were unreadable than its `max_damaged` allows.

    What is under that stays in the lock and the card, file by file.
    """
    lost: dict[str, Counter] = {}
    size: Counter = Counter()
    first: dict[str, str] = {}
    for lane in plan.lanes:
        marker = store.marker(lane.parts[0])
        size.update({lane.source: sum(max(piece.file.size, 0) for piece in _whole(lane.partition.pieces))})
        for path, found in marker["file_reads"].items():
            if found["lost"]:
                lost.setdefault(lane.source, Counter())[path] += found["lost"]
                first.setdefault(path, found["damage"][0])
    for name, source in plan.manifest.document.sources.items():
        total = lost.get(name, Counter()).total()
        if total > source.max_damaged * size[name]:
            files = [f"  {path}: {count:,} bytes lost; {first[path]}" for path, count in lost[name].most_common(SHOWN)]
            more = [f"  and {len(lost[name]) - SHOWN:,} more files"] if len(lost[name]) > SHOWN else []
            what = f"{total:,} of {size[name]:,} bytes of source `{name}` could not be read\n"
            where = f"sources.{name}.max_damaged: {source.max_damaged}"
            fix = "fetch the files again, take them out of `inputs:`, or raise `max_damaged` to accept the loss"
            raise CurateError(what + "\n".join([*files, *more]), where, fix)


def _whole(pieces):
    """Pieces whose file is not counted elsewhere: the first of several ranges of one file."""
    return [piece for piece in pieces if piece.rows is None or piece.rows[0] == 0]
