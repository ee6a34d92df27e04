"""`curate plan`, `status` and `gc`: what a run would do and why, its progress, unused parts."""

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from curate.engine import recall as recalling
from curate.engine.estimate import estimate
from curate.engine.funnel import funnel_counts
from curate.engine.job import Job, unmade
from curate.engine.plan import Plan, shards
from curate.engine.running import FOLDER, running
from curate.engine.store import Store
from curate.manifest.manifest import Manifest, load
from curate.mix.mixture import notes
from curate.models.resources import remove
from curate.release.make import WORK, prepare, recall
from curate.release.new_lock import deduplicating
from curate.sources.identify import FETCHED
from curate.tokens import requested as tokens

UPSTREAM = {"reading", "readings", "before", "order", "heads", "mix", "shard", "tokenized"}
"""Arguments of a job that say whose parts it reads: a change there began further up."""


STALE_SECONDS = 120
"""What a job wrote of itself longer ago does not count: it may have been killed."""


def plan(manifest: str | Path | Manifest, work: str | Path = WORK) -> dict:
    """What a run would do: {"sources", "steps", "notes", "estimate", "run", "reused"}.

    steps  one for each kind of job: {"step", "jobs", "run", "why": {reason: jobs}}. A reason describes what differs
           from the last plan of this manifest: a field with both values, an input, or an upstream job.
    notes  {stage: sentences that explain its settings}
    """
    manifest = manifest if isinstance(manifest, Manifest) else load(manifest)
    made, store = prepare(manifest, work), Store(Path(work) / "store")
    before = {_key(label): job for label, job in recalling.jobs_before(made, Path(work)).items()}
    jobs = _all_jobs(made, store)
    steps: dict[str, dict[str, Any]] = {}
    run = {job.fp for job in unmade(jobs, store.marker)}
    for job in jobs:
        name = re.sub(r" \d+/\d+", "", job.label)
        step = steps.setdefault(name, {"step": name, "jobs": 0, "run": 0, "why": Counter()})
        step["jobs"] += 1
        if job.fp in run:
            step["run"] += 1
            step["why"].update([_why(job, before.get(_key(job.label)))])
    sources: dict[str, dict[str, Any]] = {}
    for lane in made.lanes:
        source = sources.setdefault(lane.source, {"partitions": 0, "files": set(), "bytes": 0})
        source["partitions"] += 1
        for piece in lane.partition.pieces if lane.partition else ():
            source["bytes"] += max(piece.file.size, 0) if piece.file.path not in source["files"] else 0
            source["files"].add(piece.file.path)
    to_run = sum(step["run"] for step in steps.values())
    return {
        "name": made.manifest.name,
        "version": made.manifest.version,
        "sources": {
            name: source | {"files": len(source["files"]), "not_taken": made.not_taken.get(name, [])}
            for name, source in sources.items()
        },
        "steps": list(steps.values()),
        "notes": _notes(made)
        | {
            call.label: notes
            for calls in (*made.manifest.pipelines.values(), made.manifest.stages)
            for call in calls
            if (notes := call.stage.notes(call.params))
        },
        "warnings": made.manifest.warnings,
        "estimate": estimate(made, store),
        "run": to_run,
        "reused": sum(step["jobs"] for step in steps.values()) - to_run,
        "shards_planned": store.marker(made.mix) is not None,
    }


def status(manifest: str | Path | Manifest, work: str | Path = WORK) -> dict:
    """How far a run has come: {"jobs", "made", "documents", "running", "kept", "release", "funnel"}.

    documents  that were read by jobs that are done
    running    more that were, by jobs that are running
    release    its folder, once it is there
    funnel     {"source", "stage", "in", "kept", "reasons"} of each source and stage, of the jobs that are done
    """
    made, store = _prepared(manifest, work)
    jobs = _all_jobs(made, store)
    first = [store.marker(lane.parts[0]) for lane in made.lanes]
    last = [store.marker(lane.parts[-1]) for lane in made.lanes]
    funnel = [
        {"source": source, "stage": label, "in": count["in"], "kept": count["kept"], "reasons": count["reasons"]}
        for source, label, count in funnel_counts(made, store)
    ]
    release = Path(work) / "releases" / made.manifest.name / made.manifest.version
    unread = {lane.parts[0] for lane, marker in zip(made.lanes, first, strict=True) if marker is None}
    return {
        "name": made.manifest.name,
        "version": made.manifest.version,
        "jobs": len(jobs),
        "made": len(jobs) - len(unmade(jobs, store.marker)),
        "documents": sum(marker["rows"] for marker in first if marker),
        "running": sum(counts.documents for counts in running(store, unread, newest=STALE_SECONDS).values()),
        "kept": sum(marker["kept"] for marker in last if marker),
        "release": str(release) if (release / "lock.json").is_file() else None,
        "funnel": funnel,
    }


def gc(manifests: list[str], work: str | Path = WORK, dry_run: bool = False) -> dict:
    """Delete the parts that none of these manifests uses, and temporary files of runs that were killed.

    Only files with names that `curate` itself assigns are deleted, and never the target of a link, only the link.
    Returns {"kept", "removed", "bytes", "paths"}: the numbers of parts kept and removed, and everything removed, below
    the work folder. Do not call it while a run writes to the same store.
    """
    work = Path(work)
    loaded = [load(manifest) for manifest in manifests]
    wanted = {job.fp for manifest in loaded for job in _all_jobs(*_prepared(manifest, work))}
    parts = _ours(work / "store", "??", _PART)
    going = [path for path in parts if path.stem not in wanted]
    removed = sum(path.suffix != ".json" for path in going)
    kept = sum(path.suffix != ".json" for path in parts) - removed
    going += _ours(work / "store", "??", _HALF)
    going += _ours(work / "store", FOLDER, _RUNNING)
    going += _ours(work / "releases", "*", _DRAFT)
    known = {recalling.memory_of(manifest, work) for manifest in loaded}
    going += [path for path in _ours(work, "plans", _PLAN) if path not in known]
    going += _ours(work, FETCHED, _FETCHED)
    size = sum(map(_bytes, going))
    for path in going if not dry_run else ():
        remove(path)
    names = [path.relative_to(work).as_posix() for path in going]
    return {"kept": kept, "removed": removed, "bytes": size, "paths": names}


_PART = re.compile(r"([0-9a-f]{32})\.(parquet|arrows|json)")
_HALF = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}\.tmp")
_RUNNING = re.compile(r"[0-9a-f]{32}\.(json|[0-9a-f]{32}\.tmp)")
_DRAFT = re.compile(r"\.[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*\.[0-9a-f]{32}(\.old)?")
_PLAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{16}\.plan(\.json|\.[0-9a-f]{32}\.tmp)")
_FETCHED = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{32}\.tmp)?")


def _ours(above: Path, pattern: str, name: re.Pattern) -> list[Path]:
    """What has a name of ours in the folders of a pattern that are no links, sorted."""
    folders = [folder for folder in sorted(above.glob(pattern)) if folder.is_dir() and not folder.is_symlink()]
    return [path for folder in folders for path in sorted(folder.iterdir()) if name.fullmatch(path.name)]


def _bytes(path: Path) -> int:
    """Bytes of a file, or of those in a folder. A link counts as itself."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def _notes(made: Plan) -> dict[str, list[str]]:
    """What mixture and token shards mean, where they are asked for."""
    document = made.manifest.spec
    found = {"mixture": notes(document.mixture, made.choice, made.unit, deduplicating(made.manifest))}
    found["tokens"] = tokens.notes(document.tokens) if document.tokens else []
    return {name: lines for name, lines in found.items() if lines}


def _prepared(manifest: str | Path | Manifest, work: str | Path) -> tuple[Plan, Store]:
    manifest = manifest if isinstance(manifest, Manifest) else load(manifest)
    return recall(manifest, work), Store(Path(work) / "store")


def _all_jobs(made: Plan, store: Store) -> list[Job]:
    """The jobs of a plan, and those of its shards once it is known how many there are."""
    mixed = store.marker(made.mix)
    return [*made.jobs.values(), *(shards(made, mixed["splits"]).jobs if mixed else [])]


def _key(label: str) -> str:
    """A job's label without the number of its neighbours, so that one file more does not make all of them new."""
    return re.sub(r"/\d+", "", label)


def _why(job: Job, before: dict | None) -> str:
    if before is None:
        return "new"
    if before["fp"] == job.fp:
        return "not computed yet"
    changes = list(_changes(before["args"], json.loads(json.dumps(job.args)), ()))
    own = [text for path, text in changes if path[0] not in UPSTREAM]
    return "; ".join(own[:3]) if own else "upstream changed"


def _changes(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The leaves in which two JSON values differ: (path, `where: old → new`)."""
    if old == new:
        return
    if path[-1:] == ("pieces",):
        names = sorted({name for name, *_ in _unshared(old, new)})
        yield path, f"input {', '.join(names[:3])} changed"
    elif path == ("stages",):
        olds, news = ({stage["label"]: stage for stage in stages} for stages in (old, new))
        yield from _of_keys(olds, news, path, dict.fromkeys([*olds, *news]))
        if olds.keys() == news.keys() and [*olds] != [*news]:
            yield path, "stages reordered"
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _of_keys(old, new, path, sorted({*old, *new}))
    else:
        where = ".".join(part for part in path if part not in ("stages", "params", "call"))
        yield path, f"{where}: {_short(old)} → {_short(new)}"


def _of_keys(old: dict, new: dict, path: tuple[str, ...], keys: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for key in keys:
        if key not in old or key not in new:
            yield (*path, key), f"{key} {'added' if key in new else 'removed'}"
        else:
            yield from _changes(old[key], new[key], (*path, key))


def _unshared(old: list, new: list) -> list:
    """What only one of two lists has."""
    return [item for item in old + new if item not in old or item not in new]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
