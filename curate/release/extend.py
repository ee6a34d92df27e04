"""`extends:`: keep the shards of an earlier release byte for byte, and add new ones.

A shard that holds documents which are to stay out (`removed:`, or the record of an earlier release) is written again
without them, see `curate.release.without.keep_out`.
"""

from pathlib import Path

from curate.errors import CurateError
from curate.manifest.manifest import Manifest
from curate.release.earlier import earlier_release
from curate.release.lock import release_digest
from curate.release.typed_lock import Composition, Key, Lock, Mixture

KINDS = ("data/", "index/")
SIZES = ("documents", "unique", "bytes", "tokens")


def extend(lock: Lock, parts: dict[str, str], manifest: Manifest) -> tuple[Lock, dict[str, str], dict[str, Path]]:
    """Put the shards of the release that a manifest `extends` before those of its own run.

    lock, parts  of the run, which `against` the earlier release left only what is new

    Returns the lock of both, the parts under their new names, and {path in the release: file} of what is taken over.
    The evidence is that of the run; the earlier release has its own. Raises CurateError where the two do not fit.
    """
    place = manifest.spec.extends
    held = earlier_release(manifest, place, "extends")
    old, made = held.lock, lock.model_copy(deep=True)
    _check_fit(old, lock, place)
    before = {kind: [file for file in old.files if file.path.startswith(kind)] for kind in KINDS}
    names: dict[str, str] = {}
    copies, entries = {}, []
    for kind, files in before.items():
        mine = [path for path in parts if path.startswith(kind)]
        names |= rename(mine, len(files))
        for number, file in enumerate(files):
            path = f"{kind}train-{number:05d}-of-{len(files) + len(mine):05d}.parquet"
            copies[path] = held.folder / file.path
            entries.append(file.model_copy(update={"path": path}))
    entries += [file.model_copy(update={"path": names.get(file.path, file.path)}) for file in made.files]
    made.files = sorted(entries, key=lambda file: file.path)
    made.digest = release_digest(made.files)
    made.columns = old.columns
    made.documents += old.documents
    made.drawn = made.rows + old.rows
    made.composition = _sum(made.composition, old.composition)
    made.unique = _sum(made.once, old.once)
    _add_mixture(made.mixture, old.mixture)
    made.extends = {"name": old.name, "version": old.version, "digest": old.digest, "documents": old.documents}
    return made, {names.get(path, path): fp for path, fp in parts.items()}, copies


def _check_fit(old: Lock, lock: Lock, place: str) -> None:
    """Raise CurateError where the shards of a release cannot lie beside those of a run."""
    fix = "publish the same columns, or leave out `extends:`"
    if lock.columns and old.columns != lock.columns:  # a run of which no document is kept may have none
        differ = sorted({*old.columns.items()} ^ {*lock.columns.items()})
        names = ", ".join(dict.fromkeys(name for name, _ in differ))
        raise CurateError(f"{old.title} has different columns: {names}", f"extends: {place}", fix)
    if old.index != lock.index:
        what, fix = "was made with other parameters of `near_dedup`", "use the same parameters, or leave out `extends:`"
        if not old.index:
            what, fix = "was made without `near_dedup`", "leave out `extends:`, or rebuild that version with it"
        raise CurateError(f"{old.title} {what}", f"extends: {place}", fix)
    if any("/" in shard.path.removeprefix("data/") for shard in old.shards):
        raise CurateError("a release with phases or a validation split cannot be extended", f"extends: {place}")


def _sum(one: Composition, other: Composition) -> Composition:
    """What two releases without a document in common hold together."""
    found = {}
    for column in one | other:
        mine, more = dict(one.get(column, {})), other.get(column, {})
        for value, amount in more.items():
            mine[value] = mine[value] + amount if value in mine else amount
        found[column] = dict(sorted(mine.items()))
    return found


def _add_mixture(mixture: Mixture, old: Mixture) -> None:
    """Add what an earlier release holds to the one split of a mixture that takes everything."""
    split, before = mixture.splits[0], old.splits[0]
    asked = ("amount", "asked", "unique_amount") if mixture.unit == old.unit else ()
    for name in (*SIZES, "shards", *asked):
        mine, more = getattr(split, name), getattr(before, name)
        if mine is not None and more is not None:
            setattr(split, name, mine + more)
    if split.longest is not None and before.longest is not None:
        split.longest = max(split.longest, before.longest)
    if (mixture.by, mixture.unit) != (old.by, old.unit):
        return
    for name, key in before.keys.items():
        split.keys[name] = _both(split.keys.get(name), key)
    total = max(sum(getattr(key, mixture.unit) for key in split.keys.values()), 1)
    for key in split.keys.values():
        key.asked = key.share = round(getattr(key, mixture.unit) / total, 6)
    split.keys = dict(sorted(split.keys.items()))


def _both(mine: Key | None, old: Key) -> Key:
    """A key of the mixture with what an earlier release has of it; its shares are not counted yet."""
    sizes = {name: getattr(old, name) for name in SIZES if getattr(old, name) is not None}
    if mine is None:
        return Key(asked=0.0, epochs=1.0, **sizes, share=0.0)
    return mine.model_copy(update={name: (getattr(mine, name) or 0) + count for name, count in sizes.items()})


def rename(paths: list[str], before: int) -> dict[str, str]:
    """The names of shards that come after `before` others."""
    total = before + len(paths)
    return {
        path: f"{path.partition('/')[0]}/train-{before + number:05d}-of-{total:05d}.parquet"
        for number, path in enumerate(paths)
    }
