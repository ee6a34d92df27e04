"""Stop a run of whose rows too many cannot be used, before it becomes a release: every such file is named at once."""

from curate.errors import CurateError
from curate.plan import Plan
from curate.store import Store

SHOWN = 20


def check_bad_rows(plan: Plan, store: Store) -> None:
    """Raise CurateError where a larger share of a file's rows was unusable than its source's `max_bad_rows` allows.

    What is under that stays in the release as rejected rows. Files of all sources are named, each with its first bad
    row.
    """
    files: dict[tuple[str, str], list] = {}  # a file may be read in ranges
    for lane in plan.lanes:
        for path, found in store.marker(lane.parts[0])["file_reads"].items():
            file = files.setdefault((lane.source, path), [0, 0, ""])
            file[0] += found["rows"]
            file[1] += found["bad_rows"]
            file[2] = file[2] or found["first_bad"]
    sources = plan.manifest.document.sources
    over = {
        (name, path): file for (name, path), file in files.items() if file[1] > sources[name].max_bad_rows * file[0]
    }
    if not over:
        return
    lines = [
        f"  {path}: {bad:,} of {rows:,}; {first}"
        for (_, path), (rows, bad, first) in sorted(over.items(), key=lambda item: -item[1][1])[:SHOWN]
    ]
    if len(over) > SHOWN:
        lines.append(f"  and {len(over) - SHOWN:,} more files")
    what = "too many rows cannot be used\n" + "\n".join(lines)
    names = sorted({name for name, _ in over})
    where = ", ".join(f"sources.{name}.max_bad_rows: {sources[name].max_bad_rows}" for name in names)
    raise CurateError(what, where, _fix([first for _, _, first in over.values()]))


def _fix(firsts: list[str]) -> str:
    if all(first.endswith("'['") for first in firsts):
        return "the file is one JSON array: write one object a line, as `jq -c '.[]'` does"
    if all("byte 0xff in position 0" in first or "byte 0xfe in position 0" in first for first in firsts):
        return "the file is UTF-16: convert it, as `iconv -f UTF-16 -t UTF-8` does"
    return "fix the file, map its columns with `columns:` or `layout:`, or raise `max_bad_rows`"
