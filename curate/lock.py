"""What a run really used and made: inputs, versions, counts, digests. Written by the machine, compared by anyone.

A lock holds no clock, host, user, number of workers or place of the work folder: the same manifest over the same
inputs gives the same lock everywhere. Its `digest` is the sha256 of the lines `SHA256  PATH` of all files under
`data/` and `evidence/`, sorted by path, as `sha256sum` prints them.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq

from curate.assemble import digest
from curate.errors import CurateError
from curate.plan import Plan
from curate.store import Store

FORMAT = 1


def lay_out(plan: Plan, shards: list[str], index: list[str]) -> dict[str, str]:
    """{path in the release: fingerprint of the part that lies there}. shards, index: in order."""
    name = "train-{:05d}-of-{:05d}.parquet"
    parts = {f"data/{name.format(number, len(shards))}": fp for number, fp in enumerate(shards)}
    parts |= {f"index/{name.format(number, len(index))}": fp for number, fp in enumerate(index)}
    return parts | plan.evidence


def make_lock(plan: Plan, store: Store, parts: dict[str, str]) -> dict:
    """The lock of a run, from its plan, what its jobs counted, and the parts that lie in the release."""
    manifest = plan.manifest
    sources: dict[str, dict] = {}
    for name, source in manifest.document.sources.items():
        sources[name] = {
            "license": source.license or manifest.document.license,
            "read": {},
            "skipped": {},
            "files": [],
        }
    counted: dict[str, dict[str, dict]] = {}
    versions: dict[str, str] = {"pyarrow": version("pyarrow")}
    for job in plan.jobs.values():
        if job.task not in ("map", "collect"):
            continue
        marker = store.marker(job.fp)
        source = marker["lane"]
        for label, count in marker["stages"].items():
            add(counted.setdefault(label, {}).setdefault(source, {}), count)
        for stage in job.args.get("stages", []):
            versions |= stage["packages"]
        if "read" in job.args:
            add(sources[source]["read"], marker["read"])
            add(sources[source]["skipped"], marker["skipped"])
            versions |= job.args["read"]["packages"]
            for path, file_digest, _ in job.args["read"]["pieces"]:
                sources[source]["files"].append(
                    {"path": path, "digest": file_digest, "documents": marker["files"][path]}
                )
    kept: dict[str, dict] = {}
    for lane in plan.lanes:
        last = store.marker(lane.parts[-1])
        kept_bytes = last["kept_bytes"]
        add(kept.setdefault(lane.source, {}), {"documents": last["kept"], "bytes": kept_bytes})
    calls = [(name, call) for name, calls in manifest.pipelines.items() for call in calls]
    calls += [("", call) for call in manifest.stages]
    files, indexed = [], manifest.indexed
    for path, fp in parts.items():
        marker = store.marker(fp)
        named = ("rows", "text_bytes", "bytes", "sha256")
        files.append({"path": path} | {name: marker[name] for name in named if name in marker})
    return {
        "lock": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "license": manifest.document.license,
        "digest": release_digest(files),
        "documents": sum(count["documents"] for count in kept.values()),
        "rejected": store.marker(plan.evidence["evidence/rejected.parquet"])["rows"],
        "sources": sources,
        "stages": [
            {
                "scope": scope or "all",
                "label": call.label,
                **call.identity,
                "notes": call.stage.notes(call.params),
                "sources": counted_in(counted, scope, call.label),
            }
            for scope, call in calls
        ],
        "kept": kept,
        "files": files,
        "index": indexed.stage.index.scheme(**indexed.params) if indexed else None,
        "versions": dict(sorted(versions.items())),
    }


def counted_in(counted: dict, scope: str, label: str) -> dict:
    """{source: counts} of a stage: of the one source whose pipeline it is in, or of all."""
    return {source: count for source, count in counted.get(label, {}).items() if scope in ("", source)}


def add(total: dict, more: dict) -> None:
    """Add counts, and the counts within them."""
    for key, value in more.items():
        if isinstance(value, dict):
            add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value


def release_digest(files: list[dict]) -> str:
    """The digest of a release: of its data and evidence, whatever else lies beside them."""
    lines = sorted((file["path"], file["sha256"]) for file in files if file["path"].startswith(("data/", "evidence/")))
    return "sha256:" + hashlib.sha256("".join(f"{sha}  {path}\n" for path, sha in lines).encode()).hexdigest()


def dumps(lock: dict) -> str:
    return json.dumps(lock, indent=1, sort_keys=False, ensure_ascii=False) + "\n"


def read_lock(release: str | Path) -> dict:
    """The lock of a release folder. Raises CurateError if there is none."""
    path = Path(release) / "lock.json"
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CurateError(
            "no lock.json: this is no release", str(release), "name a folder that `curate run` wrote"
        ) from None
    except ValueError as error:
        raise CurateError(f"lock.json is not JSON: {error}", str(path), "run the manifest again") from error
    if not isinstance(lock, dict) or lock.get("lock") != FORMAT:
        fix = "use the version of curate that wrote it, or run the manifest again"
        raise CurateError("lock.json is no lock of this version of curate", str(path), fix)
    return lock


def verify(release: str | Path) -> list[CurateError]:
    """Hash a release again: one problem for each file that is missing, changed or not in the lock. Empty: it holds."""
    root, lock = Path(release), read_lock(release)
    problems, known = [], {"lock.json"}
    for file in lock["files"]:
        known.add(file["path"])
        path = root / file["path"]
        if not path.is_file():
            problems.append(CurateError("a file is missing", file["path"], "run the manifest again"))
            continue
        found = digest(path)
        if found != {"bytes": file["bytes"], "sha256": file["sha256"]}:
            what = f"a file changed after the lock was written: {found['bytes']:,} bytes, not {file['bytes']:,}"
            if found["bytes"] == file["bytes"]:
                what = f"a file changed after the lock was written: sha256 {found['sha256'][:12]}…, not {file['sha256'][:12]}…"
            problems.append(CurateError(what, file["path"], "run the manifest again"))
        elif "rows" in file and pq.read_metadata(path).num_rows != file["rows"]:
            problems.append(CurateError(f"the lock says {file['rows']:,} rows", file["path"], "run the manifest again"))
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and name not in known:
            problems.append(CurateError("a file is not in the lock", name, "remove it, or make a release that has it"))
    if release_digest(lock["files"]) != lock["digest"]:
        problems.append(CurateError("the digest is not that of the files", "lock.json", "run the manifest again"))
    return problems
