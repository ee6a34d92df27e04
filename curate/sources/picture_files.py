"""Pictures beside rows: find those that rows name in folders, zip and tar files.

A place is listed once, when a partition is read, and only what its list names is ever opened: a path of a row that
climbs out of it, or a link that does, leads nowhere. A folder is known by the state of all its files, as
docs/decisions/0019 has it, a zip or tar file by its content.

Reasons:
  picture_missing     an image that the row refers to is in none of the locations in `images:`
  picture_refused     the path of an image is absolute, a URL, or points outside the folder, or the image is encrypted
  picture_too_large   an image is larger than 64 MiB, or all images of the row are larger than 256 MiB
  picture_unreadable  an image cannot be read because the zip or tar file is damaged, or because of its permissions
"""

import errno
import hashlib
import json
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import IMAGES
from curate.base.pictures import picture_bytes
from curate.errors import CurateError
from curate.sources import File, Origin, escaped, inputs, is_remote, shown
from curate.sources.folders import OUTSIDE, walk
from curate.sources.identify import identify
from curate.sources.layouts import BadRow
from curate.sources.stores import changed, fingerprint, local_path, unchanged
from curate.stage_api import set_column

MISSING, REFUSED, TOO_LARGE, BROKEN = "picture_missing", "picture_refused", "picture_too_large", "picture_unreadable"
MAX_PICTURE, MAX_ROW = 64 << 20, 256 << 20
"""Bytes of a picture, and of all pictures of a row."""

UNPACKED = 1 << 30, 20
"""A compressed tar file may unpack to so many bytes, and so many times its size: pictures hardly compress."""

FOLDER, ZIP, TAR = "folder", "zip", "tar"
_ENDINGS = {".zip": ZIP, ".tar": TAR, ".tar.gz": TAR, ".tgz": TAR}
_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError, NotImplementedError, ValueError)


def find(given: str | Sequence[str], base: Path, work: Path, follow_links: bool = False) -> tuple[File, ...]:
    """The places of a manifest's `images:`, with their digests.

    base          what relative paths start at
    follow_links  whether links in folders may lead out of them

    Raises CurateError for a place that is not there, is remote, or is no folder, zip or tar file.
    """
    return tuple(_place(item, base, work, follow_links) for item in ([given] if isinstance(given, str) else given))


def _place(item: str, base: Path, work: Path, follow: bool) -> File:
    if is_remote(item) and not item.lower().startswith("file://"):
        fix = "download it, and list the folder, zip or tar file here"
        raise CurateError(f"images must be on this machine: `{shown(item)}`", shown(item), fix)
    path = str((base / local_path(item)).absolute())
    name = os.path.basename(path.rstrip("/"))
    if os.path.isdir(path):
        return File(name, path, 0, f"state:{_Folder.digest(_listed(path, follow))}{'+links' * follow}", format=FOLDER)
    kind = next((kind for ending, kind in _ENDINGS.items() if name.lower().endswith(ending)), None)
    if not os.path.isfile(path):
        raise CurateError("no such folder or file of images", escaped(path), "check its name")
    fix = "use a folder, a .zip, a .tar or a .tar.gz"
    if kind is None:
        raise CurateError(f"`{escaped(name)}` is not a folder or archive of images", escaped(path), fix)
    [(file, _)] = identify([File(name, path)], work)
    if not file.digest or not (zipfile.is_zipfile(path) if kind == ZIP else tarfile.is_tarfile(path)):
        raise CurateError(f"`{escaped(name)}` is not a {kind} file, or is damaged", escaped(path), "fetch it again")
    return File(name, path, file.size, file.digest, file.seen, kind)


def called(place: File) -> str:
    """What stands for a place among the files of a partition."""
    return f"images:{place.digest}"


class Pictures:
    """Places of pictures, open for as long as the block of a `with` lasts."""

    def __init__(self, places: Iterable[File]):
        self.places = list(places)
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with self.stack:
            kinds = {FOLDER: _Folder, ZIP: _Zip, TAR: _Tar}
            self.held = [kinds[place.format](place, self.stack) for place in self.places]
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.stack.close()

    def read(self, path: str) -> bytes:
        """The bytes of a picture: in the first place that has it. Raises BadRow, see the module's reasons."""
        name = _name(path)
        for held in self.held:
            if why := held.refused(name):
                raise BadRow(REFUSED, f"`{path}`: {why}")
            if name in held.names:
                return _read(held, name)
        raise BadRow(MISSING, f"`{path}` is in none of {', '.join(place.path for place in self.places)}")

    def filled(self, images: list[dict]) -> list[dict]:
        """The pictures of a row with their bytes. Raises BadRow."""
        size, found = 0, []
        for image in images:
            if image is not None and image["bytes"] is None:
                if not image["path"]:
                    raise BadRow(MISSING, "a picture has neither bytes nor a path")
                image = image | {"bytes": self.read(image["path"])}
            size += len(image["bytes"]) if image else 0
            if size > MAX_ROW:
                raise BadRow(TOO_LARGE, f"its pictures have more than {MAX_ROW >> 20} MiB")
            found.append(image)
        return found


def _name(path: str) -> str:
    """How a place calls what a row calls `path`. Raises BadRow for one that is no path within a place."""
    if is_remote(path):
        raise BadRow(REFUSED, f"`{shown(path)[:200]}` is an address: only pictures on this machine are read")
    if path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", path):
        raise BadRow(REFUSED, f"`{path[:200]}` is not a relative path")
    if ".." in re.split(r"[/\\]", path) or "\0" in path:
        raise BadRow(REFUSED, f"`{path[:200]}` leads out of where pictures are")
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _read(held, name: str) -> bytes:
    """The bytes of a picture that a place names. Raises BadRow, and what the disk says."""
    try:
        return held.read(name)
    except (BadRow, CurateError, MemoryError):
        raise
    except Exception as error:  # each kind of compression has its own
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, errno.EACCES, errno.EPERM):
            raise
        raise BadRow(BROKEN, f"`{name}`: {error or type(error).__name__}") from None


class _Folder:
    """A folder: {name: hash of its state}. Refused are links that lead out of it."""

    def __init__(self, place: File, stack: ExitStack):
        self.place, self.root = place, place.url
        listed = list(_listed(place.url, place.digest.endswith("+links")))
        if self.digest(listed) != place.digest.removeprefix("state:").removesuffix("+links"):
            raise changed(place)
        self.names = {name: hash(state) for name, state, _ in listed if state}
        self.out = {name.rstrip("/"): why for name, _, why in listed if why == OUTSIDE}

    @staticmethod
    def digest(listed: Iterable[tuple[str, str, str]]) -> str:
        """Of all names and states."""
        found = hashlib.blake2b(digest_size=16)
        for entry in sorted(listed):
            found.update(json.dumps(entry).encode())
        return found.hexdigest()

    def refused(self, name: str) -> str:
        if not self.out:
            return ""
        parts = name.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        return next((f"a {self.out[one]}" for one in above if one in self.out), "")

    def read(self, name: str) -> bytes:
        try:
            descriptor = os.open(os.path.join(self.root, name), os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            raise changed(self.place) from None
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if hash(fingerprint(found)) != self.names[name]:
                raise changed(self.place)
            _check_size(name, found.st_size)
            return stream.read(MAX_PICTURE)


def _listed(root: str, follow: bool) -> Iterator[tuple[str, str, str]]:
    """The entries of a folder: name, state of a file that may be read, and why another may not."""
    for entry in walk(root, follow=follow, hidden=""):
        try:
            state = "" if entry.why else fingerprint(os.stat(entry.path))
        except OSError:
            continue
        yield entry.name, state, entry.why


class _Zip:
    """A zip file: {name: its entry}."""

    def __init__(self, place: File, stack: ExitStack):
        stream = stack.enter_context(inputs.opened(place))
        self.zip = stack.enter_context(_sound(place, lambda: zipfile.ZipFile(stream)))
        self.names = {info.filename: info for info in self.zip.infolist() if not info.is_dir()}

    def refused(self, name: str) -> str:
        info = self.names.get(name)
        if info is None:
            return ""
        if stat.S_ISLNK(info.external_attr >> 16):
            return "a link"
        return "encrypted" if info.flag_bits & 1 else ""

    def read(self, name: str) -> bytes:
        info = self.names[name]
        _check_size(name, info.file_size)
        with self.zip.open(info) as stream:
            data = stream.read(MAX_PICTURE + 1)  # what an entry says of its size may be wrong
        _check_size(name, len(data))
        return data


class _Tar:
    """A tar file: {name: where its bytes are, and how many; None for a link}. If compressed, it is unpacked first."""

    def __init__(self, place: File, stack: ExitStack):
        self.stream = stack.enter_context(inputs.opened(place))
        if self.stream.read(2) == b"\x1f\x8b":
            self.stream = stack.enter_context(_unpacked(place, self.stream))
        self.stream.seek(0)
        self.names: dict[str, tuple[int, int] | None] = {}
        with _sound(place, lambda: tarfile.open(fileobj=self.stream, mode="r:")) as tar:
            while entry := _sound(place, tar.next):
                tar.members.clear()  # it keeps all it has seen
                if entry.isreg() or entry.islnk() or entry.issym():
                    plain = entry.isreg() and not entry.issparse()
                    name = entry.name.removeprefix("./")
                    self.names[name] = (entry.offset_data, entry.size) if plain else None

    def refused(self, name: str) -> str:
        return "a link" if name in self.names and self.names[name] is None else ""

    def read(self, name: str) -> bytes:
        start, size = self.names[name]
        _check_size(name, size)
        self.stream.seek(start)
        data = self.stream.read(size)
        if len(data) < size:
            raise EOFError("the file ends within it")
        return data


def _unpacked(place: File, packed: BinaryIO) -> BinaryIO:
    """The content of a file of gzip, in a file without a name."""
    import gzip

    packed.seek(0)
    most, size = UNPACKED[0] + UNPACKED[1] * place.size, 0
    out = tempfile.TemporaryFile()  # noqa: SIM115
    with gzip.GzipFile(fileobj=packed) as stream:
        while piece := _sound(place, lambda: stream.read(_CHUNK)):
            size += len(piece)
            if size > most:
                what = f"it unpacks to more than {most:,} bytes, too many for images"
                raise CurateError(what, place.shown, "unpack it yourself, if you trust it, and list the folder")
            out.write(piece)
    return out


def _sound(place: File, work):
    """What reading the structure of a zip or tar file gives. Raises CurateError where it is damaged."""
    try:
        return work()
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise CurateError(f"cannot read images: {error}", place.shown, "fetch the file again") from error


def _check_size(name: str, size: int) -> None:
    if size > MAX_PICTURE:
        raise BadRow(TOO_LARGE, f"`{name}` has more than {MAX_PICTURE >> 20} MiB")


def with_pictures(tables: Iterable[pa.Table], pictures: Pictures | None, origin: Origin) -> Iterator[pa.Table]:
    """The tables of a reader with the bytes of their pictures, cut into blocks of at most `origin.block_bytes` of text
    and pictures, or of one row. A row of which a picture cannot be had is out, and counted as bad.

    pictures  where paths are looked up; None: a picture without bytes has none
    """
    for table in tables:
        if "images" not in table.column_names:
            yield table
        elif pictures is None:
            yield from _cut(table, origin.block_bytes)
        else:
            yield from _filled(table, pictures, origin)
    for place in pictures.places if pictures else ():
        unchanged(place)


def _cut(table: pa.Table, most: int) -> Iterator[pa.Table]:
    ends = np.cumsum(_text_bytes(table) + picture_bytes(table["images"]))
    first = before = 0
    while first < table.num_rows:
        last = max(int(np.searchsorted(ends, before + most, "right")), first + 1)
        yield table.slice(first, last - first)
        first, before = last, int(ends[last - 1])


def _filled(table: pa.Table, pictures: Pictures, origin: Origin) -> Iterator[pa.Table]:
    texts, dead = _text_bytes(table), table["reject"].is_valid().to_numpy()
    first, size, held, bad = 0, 0, [], {}
    for row, images in enumerate(table["images"]):
        images = images.as_py()
        if images and not dead[row]:
            try:
                images = pictures.filled(images)
            except BadRow as problem:
                bad[row], images = problem, None
        more = int(texts[row]) + sum(len(image["bytes"] or b"") for image in images or () if image)
        if held and size + more > origin.block_bytes:
            yield _block(
                table.slice(first, row - first), held, {k - first: bad.pop(k) for k in [*bad] if k < row}, origin
            )
            first, size, held = row, 0, []
        held.append(images)
        size += more
    if held:
        yield _block(table.slice(first), held, {k - first: problem for k, problem in bad.items()}, origin)


def _block(table: pa.Table, images: list, bad: dict[int, BadRow], origin: Origin) -> pa.Table:
    """Some rows with these pictures. bad: {row: why it is out}."""
    table = set_column(table, "images", pa.array(images, IMAGES))
    if not bad:
        return table
    columns = {name: table[name].to_pylist() for name in ("path", "position", "meta", "reject")}
    for row, problem in bad.items():
        found = origin.of(columns["path"][row])
        found.bad_rows += 1
        said = f"row {columns['position'][row]}: {problem.reason}: {problem.detail}"
        found.first_bad = found.first_bad or said.encode("utf-8", "replace").decode()
        columns["meta"][row] = json.dumps({"error": problem.detail}, ensure_ascii=True)
        columns["reject"][row] = problem.reason
    for name in ("meta", "reject"):
        table = set_column(table, name, pa.array(columns[name], pa.string()))
    return table


def _text_bytes(table: pa.Table) -> np.ndarray:
    return pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy().astype(np.int64)
