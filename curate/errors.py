"""Errors that say what is wrong, where, and how to fix it."""

import errno

from curate.redact import in_error


class CurateError(Exception):
    """A mistake in what was given to us: a manifest, an input, a setting.

    what   one sentence, no full stop.
    where  a file and line, a path in the manifest, an offset in an archive.
    fix    what the person can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, where: str = "", fix: str = ""):
        what, where, fix = map(in_error, map(str, (what, where, fix)))
        super().__init__(what, where, fix)  # all three, so that an error survives pickling
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f"  --> {self.where}")
        if self.fix:
            lines.append(f"fix: {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict:
        return {"what": self.what, "where": self.where, "fix": self.fix}


class ManifestError(CurateError):
    """All the mistakes of one manifest, in the order of its lines."""

    def __init__(self, problems: list[CurateError]):
        super().__init__(f"{len(problems)} mistakes in the manifest")
        self.problems = problems

    def __reduce__(self):
        return type(self), (self.problems,)

    def __str__(self) -> str:
        return "\n\n".join(str(problem) for problem in self.problems)

    def as_dict(self) -> dict:
        return {"problems": [problem.as_dict() for problem in self.problems]}


class Stopped(CurateError):
    """The run did not end, and running it again resumes where it stopped."""

    exit_code = 3


def refusal(error: OSError) -> CurateError | None:
    """What the machine refuses, as an error for people: a full disk, a file or folder that may not be used so."""
    where = str(error.filename or "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some space, or choose another folder with --work, and run the same command again"
        return Stopped("no space left on the disk", where, fix)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR):
        return CurateError(error.strerror, where, "name another place, or change what may be done there")
    return None


def did_you_mean(word: str, known) -> str:
    """A hint that names the nearest known word, or lists them all when none is near."""
    from difflib import get_close_matches

    known = sorted(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return "known: " + ", ".join(f"`{name}`" for name in known) if known else ""
