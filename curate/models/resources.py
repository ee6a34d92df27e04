"""Find or download models, tokenizers and lists; known by their sha256.

A manifest names a resource by

    a path                             to a file, or for a tokenizer to the folder of a `tokenizer.json`, for a chat
                                       template to that of a `tokenizer_config.json`; a relative one starts at the
                                       manifest's folder
    an address                         https://, s3://, gs://, hf://: downloaded once
    a name, such as `lid.176.ftz`      a file of that name in the folder CURATE_MODEL_DIR, else in the user's cache
                                       (curate/models in $XDG_CACHE_HOME or ~/.cache), else downloaded, if in `KNOWN`

Where a file lies does not affect a result; its sha256 does.
"""

import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import AfterValidator, ValidationInfo

from curate.errors import CurateError

PLACES = "resources.json"

IN_FOLDERS = {"tokenizer": "tokenizer.json", "chat template": "tokenizer_config.json"}
"""{kind: the file that is meant where a folder is named}"""

Kind = Literal["model", "tokenizer", "chat template", "list", "evaluation set"]


def _beside_manifest(name: str, info: ValidationInfo) -> str:
    """A path as it is from the manifest's folder, `info.context`; addresses and bare names as they are."""
    if info.context is None or "://" in name:
        return name
    path = Path(info.context, os.path.expanduser(name))
    return str(path.absolute()) if len(Path(name).parts) > 1 or os.path.exists(path) else name


SCHEMES = ("https://", "http://", "s3://", "gs://", "hf://")
"""What the address of a resource starts with."""

Name = Annotated[str, AfterValidator(_beside_manifest)]
"""The type of a stage's parameter that names a resource."""


@dataclass(frozen=True)
class Known:
    """Where a resource is published, and its sha256 where that is settled."""

    url: str
    sha256: str | None = None


_FASTTEXT = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/"

KNOWN = {
    "lid.176.ftz": Known(_FASTTEXT + "lid.176.ftz", "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"),
    "lid.176.bin": Known(_FASTTEXT + "lid.176.bin"),
}
"""fastText's language identifiers (Joulin et al. 2016; CC BY-SA 3.0): 0.9 MB, and 126 MB."""


def folders() -> list[Path]:
    """Where named resources are looked for, in order. What is downloaded goes to the last."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curate" / "models"
    chosen = os.environ.get("CURATE_MODEL_DIR")
    return [Path(chosen), cache] if chosen else [cache]


def at_hand(name: str) -> Path | None:
    """The file of a named resource, if it is on this machine already."""
    return next((path for path in (home / name for home in folders()) if path.is_file()), None)


def locate(name: str | Path, kind: Kind = "model", url: str | None = None, sha256: str | None = None) -> Path:
    """The local file of a resource, downloaded if it must be.

    name         a path, an address or a name, see above
    kind         what it is, for the message when it is missing
    url, sha256  where it is published and what it must be; by default what `KNOWN` says

    Raises CurateError where there is no such file or it is another one than it should be, Stopped where it cannot be
    downloaded now.
    """
    name = str(name)
    known = KNOWN.get(name)
    url, sha256 = url or (known and known.url), sha256 or (known and known.sha256)
    file = name
    if "://" in name:
        if not name.startswith(SCHEMES):
            fix = f"use a path, or a URL that starts with {', '.join(SCHEMES)}"
            raise CurateError(f"`{name}` is not the URL of a {kind}", fix=fix)
        url = name
        bare = name.partition("?")[0].partition("#")[0]  # what follows may be secret
        file = f"{hashlib.sha256(name.encode()).hexdigest()[:12]}-{PurePosixPath(bare).name}"
    for path in (Path(os.path.expanduser(name)), *(folder / file for folder in folders())):
        if kind in IN_FOLDERS and os.path.isdir(path):
            path = path / IN_FOLDERS[kind]
        if os.path.isfile(path):  # unlike that of Path also for a name too long for the disk
            return _checked(path.absolute(), kind, sha256)
    if url is None:
        places = " or ".join(str(folder / name) for folder in folders())
        where = places if len(Path(name).parts) == 1 else str(Path(name).absolute())
        fix = f"put the file there, or use the path of the {kind}"
        if PurePosixPath(name).suffix == ".npz":
            fix += "; `curate train` trains models from classifier recipes"
        raise CurateError(f"no {kind} `{name}`", where, fix)
    return _download(url, folders()[-1] / file, kind, sha256)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file, remembered in this process by path, size and time of change."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


def read_text(path: Path, what: str) -> str:
    """The text of a file that a person wrote, with or without a byte-order mark. what: such as `the manifest`, for the
    error. Raises CurateError where it cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.start:,} is {error.object[error.start]:#04x}"
        raise CurateError(
            f"{what} is not UTF-8 text: {place}", str(path), "save it as plain UTF-8, not compressed"
        ) from error
    except OSError as error:
        raise CurateError(
            f"cannot read {what}: {error.strerror}", str(path), "check its name and permissions"
        ) from error


def read_note(path: Path) -> bytes:
    """The bytes of a file of notes that we wrote. Raises OSError for what is none of those: a pipe, which would keep us
    waiting, or a file larger than any."""
    with open(path, "rb", opener=_at_once) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_NOTE:
            raise OSError(errno.EINVAL, "not a file that curate wrote", str(path))
        return file.read()


LARGEST_NOTE = 1 << 30
"""Bytes of a file of notes: a plan of a million jobs."""


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Write a file in one go: whoever reads it sees the one before or the new one, never half of it.

    private  for its owner's eyes alone
    """
    draft = path.with_suffix(f".{uuid4().hex}.tmp")
    try:
        new = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
        put(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def put(draft: Path, place: Path) -> None:
    """Rename a draft to the place of a file of ours. A folder there, which is no file that we wrote, goes."""
    if place.is_dir() and not place.is_symlink():
        remove(place)
    os.replace(draft, place)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all there is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lines(path: Path) -> list[str]:
    """The lines of a list: stripped, without empty ones and those that start with `#`. Raises CurateError."""
    text = read_text(path, "a list")
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def find_source(module: str) -> Path | None:
    """The source file of a module, found without importing it or a package around it; None where there is none."""
    places, found, parts = None, None, module.split(".")
    for depth in range(1, len(parts) + 1):
        specs = (finder.find_spec(".".join(parts[:depth]), places) for finder in sys.meta_path)
        found = next(filter(None, specs), None)
        if found is None:
            return None
        places = found.submodule_search_locations or []
    return Path(found.origin) if found.origin and found.origin.endswith(".py") else None


def each(change: Callable[[Any], Any], tree: Any) -> Any:
    """A value, list or mapping with `change` applied to every leaf but None."""
    if isinstance(tree, dict):
        return {key: each(change, value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [each(change, value) for value in tree]
    return tree if tree is None else change(tree)


@lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checked(path: Path, kind: Kind, wanted: str | None) -> Path:
    if wanted and sha256(path) != wanted:
        what = f"this {kind} has sha256 {sha256(path)}, not {wanted}"
        raise CurateError(what, str(path), "delete the file so it is fetched again, or fix its name")
    return path


def _download(url: str, path: Path, kind: Kind, wanted: str | None) -> Path:
    from curate.sources import File
    from curate.sources.inputs import local

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as draft:
        complete = Path(draft) / path.name
        try:
            with local(File(path.name, url)) as fetched:
                shutil.copyfile(fetched, complete)
        except (FileNotFoundError, IsADirectoryError, ValueError, NotImplementedError) as error:
            raise CurateError(f"cannot fetch the {kind}: {error}", url, "check its URL") from error
        if wanted and sha256(complete) != wanted:
            what = f"the {kind} from {url} has sha256 {sha256(complete)}, not {wanted}"
            raise CurateError(what, url, f"obtain the right file elsewhere and put it at {path}")
        os.replace(complete, path)
    return path


def note_places(work: Path, places: dict[str, str]) -> None:
    """Note in a work folder, which is not published, where resources lie. places: {`sha256:` and digest: path}."""
    if known := {**noted_places(work), **places}:
        write_text(work / PLACES, json.dumps(known, indent=1, sort_keys=True))


def noted_places(work: Path) -> dict[str, str]:
    """Where resources lay when they were used last."""
    try:
        found = json.loads(read_note(work / PLACES))
        return {name: place for name, place in found.items() if isinstance(place, str)}
    except (OSError, ValueError, AttributeError):
        return {}
