"""Inputs: what a manifest lists, found, identified and opened.

An input is one of

    a file, a folder, or a glob (`*`, `?`, `[...]`, and `**` across folders): local, s3://, gs://, hf://
    a file: https://, http://
    a list of paths, one a line, called `NAME.paths` or `NAME.txt`, or either with `.gz`: all of these
    {paths: LIST, base: ADDRESS}: a list of paths that start at an address
    {commoncrawl: {crawl: CC-MAIN-2024-22, files: 3, seed: 0}}: some files of a crawl, chosen by hash

A file's path starts at the folder, at the part of the glob without wildcards, or is what the list says. So
the same files elsewhere have the same paths and their documents the same ids.
"""

import gzip
import hashlib
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache as remember
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

import fsspec
from pyarrow import fs as pafs

from curate.errors import CurateError, Stopped, did_you_mean
from curate.sources import File, format_of

COMMON_CRAWL = "https://data.commoncrawl.org"
TRIES = 4
PAUSE = 1.0
"""Seconds before a download is tried again; twice as long each time."""

_WILD = re.compile(r"[*?\[]")
_LIST = re.compile(r"\.(paths|txt)(\.gz)?$")
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def discover(inputs: list[str | dict], base: Path) -> list[File]:
    """The files of a source, sorted by path.

    inputs  as in a manifest; relative paths start at `base`.

    Raises CurateError where an input matches nothing or cannot be read, or where two give the same path.
    """
    found: dict[str, File] = {}
    for item in inputs:
        try:
            for file in _expand(item, base):
                other = found.setdefault(file.path, file)
                if other.url != file.url:
                    fix = "give them as one folder or glob, so that their paths differ, or as two sources"
                    raise CurateError(f"two inputs are called `{file.path}`", f"{other.url} and {file.url}", fix)
        except (OSError, ValueError, re.error) as error:  # ValueError: an address or a path that cannot be one
            fix = "check its name and rights"
            raise CurateError(f"cannot read an input: {error}", str(item), fix) from error
    return sorted(found.values(), key=lambda file: file.path)


def _expand(item: str | dict, base: Path) -> Iterator[File]:
    if isinstance(item, dict):
        kinds = {"commoncrawl": _commoncrawl, "paths": _listed}
        kind = next(iter(item), "")
        if kind not in kinds:
            raise CurateError(f"unknown kind of input `{kind}`", str(item), did_you_mean(kind, kinds))
        yield from kinds[kind](item, base)
    elif _LIST.search(item):
        yield from _listed({"paths": item}, base)
    elif item.startswith(("http://", "https://")):
        name = PurePosixPath(urlsplit(item).path).name
        if not name:
            raise CurateError(f"`{item}` is no file, and a web server cannot be listed", item, "give a list of paths")
        yield File(name, item)
    else:
        yield from _matched(item, base)


def _matched(item: str, base: Path) -> Iterator[File]:
    """The files of a path, a folder or a glob."""
    scheme, filesystem, path = _locate(item, base)
    info = filesystem.get_file_info(path)
    wild = _WILD.search(path)
    if info.type == pafs.FileType.File:
        yield File(info.base_name, scheme + info.path, info.size)
        return
    if info.type == pafs.FileType.Directory:
        root, wanted = path.rstrip("/"), format_of
    elif wild:
        root = path[: wild.start()].rpartition("/")[0]
        wanted = re.compile(translate(path[len(root) + 1 :])).fullmatch
    else:
        raise _nothing(filesystem, path, item)
    infos = filesystem.get_file_info(pafs.FileSelector(root or "/", allow_not_found=True, recursive=True))
    chosen = {info.path[len(root) + 1 :]: info for info in infos if info.type == pafs.FileType.File}
    chosen = {name: info for name, info in chosen.items() if wanted(name) and not re.search(r"(^|/)\.", name)}
    if not chosen:
        raise _nothing(filesystem, path, item)
    for name, info in chosen.items():
        yield File(name, scheme + info.path, info.size)


def _nothing(filesystem: pafs.FileSystem, path: str, item: str) -> CurateError:
    """The error for an input that matches nothing: it names what is nearest."""
    folder = PurePosixPath(path)
    while filesystem.get_file_info(str(folder)).type == pafs.FileType.NotFound and folder.name:
        folder = folder.parent
    selector = pafs.FileSelector(str(folder), allow_not_found=True)
    names = sorted(info.base_name for info in filesystem.get_file_info(selector))
    missing = PurePosixPath(path).relative_to(folder).parts if folder != PurePosixPath(path) else ("",)
    fix = did_you_mean(missing[0], names[:20]) if names else "the folder is empty"
    return CurateError(f"no file matches input `{item}`", f"in {folder}", fix)


def translate(pattern: str) -> str:
    """A glob as a regular expression: `**` crosses folders, `*` and `?` do not."""
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", pattern, re.DOTALL)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(token) or (_set(token) if len(token) > 1 else re.escape(token)) for token in tokens)


def _set(token: str) -> str:
    inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^/{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"


def _listed(item: dict, base: Path) -> Iterator[File]:
    """The files that a list of paths names. Relative lines start at the list's folder, or at `base`."""
    name, root = item["paths"], item.get("base")
    address = name if _REMOTE.match(name) else str((base / name).absolute())
    with opened(File(PurePosixPath(name).name, address)) as stream:
        lines = _lines_of(stream, name)
    if not lines:
        raise CurateError("a list of paths is empty", address)
    for line in lines:
        above = root or (COMMON_CRAWL if line.startswith("crawl-data/") else address.rpartition("/")[0])
        url = line if _REMOTE.match(line) or line.startswith("/") else f"{above.rstrip('/')}/{line}"
        if _REMOTE.match(url):
            yield File(line, url)
        elif (there := base / url).is_file():
            yield File(line, str(there.absolute()), there.stat().st_size)
        else:
            raise CurateError(f"`{line}` of a list of paths is no file", f"{name}: {there}", "mend the list")


def _lines_of(stream: BinaryIO, name: str) -> list[str]:
    try:
        text = gzip.decompress(stream.read()) if name.endswith(".gz") else stream.read()
        return [line.strip() for line in text.decode().splitlines() if line.strip()]
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise CurateError(f"cannot read a list of paths: {error}", name, "fetch it again") from error


def _commoncrawl(item: dict, base: Path) -> Iterator[File]:
    """Some files of a crawl: those whose hash with `seed` is smallest, so that more files add to fewer."""
    options = {"crawl": None, "files": None, "seed": 0, "base": COMMON_CRAWL, "kind": "warc"}
    if unknown := sorted(set(item["commoncrawl"]) - set(options)):
        fix = did_you_mean(unknown[0], options)
        raise CurateError(f"unknown setting `{unknown[0]}` of a commoncrawl input", str(item), fix)
    chosen = options | item["commoncrawl"]
    if not re.fullmatch(r"CC-MAIN-\d{4}-\d{2}(-\d{2})?", chosen["crawl"] or ""):
        raise CurateError(f"`{chosen['crawl']}` names no crawl", str(item), "give `crawl: CC-MAIN-YEAR-WEEK`")
    paths = f"{chosen['base'].rstrip('/')}/crawl-data/{chosen['crawl']}/{chosen['kind']}.paths.gz"
    files = list(_listed({"paths": paths, "base": chosen["base"]}, base))
    yield from sorted(files, key=lambda file: _rank(chosen["seed"], file.path))[: chosen["files"]]


def _rank(seed: int, path: str) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{path}".encode(), digest_size=16).digest()


def _locate(item: str, base: Path) -> tuple[str, pafs.FileSystem, str]:
    """Scheme with its slashes (empty for a local path), file system, and path in it."""
    parts = urlsplit(item) if _REMOTE.match(item) else None
    if parts is None or parts.scheme == "file":
        return "", pafs.LocalFileSystem(), str((base / (parts.path if parts else item)).absolute())
    if parts.scheme in ("s3", "gs"):
        query = f"?{parts.query}" if "=" in parts.query else ""
        return f"{parts.scheme}://", _store(parts.scheme, parts.netloc, query), parts.netloc + parts.path
    return (
        f"{parts.scheme}://",
        pafs.PyFileSystem(pafs.FSSpecHandler(_web(parts.scheme))),
        item.partition("://")[2],
    )


@remember
def _store(scheme: str, bucket: str, query: str) -> pafs.FileSystem:
    return pafs.FileSystem.from_uri(f"{scheme}://{bucket}{query}")[0]


@remember
def _web(scheme: str):
    # Servers label .gz files as encoded: what is stored must arrive, not what it unpacks to.
    options = {"client_kwargs": {"trust_env": True, "auto_decompress": False}} if scheme.startswith("http") else {}
    try:
        return fsspec.filesystem(scheme, **options)
    except (ValueError, ImportError) as error:
        raise CurateError(f"cannot read `{scheme}://` inputs: {error}", fix="use https, s3, gs or hf") from error


def identify(file: File, cache: Path) -> File:
    """The file with its size and digest.

    cache  folder of a database that remembers the digest of a local file by path, size and time of change, so
           that it is hashed once.

    A remote file is known by what its server says: a hash, an entity tag, else the time it was changed.
    """
    if _REMOTE.match(file.url):
        return _patiently(file.url, lambda: _ask(file))
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
        raise CurateError(f"cannot read an input: {error.strerror}", file.url, "check its name and rights") from error
    return replace(file, size=stat.st_size, digest=known[0])


def _ask(file: File) -> File:
    scheme, filesystem, path = _locate(file.url, Path())
    if scheme in ("s3://", "gs://"):
        info = filesystem.get_file_info(path)
        if info.type != pafs.FileType.File:
            raise FileNotFoundError(path)
        return replace(file, size=info.size, digest=f"changed:{info.mtime_ns}:{info.size}")
    told = _web(scheme[:-3]).info(file.url)
    size = -1 if told.get("size") is None else told["size"]
    if sha256 := (told.get("lfs") or {}).get("sha256"):
        return replace(file, size=size, digest=f"sha256:{sha256}")
    tag = told.get("ETag") or told.get("blob_id") or told.get("Last-Modified") or told.get("mtime")
    return replace(file, size=size, digest=f"etag:{str(tag).strip(chr(34))}:{size}")


@contextmanager
def local(file: File) -> Iterator[Path]:
    """A local path with the file's content. A remote file is fetched whole, again where a connection breaks,
    and removed afterwards: so a broken connection never looks like a damaged archive.

    Raises CurateError where there is no such file, Stopped where it cannot be had now.
    """
    if not _REMOTE.match(file.url):
        yield Path(file.url)
        return
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        target = Path(folder) / "input"
        _patiently(file.url, lambda: _fetch(file, target))
        yield target


def _fetch(file: File, target: Path) -> None:
    scheme, filesystem, path = _locate(file.url, Path())
    if scheme in ("s3://", "gs://"):
        with filesystem.open_input_stream(path) as stream, open(target, "wb") as out:
            shutil.copyfileobj(stream, out, 1 << 22)
    else:
        _web(scheme[:-3]).get_file(file.url, str(target))
    if file.size >= 0 and target.stat().st_size != file.size:
        raise OSError(f"{target.stat().st_size} of {file.size} bytes arrived")


def _patiently(url: str, work: Callable):
    """What `work` returns, tried again where a connection fails."""
    from aiohttp import ClientError, ClientResponseError

    for attempt in range(TRIES):
        try:
            return work()
        except FileNotFoundError as error:
            raise CurateError("no such file", url, "check the address") from error
        except (ClientError, OSError) as error:
            if isinstance(error, PermissionError) or getattr(error, "status", 0) in (401, 403, 410, 451):
                raise CurateError(f"no access to an input: {error}", url, "check the address and rights") from error
            said = f"status {error.status}" if isinstance(error, ClientResponseError) else str(error)
            if attempt == TRIES - 1:
                raise Stopped(f"cannot fetch an input: {said}", url, "run again once it can be reached") from error
            time.sleep(PAUSE * 2**attempt)


@contextmanager
def opened(file: File) -> Iterator[BinaryIO]:
    """The file's content as a local file, open for reading. Raises CurateError."""
    with local(file) as path:
        try:
            stream = path.open("rb")
        except (OSError, ValueError, re.error) as error:  # ValueError: an address or a path that cannot be one
            fix = "check its name and rights"
            raise CurateError(f"cannot read an input: {error.strerror}", file.url, fix) from error
        with stream:
            yield stream


def random_access(file: File):
    """The file open for reads at any place, without fetching it whole: a pyarrow.NativeFile."""
    _, filesystem, path = _locate(file.url, Path())
    if not _REMOTE.match(file.url):
        return filesystem.open_input_file(path)
    path = file.url if file.url.startswith("http") else path
    return _patiently(file.url, lambda: filesystem.open_input_file(path))
