"""lock.json, what a run actually used and made: read it, and `curate verify`.

Written by the machine, compared by anyone.

A lock holds no clock, host, user, number of workers or place of the work folder: the same manifest over the same
inputs gives the same lock everywhere. Its `digest` is the sha256 of the lines `SHA256  PATH` of all files under
`data/` and `evidence/`, sorted by path, as `sha256sum` prints them.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from curate.base import redact
from curate.engine.shard_tasks import digest
from curate.errors import CurateError
from curate.mix.mixture import VALIDATION
from curate.models.resources import read_note, sha256
from curate.release.checked_lock import check, complete
from curate.release.typed_lock import File, Lock, as_json

FORMAT = 1

PAGES = frozenset([".md", ".yaml", ".html", ".json", ".svg"])
"""Files of a release that people read."""


def folder(phase: str | None, split: str) -> str:
    """Where the shards of a split lie, under data/ and index/: "", "main/" of a phase, "validation/"."""
    name = phase or (VALIDATION if split == VALIDATION else "")
    return f"{name}/" if name else ""


def shard_names(splits: list[dict]) -> list[str]:
    """The paths of all shards under data/ and index/, in order: `main/train-00000-of-00042.parquet`."""
    return [
        f"{folder(split['phase'], split['split'])}{split['split']}-{number:05d}-of-{split['shards']:05d}.parquet"
        for split in splits
        for number in range(split["shards"])
    ]


def release_digest(files: Iterable[File]) -> str:
    """The digest of a release: of its data and evidence, whatever else lies beside them."""
    held = (file for file in files if file.path.startswith(("data/", "evidence/")))
    return digest_of((file.path, file.sha256) for file in held)


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """The sha256 of the lines that `sha256sum` prints for files, (path, sha256) each, sorted by path."""
    lines = "".join(f"{sha}  {path}\n" for path, sha in sorted(files))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def made_before(home: Path, fingerprint: str) -> dict | None:
    """The lock of a folder that is made once, of a classifier or a calibration set, if it is this one and whole."""
    try:
        lock = json.loads(read_note(home / "lock.json"))
        same = lock["fingerprint"] == fingerprint
        whole = all(sha256(home / name) == digest for name, digest in lock["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return lock if same and whole else None


def dumps(lock: dict) -> str:
    """The lock as text; halves of characters, which UTF-8 does not have, as JSON escapes them."""
    text = json.dumps(lock, indent=1, sort_keys=False, ensure_ascii=False) + "\n"
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def read_lock(release: str | Path) -> dict:
    """The lock of a release folder, as JSON values. Raises CurateError if there is none, or it is invalid."""
    return as_json(load_lock(release))


def load_lock(release: str | Path) -> Lock:
    """The lock of a release folder. Raises CurateError if there is none, or it cannot be believed."""
    path = Path(release) / "lock.json"
    if not path.is_file():  # a pipe would wait for a writer
        raise CurateError("not a release: no lock.json", str(release), "pass a folder that `curate run` wrote")
    try:
        lock = json.loads(read_note(path))
    except (ValueError, RecursionError) as error:
        raise CurateError(f"lock.json is not JSON: {error}", str(path), "run the manifest again") from error
    if not isinstance(lock, dict) or lock.get("lock") != FORMAT or "digest" not in lock:
        fix = "pass a folder that `curate run` wrote, or use the version of curate that wrote it"
        raise CurateError(
            "lock.json is not a release lock, or was written by another version of curate", str(path), fix
        )
    return check(lock, path)


def load_whole_lock(release: str | Path) -> Lock:
    """The lock of a release folder, of which everything can be shown. Raises CurateError if it lacks a key."""
    return complete(load_lock(release), Path(release) / "lock.json")


def verify(release: str | Path) -> list[CurateError]:
    """Rehash a release: one problem for each file that is missing, changed or not in the lock, for anything that is not
    a file, and for anything that must not be published. Empty: the release is intact."""
    return verified(release)[1]


def verified(release: str | Path) -> tuple[Lock, list[CurateError]]:
    """The lock of a release folder, and what is wrong with it, as `verify` says."""
    root, lock = Path(release), load_lock(release)
    known = {"lock.json"} | {file.path for file in lock.files}
    problems = [problem for file in lock.files if (problem := check_file(root, file))]
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name in known or stat.S_ISDIR(path.lstat().st_mode):
            continue
        what = "a file is not in the lock" if path.is_file() else f"{kind_of(path)} is in the release"
        problems.append(CurateError(what, name, "remove it, or run the manifest again"))
    if release_digest(lock.files) != lock.digest:
        problems.append(CurateError("the digest does not match the files", "lock.json", "run the manifest again"))
    return lock, [*problems, *exposures(root)]


def check_file(root: Path, file: File) -> CurateError | None:
    """What is wrong with a file of a release, if anything."""
    again = "run the manifest again"
    path = root / file.path
    if not os.path.lexists(path):
        return CurateError("a file is missing", file.path, again)
    if not path.is_file():
        return CurateError(f"expected a file, found {kind_of(path)}", file.path, again)
    if not path.resolve().is_relative_to(root.resolve()):
        return CurateError("a file links outside the release", file.path, "replace the link with the file")
    if (size := path.stat().st_size) != file.bytes:  # said without reading it, however large it is
        what = f"{size:,} bytes, not {file.bytes:,}"
        return CurateError(f"a file changed after the lock was written: {what}", file.path, again)
    found = digest(path)
    if found == {"bytes": file.bytes, "sha256": file.sha256}:
        if file.rows is not None and pq.read_metadata(path).num_rows != file.rows:
            return CurateError(f"the lock expects {file.rows:,} rows", file.path, again)
        return None
    what = f"sha256 {found['sha256'][:12]}…, not {file.sha256[:12]}…"
    return CurateError(f"a file changed after the lock was written: {what}", file.path, again)


def kind_of(path: Path) -> str:
    """What is at a path that is no file, as errors say it."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        if path.is_dir():
            return "a link to a folder"
        return "a link to something that is not a file" if path.exists() else "a broken link"
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def exposures(root: Path) -> list[CurateError]:
    """What the pages, the manifest and the lock of a release have that must not be published, with the place."""
    found = []
    for path in sorted([*root.glob("*"), *root.glob("charts/*")]):
        if path.suffix in PAGES and path.is_file() and path.resolve().is_relative_to(root.resolve()):
            try:
                text = read_note(path).decode("utf-8", "replace")
            except OSError as error:
                what, where = error.strerror or str(error), path.relative_to(root).as_posix()
                found.append(CurateError(what, where, "run the manifest again"))
                continue
            for exposed in redact.exposed(text):
                where, fix = (
                    f"{path.relative_to(root).as_posix()}:{exposed.line}",
                    "remove it, and run the manifest again",
                )
                found.append(CurateError(f"{exposed.kind} ({exposed.hint}) would be published", where, fix))
    return found
