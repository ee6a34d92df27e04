"""Numba kernels: arrays in, arrays out.

Text comes in as Arrow lays it out: ``data`` (uint8, the UTF-8 bytes of all documents, end to end) and
``offsets`` (int64, one more than there are documents), so that document ``i`` is
``data[offsets[i]:offsets[i + 1]]``. Nothing here knows of tables, files, configuration or logging.

Machine code is kept in the user's cache, in a folder named by a digest of all kernels: Numba itself would not
notice that a function which a kernel calls has changed in another file.
"""

import atexit
import fcntl
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock


def _cache_folder() -> str:
    """The folder for machine code: one of the user's cache, else a new temporary one that children share.

    Numba unpickles what it finds there, so that whoever can write to the folder runs code here.
    """
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = home / "curate" / "kernels" / digest.hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for ours in (folder.parent.parent, folder.parent, folder):
            if ours.is_symlink() or ours.stat().st_uid != os.geteuid():
                raise PermissionError
            if ours.stat().st_mode & 0o077:
                ours.chmod(0o700)
        if any(map(_others_may_change, (home, *home.absolute().parents))) or not os.access(folder, os.W_OK):
            raise PermissionError
    except OSError:  # a home that is not there, not ours, not writable, or another's to change
        folder = tempfile.mkdtemp(prefix="curate-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = folder
    return str(folder)


def _others_may_change(folder: Path) -> bool:
    """Whether another user, who is not root, may put a folder of theirs in the place of one in this folder."""
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid()):
        return True
    by_group = found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid)
    return bool(by_group or found.st_mode & stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX


def _is_private(group: int) -> bool:
    """Whether a group is root's or this user's own, as most systems make one for every user."""
    try:
        return group == 0 or grp.getgrgid(group).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = _cache_folder()


@contextmanager
def _alone(function: Callable) -> Iterator[None]:
    """Hold the lock of a function, where the machine has locks. A process that ends gives back what it holds."""
    with ExitStack() as stack:
        with suppress(OSError):  # the folder is read-only, or its file system knows no locks
            path = Path(numba.config.CACHE_DIR, f"{function.__module__}.{function.__qualname__}.lock")
            held = stack.enter_context(open(path, "wb"))
            fcntl.flock(held, fcntl.LOCK_EX)
            stack.callback(fcntl.flock, held, fcntl.LOCK_UN)  # also where a forked process has the file open
        yield


def _compiled(**options: bool) -> Callable[[Callable], Any]:
    """A decorator as `numba.njit` is, of functions that one process compiles while others wait for what it leaves in
    the cache: the workers of a first run would all compile the same."""

    def decorator(function: Callable) -> Any:
        made = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        compile = made.compile

        def once(signature: tuple) -> Any:
            with global_compiler_lock, _alone(function):  # in this order: a compiling thread may need other locks
                return compile(signature)

        made.compile = once
        return made

    return decorator


kernel = _compiled()
"""Compile on first call, keep the machine code on disk, and let other threads run meanwhile."""

device = _compiled(_nrt=False)
"""For functions that kernels call once a character: they allocate nothing, so they are compiled without counting
references to the arrays they are given, which would cost more than their work."""

written_out = numba.njit(nogil=True, error_model="numpy", inline="always")
"""Of a kernel's own part: its loops become those of the kernel, where more is known of their arrays."""
