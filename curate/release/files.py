"""List the files of a release to publish, each checked against the lock."""

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml

from curate.engine.shard_tasks import digest
from curate.errors import CurateError
from curate.release.lock import verified
from curate.release.typed_lock import Lock

CARD_FIELDS = ("license", "configs")
FOLDER_ENTRIES, FILE_BYTES = 10_000, 50 * 10**9  # https://huggingface.co/docs/hub/storage-limits


class Unverified(CurateError):
    """Files are not what the lock says, here or on the Hub."""

    exit_code = 1


class File(NamedTuple):
    path: str
    bytes: int
    sha256: str


def read_release(release: Path) -> tuple[Lock, list[File]]:
    """The lock of a release folder and all files to publish, each checked against the lock.

    Raises CurateError for a release that cannot be published, Unverified for files that differ from the lock.
    """
    where = release / "lock.json"
    lock, problems = verified(release)
    if not (lock.name and lock.version and lock.license):
        fix = "set `name:`, `version:` and `license:` in the manifest and run it again"
        raise CurateError("the release has no license, or no name and version", str(where), fix)
    if problems:
        wrong = ", ".join(f"{problem.where} ({problem.what})" for problem in problems[:5])
        raise Unverified(
            f"{len(problems)} files do not match the lock: {wrong}",
            str(where),
            "run the manifest again: it restores what the lock describes",
        )
    files = [File(file.path, file.bytes, file.sha256) for file in lock.files]
    files.append(File("lock.json", **digest(where)))
    _check_card(release / "README.md")
    _check_limits(files, release)
    return lock, sorted(files)


def _check_card(path: Path) -> None:
    text = path.read_text("utf-8") if path.is_file() else ""
    front = re.match(r"---\n(.*?)\n---(\n|$)", text, re.DOTALL)
    try:
        fields = (yaml.safe_load(front[1]) if front else None) or {}
    except yaml.YAMLError as error:
        what, fix = f"the card's front matter is not YAML: {error}", "correct the `card:` text"
        raise CurateError(what, str(path), fix) from None
    if missing := [name for name in CARD_FIELDS if not fields.get(name)]:
        raise CurateError(f"the card lacks {', '.join(missing)}", str(path), "run the manifest again to write the card")


def _check_limits(files: list[File], release: Path) -> None:
    paths = [PurePosixPath(file.path) for file in files]
    present = {entry for path in paths for entry in (path, *path.parents) if entry.name}
    folders = Counter(str(entry.parent) for entry in present)
    folder, entries = folders.most_common(1)[0]
    if entries >= FOLDER_ENTRIES:
        fix = "make larger shards"
        raise CurateError(f"{entries} entries in one folder; the Hub allows fewer than {FOLDER_ENTRIES}", folder, fix)
    largest = max(files, key=lambda file: file.bytes)
    if largest.bytes > FILE_BYTES:
        where, fix = str(release / largest.path), "make smaller shards"
        raise CurateError(f"a file of {largest.bytes} bytes; the Hub allows up to {FILE_BYTES}", where, fix)
