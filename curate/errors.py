"""Errors that say what is wrong, where, and how to fix it; each has its exit code."""

import errno
import reprlib
from collections.abc import Iterable

from curate.base.redact import in_error


class CurateError(Exception):
    """A mistake in a manifest, an input, or a setting.

    what   one sentence, without a period.
    where  a file and line, a path in the manifest, or an offset in an archive.
    fix    what the user can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, where: str = "", fix: str = ""):
        what, where, fix = map(in_error, map(str, (what, where, fix)))
        super().__init__(what, where, fix)  # all three, so that an error survives pickling
        self.what, self.where, self.fix = what, where, fix

    @property
    def lines(self) -> list[str]:
        """The lines shown to people. A line feed in `where` comes from a file name, and is written as `\\n`."""
        where = self.where.replace("\n", r"\n")
        lines = [*f"error: {self.what}".split("\n"), where and f"  --> {where}", self.fix and f"fix: {self.fix}"]
        return [line for line in lines if line]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def as_dict(self) -> dict:
        return {"what": self.what, "where": self.where, "fix": self.fix}


class ManifestError(CurateError):
    """All mistakes in one manifest, in the order of its lines."""

    def __init__(self, problems: list[CurateError]):
        super().__init__(f"{len(problems)} mistakes in the manifest")
        self.problems = problems

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), (self.problems,)

    def __str__(self) -> str:
        return "\n\n".join(str(problem) for problem in self.problems)

    def as_dict(self) -> dict:
        return {"problems": [problem.as_dict() for problem in self.problems]}


class Stopped(CurateError):
    """The run did not finish; running it again resumes where it stopped."""

    exit_code = 3


def refusal(error: BaseException) -> CurateError | None:
    """What the machine, the network or a library refuses, as an error for people; None for what is our own bug.

    Code that knows the place raises a CurateError itself. This is for what comes from places that cannot know it.
    """
    if isinstance(error, CurateError):
        return error
    said = _first_line(error)
    if isinstance(error, OSError) and not _family(error):
        return _refused_by_machine(error)
    if isinstance(error, MemoryError):
        fix = "run with fewer --workers, or on a machine with more memory; running again resumes"
        return Stopped(f"out of memory{': ' + said if said else ''}", fix=fix)
    if isinstance(error, RecursionError):
        return CurateError("nested too deeply to be read", fix="check the input for deeply nested lists")
    if isinstance(error, UnicodeError):
        return CurateError(f"text in an unexpected encoding: {said}", fix="save it as UTF-8")
    family = _family(error)
    if family is None:
        return None
    kind, what, fix = family
    return kind(f"{what}: {said}" if said else what, fix=fix)


_AGAIN = "check the connection, and run the same command again: it resumes"
_NETWORK = (Stopped, "the network or a server failed", _AGAIN)
_PACKED = (CurateError, "cannot read compressed data", "fetch the file again, or remove it from the inputs")
_FAMILIES: dict[str, tuple[type[CurateError], str, str]] = {
    **dict.fromkeys(("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "aiohttp", "http"), _NETWORK),
    **dict.fromkeys(("botocore", "aiobotocore", "s3fs", "gcsfs", "adlfs", "huggingface_hub", "hf_xet"), _NETWORK),
    **dict.fromkeys(("ssl", "socket", "urllib", "distributed"), _NETWORK),
    **dict.fromkeys(("zlib", "lzma", "bz2", "zipfile", "tarfile", "zstandard", "compression"), _PACKED),
    "pyarrow": (CurateError, "Arrow cannot read or convert data", "check the input that was being read"),
    "duckdb": (CurateError, "DuckDB failed", "check the SQL and its input data"),
    "_duckdb": (CurateError, "DuckDB failed", "check the SQL and its input data"),
    "sqlite3": (Stopped, "a database in the work folder cannot be used", "delete its *.sqlite files, and run again"),
    "json": (CurateError, "not JSON", "check the file that was being read"),
    "yaml": (CurateError, "not YAML", "check the file that was being read"),
    "re": (CurateError, "invalid pattern", "check globs and patterns in the manifest"),
    "tokenizers": (CurateError, "the tokenizer failed", "try to load its tokenizer.json with the package `tokenizers`"),
    "pyo3_runtime": (CurateError, "a library failed", "check the tokenizer.json and the files that were being read"),
}
"""By the package that defines an exception or a class it is derived from: what it is to people."""


def _family(error: BaseException) -> tuple[type[CurateError], str, str] | None:
    for kind in type(error).__mro__:
        if kind.__module__ != "builtins":
            found = _FAMILIES.get(kind.__module__.partition(".")[0])
            if found:
                return found
    return None


def _refused_by_machine(error: OSError) -> CurateError:
    """A full disk, a lost connection, a file or folder that may not be used so."""
    where = str(error.filename or "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some space, or choose another folder with --work, and run the same command again"
        return Stopped("no space left on the disk", where, fix)
    if isinstance(error, ConnectionError | TimeoutError) or error.errno in _UNREACHABLE:
        return Stopped(f"the network or a server failed: {_first_line(error)}", where, _AGAIN)
    what = error.strerror or _first_line(error) or type(error).__name__
    if error.errno == errno.EIO:
        return Stopped(what, where, "check the disk, and run the same command again: it resumes")
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        return Stopped(
            what, where, "run with fewer --workers, or find out what else is using the machine, and run again"
        )
    return CurateError(what, where, "choose another path, or change its permissions")


_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or lists them all when none is near."""
    from difflib import get_close_matches

    known = sorted(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6) or [name for name in known if name.lower() == word.lower()]
    if near:
        return f"did you mean `{near[0]}`?"
    return "known: " + ", ".join(f"`{name}`" for name in known) if known else ""


def shown(value: object, width: int = 60) -> str:
    """A value as an error shows it, in at most `width` characters, however large or deep it is."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = width
    try:
        text = short.repr(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return "a number with thousands of digits"
    return text if len(text) <= width else text[: width - 3] + "..."
