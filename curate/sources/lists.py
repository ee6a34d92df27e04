"""Lists of paths, one per line, local or on the web; and CommonCrawl's.

A list that was fetched may name what lies below its base, and other files of the web; never anything on this machine,
and nothing that needs the credentials of whoever runs it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

import pyarrow as pa

from curate.errors import CurateError, did_you_mean
from curate.sources import File, compression_of, escaped, is_remote, shown
from curate.sources.stores import SCHEMES, local_path, opened, scheme_of

COMMON_CRAWL = "https://data.commoncrawl.org"
MAX_LIST = 128 << 20
"""Bytes of a list, unpacked; that of a crawl has some 14 million."""

IS_LIST = re.compile(r"\.(paths|txt)(\.gz)?$")


def listed(item: dict, base: Path) -> Iterator[File]:
    """The files that a list of paths names. Relative lines start at the list's folder, or at `base`.

    Raises CurateError that names the line for one that is no file, or may not be named here.
    """
    name = item["paths"]
    name, scheme = local_path(name), scheme_of(local_path(name))
    address = name if scheme else str((base / name).absolute())
    lines = _lines(File(PurePosixPath(urlsplit(address).path if scheme else address).name, address))
    if not lines:
        raise CurateError("a list of paths is empty", shown(address))
    own = urlunsplit(urlsplit(address)._replace(query="", fragment="")) if scheme else address
    top = _common(line for _, line in lines if line.startswith("/"))
    for number, line in lines:
        at = f"{shown(address)}:{number}"
        try:
            crawled = COMMON_CRAWL if line.startswith("crawl-data/") else own.rpartition("/")[0]
            yield _file(line, _root(item.get("base") or crawled, base), top, scheme)
        except CurateError as error:
            raise CurateError(f"line {number} of a list of paths: {error.what}", at, error.fix) from error


def _file(line: str, root: str, top: str, scheme: str) -> File:
    """The file of a line. scheme: where the list lies, empty for this machine; top: the folder of absolute lines."""
    if is_remote(line):
        if (named := scheme_of(line)) not in SCHEMES[:-1] or (scheme and named not in ("http", "https", scheme)):
            raise CurateError(f"`{shown(line)}` is not allowed in a list of {scheme or 'paths'}", fix=_ALLOWED)
        return File(shown(line).removesuffix("?…"), line)
    if scheme and (line.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", unquote(line))):
        raise CurateError(f"`{escaped(line)}` points outside the list's own URL", fix=_ALLOWED)
    if scheme_of(root):
        if not _bare(line):
            raise CurateError(f"`{escaped(line)}` is not a file", fix="correct the list")
        return File(_bare(line) if scheme_of(root) in ("http", "https") else line, f"{root.rstrip('/')}/{line}")
    there = line if line.startswith("/") else os.path.join(root, line)
    if not os.path.isfile(there):
        raise CurateError(f"`{escaped(line)}` is not a file", fix="correct the list, or set its `base:`")
    if scheme and not os.path.realpath(there).startswith(os.path.join(os.path.realpath(root), "")):
        raise CurateError(f"`{escaped(line)}` links outside the list's `base:`", fix=_ALLOWED)
    return File(os.path.relpath(line, top) if line.startswith("/") else line, there, os.path.getsize(there))


def _root(root: str, base: Path) -> str:
    root = local_path(root)
    return root if scheme_of(root) else str((base / root).absolute())


_ALLOWED = "a downloaded list may contain files below its own URL or `base:`, and web URLs"


def _bare(line: str) -> str:
    """A line without query and fragment, which may hold a signature."""
    return line.partition("?")[0].partition("#")[0]


def _common(lines: Iterator[str]) -> str:
    """The folder that all absolute paths of a list are below: it is this machine's, and no part of their names."""
    folders = {os.path.dirname(os.path.normpath(line)) for line in lines}
    return os.path.commonpath(folders) if folders else ""


def _lines(file: File) -> list[tuple[int, str]]:
    """(number, line) of those that are not blank."""
    try:
        with opened(file, MAX_LIST) as stream:
            compression = compression_of(file.path, stream.read(16))
            stream.seek(0)
            source = pa.CompressedInputStream(pa.PythonFile(stream), compression) if compression else stream
            text = bytearray()
            while piece := source.read(1 << 20):
                text += piece
                if len(text) > MAX_LIST:
                    fix = "use a shorter list, or several"
                    raise CurateError(f"a list of paths is larger than {MAX_LIST >> 20} MiB", file.shown, fix)
        lines = bytes(text).removeprefix(b"\xef\xbb\xbf").decode().splitlines()
    except (OSError, ValueError) as error:  # of Arrow; what is no UTF-8
        raise CurateError(f"cannot read a list of paths: {error}", file.shown, "fetch it again") from error
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def commoncrawl(item: dict, base: Path) -> Iterator[File]:
    """Some files of a crawl: those whose hash with `seed` is smallest, so that more files add to fewer."""
    options = {"crawl": None, "files": None, "seed": 0, "base": COMMON_CRAWL, "kind": "warc"}
    if unknown := sorted(set(item["commoncrawl"]) - set(options)):
        fix = did_you_mean(unknown[0], options)
        raise CurateError(f"unknown setting `{unknown[0]}` of a commoncrawl input", str(item), fix)
    chosen = options | item["commoncrawl"]
    if not re.fullmatch(r"CC-MAIN-\d{4}-\d{2}(-\d{2})?", chosen["crawl"] or ""):
        what = f"`{chosen['crawl']}` is not the name of a crawl"
        raise CurateError(what, str(item), "use `crawl: CC-MAIN-YEAR-WEEK`")
    paths = f"{chosen['base'].rstrip('/')}/crawl-data/{chosen['crawl']}/{chosen['kind']}.paths.gz"
    files = list(listed({"paths": paths, "base": chosen["base"]}, base))
    yield from sorted(files, key=lambda file: _rank(chosen["seed"], file.path))[: chosen["files"]]


def _rank(seed: int, path: str) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{path}".encode(), digest_size=16).digest()
