"""Where inputs are (local, object stores, the Hub, the web), and how to open or fetch them."""

import errno
import hashlib
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs as pafs

from curate.base.retry import Trouble
from curate.errors import CurateError, Stopped
from curate.sources import File, escaped, is_remote, shown
from curate.sources.impostors import HEAD, impostor
from curate.sources.patience import BUSY, patiently, plain, retry_after

SCHEMES = ("https", "http", "s3", "gs", "hf", "file")
"""Where a manifest may point; a list of paths may not name `file`."""

_CHUNK = 1 << 22


def scheme_of(url: str) -> str:
    """The scheme of an address, empty for a local path. Raises CurateError for one that is not read."""
    scheme = url.partition("://")[0].lower() if is_remote(url) else ""
    if scheme and scheme not in SCHEMES:
        raise CurateError(f"cannot read `{scheme}://` inputs", shown(url), "use https, s3, gs or hf")
    return scheme


def is_web(url: str) -> bool:
    return scheme_of(url) in ("http", "https")


def place_of(url: str) -> tuple[pafs.FileSystem, str, Callable[[str], str]]:
    """Of an address in an object store or on the Hub: file system, path in it, what makes addresses of its paths."""
    scheme = scheme_of(url)
    rest = url.partition("://")[2]
    if scheme == "hf":
        return asked(url, _hub), rest, lambda path: f"hf://{path}"
    parts = urlsplit(url)
    query = f"?{parts.query}" if "=" in parts.query else ""
    user, at, _ = parts.netloc.rpartition("@")
    path = rest.rpartition("@")[2] if at else rest
    path = path.removesuffix(query) if query else path
    store = asked(url, lambda: _store(scheme, parts.netloc, query))
    return store, path, lambda name: f"{scheme}://{user}{at}{name}{query}"


@cache
def _store(scheme: str, bucket: str, query: str) -> pafs.FileSystem:
    try:
        return pafs.FileSystem.from_uri(f"{scheme}://{bucket}{query}")[0]
    except ValueError as error:  # of Arrow too; what is no answer of a server
        where = shown(f"{scheme}://{bucket}")
        raise CurateError(f"cannot open an object store: {error}", where, "check the bucket and the options") from error


@cache
def _hub() -> pafs.FileSystem:
    import fsspec

    try:
        return pafs.PyFileSystem(pafs.FSSpecHandler(fsspec.filesystem("hf")))
    except (ValueError, ImportError) as error:
        raise CurateError(f"cannot read `hf://` inputs: {error}", fix="use https, s3 or gs") from error


def asked(url: str, work: Callable[[], Any]) -> Any:
    """What a store answers, with patience. Raises CurateError where there is no such file or no access, Stopped where
    it is busy or out of reach."""

    def attempt() -> Any:
        try:
            return work()
        except (CurateError, Trouble):
            raise
        except Exception as error:  # each library behind a store has its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # it is our disk
            raise _failure(url, error) from error

    return patiently(url, attempt)


def _failure(url: str, error: Exception) -> Exception:
    """What a failure of a store means: CurateError for what stays, Trouble for what may pass."""
    chain, link = [], error
    while link is not None and len(chain) < 8:
        chain.append(link)
        link = link.__cause__ or link.__context__
    answers = [answer for link in chain if (answer := getattr(link, "response", None)) is not None]
    status = next((answer.status_code for answer in answers if hasattr(answer, "status_code")), 0)
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    text = str(error)
    if status in BUSY or "SLOW_DOWN" in text:
        after = retry_after(answers[0].headers.get("Retry-After")) if answers else None
        return Trouble(f"it answers {status or 'SlowDown'}", after)
    if status in (401, 403, 451) or isinstance(error, PermissionError) or "ACCESS_DENIED" in text:
        return CurateError("no access to an input", shown(url), "check the address and your permissions")
    unreachable = names & {"TransportError", "ConnectionError", "TimeoutError"} or "NETWORK_CONNECTION" in text
    if not unreachable and (isinstance(error, FileNotFoundError) or status in (404, 410)):
        return CurateError("no such file", shown(url), "check the address")
    if unreachable or isinstance(error, OSError):
        return Trouble(f"it cannot be reached: {plain(error)}", share=0.5)
    return CurateError(f"cannot read an input: {plain(error)}", shown(url), "check the address")


def fingerprint(found: os.stat_result) -> str:
    """What of a local file changes when it does."""
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"


def as_told(file: File) -> File:
    """The file with the size and the digest that its store or the Hub tells now."""
    filesystem, path, _ = place_of(file.url)
    if scheme_of(file.url) != "hf":
        found = asked(file.url, lambda: filesystem.get_file_info(path))
        if found.type != pafs.FileType.File:
            raise CurateError("no such file", file.shown, "check the address")
        digest = f"changed:{found.mtime_ns}:{found.size}" if found.size else ""
        return replace(file, size=found.size, digest=digest)
    hub = filesystem.handler.fs
    again = bool(file.digest)  # what is asked anew without `expand_info` says a size alone
    told = asked(file.url, lambda: hub.info(file.url, refresh=again, expand_info=again))
    size = -1 if told.get("size") is None else told["size"]
    if sha256 := (told.get("lfs") or {}).get("sha256"):
        return replace(file, size=size, digest=f"sha256:{sha256}")
    tag = told.get("blob_id") or told.get("ETag") or told.get("mtime")
    if not tag:
        raise CurateError("the Hub reports no hash or version for this file", file.shown, "specify a revision")
    return replace(file, size=size, digest=f"etag:{tag}:{size}" if size else "")


def unchanged(file: File) -> None:
    """Raise Stopped where a file that was read is no longer what was planned: a local one by its state, one of a store
    by what the store tells. Of the web each answer was compared already."""
    if file.seen:
        try:
            now = fingerprint(os.stat(local_path(file.url)))
        except OSError:
            now = ""
        if now != file.seen:
            raise changed(file)
    elif file.digest and scheme_of(file.url) in ("s3", "gs", "hf") and as_told(file).digest != file.digest:
        raise changed(file)


def changed(file: File) -> Stopped:
    """The error for an input that is not what was hashed."""
    fix = "do not change inputs while a run reads them; run the same command again"
    return Stopped("an input changed after it was hashed", file.shown, fix)


@contextmanager
def local(file: File, limit: int | None = None) -> Iterator[Path]:
    """A local path with the file's content. A remote file is fetched whole, again where a connection breaks,
    and removed afterwards: so a broken connection never looks like a damaged archive.

    limit  bytes from which on a remote file is refused

    Raises CurateError where there is no such file or it is a page in place of one, Stopped where it cannot be had now.
    """
    scheme = scheme_of(file.url)
    if scheme in ("", "file"):
        yield Path(local_path(file.url))
        return
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        target = Path(folder) / "input"
        if is_web(file.url):
            from curate.sources import web

            web.fetch(file, target, limit)
        else:
            asked(file.url, lambda: _copy(file, target, limit))
        with target.open("rb") as stream:
            if told := impostor(stream.read(HEAD), file.format or None):
                raise CurateError(f"an input is {told.what}", file.shown, told.fix)
            stream.seek(0)
            wanted = file.digest.removeprefix("sha256:")
            if wanted != file.digest and hashlib.file_digest(stream, "sha256").hexdigest() != wanted:
                raise changed(file)
        yield target


def _copy(file: File, target: Path, limit: int | None) -> None:
    filesystem, path, _ = place_of(file.url)
    with filesystem.open_input_stream(path) as stream, open(target, "wb") as out:
        while piece := stream.read(_CHUNK):
            out.write(piece)
            if limit is not None and out.tell() > limit:
                raise CurateError(f"larger than {limit:,} bytes", file.shown, "use a smaller file")
    if file.size >= 0 and target.stat().st_size != file.size:
        raise Trouble(f"{target.stat().st_size:,} of {file.size:,} bytes arrived")


def local_path(url: str) -> str:
    """The path of a local file, which may be given as `file://`. Raises CurateError for one of another machine.

    local_path("file:///data/a%20b.jsonl")  # -> "/data/a b.jsonl"
    """
    if url[:7].lower() != "file://":
        return url
    host, slash, path = url[7:].partition("/")  # `?` and `#` are of a glob or a name
    if host.lower() not in ("", "localhost"):
        what = f"`{shown(url)}` is a file on the machine `{escaped(host.rpartition('@')[2])}`"
        raise CurateError(what, shown(url), "write only the path, or `file:///` and an absolute path")
    return unquote(slash + path)


@contextmanager
def opened(file: File, limit: int | None = None) -> Iterator[BinaryIO]:
    """The file's content as a local file, open for reading. limit: as for `local`.

    Raises CurateError where it cannot be opened, Stopped where it is not what was hashed.
    """
    with local(file, limit) as path, _open(file, path) as stream:
        yield stream


def _open(file: File, path: str | Path) -> BinaryIO:
    """A local file. Raises CurateError, and Stopped where it is not the one that was hashed."""
    fix = "check its name and permissions"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
        found = os.fstat(descriptor)
        stream = os.fdopen(descriptor, "rb")
    except OSError as error:
        raise CurateError(f"cannot read an input: {error.strerror}", file.shown, fix) from error
    if not stat.S_ISREG(found.st_mode):
        stream.close()
        raise CurateError("an input is not a regular file", file.shown, "use a file, a folder or a glob")
    if file.seen and file.seen != fingerprint(found):
        stream.close()
        raise changed(file)
    return stream


def random_access(file: File) -> pa.NativeFile:
    """The file open for reads at any place: of the web without fetching it whole, if its server can do that."""
    scheme = scheme_of(file.url)
    if scheme in ("", "file"):
        stream, path = _open(file, local_path(file.url)), local_path(file.url)
        if not path.isprintable() or not path.isascii():  # Arrow takes names of UTF-8 alone
            return pa.PythonFile(stream, "r")
        stream.close()
        return pafs.LocalFileSystem().open_input_file(path)
    if scheme in ("http", "https"):
        from curate.sources import web

        told = web.look(file.url, known=bool(file.digest))
        web.check(file, told.tag)
        if told.ranges:
            return pa.PythonFile(io.BufferedReader(web.Ranged(file, told.size), 1 << 20), "r")
        return pa.PythonFile(_whole(file), "r")
    filesystem, path, _ = place_of(file.url)
    return asked(file.url, lambda: filesystem.open_input_file(path))


def _whole(file: File) -> BinaryIO:
    """A file that cannot be had in parts, in a file without a name."""
    with local(replace(file)) as path, path.open("rb") as stream:
        kept = tempfile.TemporaryFile()  # noqa: SIM115
        shutil.copyfileobj(stream, kept, _CHUNK)
    kept.seek(0)
    return kept
