"""`against:` and `extends:`: keep out what resembles an earlier release or was removed from it."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.engine.planner import EarlierShard
from curate.errors import CurateError
from curate.manifest.manifest import Manifest
from curate.release.fetched import Held, hold, is_published
from curate.release.typed_lock import File
from curate.sources import File as Input
from curate.stages import removed as removals

RECORD = "evidence/removed.parquet"


def carrying(manifest: Manifest, work: Path) -> Manifest:
    """The manifest with the records of removals of its earlier releases among its lists of what stays out.

    The record of a version that is run again (`removed: [evidence/removed.parquet]`, as the manifest of a patch version
    has it) is found in that version's folder, wherever the manifest itself is.
    """
    return manifest.leaving_out(carried_lists(manifest, work))


def carried_lists(manifest: Manifest, work: Path) -> dict[str, str]:
    """The lists of what stays out, {name: path}: those of the earlier releases, then the manifest's own."""
    lists: dict[str, str] = {}
    for place, name in _named(manifest).items():
        held = earlier_release(manifest, name, place)
        if any(file.path == RECORD for file in held.lock.files):
            lists[held.lock.title] = str(_file(held, RECORD))
    mine = Path(work) / "releases" / manifest.name / manifest.version / RECORD
    asked = next((call for call in manifest.stages if call.label == "removed"), None)
    for name, path in asked.params["lists"].items() if asked else ():
        beside = Path(path) == manifest.folder / RECORD and not Path(path).is_file()
        lists[name] = str(mine.absolute()) if beside and mine.is_file() else path
    return lists


def records(manifest: Manifest) -> list[pa.Table]:
    """What is known to be out of the shards of a run, by the lists it went through, and of those it takes over."""
    calls = [call for call in manifest.stages if call.stage.name == "removed"]
    found = [removals.record_of(removals.located(call.params["lists"])) for call in calls]
    if manifest.spec.extends:
        held = earlier_release(manifest, manifest.spec.extends, "extends")
        there = any(file.path == RECORD for file in held.lock.files)
        found.append(removals.read_list(_file(held, RECORD), "removed") if there else removals.RECORD.empty_table())
    return found


def earlier(manifest: Manifest) -> list[EarlierShard]:
    """The shards of the earlier releases, with their index where the manifest has a stage that reads it.

    Raises CurateError for a folder that is no release, and for an index made with other parameters.
    """
    return [shard for place, name in _named(manifest).items() for shard in _shards(manifest, name, place)]


def _named(manifest: Manifest) -> dict[str, str]:
    """{place in the manifest: release}, the one that is extended first."""
    named = {f"against[{place}]": name for place, name in enumerate(manifest.spec.against)}
    return ({"extends": manifest.spec.extends} if manifest.spec.extends else {}) | named


def earlier_release(manifest: Manifest, name: str, place: str) -> Held:
    """An earlier release, by its path beside the manifest or its address. Raises CurateError where there is none."""
    if is_published(name):
        return hold(name)
    if "://" in name:
        fix = "use a folder, or hf://datasets/ORG/NAME@vVERSION"
        raise CurateError(f"not the address of a release: {name}", f"{manifest.path or 'manifest'}  {place}", fix)
    folder = (manifest.folder / name).absolute()
    if not folder.is_dir():
        where, fix = f"{manifest.path or 'manifest'}  {place}", "use the folder of a release: releases/NAME/VERSION"
        raise CurateError(f"no earlier release at {folder}", where, fix)
    return hold(folder)


def _shards(manifest: Manifest, name: str, place: str) -> list[EarlierShard]:
    held, where = earlier_release(manifest, name, place), f"{manifest.path or 'manifest'}  {place}"
    lock, call = held.lock, manifest.indexed
    indexed = call is not None and bool(lock.index)
    if indexed:
        scheme = call.stage.index.scheme(**call.params)
        if scheme != lock.index:
            what = f"the index of {lock.title} was made with {_words(lock.index)}; "
            what += f"`{call.label}` has {_words(scheme)}"
            fix = (
                f"use the same parameters for `{call.label}`, or remove the release's index/ and its entry in the lock"
            )
            raise CurateError(what, where, fix)
    files = {file.path: file for file in lock.files}
    data = [shard.path for shard in lock.shards]
    if missing := [path for path in data if indexed and path.replace("data/", "index/", 1) not in files]:
        what = "a shard of an earlier release has no index"
        raise CurateError(what, f"{held.folder}/{missing[0]}", "run its manifest again")
    return [
        EarlierShard(
            release=f"{lock.name}-{lock.version}",
            number=number,
            of=len(data),
            data=_source(held, files[path]),
            index=_source(held, files[path.replace("data/", "index/", 1)]) if indexed else None,
            columns=_columns(_file(held, path)),
            rows=files[path].rows,
            keys={"column": call.stage.index.column, "width": 8 * lock.index.get("bands", 0)} if indexed else None,
        )
        for number, path in enumerate(data)
    ]


def _source(held: Held, file: File) -> Input:
    return Input(file.path, str(_file(held, file.path)), file.bytes, f"sha256:{file.sha256}")


def _file(held: Held, path: str) -> Path:
    """A file of an earlier release, which is there and can be read."""
    file = held.file(path)
    if not (file.is_file() and os.access(file, os.R_OK)):
        raise CurateError("a file of an earlier release is missing", str(file), "run `curate verify` on that release")
    return file


def _columns(path: Path) -> dict[str, str]:
    try:
        return {field.name: str(field.type) for field in pq.read_schema(path)}
    except (pa.ArrowException, OSError) as error:
        fix = "run `curate verify` on that release"
        raise CurateError(f"a shard of an earlier release cannot be read: {error}", str(path), fix) from None


def _words(scheme: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in scheme.items())
