"""Releases that are published on the Hub, as folders of this machine."""

import re
from pathlib import Path

from curate.errors import CurateError
from curate.hub.client import Remote

COMPARED = ("lock.json", "manifest.yaml", "data/*", "index/*", "evidence/removed.parquet")
"""What a later release is compared with."""
READ = ("lock.json", "manifest.yaml", "README.md", "data/*", "evidence/*")
"""What a person reads."""


def local_copy(
    address: str, wanted: tuple[str, ...] = COMPARED, *, endpoint: str | None = None, token: str | None = None
) -> Path:
    """A folder with some files of a published release, downloaded once and kept in the Hub's cache.

    address  hf://datasets/ORG/NAME@vVERSION. wanted: patterns of files

    Raises CurateError where there is no such release.
    """
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
