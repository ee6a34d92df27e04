"""Open a release by its folder or its address on the Hub, and download the requested files."""

import re
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError
from curate.release.checked_lock import inside
from curate.release.lock import load_whole_lock
from curate.release.typed_lock import Lock

COMPARED = ("lock.json", "manifest.yaml", "data/*", "index/*", "evidence/removed.parquet")
"""What a later release is compared with."""
READ = ("lock.json", "manifest.yaml", "README.md", "data/*", "evidence/*")
"""What a person reads."""
PAGES = ("lock.json", "README.md", "report.html")
"""What a person looks at first."""


@dataclass(frozen=True)
class Held:
    """A release that is held in a folder. published: whether it is the Hub's own cache, which is made of links."""

    folder: Path
    lock: Lock
    published: bool

    def file(self, path: str) -> Path:
        """A file of it, by its path there. Raises CurateError where a link leads out of its folder, and for what is no
        regular file."""
        return self.folder / path if self.published else inside(self.folder, path)


def hold(place: str | Path, wanted: tuple[str, ...] = COMPARED) -> Held:
    """A release by its folder or address, hf://datasets/ORG/NAME@vVERSION.

    wanted  patterns of the files that are fetched of a published one

    Raises CurateError where there is none, or its lock cannot be believed.
    """
    published = is_published(place)
    folder = local_copy(str(place), wanted) if published else Path(place)
    return Held(folder, load_whole_lock(folder), published)


def is_published(place: str | Path) -> bool:
    """Whether this is the address of a published release; else it is a folder."""
    return str(place).startswith("hf://")


def local_copy(
    address: str, wanted: tuple[str, ...] = COMPARED, *, endpoint: str | None = None, token: str | None = None
) -> Path:
    """A folder with some files of a published release, downloaded once and kept in the Hub's cache.

    address  hf://datasets/ORG/NAME@vVERSION. wanted: patterns of files

    Raises CurateError where there is no such release.
    """
    from curate.hub.client import Remote  # which loads the Hub's client

    repo, version = published_at(address)
    with Remote(endpoint, token, repo=repo).listening() as remote:
        return remote.snapshot(version, [*wanted])


def published_at(address: str) -> tuple[str, str]:
    """Repository and tag of hf://datasets/ORG/NAME@vVERSION."""
    found = re.fullmatch(r"hf://datasets/([\w.-]+/[\w.-]+)@(v[^/]+)/?", address)
    if not found:
        fix = "write hf://datasets/ORG/NAME@vVERSION, such as hf://datasets/org/web@v1.0.0"
        raise CurateError("not the address of a published release", address, fix)
    return found[1], found[2]
