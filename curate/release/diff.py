"""`curate diff`: what changed between two releases."""

import difflib
import glob
from collections.abc import Iterator
from pathlib import Path

import duckdb
import yaml

from curate.errors import CurateError
from curate.manifest.yaml_tree import read_tree
from curate.models.resources import read_text
from curate.release.fetched import Held, hold
from curate.release.typed_lock import Lock

EXAMPLES = 5
"""Ids shown of what was added and what was removed."""

NOTHING = "select '' as id, 0 as text limit 0"


def diff(old: str | Path, new: str | Path) -> dict:
    """What changed between two releases, given their folders or addresses (hf://datasets/ORG/NAME@vVERSION).

    Raises CurateError if there is no release.

    manifest   lines of a unified diff of the values in the two manifests
    inputs     {source: {"added", "removed", "changed": paths}}, without unchanged sources
    stages     [{"source", "stage", "in": [old, new], "kept": [old, new]}] where a count differs; None: no such stage
    documents  {"added", "removed", "shared": counts, "added_ids", "removed_ids": some of them, by id}
    text       documents in both whose text changed
    shards     {"shared", "old", "new": counts, "bytes_new": size of those the old one lacks}
    bump       the required version bump: "major", "minor", "patch" or None
    """
    was, now = hold(old), hold(new)
    locks = was.lock, now.lock
    found = {
        "old": locks[0].title,
        "new": locks[1].title,
        "same": locks[0].digest == locks[1].digest,
        "manifest": _manifests(was, now),
        "inputs": dict(_inputs(*locks)),
        "stages": list(_stages(*locks)),
        "documents": _documents(was, now),
        "columns": {name: [lock.columns.get(name) for lock in locks] for name in sorted(_columns(*locks))},
        "shards": _shards(*locks),
    }
    return found | {"bump": _bump(found, *locks)}


def _manifests(old: Held, new: Held) -> list[str]:
    """The manifests without comments and layout, in which only what they say differs."""
    was, now = (
        yaml.safe_dump(_manifest(release), sort_keys=False, allow_unicode=True).splitlines() for release in (old, new)
    )
    lines = difflib.unified_diff(was, now, "old", "new", n=1, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _manifest(release: Held) -> dict:
    return read_tree(read_text(release.file("manifest.yaml"), "the manifest of a release")).value


def _inputs(old: Lock, new: Lock) -> Iterator[tuple[str, dict]]:
    for name in dict.fromkeys([*old.sources, *new.sources]):
        read = [lock.sources[name].files if name in lock.sources else [] for lock in (old, new)]
        was, now = ({file.path: file.digest for file in files} for files in read)
        changed = {
            "added": sorted(now.keys() - was.keys()),
            "removed": sorted(was.keys() - now.keys()),
            "changed": sorted(path for path in was.keys() & now.keys() if was[path] != now[path]),
        }
        if any(changed.values()):
            yield name, changed


def _stages(old: Lock, new: Lock) -> Iterator[dict]:
    was, now = _counts(old), _counts(new)
    for source, stage in dict.fromkeys([*was, *now]):
        pair = was.get((source, stage)), now.get((source, stage))
        if pair[0] != pair[1]:
            counts = list(zip(*(count or (None, None) for count in pair), strict=True))
            yield {"source": source, "stage": stage, "in": list(counts[0]), "kept": list(counts[1])}


def _counts(lock: Lock) -> dict[tuple[str, str], tuple[int, int]]:
    """{(source, stage): (documents in, documents kept)}, from reading on."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for name, source in lock.sources.items():
        steps = [("read", source.read), *((stage.label, stage.sources.get(name)) for stage in lock.stages)]
        found |= {(name, label): (passed.in_, passed.kept) for label, passed in steps if passed}
    return found


def _documents(old: Held, new: Held) -> dict:
    """Compare by id, on disk where there are more ids than memory; files that both have are the same documents."""
    same = {file.sha256 for file in old.lock.files} & {file.sha256 for file in new.lock.files}
    with duckdb.connect() as connection:
        shared = 0
        for name, held in (("old", old), ("new", new)):
            shared = sum(file.rows or 0 for file in held.lock.shards if file.sha256 in same)
            files = [held.file(file.path) for file in held.lock.shards if file.sha256 not in same]
            paths = [glob.escape(str(path)) for path in files]  # for DuckDB a name is a pattern
            rows = "select id, min(hash(text)) as text from read_parquet($1) group by id"  # one row an id
            table = f"create table {name} as {rows if paths else NOTHING}"
            try:
                connection.execute(table, [paths] if paths else [])
            except duckdb.Error as error:
                what = f"the shards of a release cannot be read: {str(error).partition(chr(10))[0]}"
                raise CurateError(what, str(held.folder), "run `curate verify` on that release") from None
        counted = connection.execute(
            """select count(*) filter (o.id is null), count(*) filter (n.id is null),
                      count(*) filter (o.id = n.id), count(*) filter (o.id = n.id and o.text <> n.text)
               from old o full join new n on o.id = n.id"""
        ).fetchone()
        added, removed, both, text = counted or (0, 0, 0, 0)
        only = "select id from {} where id not in (select id from {}) order by id limit ?"
        ids = [
            connection.execute(only.format(*pair), [EXAMPLES]).fetchall() for pair in (("new", "old"), ("old", "new"))
        ]
    return {
        "added": added,
        "removed": removed,
        "shared": shared + both,
        "text_changed": text,
        "added_ids": [id for (id,) in ids[0]],
        "removed_ids": [id for (id,) in ids[1]],
    }


def _columns(old: Lock, new: Lock) -> set[str]:
    """Names of columns that one lacks, or that have another type."""
    return {name for name, _ in old.columns.items() ^ new.columns.items()}


def _shards(old: Lock, new: Lock) -> dict:
    digests = {file.sha256 for file in old.shards}
    fresh = [file for file in new.shards if file.sha256 not in digests]
    return {
        "old": len(old.shards),
        "new": len(new.shards),
        "shared": len(new.shards) - len(fresh),
        "bytes_new": sum(file.bytes for file in fresh),
    }


def _bump(found: dict, old: Lock, new: Lock) -> str | None:
    """See docs/versions.md: readers break at a major, find other documents at a minor, lack some at a patch."""
    gone = [name for name, (was, now) in found["columns"].items() if was is not None and was != now]
    phases = [{split.phase for split in (lock.mixture.splits if lock.mixture else ())} for lock in (old, new)]
    documents = found["documents"]
    if gone or phases[0] - phases[1] or old.license != new.license:
        return "major"
    asked = sum(entry.documents for entry in new.removed) - sum(entry.documents for entry in old.removed)
    if documents["added"] or documents["text_changed"] or found["columns"] or documents["removed"] > max(asked, 0):
        return "minor"
    return None if found["same"] and not found["manifest"] else "patch"
