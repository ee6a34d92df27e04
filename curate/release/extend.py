"""A release that goes on from an earlier one: its shards stay byte for byte, new documents lie in shards after them."""

from copy import deepcopy
from pathlib import Path

from curate import lock as locks
from curate.errors import CurateError
from curate.release.earlier import folder_of

KINDS = ("data/", "index/")


def extend(lock: dict, parts: dict[str, str], manifest) -> tuple[dict, dict[str, str], dict[str, Path]]:
    """Put the shards of the release that a manifest `extends` before those of its own run.

    lock, parts  of the run, which `against` the earlier release left only what is new

    Returns the lock of both, the parts under their new names, and {path in the release: file} of what is copied. The
    evidence is that of the run; the earlier release has its own. Raises CurateError where the two do not fit together.
    """
    place = manifest.document.extends
    old = locks.read_lock(folder := folder_of(manifest, place, "extends"))
    for what, name in (("columns", "columns"), ("an index", "index")):
        if old[name] != lock[name]:
            fix = "publish the same columns, and compare with the same parameters, or leave out `extends:`"
            raise CurateError(f"{old['name']} {old['version']} has other {what}", f"extends: {place}", fix)
    before = {kind: [file for file in old["files"] if file["path"].startswith(kind)] for kind in KINDS}
    if any("/" in file["path"].removeprefix("data/") for file in before["data/"]):
        raise CurateError("a release with phases or a validation split cannot be extended", f"extends: {place}")
    names = rename([path for path in parts if path.startswith("data/")], len(before["data/"]))
    names |= rename([path for path in parts if path.startswith("index/")], len(before["index/"]))
    made, copies, files = deepcopy(lock), {}, []
    for kind, held in before.items():
        total = len(held) + sum(path.startswith(kind) for path in parts)
        for number, file in enumerate(held):
            path = f"{kind}train-{number:05d}-of-{total:05d}.parquet"
            copies[path] = folder / file["path"]
            files.append(file | {"path": path})
    files += [file | {"path": names.get(file["path"], file["path"])} for file in lock["files"]]
    made["files"] = sorted(files, key=lambda file: file["path"])
    made["digest"] = locks.release_digest(made["files"])
    made["documents"] += old["documents"]
    locks.add(made["composition"], old["composition"])
    made["extends"] = {name: old[name] for name in ("name", "version", "digest", "documents")}
    return made, {names.get(path, path): fp for path, fp in parts.items()}, copies


def rename(paths: list[str], before: int) -> dict[str, str]:
    """The names of shards that come after `before` others."""
    total = before + len(paths)
    return {
        path: f"{path.partition('/')[0]}/train-{before + number:05d}-of-{total:05d}.parquet"
        for number, path in enumerate(paths)
    }
