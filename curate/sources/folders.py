"""Walk a local folder: its files, and why others are not read; links out of it are not followed.

Links are followed where they stay inside the folder, or lead from a snapshot of the Hugging Face cache to its blobs.
Others lead out of the folder: a stranger's folder may link to any file of this machine, so they are followed only where
the manifest says so. A folder is walked once, however many links lead to it.
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

HIDDEN = "hidden"
DANGLING = "broken link"
OUTSIDE = "link out of the folder"
AGAIN = "link to a folder already searched"
NOT_READABLE = "not readable"
ODD = "not a regular file"
OWN = "a work folder"
TAKEN = "link to a file already included"

_MARK = "digests.sqlite"
"""In every work folder from the first run on: its releases and parts are not the inputs that they are made of."""


class Entry(NamedTuple):
    """A file, or what was not taken and why. name: below the root, a folder's with `/`; path: where it lies; link:
    whether it is one."""

    name: str
    path: str
    why: str = ""
    link: bool = False


def walk(root: str, depth: int | None = None, follow: bool = False, hidden: str = ".") -> Iterator[Entry]:
    """The files below a folder, sorted within each.

    depth   of folders that are entered; None: all
    follow  whether links may lead out of the folder
    hidden  first characters of the names that are not looked at

    Raises OSError where the root cannot be read.
    """
    home = os.path.realpath(root)
    homes = [home, *_blobs(home)]
    seen = {_key(os.stat(root))}
    waiting = [("", root, 0)]
    while waiting:
        above, folder, level = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if not above:
                raise
            yield Entry(above, folder, NOT_READABLE)
            continue
        if above and any(entry.name == _MARK for entry in entries):
            yield Entry(above, folder, OWN)
            continue
        deeper = []
        for entry in entries:
            name = f"{above}{entry.name}"
            kind, why = _looked_at(entry, homes, follow, hidden)
            if kind == "folder" and not why:
                if depth is not None and level >= depth:
                    continue
                key = _key(entry.stat())
                if key in seen:
                    why = AGAIN
                else:
                    seen.add(key)
                    deeper.append((f"{name}/", entry.path, level + 1))
                    continue
            yield Entry(f"{name}/" if kind == "folder" else name, entry.path, why, entry.is_symlink())
        waiting += reversed(deeper)


def _looked_at(entry: os.DirEntry, homes: list[str], follow: bool, hidden: str) -> tuple[str, str]:
    """What an entry is, `file` or `folder`, and why it is not taken."""
    if entry.name.startswith(tuple(hidden)):
        return "folder" if entry.is_dir(follow_symlinks=False) else "file", HIDDEN
    try:
        found = entry.stat()
    except OSError:
        return "file", DANGLING if entry.is_symlink() else NOT_READABLE
    kind = "folder" if stat.S_ISDIR(found.st_mode) else "file"
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if kind == "folder" and _within(target, homes[:1]):
            return kind, AGAIN
        if not follow and not _within(target, homes):
            return kind, OUTSIDE
    if kind == "file" and not stat.S_ISREG(found.st_mode):
        return kind, ODD
    return kind, ""


def repeated(entries: list[Entry]) -> set[str]:
    """The names of links to files that are among the entries themselves, or that a link before it leads to."""
    if not any(entry.link for entry in entries):
        return set()
    seen, names = set(), set()
    for entry in sorted(entries, key=lambda entry: (entry.link, entry.name)):
        key = _key(os.stat(entry.path))
        if entry.link and key in seen:
            names.add(entry.name)
        seen.add(key)
    return names


def _within(path: str, homes: list[str]) -> bool:
    return any(path == home or path.startswith(f"{home.rstrip('/')}/") for home in homes)


def _blobs(home: str) -> list[str]:
    """Where the files of a snapshot of the Hugging Face cache lie: `REPO/snapshots/REVISION` links to `REPO/blobs`."""
    parts = home.split("/")
    if "snapshots" not in parts:
        return []
    repository = parts[: len(parts) - 1 - parts[::-1].index("snapshots")]
    return ["/".join([*repository, "blobs"])]


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
