"""Earlier releases that a manifest names in `against:`: what resembles their documents is not released again."""

import os
from pathlib import Path

import pyarrow.parquet as pq

from curate.errors import CurateError
from curate.lock import read_lock
from curate.manifest import Manifest
from curate.plan import Shard
from curate.sources import File


def earlier(manifest: Manifest) -> list[Shard]:
    """The shards of the earlier releases, with their index where the manifest has a stage that reads it.

    Raises CurateError for a folder that is no release, and for an index made with other parameters.
    """
    named = {f"against[{place}]": name for place, name in enumerate(manifest.document.against)}
    if manifest.document.extends:
        named = {"extends": manifest.document.extends} | named
    return [shard for place, name in named.items() for shard in _shards(manifest, name, place)]


def folder_of(manifest: Manifest, name: str, place: str) -> Path:
    """The folder of an earlier release, by its path or address. Raises CurateError where there is none."""
    if name.startswith("hf://"):
        from curate.publish import local_copy

        return local_copy(name)
    folder = (manifest.folder / name).absolute()
    if not folder.is_dir():
        where, fix = f"{manifest.path or 'manifest'}  {place}", "name the folder of a release: releases/NAME/VERSION"
        raise CurateError(f"no earlier release at {folder}", where, fix)
    return folder


def _shards(manifest: Manifest, name: str, place: str) -> list[Shard]:
    folder, where = folder_of(manifest, name, place), f"{manifest.path or 'manifest'}  {place}"
    lock = read_lock(folder)
    call = manifest.indexed
    if call and lock.get("index"):
        scheme = call.stage.index.scheme(**call.params)
        if scheme != lock["index"]:
            what = f"the index of {lock['name']} {lock['version']} was made with {_words(lock['index'])}; "
            what += f"`{call.label}` has {_words(scheme)}"
            fix = f"give `{call.label}` the same parameters, or remove the release's index/ and its entry in the lock"
            raise CurateError(what, where, fix)
    files = {file["path"]: file for file in lock["files"]}
    data = [path for path in files if path.startswith("data/")]
    release = f"{lock['name']}-{lock['version']}"
    return [
        Shard(
            release=release,
            number=number,
            of=len(data),
            data=_file(folder, files[path]),
            index=_file(folder, files[of]) if call and lock.get("index") else None,
            columns={field.name: str(field.type) for field in pq.read_schema(folder / path)},
        )
        for number, path in enumerate(data)
        for of in [path.replace("data/", "index/", 1)]
    ]


def _file(folder: Path, file: dict) -> File:
    path = folder / file["path"]
    if not os.access(path, os.R_OK):
        raise CurateError("a file of an earlier release is missing", str(path), "run `curate verify` on that release")
    return File(file["path"], str(path), file["bytes"], f"sha256:{file['sha256']}")


def _words(scheme: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in scheme.items())
