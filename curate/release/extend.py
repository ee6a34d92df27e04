"""A release that goes on from an earlier one: its shards stay byte for byte, new documents lie in shards after them.

A shard that holds documents which are to stay out (`removed:`, or the record of an earlier release) is written again
without them, see `curate.release.without.keep_out`.
"""

from copy import deepcopy
from pathlib import Path

from curate.errors import CurateError
from curate.release import lock as locks
from curate.release.earlier import folder_of

KINDS = ("data/", "index/")


def extend(lock: dict, parts: dict[str, str], manifest) -> tuple[dict, dict[str, str], dict[str, Path]]:
    """Put the shards of the release that a manifest `extends` before those of its own run.

    lock, parts  of the run, which `against` the earlier release left only what is new

    Returns the lock of both, the parts under their new names, and {path in the release: file} of what is taken over.
    The evidence is that of the run; the earlier release has its own. Raises CurateError where the two do not fit.
    """
    place = manifest.document.extends
    folder = folder_of(manifest, place, "extends")
    old, made = locks.read_whole_lock(folder), deepcopy(lock)
    _check_fit(old, lock, place)
    made["columns"] = old["columns"]
    before = {kind: [file for file in old["files"] if file["path"].startswith(kind)] for kind in KINDS}
    names = rename([path for path in parts if path.startswith("data/")], len(before["data/"]))
    names |= rename([path for path in parts if path.startswith("index/")], len(before["index/"]))
    copies, entries = {}, []
    for kind, held in before.items():
        total = len(held) + sum(path.startswith(kind) for path in parts)
        for number, file in enumerate(held):
            path = f"{kind}train-{number:05d}-of-{total:05d}.parquet"
            copies[path] = folder / file["path"]
            entries.append(file | {"path": path})
    entries += [file | {"path": names.get(file["path"], file["path"])} for file in made["files"]]
    made["files"] = sorted(entries, key=lambda file: file["path"])
    made["digest"] = locks.release_digest(made["files"])
    made["documents"] += old["documents"]
    made["drawn"] += old.get("drawn", old["documents"])
    for name in ("composition", "unique"):
        locks.add(made[name], old.get(name, old["composition"]))
        made[name] = {column: dict(sorted(counts.items())) for column, counts in made[name].items()}
    _add_mixture(made["mixture"], old["mixture"])
    made["extends"] = {name: old[name] for name in ("name", "version", "digest", "documents")}
    return made, {names.get(path, path): fp for path, fp in parts.items()}, copies


def _check_fit(old: dict, lock: dict, place: str) -> None:
    """Raise CurateError where the shards of a release cannot lie beside those of a run."""
    fix = "publish the same columns, or leave out `extends:`"
    if lock["columns"] and old["columns"] != lock["columns"]:  # a run of which no document is kept may have none
        differ = sorted({*old["columns"].items()} ^ {*lock["columns"].items()})
        names = ", ".join(dict.fromkeys(name for name, _ in differ))
        raise CurateError(f"{old['name']} {old['version']} has different columns: {names}", f"extends: {place}", fix)
    if old["index"] != lock["index"]:
        what, fix = "was made with other parameters of `near_dedup`", "use the same parameters, or leave out `extends:`"
        if not old["index"]:
            what, fix = "was made without `near_dedup`", "leave out `extends:`, or make that version again with it"
        raise CurateError(f"{old['name']} {old['version']} {what}", f"extends: {place}", fix)
    if any("/" in file["path"].removeprefix("data/") for file in old["files"] if file["path"].startswith("data/")):
        raise CurateError("a release with phases or a validation split cannot be extended", f"extends: {place}")


def _add_mixture(mixture: dict, old: dict) -> None:
    """Add what an earlier release holds to the one split of a mixture that takes everything."""
    split, before = mixture["splits"][0], old["splits"][0]
    for name in (
        "documents",
        "unique",
        "bytes",
        "tokens",
        "shards",
        *(("amount", "asked") if mixture["unit"] == old["unit"] else ()),
    ):
        if name in split and name in before:
            split[name] += before[name]
    if "longest" in split and "longest" in before:
        split["longest"] = max(split["longest"], before["longest"])
    if (mixture["by"], mixture["unit"]) != (old["by"], old["unit"]):
        return
    for key, counts in before["keys"].items():
        mine = split["keys"].setdefault(key, {"asked": 0.0, "epochs": 1.0})
        for name in {"documents", "unique", "bytes", "tokens"} & counts.keys():
            mine[name] = mine.get(name, 0) + counts[name]
    total = max(sum(counts[mixture["unit"]] for counts in split["keys"].values()), 1)
    for counts in split["keys"].values():
        counts["share"] = round(counts[mixture["unit"]] / total, 6)
        counts["asked"] = counts["share"]
    split["keys"] = dict(sorted(split["keys"].items()))


def rename(paths: list[str], before: int) -> dict[str, str]:
    """The names of shards that come after `before` others."""
    total = before + len(paths)
    return {
        path: f"{path.partition('/')[0]}/train-{before + number:05d}-of-{total:05d}.parquet"
        for number, path in enumerate(paths)
    }
