"""The files of a release folder, and whether they may be published."""

import json
import re
from collections import Counter
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml

from curate.errors import CurateError

BESIDE_LOCK = ("README.md", "croissant.json", "manifest.yaml", "report.html", "lock.json")
CARD_FIELDS = ("license", "configs")
FOLDER_ENTRIES, FILE_BYTES = 10_000, 50 * 10**9  # https://huggingface.co/docs/hub/storage-limits


class Unverified(CurateError):
    """Files are not what the lock says, here or on the Hub."""

    exit_code = 1


class File(NamedTuple):
    path: str
    bytes: int
    sha256: str


def read_release(release: Path) -> tuple[dict, list[File]]:
    """The lock of a release folder and all files to publish, each checked against the lock.

    Raises CurateError for a release that cannot be published, Unverified for files that differ from the lock.
    """
    where = release / "lock.json"
    if not where.is_file():
        fix = "name a folder that `curate run` made"
        raise CurateError("this is not a release: it has no lock.json", str(release), fix)
    try:
        lock = json.loads(where.read_bytes())
        files = [File(file["path"], file["bytes"], file["sha256"]) for file in lock["files"]]
        named = lock["name"] and lock["version"]
    except (ValueError, KeyError, TypeError) as error:
        fix = "run the manifest again to write the lock"
        raise CurateError(f"the lock cannot be read ({error!r})", str(where), fix) from None
    if not (named and lock.get("license")):
        fix = "set `name:`, `version:` and `license:` in the manifest and run it again"
        raise CurateError("the release has no licence, or no name and version", str(where), fix)
    wrong = [problem for file in files if (problem := _problem(release, file))]
    if wrong:
        raise Unverified(
            f"{len(wrong)} of {len(files)} files are not what the lock says: {', '.join(wrong[:5])}",
            str(where),
            "run the manifest again: it restores what the lock describes",
        )
    listed = {file.path for file in files}
    beside = [name for name in BESIDE_LOCK if name not in listed and (release / name).is_file()]
    files += [File(name, (release / name).stat().st_size, _sha256(release / name)) for name in beside]
    _check_card(release / "README.md")
    _check_limits(files, release)
    return lock, sorted(files)


def _problem(release: Path, file: File) -> str:
    path = release / file.path
    if ".." in PurePosixPath(file.path).parts or PurePosixPath(file.path).is_absolute():
        return f"{file.path} is outside the release"
    if not path.is_file():
        return f"{file.path} is missing"
    if path.stat().st_size != file.bytes:
        return f"{file.path} has {path.stat().st_size} bytes, not {file.bytes}"
    return "" if _sha256(path) == file.sha256 else f"{file.path} has another content"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _check_card(path: Path) -> None:
    text = path.read_text("utf-8") if path.is_file() else ""
    front = re.match(r"---\n(.*?)\n---(\n|$)", text, re.DOTALL)
    try:
        fields = (yaml.safe_load(front[1]) if front else None) or {}
    except yaml.YAMLError as error:
        raise CurateError(f"the card's front matter is not YAML: {error}", str(path), "mend the `card:` text") from None
    if missing := [name for name in CARD_FIELDS if not fields.get(name)]:
        raise CurateError(f"the card lacks {', '.join(missing)}", str(path), "run the manifest again to write the card")


def _check_limits(files: list[File], release: Path) -> None:
    paths = [PurePosixPath(file.path) for file in files]
    present = {entry for path in paths for entry in (path, *path.parents) if entry.name}
    folders = Counter(str(entry.parent) for entry in present)
    folder, entries = folders.most_common(1)[0]
    if entries >= FOLDER_ENTRIES:
        fix = "make larger shards"
        raise CurateError(f"{entries} entries in one folder; the Hub takes fewer than {FOLDER_ENTRIES}", folder, fix)
    largest = max(files, key=lambda file: file.bytes)
    if largest.bytes > FILE_BYTES:
        where, fix = str(release / largest.path), "make smaller shards"
        raise CurateError(f"a file of {largest.bytes} bytes; the Hub takes up to {FILE_BYTES}", where, fix)
