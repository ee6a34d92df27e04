"""`inputs:` of a manifest: find the files, and list those that are skipped, with the reason.

An input is one of

    a file, a folder, or a glob (`*`, `?`, `[...]`, and `**` across folders): local, s3://, gs://, hf://
    a file: https://, http://
    a list of paths, one a line, called `NAME.paths` or, where no `format:` is set, `NAME.txt`; either with `.gz`
    {paths: LIST, base: ADDRESS}: a list of paths that start at an address
    {commoncrawl: {crawl: CC-MAIN-2024-22, files: 3, seed: 0}}: some files of a crawl, chosen by hash

A file's path starts at the folder, at the part of the glob without wildcards, or is what the list says. So
the same files elsewhere have the same paths and their documents the same ids.
"""

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs as pafs

from curate.errors import CurateError, did_you_mean
from curate.sources import File, compression_of, escaped, is_remote, name_of, shown
from curate.sources.folders import DANGLING, HIDDEN, OWN, TAKEN, repeated, walk
from curate.sources.format_api import find_format, format_of
from curate.sources.identify import identify
from curate.sources.lists import IS_LIST, commoncrawl, listed
from curate.sources.stores import asked, is_web, local, local_path, opened, place_of, random_access, scheme_of

__all__ = ["Found", "discover", "local", "opened", "random_access", "resolve"]

NO_FORMAT = "unknown extension"
EMPTY = "empty"
NOT_READABLE = "not readable"
TWICE = "already in another input"

NOTHING = f"sha256:{hashlib.sha256().hexdigest()}"

NAMED = 20
"""Files that are named for each reason; the others are counted."""

TEXTS = (".txt", ".txt.gz")
"""Endings of lists of paths, and of texts too."""

_WILD = re.compile(r"[*?\[]")
_SHELL = re.compile(r"^~|\$\{?\w|\{[^{}]*,")
_SECRET = re.compile(r"token|sig|secret|pass|key|auth|cred|expires|date|x-(amz|goog)-|session|jwt|code$", re.IGNORECASE)


@dataclass
class Found:
    """The files of a source, and those that were found and not taken.

    files   sorted by path
    passed  {why: paths}
    given   paths of the files that were named one by one, not found in a folder or by a glob
    """

    files: list[File] = field(default_factory=list)
    passed: dict[str, list[str]] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)

    def leave(self, path: str, why: str) -> None:
        self.passed.setdefault(why, []).append(escaped(path))

    @property
    def not_taken(self) -> list[dict]:
        """[{"why", "files", "paths"}] by reason: how many, and the first of them."""
        return [
            {"why": why, "files": len(paths), "paths": sorted(paths)[:NAMED]}
            for why, paths in sorted(self.passed.items())
        ]


def resolve(
    inputs: list[str | dict], base: Path, work: Path, format: str | None = None, follow_links: bool = False
) -> Found:
    """The files of a source, sorted by path, with their digests.

    inputs        as in a manifest; relative paths start at `base`
    work          the work folder, which remembers digests
    format        what the files are; None: what their endings say
    follow_links  whether links in folders may lead out of them

    Raises CurateError where an input matches nothing, cannot be read or is not data (all such files in one error),
    Stopped where a server is busy.
    """
    found = discover(inputs, base, format, follow_links)
    files, found.files = found.files, []
    impostors = []
    for file, told in identify(files, work, format):
        given = file.path in found.given
        if told:
            impostors.append((file, told.what, told.fix))
        elif file.digest:
            found.files.append(file)
        elif file.size and given:
            raise CurateError("cannot read an input: Permission denied", file.shown, "check its name and permissions")
        elif file.size:
            found.leave(file.path, NOT_READABLE)
        elif not given:
            found.leave(file.path, EMPTY)
        elif _may_be_empty(format or format_of(file.path)) and not compression_of(file.path):
            found.files.append(replace(file, digest=NOTHING))  # no lines are lines too
        else:
            impostors.append((file, "empty", "fetch it again"))
    if impostors:
        files = [f"  {file.shown}: {what}" for file, what, _ in impostors]
        fixes = dict.fromkeys(fix for *_, fix in impostors)
        raise CurateError("inputs are not data:\n" + "\n".join(files), impostors[0][0].shown, "; ".join(fixes))
    if not found.files:
        raise CurateError(f"no file to read{_instead(found)}", ", ".join(map(_named, inputs)), _HINT)
    return found


def _may_be_empty(format: str | None) -> bool:
    return format is not None and find_format(format).may_be_empty


def discover(inputs: list[str | dict], base: Path, format: str | None = None, follow_links: bool = False) -> Found:
    """The files of a source, sorted by path, before they are looked into. Parameters and errors as of `resolve`."""
    found, by_path, names = Found(), {}, {}
    for item in inputs:
        try:
            for file in list(_expand(item, base, format, follow_links, found)):
                file = _apart(file, by_path)
                place = _place(file) if len(inputs) > 1 else file.url
                if names.setdefault(place, file.path) != file.path:
                    found.leave(file.path, TWICE)
                    continue
                other = by_path.setdefault(file.path, file)
                if other.url != file.url and _place(other) != place:
                    fix = "list them as one folder or glob, so that their paths differ, or as two sources"
                    raise CurateError(f"two inputs are named `{file.path}`", f"{other.shown} and {file.shown}", fix)
        except (OSError, ValueError) as error:  # ValueError: an address or a path that cannot be one
            what = getattr(error, "strerror", None) or str(error)
            raise CurateError(
                f"cannot read an input: {what}", _named(item), "check its name and permissions"
            ) from error
    found.files = sorted(by_path.values(), key=lambda file: file.path)
    if wrong := [file for file in found.files if not _is_utf8(file.path)]:
        names = "\n".join(f"  {file.shown}" for file in wrong)
        raise CurateError(f"file names are not UTF-8:\n{names}", fix="rename them, or exclude them with a glob")
    return found


def _named(item: str | dict) -> str:
    return shown(item) if isinstance(item, str) else ", ".join(f"{key}: {shown(str(item[key]))}" for key in item)


def _place(file: File) -> str:
    """What two inputs share where they are one file."""
    return file.url if is_remote(file.url) else os.path.realpath(file.url)


def _is_utf8(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _apart(file: File, others: dict[str, File]) -> File:
    """The file with a hash of its query before its path, where another one differs by the query alone.

    What signs an address, and when, is no part of the hash: it would tell a secret, and change with every signature.
    """
    other = others.get(file.path)
    if other is None or other.url == file.url or not is_web(file.url) or "?" not in file.url:
        return file
    query = sorted(pair for pair in parse_qsl(urlsplit(file.url).query) if not _SECRET.search(pair[0]))
    key = hashlib.blake2b(repr(query).encode("utf-8", "backslashreplace"), digest_size=4).hexdigest()
    return replace(file, path=f"{key}/{file.path}")


def _expand(item: str | dict, base: Path, format: str | None, follow: bool, found: Found) -> Iterator[File]:
    if isinstance(item, dict):
        kinds = {"commoncrawl": commoncrawl, "paths": listed}
        kind = next(iter(item), "")
        if kind not in kinds:
            raise CurateError(f"unknown kind of input `{kind}`", str(item), did_you_mean(kind, kinds))
        files = kinds[kind](item, base)
    elif _is_list(item, format):
        files = _listed(item, base)
    elif is_web(item):
        name = name_of(item)
        if not name:
            what = f"`{shown(item)}` is not a file, and a web server cannot be listed"
            raise CurateError(what, shown(item), "use a list of paths")
        files = [File(name, item)]
    elif scheme_of(item) in ("", "file"):
        yield from _local(str((base / local_path(item)).absolute()), item, format, follow, found)
        return
    else:
        yield from _in_store(item, format, found)
        return
    for file in files:
        found.given.add(file.path)
        yield file


def _is_list(item: str, format: str | None) -> bool:
    """Whether an input is a list of paths by its name: what is called `.txt` is one, if nobody says what it is."""
    name = item.partition("?")[0] if is_remote(item) else item
    if not IS_LIST.search(name) or re.search(r"[*\[]", name):
        return False
    return format is None or not name.endswith(TEXTS)


def _listed(item: str, base: Path) -> list[File]:
    """The files of a list. Raises CurateError, with what to do where a text is taken for a list."""
    try:
        return list(listed({"paths": item}, base))
    except CurateError as error:
        if item.endswith(TEXTS) and not is_remote(item):
            error.fix = "; ".join(filter(None, [error.fix, "if it is a document, set `format: text`"]))
            error.args = (error.what, error.where, error.fix)
        raise


# Folders and globs


Choice = Callable[[list[str]], list[bool]]
"""Which of some names are taken."""


def _chooser(path: str, is_folder: bool, format: str | None) -> tuple[str, Choice, int | None]:
    """Of a folder or glob: where it starts, which names it takes, and how deep they may lie, None for any depth."""
    if is_folder:
        return (
            path.rstrip("/") or "/",
            lambda names: [format is not None or _is_data(name) for name in names],
            None,
        )
    root = path[: _WILD.search(path).start()].rpartition("/")[0]
    pattern = path[len(root) + 1 :]
    return root or "/", lambda names: matching(pattern, names), None if "**" in pattern else pattern.count("/")


def _is_data(name: str) -> bool:
    """Whether a file of a folder is taken by its name alone."""
    found = format_of(name)
    return found is not None and find_format(found).in_folders


def matching(pattern: str, names: list[str]) -> list[bool]:
    """Whether each name matches a glob, in time that grows with their length: by RE2. Raises CurateError."""
    expression = rf"\A(?s:{translate(_text(pattern))})\z"
    try:
        return pc.match_substring_regex(pa.array(map(_text, names), pa.large_string()), expression).to_pylist()
    except pa.ArrowInvalid as error:
        fix = "close the `[`, write ranges in ascending order, and use `[[]` for a literal bracket"
        raise CurateError(f"invalid glob `{escaped(pattern)}`", escaped(pattern), fix) from error


def _text(name: str) -> str:
    """A name as text, with one character for each byte that is none."""
    return name.encode("utf-8", "replace").decode()


def _local(path: str, item: str, format: str | None, follow: bool, found: Found) -> Iterator[File]:
    """The files of a local path, folder or glob."""
    if os.path.isfile(path):
        name = os.path.basename(path)
        found.given.add(name)
        yield File(name, path, os.path.getsize(path))
        return
    is_folder = os.path.isdir(path)
    if not is_folder and os.path.lexists(path):
        what = "a broken link" if os.path.islink(path) else "not a regular file"
        raise CurateError(f"input `{escaped(item)}` is {what}", escaped(path), "use a file, a folder or a glob")
    if not is_folder and not _WILD.search(path):
        raise _nothing(path, item, Found())
    root, choose, depth = _chooser(path, is_folder, format)
    if not os.path.isdir(root):
        raise _nothing(path, item, Found())
    mine, dangling, chosen = Found(), [], []
    entries = list(walk(root, depth, follow, ("." if format is None or not is_folder else "._")))
    for entry, taken in zip(entries, choose([entry.name.rstrip("/") for entry in entries]), strict=True):
        if entry.why == DANGLING:
            dangling += [entry] if is_folder or taken else []
        elif entry.why and (is_folder or entry.why == OWN or (entry.why != HIDDEN and taken)):
            mine.leave(entry.name, entry.why)
        elif not entry.why and taken:
            chosen.append(entry)
        elif not entry.why and is_folder:
            mine.leave(entry.name, NO_FORMAT)
    if dangling:
        names = "\n".join(f"  {escaped(entry.path)} -> {_target(entry.path)}" for entry in dangling)
        raise CurateError(f"broken links:\n{names}", fix="fetch what they point to, or remove them")
    again = repeated(chosen)
    for entry in chosen:
        if entry.name in again:
            mine.leave(entry.name, TAKEN)
        else:
            mine.files.append(File(entry.name, entry.path))
    for why, paths in mine.passed.items():
        found.passed.setdefault(why, []).extend(paths)
    if not mine.files:
        raise _nothing(path, item, mine)
    yield from mine.files


def _target(link: str) -> str:
    try:
        return escaped(os.readlink(link))
    except OSError:
        return "?"


def _in_store(item: str, format: str | None, found: Found) -> Iterator[File]:
    """The files of an object store or the Hub: a path, a folder or a glob."""
    filesystem, path, address = place_of(item)
    info = asked(item, lambda: filesystem.get_file_info(path))
    if info.type == pafs.FileType.File:
        found.given.add(info.base_name)
        yield File(info.base_name, address(info.path), info.size)
        return
    is_folder = info.type == pafs.FileType.Directory
    mine = Found()
    if is_folder or _WILD.search(path):
        root, choose, _ = _chooser(path, is_folder, format)
        selector = pafs.FileSelector(root, allow_not_found=True, recursive=True)
        infos = asked(item, lambda: filesystem.get_file_info(selector))
        infos = {info.path[len(root) + 1 :]: info for info in infos if info.type == pafs.FileType.File}
        for (name, info), taken in zip(infos.items(), choose(list(infos)), strict=True):
            hidden = re.search(r"(^|/)[._]" if format and is_folder else r"(^|/)\.", name)
            if taken and not hidden:
                mine.files.append(File(name, address(info.path), info.size))
            elif is_folder:
                mine.leave(name, HIDDEN if hidden else NO_FORMAT)
    for why, paths in mine.passed.items():
        found.passed.setdefault(why, []).extend(paths)
    if not mine.files:
        raise CurateError(f"no file matches input `{shown(item)}`{_instead(mine)}", shown(item), _HINT)
    yield from mine.files


_HINT = "list other files, or set `format:`"


def _instead(found: Found) -> str:
    """What was found and not taken, for an error."""
    told = []
    for entry in found.not_taken:
        more = f" and {entry['files'] - 5:,} more" if entry["files"] > 5 else ""
        told.append(f"  not read, {entry['why']}: {', '.join(entry['paths'][:5])}{more}")
    return "".join(f"\n{line}" for line in told)


def _nothing(path: str, item: str, found: Found) -> CurateError:
    """The error for an input that matches nothing: it names what is nearest."""
    what = f"no file matches input `{escaped(item)}`{_instead(found)}"
    if found.passed:
        links = any("link" in why for why in found.passed)
        fix = "set `follow_links: true` to follow links out of a folder" if links else _HINT
        return CurateError(what, f"in {escaped(path)}", fix)
    folder, missing = Path(path), ""
    while not folder.is_dir() and folder != folder.parent:
        folder, missing = folder.parent, folder.name
    names = sorted(map(escaped, _names(folder)))
    if _SHELL.search(item):
        fix = "`~`, `$NAME` and `{a,b}` are not expanded: list the paths separately, one per item"
        return CurateError(what, f"in {escaped(str(folder))}", fix)
    fix = did_you_mean(escaped(missing), names[:20]) if names else "the folder is empty"
    if glob.has_magic(missing) and any((folder / name).is_dir() for name in glob.glob(missing, root_dir=folder)):
        fix = f"it matches folders only; for the files in them, write `{escaped(item)}/**`"
    return CurateError(what, f"in {escaped(str(folder))}", fix)


def _names(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def translate(pattern: str) -> str:
    """A glob as a regular expression: `**` crosses folders, `*` and `?` do not."""
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", pattern, re.DOTALL)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(token) or (_set(token) if len(token) > 1 else re.escape(token)) for token in tokens)


def _set(token: str) -> str:
    inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^/{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
