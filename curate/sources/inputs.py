"""Inputs: what a manifest lists, found, identified and opened.

An input is a file, a glob, a folder, a list of paths or an address. Everything goes through `pyarrow.fs`.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pyarrow import fs as pafs

from curate.errors import CurateError, did_you_mean
from curate.sources import File, format_of

WILD = re.compile(r"[*?\[]")


def discover(inputs: list[str | dict], base: Path) -> list[File]:
    """The files of a source, sorted by path.

    inputs  as in a manifest; relative paths start at `base`.

    Raises CurateError where an input matches nothing, cannot be read, or gives a path that another input gave too.
    """
    found: dict[str, File] = {}
    for item in inputs:
        for file in _expand(item, base):
            other = found.setdefault(file.path, file)
            if other.url != file.url:
                fix = "give them as one folder or glob, so that their paths differ, or as two sources"
                raise CurateError(
                    f"two inputs have the same path `{file.path}`", f"{other.url}, {file.url}", fix
                )
    return sorted(found.values(), key=lambda file: file.path)


def _expand(item: str, base: Path) -> Iterator[File]:
    filesystem, path = pafs.LocalFileSystem(), str((base / item).absolute())
    info = filesystem.get_file_info(path)
    if info.type == pafs.FileType.File:
        yield File(info.base_name, path, info.size)
    elif info.type == pafs.FileType.Directory:
        yield from _under(filesystem, path, lambda name: format_of(name) is not None, item)
    elif wild := WILD.search(path):
        root = path[: wild.start()].rpartition("/")[0] or "/"
        matches = re.compile(translate(path[len(root.rstrip("/")) + 1 :])).fullmatch
        yield from _under(filesystem, root, matches, item)
    else:
        raise _nothing(filesystem, path, item)


def _under(filesystem: pafs.FileSystem, root: str, wanted, item: str) -> Iterator[File]:
    infos = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True, recursive=True))
    names = {
        info.path[len(root.rstrip("/")) + 1 :]: info for info in infos if info.type == pafs.FileType.File
    }
    names = {
        name: info for name, info in names.items() if not any(p.startswith(".") for p in name.split("/"))
    }
    chosen = [name for name in names if wanted(name)]
    if not chosen:
        raise _nothing(filesystem, root, item)
    for name in chosen:
        yield File(name, names[name].path, names[name].size)


def _nothing(filesystem: pafs.FileSystem, path: str, item: str) -> CurateError:
    """The error for an input that matches nothing: it names what lies nearest."""
    parent = PurePosixPath(path).parent
    infos = filesystem.get_file_info(pafs.FileSelector(str(parent), allow_not_found=True))
    fix = (
        did_you_mean(PurePosixPath(path).name, [i.base_name for i in infos][:20])
        if infos
        else f"no folder {parent}"
    )
    return CurateError(f"no file matches input `{item}`", path, fix)


def translate(pattern: str) -> str:
    """A glob as a regular expression: `**` crosses folders, `*` and `?` do not."""
    out, i = [], 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = [*out, "(?:.*/)?"], i + 3
        elif pattern.startswith("**", i):
            out, i = [*out, ".*"], i + 2
        elif pattern[i] == "*":
            out, i = [*out, "[^/]*"], i + 1
        elif pattern[i] == "?":
            out, i = [*out, "[^/]"], i + 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            inner = pattern[i + 1 : end].replace("\\", "\\\\")
            out, i = [*out, f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"], end + 1
        else:
            out, i = [*out, re.escape(pattern[i])], i + 1
    return "".join(out)


def identify(file: File, cache: Path) -> File:
    """The file with its digest. A local file is hashed once: a database under `cache` remembers it by path, size
    and time of change."""
    try:
        stat = Path(file.url).stat()
        cache.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(cache / "digests.sqlite", timeout=60)) as memory, memory:
            memory.execute("create table if not exists digests (path primary key, size, changed, digest)")
            ask = "select digest from digests where path = ? and size = ? and changed = ?"
            known = memory.execute(ask, (file.url, stat.st_size, stat.st_mtime_ns)).fetchone()
            if known is None:
                with open(file.url, "rb") as stream:
                    known = ("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest(),)
                row = (file.url, stat.st_size, stat.st_mtime_ns, *known)
                memory.execute("insert or replace into digests values (?, ?, ?, ?)", row)
    except OSError as error:
        raise CurateError(f"cannot read an input: {error.strerror}", file.url) from error
    return replace(file, size=stat.st_size, digest=known[0])


@contextmanager
def local(file: File) -> Iterator[Path]:
    """A local path with the file's content."""
    yield Path(file.url)


@contextmanager
def opened(file: File) -> Iterator[BinaryIO]:
    """The file's content as a local file, open for reading."""
    with local(file) as path:
        try:
            stream = open(path, "rb")
        except OSError as error:
            raise CurateError(f"cannot read an input: {error.strerror}", file.url) from error
        with stream:
            yield stream


def random_access(file: File):
    """The file open for reads at any place."""
    return pafs.LocalFileSystem().open_input_file(file.url)
