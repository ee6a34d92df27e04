"""Stop a run whose inputs could not be read, and name every such file (`max_damaged`)."""

import re
from collections import Counter
from dataclasses import asdict

from curate.engine.plan import Plan
from curate.engine.store import Store
from curate.errors import CurateError
from curate.sources import FileRead

SHOWN = 100
"""Files that are named for each source; more are counted."""


def file_reads(plan: Plan, store: Store) -> dict[str, dict[str, FileRead]]:
    """{source: {path: what reading the file came to}}, over all partitions that read some of it."""
    found: dict[str, dict[str, FileRead]] = {}
    for lane in plan.lanes:
        of_source = found.setdefault(lane.source, {})
        for path, counts in store.marker(lane.parts[0]).get("file_reads", {}).items():
            of_source[path] = together(of_source.get(path, FileRead()), FileRead(**counts))
    return found


def together(one: FileRead, other: FileRead) -> FileRead:
    """What two readers of one file found."""
    return FileRead(
        lost=one.lost + other.lost,
        damage=[*one.damage, *other.damage][: FileRead.SHOWN],
        notes=list(dict.fromkeys([*one.notes, *other.notes]))[: FileRead.SHOWN],
        rows=one.rows + other.rows,
        bad_rows=one.bad_rows + other.bad_rows,
        first_bad=one.first_bad or other.first_bad,
    )


def told(read: FileRead) -> dict:
    """What the lock says of reading a file: only what there is to say, and nothing of its content."""
    named = asdict(read)
    return {name: named[name] for name in ("lost", "damage", "notes", "bad_rows") if named[name]}


def check_damage(plan: Plan, store: Store) -> None:
    """Raise CurateError where more of a source's bytes were unreadable than its `max_damaged` allows, or more rows of a
    file unusable than `max_bad_rows`. All of them are named. What is under that stays in the lock, file by file.
    """
    size: Counter = Counter()
    counted = set()
    for lane in plan.lanes:
        for piece in lane.partition.pieces:
            if (lane.source, piece.file.path) not in counted:
                counted.add((lane.source, piece.file.path))
                size[lane.source] += max(piece.file.size, 0)
    whats, places, fixes = [], [], {}
    for name, reads in file_reads(plan, store).items():
        source = plan.manifest.spec.sources[name]
        lost = Counter({path: read.lost for path, read in reads.items() if read.lost})
        if lost.total() > source.max_damaged * size[name]:
            files = [f"{path}: {count:,} bytes lost; {reads[path].damage[0]}" for path, count in lost.most_common()]
            whats.append(
                _listed(f"{lost.total():,} of {size[name]:,} bytes of source `{name}` could not be read", files)
            )
            places.append(f"sources.{name}.max_damaged: {source.max_damaged}")
            fixes["fetch the files again, remove them from `inputs:`, or raise `max_damaged` to accept the loss"] = None
        if bad := _too_bad(reads, source.max_bad_rows):
            files = [
                f"{path}: {read.bad_rows:,} of {read.rows:,} rows cannot be used; {read.first_bad}"
                for path, read in sorted(bad.items(), key=lambda item: -item[1].bad_rows)
            ]
            whats.append(_listed(f"too many rows of source `{name}` cannot be used", files))
            places.append(f"sources.{name}.max_bad_rows: {source.max_bad_rows}")
            fixes[_fix(bad)] = None
    if whats:
        raise CurateError("\n".join(whats), "; ".join(places), "; ".join(fixes))


def _too_bad(reads: dict[str, FileRead], most: float) -> dict[str, FileRead]:
    """The files of which too many rows are unusable. Files of one row each, such as texts, are judged together."""
    single = {path: read for path, read in reads.items() if read.rows == 1}
    bad = {path: read for path, read in single.items() if read.bad_rows}
    bad = bad if len(bad) > most * len(single) else {}
    return bad | {path: read for path, read in reads.items() if path not in single and read.bad_rows > most * read.rows}


_WIDE = re.compile(r"byte 0xf[ef] in position 0|: '\{?\\+x00")
_OVER_LINES = re.compile(r"line \d+: not_json: .*'\s*\{\s*'\Z")


def _fix(bad: dict[str, FileRead]) -> str:
    firsts = [read.first_bad for read in bad.values()]
    if any(first.startswith("line 1: not_") and ": '[" in first for first in firsts):
        return "a file is one JSON array: set `format: json`, or call it .json"
    if any(map(_OVER_LINES.match, firsts)):
        return "a file contains objects that span several lines: set `format: json`, or call it .json"
    if any(": picture_" in first for first in firsts):
        return "correct `images:`, the location of the images, or raise `max_bad_rows`"
    if any(map(_WIDE.search, firsts)):
        return "a file is UTF-16: convert it, for example with `iconv -f UTF-16 -t UTF-8`"
    return "fix the files, map their columns with `columns:` or `layout:`, or raise `max_bad_rows`"


def _listed(what: str, files: list[str]) -> str:
    more = [f"and {len(files) - SHOWN:,} more files"] if len(files) > SHOWN else []
    return "\n  ".join([what, *files[:SHOWN], *more])
