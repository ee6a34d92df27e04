"""Take documents out of a release: a patch version in which only the shards that held them are other files."""

import re
import shutil
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import lock as locks
from curate.assemble import composition, digest, row_groups
from curate.documents import hashed
from curate.errors import CurateError
from curate.release.build import replacing, write_pages
from curate.release.files import Unverified
from curate.release.token_shards import rewrite_token_shards
from curate.stages.removed import Removals, list_name, read_list
from curate.store import Writer

RECORD = "evidence/removed.parquet"


@dataclass(frozen=True)
class TakenDown:
    """A patch version. changed: its files that are not those of the release before; documents: how many are gone."""

    path: Path
    version: str
    documents: int
    changed: list[str]


def remove(release: str | Path, file: str | Path, kind: str) -> TakenDown:
    """Write the patch version of a release that lacks what a list names, beside it. The release itself stays.

    file  a list as `curate.stages.removed` reads it
    kind  what its lines are: "ids", "urls" or "domains"

    Raises Unverified for a release that is not what its lock says, CurateError where the list names nothing in it or
    the patch version is there already.
    """
    release, file = Path(release), Path(file)
    if not file.is_file():
        raise CurateError("no such list", str(file), "name a file with one id, URL or domain a line")
    removals, lock = read_list(file, list_name(file), kind), locks.read_lock(release)
    if problems := locks.verify(release):
        raise Unverified(f"{problems[0].where}: {problems[0].what}", str(release), "run the manifest again")
    version = patch(lock["version"])
    target = release.parent / version
    if (target / "lock.json").is_file():
        raise CurateError(f"version {version} is there already", str(target), f"remove from {version} instead")
    with replacing(target) as draft:
        gone, counts, kept = _shards(release, draft, lock, removals)
        if not gone:
            what = f"no document of {lock['name']} {lock['version']} is on the list"
            raise CurateError(what, str(file), "look at the release's ids and URLs")
        _evidence(release, draft, lock, gone, list_name(file), version)
        before = {entry["path"]: entry["sha256"] for entry in lock["files"]}
        made = _patched(draft, lock, counts, version, {"list": list_name(file), "documents": len(gone)})
        rewrite_token_shards(release, draft, made, kept)
        write_pages(draft, made, _manifest((release / "manifest.yaml").read_text(encoding="utf-8"), version))
        changed = [entry["path"] for entry in made["files"] if before.get(entry["path"]) != entry["sha256"]]
    return TakenDown(target, version, len(gone), changed)


def patch(version: str) -> str:
    """The next patch version: 1.2.4 of 1.2.3."""
    major, minor, last = re.split(r"[-+]", version, maxsplit=1)[0].split(".")
    return f"{major}.{minor}.{int(last) + 1}"


def _shards(release: Path, draft: Path, lock: dict, removals: Removals) -> tuple[set[str], dict, dict]:
    """Write shards and their index without what is named. The ids that are gone, and of each changed shard what it lost
    and which of its rows are kept."""
    gone: set[str] = set()
    lost: dict[str, dict] = {}
    kept: dict[str, np.ndarray] = {}
    paths = {entry["path"] for entry in lock["files"]}
    for path in sorted(path for path in paths if path.startswith("data/")):
        index = path.replace("data/", "index/", 1)
        names = [name for name in ("id", "url") if name in pq.read_schema(release / path).names]
        rows = pq.read_table(release / path, columns=names).to_pylist()
        keep = pa.array([removals.find(row["id"], row.get("url")) is None for row in rows], pa.bool_())
        out = pc.invert(keep)
        beside = [index] if index in paths else []
        if not pc.any(out).as_py():
            for name in (path, *beside):
                _copy(release / name, draft / name)
            continue
        table = pq.read_table(release / path)
        lost[path] = composition(table.filter(out))
        gone |= set(table.filter(out)["id"].to_pylist())
        kept[path] = keep.to_numpy(zero_copy_only=False)
        left = table.filter(keep)
        _write(draft / path, left, row_groups(pc.binary_length(left["text"]).to_numpy()))
        for name in beside:
            _write(draft / name, pq.read_table(release / name).filter(keep), [(0, left.num_rows)])
    return gone, lost, kept


def _write(path: Path, table: pa.Table, groups) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = Writer(path, level=3, content_defined=True)
    for start, stop in list(groups) or [(0, 0)]:
        writer.write(table.slice(start, stop - start))
    writer.close()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _evidence(release: Path, draft: Path, lock: dict, gone: set[str], name: str, version: str) -> None:
    """The record of removals with these, and the rest of the evidence without where they were."""
    ids = sorted(map(hashed, gone))
    record = pa.table({"id_sha256": ids, "list": [name] * len(ids), "version": [version] * len(ids)})
    for path in (entry["path"] for entry in lock["files"] if entry["path"].startswith("evidence/")):
        if path == RECORD:
            record = pa.concat_tables([pq.read_table(release / path), record])
        elif pq.read_table(release / path, columns=["id"], filters=[("id", "in", gone)]).num_rows:
            kept = pq.read_table(release / path, filters=[("id", "not in", gone)])
            _write(draft / path, kept, [(0, kept.num_rows)])
        else:
            _copy(release / path, draft / path)
    _write(draft / RECORD, record, [(0, record.num_rows)])


def _patched(draft: Path, lock: dict, lost: dict[str, dict], version: str, removed: dict) -> dict:
    """The lock of the patch version, with the files that are there by now."""
    made = deepcopy(lock) | {"version": version}
    made["parent"] = {"version": lock["version"], "digest": lock["digest"]}
    made["removed"] = [*lock["removed"], {"version": version} | removed]
    less: dict = {}
    for path, counts in lost.items():
        locks.add(less, counts)
        rows = _total(counts)
        made["documents"] -= rows["documents"]
        for split in made["mixture"]["splits"]:
            if path.startswith(f"data/{locks.folder(split)}{split['split']}-"):
                split |= {name: split[name] - count for name, count in rows.items() if name in split}
    for column, counts in less.items():
        for value, count in counts.items():
            left = Counter(made["composition"][column][value])
            left.subtract(count)
            made["composition"][column][value] = dict(left)
            if not left["documents"]:
                del made["composition"][column][value]
    out = set(pq.read_table(draft / RECORD)["id_sha256"].to_pylist())
    made["clusters"] = [cluster for cluster in lock["clusters"] if hashed(cluster["id"]) not in out]
    made["files"] = []
    known = {entry["path"]: entry for entry in lock["files"]}
    there = {path.relative_to(draft).as_posix() for path in draft.rglob("*.parquet")}
    for name in [*(path for path in known if path in there), *sorted(there - known.keys())]:
        entry = known.get(name, {}) | {"path": name} | digest(draft / name)
        if "rows" in entry or name == RECORD:
            entry["rows"] = pq.read_metadata(draft / name).num_rows
        if name in lost:
            entry["text_bytes"] -= _total(lost[name])["bytes"]
        made["files"].append(entry)
    made["digest"] = locks.release_digest(made["files"])
    return made


def _total(counts: dict) -> Counter:
    total: Counter = Counter()
    for count in counts["source"].values():
        total.update(count)
    return total


def _manifest(text: str, version: str) -> str:
    """The manifest of the patch version: that of the release, with the record of what stays out."""
    text = re.sub(r"(?m)^version:.*$", f'version: "{version}"', text, count=1)
    if re.search(r"(?m)^removed:", text):
        return text
    return text.rstrip("\n") + f"\n\nremoved: [{RECORD}]\n"
