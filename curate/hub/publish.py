"""`curate publish`: upload a release in commits that can be resumed, and check it there.

Publishing is a loop: look at what the Hub holds, send what differs in commits of bounded size (shards first;
card, lock and index last), look again. It ends when nothing differs, which is also the check of every file
against the lock, and only then is the version tagged. So an interrupted publish needs no state of its own:
run again, it sends what is missing. A commit whose answer was lost is found by the next look, not made twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from curate.base.retry import Trouble
from curate.errors import CurateError
from curate.hub.client import Event, Remote, address_of, check_repository, logged_in
from curate.release.fetched import published_at
from curate.release.files import File, Unverified, read_release
from curate.release.lock import PAGES, check_file, exposures, load_lock, release_digest
from curate.release.typed_lock import File as Listed
from curate.release.typed_lock import Lock, Publish

SHARDS = ("data/", "evidence/", "tokens/")
MANAGED = (*SHARDS, "index/")  # folders in which files that the new version lacks are deleted

# https://huggingface.co/docs/hub/storage-limits; of the 128 commits an hour some are left to others
FILES_A_COMMIT, COMMITS = 100, 100


class Commit(NamedTuple):
    """What one commit sends and deletes."""

    title: str
    files: list[File]
    delete: list[str]


@dataclass(frozen=True)
class Published:
    """Where a release is, and what was sent to get it there (or would be, in a dry run)."""

    repo: str
    url: str
    revision: str  # the branch, or refs/pr/N
    tag: str | None  # None while it is a pull request
    commit: str | None  # None when nothing was sent and nothing was there
    commits: list[Commit]

    @property
    def bytes(self) -> int:
        """Size of the files sent; what Xet finds on the Hub already is not sent again."""
        return sum(file.bytes for commit in self.commits for file in commit.files)

    def as_dict(self) -> dict:
        commits = [
            {"title": commit.title, "files": [file._asdict() for file in commit.files], "delete": commit.delete}
            for commit in self.commits
        ]
        named = ("repo", "url", "revision", "tag", "commit")
        return {name: getattr(self, name) for name in named} | {"bytes": self.bytes, "commits": commits}


def publish(
    release: Path,
    *,
    repo: str | None = None,
    private: bool = False,
    branch: str | None = None,
    pr: bool = False,
    dry_run: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
    report: Callable[[Event], None] | None = None,
) -> Published:
    """Upload a release folder to the dataset repository `repo` (default: the manifest's `publish.repo`, else the user's
    own, named as the release).

    The repository and the branch are created if they do not exist. With `pr`, the files go into a pull request, and
    publishing again after it is merged creates the tag. A dry run only reads, and reports what it would upload; without
    a login or a network it lists all files, although files already on the Hub would not be uploaded again.

    Raises CurateError if the release, the token or the permissions do not allow it, or the version is tagged with
    different content; Unverified if files do not match the lock; Stopped if the Hub became unreachable: the same call
    then resumes. Nothing is tagged in any of these cases.
    """
    if repo is not None:
        check_repository(repo)
    if pr and branch not in (None, "main"):
        raise CurateError("a pull request always targets main", f"branch {branch}", "use one or the other")
    release, report = Path(release), report or (lambda event: None)
    lock, files = read_release(release)
    report(Event("verified", f"{len(files)} files match the lock"))
    tag, title, revision = f"v{lock.version}", lock.title, branch or "main"
    wish = lock.publish or Publish(repo=None)
    repo, private = repo or wish.repo or lock.name or release.name, private or wish.private
    everything = _plan({}, files, release, title)
    if dry_run and not logged_in(token):
        return _unasked(repo, endpoint, revision, tag, everything)
    with Remote(endpoint, token, report, patient=not dry_run).listening() as remote:
        try:
            me = remote.open(repo, read_only=dry_run)
        except CurateError as error:
            if not dry_run:
                raise
            report(Event("unasked", f"{error.what}: all files are listed"))
            return _unasked(repo, endpoint, revision, tag, everything)
        remote.check_card((release / "README.md").read_text("utf-8"))
        result = partial(Published, remote.repo, remote.url)
        if not _exists(remote, private, pr, dry_run):
            return result(revision, tag, None, everything)
        if (commit := remote.refs("tags").get(tag)) is not None:
            _same_version(remote, commit, files, release)
            report(Event("unchanged", f"{tag} is already on the Hub, unchanged"))
            return result(revision, tag, commit, [])

        branches = remote.refs("branches")
        start = revision if revision in branches else "main"
        planned = _plan(remote.files(branches[start]), files, release, title)
        pr = pr and bool(planned)  # when it is merged nothing is left but the tag
        if dry_run:
            return result(revision, None if pr else tag, branches[start], planned)
        if revision not in branches:
            remote.branch(revision, start)
        if pr:
            revision = remote.pull_request(title, me)
        commit, sent = _send(remote, revision, files, release, title)
        report(Event("checked", f"{len(files)} files on the Hub match the lock"))
        if pr:
            remote.propose(revision)
            return result(revision, None, commit, sent)
        remote.tag(tag, commit)
        return result(revision, tag, commit, sent)


def _exists(remote: Remote, private: bool, pr: bool, dry_run: bool) -> bool:
    """Whether the repository is there, made where it may be. A pull request needs one that has been there before."""
    if remote.exists(private):
        return True
    if pr:
        fix = "publish without a pull request first"
        raise CurateError(f"there is no repository {remote.repo}", remote.url, fix)
    if not dry_run:
        remote.create(private)
    return not dry_run


def _unasked(repo: str, endpoint: str | None, revision: str, tag: str, commits: list[Commit]) -> Published:
    """What a dry run answers where the Hub was not asked: all the files."""
    name = repo if "/" in repo else f"USER/{repo}"
    return Published(name, address_of(name, endpoint), revision, tag, None, commits)


def verify_published(address: str, *, endpoint: str | None = None, token: str | None = None) -> tuple[Lock, list]:
    """The lock of a published release, and what is wrong with it: as `release.lock.verify`, without its work folder.

    address  hf://datasets/ORG/NAME@vVERSION. Its files are fetched one after the other, hashed and let go, so that
             the largest alone needs room on this machine.

    Raises CurateError where there is no such release, or the Hub does not answer.
    """
    repo, version = published_at(address)
    with Remote(endpoint, token, repo=repo).listening() as remote, TemporaryDirectory() as scratch:
        root = Path(scratch)
        there = remote.files(version)
        remote.fetch("lock.json", version, root, there, address)
        lock, problems = load_lock(root), []
        for file in lock.files:
            problem = _check_remote(remote, version, root, there, file, address)
            problems += [problem] if problem else []
        problems += [CurateError(found.what, f"{address}/{found.where}", found.fix) for found in exposures(root)]
    listed, again = {file.path for file in lock.files}, "publish the release again"
    unknown = sorted(path for path in there if path.startswith(MANAGED) and path not in listed)
    problems += [CurateError("a file is not in the lock", f"{address}/{path}", again) for path in unknown]
    if release_digest(lock.files) != lock.digest:
        problems.append(CurateError("the digest does not match the files", address, again))
    if f"v{lock.version}" != version:
        what = f"the lock belongs to version {lock.version}"
        problems.append(CurateError(what, address, "use the tag of that version"))
    return lock, problems


def _check_remote(
    remote: Remote, version: str, root: Path, there: dict, file: Listed, address: str
) -> CurateError | None:
    """Fetch a file that a lock names, hash it and let it go; what is wrong with it, if anything."""
    path = root / file.path
    if file.path in there:
        remote.fetch(file.path, version, root, there, address)
    problem = check_file(root, file)
    if path.is_file() and path.suffix not in PAGES:
        path.unlink()
    return problem and CurateError(problem.what, f"{address}/{file.path}", "publish the release again")


def _same(file: File, remote: Any, release: Path) -> bool:
    """Whether the Hub's file is this one: by sha256, or by git's blob id where it is not stored as LFS."""
    if remote is None or remote.size != file.bytes:
        return False
    if remote.lfs is not None:
        return remote.lfs.sha256 == file.sha256
    return remote.blob_id == sha1(b"blob %d\0" % file.bytes + (release / file.path).read_bytes()).hexdigest()


def _plan(there: dict, files: list[File], release: Path, title: str) -> list[Commit]:
    """The commits that turn the files `there` (path -> the Hub's description) into the release."""
    changed = [file for file in files if not _same(file, there.get(file.path), release)]
    last = [file for file in changed if not file.path.startswith(SHARDS)]
    early = SHARDS if len(last) <= FILES_A_COMMIT else MANAGED  # an index of many files goes with the shards
    shards = [file for file in changed if file.path.startswith(early)]
    last = [file for file in last if not file.path.startswith(early)]
    stale = sorted(set(there) - {file.path for file in files})
    stale = [path for path in stale if path.startswith(MANAGED)]
    size = max(FILES_A_COMMIT, -(-len(shards) // COMMITS))
    parts = [shards[i : i + size] for i in range(0, len(shards), size)]
    commits = [Commit(f"{title}: shards, {i} of {len(parts)}", part, []) for i, part in enumerate(parts, 1)]
    return [*commits, Commit(title, last, stale)] if last or stale else commits


def _same_version(remote: Remote, commit: str, files: list[File], release: Path) -> None:
    there = remote.files(commit)
    lock = next(file for file in files if file.path == "lock.json")
    if not _same(lock, there.get("lock.json"), release):
        raise CurateError(
            "this version is already tagged with different content",
            f"{remote.url} at {commit}",
            "bump `version:` in the manifest; a published version never changes",
        )
    listed = [file for file in files if file.path.startswith(MANAGED)]
    if wrong := [file.path for file in listed if not _same(file, there.get(file.path), release)]:
        raise Unverified(f"{len(wrong)} published files do not match the lock: {', '.join(wrong[:5])}", remote.url)


def _send(remote: Remote, revision: str, files: list[File], release: Path, title: str) -> tuple[str, list[Commit]]:
    """Commit until the Hub holds the release; the commit that does, and what was sent."""
    sent: list[Commit] = []

    def go_on() -> str:
        made, before = None, len(sent)
        while True:
            head = remote.head(revision)
            commits = _plan(remote.files(head), files, release, title)
            if not commits:
                return head
            if head == made:
                first = (commits[0].delete or [commits[0].files[0].path])[0]
                raise Unverified(f"the Hub has different content than was uploaded, for example {first}", remote.url)
            try:
                for commit in commits:
                    added = {file.path: release / file.path for file in commit.files}
                    head = made = remote.commit(commit.title, added, commit.delete, revision, head)
                    sent.append(commit)
            except Trouble as trouble:
                trouble.progress = len(sent) > before
                raise

    return remote.patiently(go_on), sent
