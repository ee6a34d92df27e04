"""Numba kernels: arrays in, arrays out.

Text comes in as Arrow lays it out: ``data`` (uint8, the UTF-8 bytes of all documents, end to end) and
``offsets`` (int64, one more than there are documents), so that document ``i`` is
``data[offsets[i]:offsets[i + 1]]``. Nothing here knows of tables, files, configuration or logging.

Machine code is kept in the user's cache, in a folder named by a digest of all kernels: Numba itself would not
notice that a function which a kernel calls has changed in another file.
"""

import atexit
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

import numba


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

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
"""Compile on first call, keep the machine code on disk, and let other threads run meanwhile."""

device = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
"""For functions that kernels call once a character: they allocate nothing, so they are compiled without counting
references to the arrays they are given, which would cost more than their work."""

written_out = numba.njit(nogil=True, error_model="numpy", inline="always")
"""Of a kernel's own part: its loops become those of the kernel, where more is known of their arrays."""
