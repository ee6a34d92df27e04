"""Write the folder of a release, which appears whole or not at all."""

import ctypes
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from curate.base import machine, redact
from curate.base.terminal import shown
from curate.engine.plan import Plan, TokenParts
from curate.engine.shard_tasks import digest
from curate.engine.store import Damaged, Store
from curate.errors import CurateError
from curate.release import card, charts, croissant, report
from curate.release.checked_lock import check
from curate.release.earlier import records
from curate.release.extend import extend
from curate.release.fetched import Held
from curate.release.figures import figures
from curate.release.lock import dumps, exposures, load_lock
from curate.release.token_shards import write_token_shards
from curate.release.typed_lock import File, Lock, as_json
from curate.release.unchanged import Note
from curate.release.without import keep_out

COPY_BYTES = 1 << 20
"""Bytes that are copied at a time."""

SWAPS = 100
"""How often a folder is tried to be put in the place of one that another run puts there at the same time."""


def build(
    plan: Plan,
    lock: Lock,
    store: Store,
    parts: dict[str, str],
    tokens: list[TokenParts],
    releases: Path,
    replace: bool = False,
) -> tuple[Path, Lock, bool]:
    """Write `releases/NAME/VERSION`. Returns it, its lock, and whether it holds other data than before.

    What goes beside the data (token shards, pages, charts, manifest) is added to the files of the lock; nothing of this
    machine is in it (see `curate.base.redact`). Raises Damaged for a part that is not what was made, CurateError for an
    earlier release that is not what its lock says, and for a release of this version with another digest, unless
    `replace`.
    """
    target = releases / lock.name / lock.version
    old = None if replace and unreadable(target) else released(target)
    out = records(plan.manifest)
    note = None if out else Note(store, target, lock, plan.manifest.text, parts, tokens)  # of this run's parts alone
    if old and note and note.holds():
        return target, old, False
    with replacing(target) as draft:
        copies: dict[str, Path] = {}
        if plan.manifest.spec.extends:
            lock, parts, copies = extend(lock, parts, plan.manifest)
        _copy(draft, lock.files, {path: store.part(fp) for path, fp in parts.items()} | copies, parts)
        everything = plan.manifest.spec.mixture.takes_everything
        kept = keep_out(draft, lock, out, parts.keys(), everything)
        if not replace:
            check_same(target, lock)
        write_token_shards(draft, lock, store, tokens, kept)
        lock = write_pages(draft, lock, plan.manifest.text)
        if not replace:
            check_same(target, lock)  # another run may have ended meanwhile
        if note:
            note.keep(draft)
    return target, lock, old is None or (old.digest, as_json(old.tokens)) != (lock.digest, as_json(lock.tokens))


def _copy(draft: Path, files: list[File], sources: dict[str, Path], parts: dict[str, str]) -> None:
    """Copy the files of a lock into the draft, several at once, and check what came.

    sources  {path in the release: file}. parts: of those that are parts of the store, {path: fingerprint}
    """

    def copy(file: File) -> dict:
        path = draft / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return _copied(sources[file.path], path)

    with ThreadPoolExecutor(machine.cores()) as threads:
        for file, found in zip(files, threads.map(copy, files), strict=True):
            if found == {"bytes": file.bytes, "sha256": file.sha256}:
                continue
            source, fp = sources[file.path], parts.get(file.path)
            if fp:
                raise Damaged(fp, source, "its sha256 is not the one it was made with")
            raise CurateError("a file of the earlier release changed", str(source), "run `curate verify` on it")


def _copied(source: Path, path: Path) -> dict:
    """Copy a file. Returns {"bytes", "sha256"} of what was read, which so is read once."""
    found, size = hashlib.sha256(), 0
    with open(source, "rb") as given, open(path, "wb") as made:
        while block := given.read(COPY_BYTES):
            found.update(block)
            size += made.write(block)
    return {"bytes": size, "sha256": found.hexdigest()}


def released(target: Path) -> Lock | None:
    """The lock of the release that is in a folder, if there is one."""
    return load_lock(target) if (target / "lock.json").is_file() else None


def unreadable(target: Path) -> bool:
    """Whether a folder has a lock that cannot be read."""
    try:
        released(target)
    except CurateError:
        return True
    return False


def check_same(target: Path, lock: Lock) -> None:
    """Raise CurateError where a folder has a release with another digest: what was released does not change unasked."""
    old = released(target)
    if old and old.digest != lock.digest:
        what = f"{lock.title} is already released with the digest {old.digest[:19]}…, not {lock.digest[:19]}…"
        fix = "bump `version:` in the manifest, or pass --replace to overwrite that release"
        raise CurateError(what, str(target), fix)


def write_pages(folder: Path, lock: Lock, manifest: str) -> Lock:
    """Write all that is made from the lock and the manifest's text into a folder that holds the data, the lock last.

    Nothing of this machine is in them or in the lock that is returned, as it was written (see `curate.base.redact`).
    Control characters that came with data are written out (see `curate.base.terminal.shown`). Raises CurateError where
    a page has what must not be published.
    """
    lock = check(redact.everywhere(as_json(lock)), folder / "lock.json")
    manifest = redact.manifest(manifest)
    found = figures(Held(folder, lock, published=False))
    pages = charts.charts(lock, found) | {"manifest.yaml": manifest, "README.md": card.render(lock, manifest, found)}
    pages["report.html"] = report.render(lock, manifest, found)
    for name in (*pages, "croissant.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = pages.get(name) or croissant.render(lock)
        path.write_text(text if name == "manifest.yaml" else shown(text), encoding="utf-8")
        lock.files.append(File(path=name, **digest(path)))
    (folder / "lock.json").write_text(dumps(as_json(lock)), encoding="utf-8")
    for problem in exposures(folder):
        raise problem
    return lock


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A folder to write in, that takes the place of `target` if the block ends well.

    Of several that end at once one is there at last, and at no time none. Raises CurateError for a target that is a
    link or a file, before the block.
    """
    with suppress(FileNotFoundError):
        kind = target.lstat().st_mode  # asked once: other runs may be between taking one away and putting one there
        if not stat.S_ISDIR(kind):
            what = f"the path of the release is a {'link' if stat.S_ISLNK(kind) else 'file'}"
            raise CurateError(what, str(target), "move it away, or choose another work folder with --work")
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        yield draft
        _put(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(draft: Path, target: Path) -> None:
    """Rename the draft to the target; what was there is removed."""
    for _ in range(SWAPS):
        try:
            os.rename(draft, target)  # onto nothing, or an empty folder
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        try:
            if _exchange(draft, target):
                return  # the draft's name is that of the old one now, which goes with it
            aside = target.with_name(f"{draft.name}.old")
            os.rename(target, aside)
        except FileNotFoundError:  # another run is between the two
            continue
        try:
            os.rename(draft, target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                os.rename(aside, target)
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    raise CurateError("other runs keep replacing this release", str(target), "wait for them to finish, then run again")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, where the system can (Linux: renameat2). Raises FileNotFoundError."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    if ctypes.get_errno() == errno.ENOENT:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(other))
    return False  # a file system that cannot
