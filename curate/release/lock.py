"""What a run really used and made: inputs, versions, counts, digests. Written by the machine, compared by anyone.

A lock holds no clock, host, user, number of workers or place of the work folder: the same manifest over the same
inputs gives the same lock everywhere. Its `digest` is the sha256 of the lines `SHA256  PATH` of all files under
`data/` and `evidence/`, sorted by path, as `sha256sum` prints them.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq

from curate.base import redact
from curate.engine.assemble import add, digest
from curate.engine.damage import file_reads, told
from curate.engine.plan import Plan, TokenParts
from curate.engine.store import Store
from curate.engine.token_tasks import tokens_of
from curate.errors import CurateError
from curate.manifest.manifest import Manifest
from curate.mix.mixture import VALIDATION, notes
from curate.models.resources import read_note, sha256
from curate.release.checked_lock import check, complete
from curate.sources import FileRead

FORMAT = 1

PAGES = frozenset([".md", ".yaml", ".html", ".json", ".svg"])
"""Files of a release that people read."""


def folder(split: dict) -> str:
    """Where the shards of a split lie, under data/ and index/: "", "main/" of a phase, "validation/"."""
    name = split["phase"] or (VALIDATION if split["split"] == VALIDATION else "")
    return f"{name}/" if name else ""


def shard_names(splits: list[dict]) -> list[str]:
    """The paths of all shards under data/ and index/, in order: `main/train-00000-of-00042.parquet`."""
    return [
        f"{folder(split)}{split['split']}-{number:05d}-of-{split['shards']:05d}.parquet"
        for split in splits
        for number in range(split["shards"])
    ]


def lay_out(plan: Plan, store: Store, shards: list[str], index: list[str]) -> dict[str, str]:
    """{path in the release: fingerprint of the part that lies there}. shards, index: in order."""
    names = shard_names(store.marker(plan.mix)["splits"])
    parts = {f"data/{name}": fp for name, fp in zip(names, shards, strict=True)}
    parts |= {f"index/{name}": fp for name, fp in zip(names, index, strict=False)}
    return parts | plan.evidence


def mixture_of(plan: Plan, store: Store) -> dict:
    """What was asked of the mixture and what came of it, by split and key."""
    mixture, mixed = plan.manifest.document.mixture, store.marker(plan.mix)
    asked = {phase.name: {"experimental": phase.experimental} for phase in mixture.phases}
    for phase in mixture.phases:
        asked[phase.name] |= {"context": phase.context} if phase.context else {}
    return {
        "by": mixture.by,
        "unit": plan.unit,
        "repeats": mixture.repeats,
        "left_out": mixed["left_out"],
        "notes": notes(mixture, plan.unit, deduplicating(plan.manifest)),
        "splits": [asked.get(split["phase"], {"experimental": False}) | split for split in mixed["splits"]],
    }


def deduplicating(manifest: Manifest) -> list[str]:
    """The stages over all sources that keep only one of documents that are alike."""
    return [call.label for call in manifest.stages if call.stage.kind == "group" and "keep" in call.params]


def make_lock(
    plan: Plan, store: Store, parts: dict[str, str], tokens: list[TokenParts], scattered: list[str] = ()
) -> dict:
    """The lock of a run, from its plan, what its jobs counted, and the parts that lie in the release.

    scattered  the parts that documents went to their shards by, which know each document once

    Raises CurateError for token shards without one full sequence.
    """
    manifest = plan.manifest
    sources, counted, versions = _read(plan, store)
    files, indexed, mixture, composition = [], manifest.indexed, mixture_of(plan, store), {}
    for path, fp in parts.items():
        marker = store.marker(fp)
        add(composition, marker.get("composition", {}))
        named = ("rows", "text_bytes", "bytes", "sha256")
        files.append({"path": path} | {name: marker[name] for name in named if name in marker})
    unique: dict = {}
    for fp in scattered:
        add(unique, store.counts(fp)["unique"])
    clustered = plan.evidence.get("evidence/near_duplicates.parquet")
    taken = plan.evidence.get("evidence/removed.parquet")
    return {
        "lock": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "license": manifest.document.license,
        "publish": manifest.document.publish.model_dump(),
        "description": manifest.document.description.strip(),
        "card": manifest.card,
        "digest": release_digest(files),
        "documents": sum(count["documents"] for count in unique.get("source", {}).values()),
        "drawn": sum(split["documents"] for split in mixture["splits"]),
        "rejected": store.marker(plan.evidence["evidence/rejected.parquet"])["rows"],
        "sources": sources,
        "stages": [
            {
                "scope": scope or "all",
                "label": call.label,
                **call.identity,
                "max_removed": call.max_removed,
                "notes": call.stage.notes(call.params),
                "scheme": call.stage.index.scheme(**call.params) if call.stage.index else None,
                "sources": counted.get((scope, call.label), {}),
            }
            for scope, call in manifest.calls
        ],
        "kept": _kept(plan, store),
        "composition": {name: dict(sorted(counts.items())) for name, counts in composition.items()},
        "unique": {name: dict(sorted(counts.items())) for name, counts in unique.items()},
        "columns": columns(store, parts),
        "examples": store.marker(plan.evidence["evidence/rejected.parquet"])["examples"],
        "clusters": store.marker(clustered)["clusters"] if clustered else [],
        "removed": store.marker(taken)["removed"] if taken else [],
        "mixture": mixture,
        "tokens": tokens_of(plan, store, tokens, mixture["splits"]) if plan.encoding else None,
        "files": files,
        "index": indexed.stage.index.scheme(**indexed.params) if indexed else None,
        "versions": dict(sorted(versions.items())),
    }


def _read(plan: Plan, store: Store) -> tuple[dict[str, dict], dict, dict[str, str]]:
    """The sources with their files; {(scope, label of a stage): {source: counts}}; the versions of packages."""
    sources: dict[str, dict] = {}
    for name, source in plan.manifest.document.sources.items():
        sources[name] = {
            "description": source.description,
            "license": source.license or plan.manifest.document.license,
            "read": {},
            "skipped": {},
            "files": {},
            "not_taken": plan.not_taken.get(name, []),
        }
    counted: dict[tuple[str, str], dict[str, dict]] = {}
    versions: dict[str, str] = {"pyarrow": version("pyarrow")} | (plan.encoding.packages if plan.encoding else {})
    for job in plan.jobs.values():
        if job.task not in ("map", "collect"):
            continue
        marker = store.marker(job.fp)
        source = marker["lane"]
        for label, count in marker["stages"].items():
            add(counted.setdefault((job.scope, label), {}).setdefault(source, {}), count)
        for stage in job.args.get("stages", []):
            versions |= stage["packages"]
        if "read" in job.args:
            add(sources[source]["read"], marker["read"])
            add(sources[source]["skipped"], marker["skipped"])
            versions |= job.args["read"]["packages"]
            for path, file_digest, _ in job.args["read"]["pieces"]:  # a file that is read in ranges is one entry
                entry = {"path": path, "digest": file_digest, "documents": 0}
                entry = sources[source]["files"].setdefault(path, entry)
                entry["documents"] += marker["files"][path]
    reads = file_reads(plan, store)
    for name, source in sources.items():
        source["files"] = [entry | told(reads[name].get(path, FileRead())) for path, entry in source["files"].items()]
    return sources, counted, versions


def _kept(plan: Plan, store: Store) -> dict[str, dict]:
    """Documents and bytes of each source that no stage rejected."""
    kept: dict[str, dict] = {}
    for lane in plan.lanes:
        last = store.marker(lane.parts[-1])
        kept_bytes = last["kept_bytes"]
        add(kept.setdefault(lane.source, {}), {"documents": last["kept"], "bytes": kept_bytes})
    return kept


def columns(store: Store, parts: dict[str, str]) -> dict[str, str]:
    """{column: Arrow type} of the shards."""
    first = next((fp for path, fp in parts.items() if path.startswith("data/")), None)
    return {field.name: str(field.type) for field in store.open(first).schema_arrow} if first else {}


def release_digest(files: list[dict]) -> str:
    """The digest of a release: of its data and evidence, whatever else lies beside them."""
    held = [file for file in files if file["path"].startswith(("data/", "evidence/"))]
    return digest_of((file["path"], file["sha256"]) for file in held)


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """The sha256 of the lines that `sha256sum` prints for files, (path, sha256) each, sorted by path."""
    lines = "".join(f"{sha}  {path}\n" for path, sha in sorted(files))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def made_before(home: Path, fingerprint: str) -> dict | None:
    """The lock of a folder that is made once, of a classifier or a calibration set, if it is this one and whole."""
    try:
        lock = json.loads(read_note(home / "lock.json"))
        same = lock["fingerprint"] == fingerprint
        whole = all(sha256(home / name) == digest for name, digest in lock["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return lock if same and whole else None


def dumps(lock: dict) -> str:
    """The lock as text; halves of characters, which UTF-8 does not have, as JSON escapes them."""
    text = json.dumps(lock, indent=1, sort_keys=False, ensure_ascii=False) + "\n"
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def read_lock(release: str | Path) -> dict:
    """The lock of a release folder. Raises CurateError if there is none."""
    path = Path(release) / "lock.json"
    if not path.is_file():  # a pipe would wait for a writer
        raise CurateError("not a release: no lock.json", str(release), "name a folder that `curate run` wrote")
    try:
        lock = json.loads(read_note(path))
    except (ValueError, RecursionError) as error:
        raise CurateError(f"lock.json is not JSON: {error}", str(path), "run the manifest again") from error
    if not isinstance(lock, dict) or lock.get("lock") != FORMAT or "digest" not in lock:
        fix = "name a folder that `curate run` wrote; or use the version of curate that wrote it"
        raise CurateError(
            "lock.json is not a release lock, or was written by another version of curate", str(path), fix
        )
    return check(lock, path)


def read_whole_lock(release: str | Path) -> dict:
    """The lock of a release folder, of which everything can be shown. Raises CurateError if it lacks a key."""
    return complete(read_lock(release), Path(release) / "lock.json")


def verify(release: str | Path) -> list[CurateError]:
    """Hash a release again: one problem for each file that is missing, changed or not in the lock, and for what must
    not be published. Empty: it holds."""
    root, lock = Path(release), read_lock(release)
    known = {"lock.json"} | {file["path"] for file in lock["files"]}
    problems = [problem for file in lock["files"] if (problem := check_file(root, file))]
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and name not in known:
            problems.append(CurateError("a file is not in the lock", name, "remove it, or run the manifest again"))
    if release_digest(lock["files"]) != lock["digest"]:
        problems.append(CurateError("the digest does not match the files", "lock.json", "run the manifest again"))
    return [*problems, *exposures(root)]


def check_file(root: Path, file: dict) -> CurateError | None:
    """What is wrong with a file of a release, if anything. file: its entry in the lock."""
    again = "run the manifest again"
    path = root / file["path"]
    if not path.is_file():
        return CurateError("a file is missing", file["path"], again)
    if not path.resolve().is_relative_to(root.resolve()):
        return CurateError("a file links outside the release", file["path"], "replace the link with the file")
    if (size := path.stat().st_size) != file["bytes"]:  # said without reading it, however large it is
        what = f"{size:,} bytes, not {file['bytes']:,}"
        return CurateError(f"a file changed after the lock was written: {what}", file["path"], again)
    found = digest(path)
    if found == {"bytes": file["bytes"], "sha256": file["sha256"]}:
        if "rows" in file and pq.read_metadata(path).num_rows != file["rows"]:
            return CurateError(f"the lock says {file['rows']:,} rows", file["path"], again)
        return None
    what = f"sha256 {found['sha256'][:12]}…, not {file['sha256'][:12]}…"
    return CurateError(f"a file changed after the lock was written: {what}", file["path"], again)


def exposures(root: Path) -> list[CurateError]:
    """What the pages, the manifest and the lock of a release have that must not be published, with the place."""
    found = []
    for path in sorted([*root.glob("*"), *root.glob("charts/*")]):
        if path.suffix in PAGES and path.is_file() and path.resolve().is_relative_to(root.resolve()):
            try:
                text = read_note(path).decode("utf-8", "replace")
            except OSError as error:
                found.append(CurateError(error.strerror, path.relative_to(root).as_posix(), "run the manifest again"))
                continue
            for exposed in redact.exposed(text):
                where, fix = (
                    f"{path.relative_to(root).as_posix()}:{exposed.line}",
                    "remove it, and run the manifest again",
                )
                found.append(CurateError(f"{exposed.kind} ({exposed.hint}) would be published", where, fix))
    return found
