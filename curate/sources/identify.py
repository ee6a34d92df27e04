"""How a file is identified: by its sha256, or by the entity tag or date that a server gives.

A local file is hashed once: `digests.sqlite` in the work folder keeps its sha256 with size, times of change and inode.
A file of the web has its entity tag or date; where the server gives neither, it is fetched to `fetched/` in the work
folder and known by its sha256, so that a change is seen.
"""

import contextlib
import hashlib
import io
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from curate.errors import CurateError, Stopped
from curate.sources import File, Origin, compression_of
from curate.sources.compression import decompressed
from curate.sources.format_api import ambiguous, format_of
from curate.sources.impostors import HEAD, Impostor, impostor
from curate.sources.patience import abandoned
from curate.sources.stores import as_told, fingerprint, is_web, local, local_path, random_access, scheme_of

FETCHED = "fetched"
FIRST = 1 << 16
"""Bytes of a file in a store that are looked at where its ending leaves open what it is."""

SETTLED = 0.05
"""Seconds after which a change of a file has another time: clocks of file systems tick some hundred times a second."""

HASHED_TWICE = 3
"""How often a file that changes while it is hashed is hashed again."""


class Digests:
    """What is remembered of local files. A database that cannot be used or is damaged is made anew, or done without."""

    def __init__(self, work: Path):
        self.path, self.lock = work / "digests.sqlite", threading.Lock()
        self.new: list[tuple[bytes, str, str, str]] = []
        self.memory = self._open() or self._open(anew=True) or sqlite3.connect(":memory:", check_same_thread=False)
        if not self._ready(self.memory):
            raise CurateError("cannot use SQLite", str(self.path), "check the Python installation")

    def _open(self, anew: bool = False) -> sqlite3.Connection | None:
        memory = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if anew or self.path.is_symlink():  # nothing is written elsewhere
                self.path.unlink(missing_ok=True)
            memory = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            if self._ready(memory):
                return memory
        except (OSError, sqlite3.Error):
            pass
        if memory:
            memory.close()
        return None

    @staticmethod
    def _ready(memory: sqlite3.Connection) -> bool:
        try:
            with memory:
                columns = "path blob primary key, seen text, digest text, checksum text"
                memory.execute(f"create table if not exists files ({columns})")
                memory.execute("select path, seen, digest, checksum from files where path = ?", (b"",)).fetchone()
                memory.execute("insert or replace into files values (?, '', '', '')", (b"",))
        except sqlite3.Error:
            return False
        return True

    def known(self, path: str, seen: str) -> str | None:
        with self.lock, contextlib.suppress(sqlite3.Error):
            ask = "select digest, checksum from files where path = ? and seen = ?"
            digest, checksum = self.memory.execute(ask, (os.fsencode(path), seen)).fetchone() or (None, None)
            return digest if checksum == self._checksum(path, seen, digest) else None
        return None

    @staticmethod
    def _checksum(path: str, seen: str, digest: str) -> str:
        """Of a row: SQLite has none, and a digest with another digit would pass for that of another file."""
        return hashlib.blake2b(repr((os.fsencode(path), seen, digest)).encode(), digest_size=8).hexdigest()

    def keep(self, path: str, seen: str, digest: str) -> None:
        with self.lock:
            self.new.append((os.fsencode(path), seen, digest, self._checksum(path, seen, digest)))

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error), self.memory:
            self.memory.executemany("insert or replace into files values (?, ?, ?, ?)", self.new)
        self.memory.close()


def identify(files: Sequence[File], work: Path, format: str | None = None) -> list[tuple[File, Impostor | None]]:
    """Each file with its size and digest, in order, and what it is where it is not data.

    work    the work folder, see above
    format  what the files are said to be; None: what their endings say

    A local file of no bytes, or one that may not be read, has no digest. Raises CurateError where there is no such
    file, Stopped where a server is busy or out of reach, or a file does not stop changing.
    """
    digests = Digests(work)
    try:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            try:
                futures = [pool.submit(_identify, digests, work, file, format) for file in files]
                return _first_failure_or_all(futures)
            except BaseException:
                abandoned.set()  # or the pool would wait for those that wait for a server
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        abandoned.clear()
        digests.close()


def _first_failure_or_all(futures: list[Future]) -> list[tuple[File, Impostor | None]]:
    """The results, in order; an error is raised as soon as there is one, whoever waits for a server meanwhile."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        if future in done:
            future.result()
    return [future.result() for future in futures]


def _identify(digests: Digests, work: Path, file: File, format: str | None) -> tuple[File, Impostor | None]:
    file = replace(file, format=format or format_of(file.path) or "")
    scheme, look = scheme_of(file.url), format is None and ambiguous(file.path)
    if scheme in ("", "file"):
        return _of_disk(file, digests, look)
    if is_web(file.url):
        return _of_web(file, digests, work, look)
    file = as_told(file)
    if look and file.size:
        with random_access(file) as stream:
            file = _told(file, io.BytesIO(stream.read(FIRST)))
    return file, None


def _told(file: File, stream: BinaryIO) -> File:
    """The file with its format by its first bytes."""
    content = decompressed(stream, file.path, compression_of(file.path), Origin(""))
    return replace(file, format=format_of(file.path, (next(content, None) or b"")[:HEAD]) or "")


def _of_disk(file: File, digests: Digests, look: bool = False) -> tuple[File, Impostor | None]:
    path = local_path(file.url)
    try:
        for _ in range(HASHED_TWICE):
            found = _settled(path)
            if not stat.S_ISREG(found.st_mode):
                raise CurateError("an input is not a regular file", file.shown, "use a file, a folder or a glob")
            if not found.st_size or not os.access(path, os.R_OK):
                return replace(file, size=found.st_size), None
            seen = fingerprint(found)
            with open(path, "rb") as stream:
                told = impostor(stream.read(HEAD), file.format or None)
                if look:
                    file = _told(file, stream)
                digest = known = digests.known(path, seen)
                if known is None:
                    stream.seek(0)
                    digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
            if fingerprint(os.stat(path)) == seen:
                if known is None:
                    digests.keep(path, seen, digest)
                return replace(file, size=found.st_size, digest=digest, seen=seen), told
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        what = getattr(error, "strerror", None) or str(error)
        raise CurateError(f"cannot read an input: {what}", file.shown, "check its name and permissions") from error
    fix = "wait until it is fully written, and run the same command again"
    raise Stopped("an input changed while it was being hashed", file.shown, fix)


def _settled(path: str) -> os.stat_result:
    """The state of a file, so long after its last change that the next one must show in it."""
    found = os.stat(path)
    age = time.time() - found.st_ctime
    if -1 < age < SETTLED:
        time.sleep(SETTLED - max(age, 0))
        found = os.stat(path)
    return found


def _of_web(file: File, digests: Digests, work: Path, look: bool) -> tuple[File, Impostor | None]:
    from curate.sources import web

    told = web.look(file.url)
    if wrong := impostor(told.head, file.format or None):
        return replace(file, size=told.size), wrong
    if look and told.size:
        file = _told(file, io.BytesIO(told.head))
    if told.tag or not told.size:
        return replace(file, size=told.size, digest=told.digest if told.size else ""), None
    key = hashlib.sha256(os.fsencode(file.url)).hexdigest()[:32]
    target = work / FETCHED / key
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{key}.{uuid4().hex}.tmp")
    try:
        with local(replace(file, size=told.size)) as path:
            _copy_changed(path, target, draft)
    finally:
        draft.unlink(missing_ok=True)
    return _of_disk(replace(file, url=str(target.absolute())), digests)


def _copy_changed(path: Path, target: Path, draft: Path) -> None:
    """Put a file in its place, unless the same stands there: so that it keeps its time of change."""
    import filecmp
    import shutil

    if target.is_file() and filecmp.cmp(path, target, shallow=False):
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    shutil.copyfile(path, draft)
    os.replace(draft, target)
