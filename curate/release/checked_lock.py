"""Check a lock, and the paths in it, before anything trusts it."""

from pathlib import Path
from typing import Any
from unicodedata import normalize

import pydantic

from curate.base.features import feature
from curate.errors import CurateError
from curate.release.lock_values import relative
from curate.release.typed_lock import Lock


def check(lock: Any, where: str | Path) -> Lock:
    """The lock as a typed value. Raises CurateError that names what of it is not as it should be.

    where  the file it was read from
    """
    try:
        made = Lock.model_validate(lock)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the lock"
        what = f"invalid lock: {place}: {first['msg']}, not {repr(first['input'])[:80]}"
        raise CurateError(what, str(where), "run the manifest that made the release again") from None
    paths = [normalize("NFC", file.path).casefold() for file in made.files]
    if len({*paths}) < len(paths):  # on some systems such names are one
        raise CurateError("the lock lists a file twice", str(where), "run the manifest that made the release again")
    return made


def inside(release: Path, path: str) -> Path:
    """A file of a release, by its path there. Raises CurateError where a link leads out of the release's folder, and
    for what is no regular file: a pipe would wait for a writer."""
    file = release / relative(path)
    if not file.resolve().is_relative_to(release.resolve()):
        what = "a file of the release links outside its folder"
        raise CurateError(what, str(file), "replace the link with the file")
    if file.exists() and not file.is_file():
        raise CurateError("a file of the release is not a regular file", str(file), "run the manifest again")
    return file


WHOLE = ("name", "version", "license", "publish", "description", "documents", "rejected", "sources", "stages", "kept")
WHOLE += ("card", "composition", "columns", "examples", "clusters", "removed", "mixture", "tokens", "index", "versions")
"""Keys that a lock has of which the pages of a release can be written."""


def complete(lock: Lock, where: str | Path) -> Lock:
    """The lock, unchanged. Raises CurateError for one that lacks what a release is written from again."""
    again = "run the manifest that made the release again"
    there = {key for key in lock.model_fields_set if key in ("index", "tokens") or getattr(lock, key, None) is not None}
    if missing := [key for key in WHOLE if key not in there]:
        what = f"the lock lacks {', '.join(f'`{key}`' for key in missing)}"
        raise CurateError(what, str(where), again)
    for name, kind in lock.columns.items():
        try:
            feature(name, kind)
        except ValueError as error:
            raise CurateError(f"the lock is invalid: columns.{name}: {error}", str(where), again) from None
    return lock
