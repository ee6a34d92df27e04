"""The repositories of the Hub of the tests: revisions as snapshots, and the files in them. See hub.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from typing import NamedTuple


class Answer(NamedTuple):
    body: object = b""
    status: int = 200
    headers: dict = {}  # noqa: RUF012


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer = Answer({"error": message}, status, headers)


class Entry(NamedTuple):
    """A file of a revision. `oid` is git's: of the content, or of the pointer when it is stored as LFS."""

    sha256: str
    size: int
    oid: str
    lfs: bool


@dataclass
class Repo:
    id: str
    private: bool
    commits: dict[str, dict[str, Entry]] = field(default_factory=dict)
    titles: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # commit -> parent, title
    refs: dict[str, str] = field(default_factory=dict)
    pulls: list[dict] = field(default_factory=list)

    def commit(self, ref: str, files: dict[str, Entry], title: str) -> str:
        parent = self.refs.get(ref)
        oid = sha1(repr((parent, title, sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[oid], self.titles[oid], self.refs[ref] = files, (parent, title), oid
        return oid

    def ref(self, rev: str) -> str | None:
        names = (rev, f"refs/heads/{rev}", f"refs/tags/{rev}")
        return next((name for name in names if name in self.refs), None)

    def resolve(self, rev: str) -> str:
        ref = self.ref(rev)
        found = [self.refs[ref]] if ref else [oid for oid in self.commits if rev == oid[: max(7, len(rev))]]
        if not found:
            raise Refused(404, f"Invalid rev id: {rev}", "RevisionNotFound")
        return found[0]


def git_oid(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry_of(digest: str, size: int, content: bytes | None = None) -> Entry:
    """The entry of a file that came with its content, or of one that is stored as LFS."""
    if content is not None:
        return Entry(digest, size, git_oid(content), False)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
    return Entry(digest, size, git_oid(pointer.encode()), True)
