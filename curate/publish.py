"""A release -> the Hub, and back. The only file that imports `huggingface_hub`.

Publishing is a loop: look at what the Hub holds, send what differs in commits of bounded size (shards first;
card, lock and index last), look again. It ends when nothing differs, which is also the check of every file
against the lock, and only then is the version tagged. So an interrupted publish needs no state of its own:
run again, it sends what is missing. A commit whose answer was lost is found by the next look, not made twice.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import hf_raise_for_status

from curate.errors import CurateError, Stopped
from curate.lock import check_file, read_lock, release_digest
from curate.release.files import File, Unverified, read_release

SHARDS = ("data/", "evidence/", "tokens/")
MANAGED = (*SHARDS, "index/")  # folders in which files that the new version lacks are deleted

# https://huggingface.co/docs/hub/storage-limits; of the 128 commits an hour some are left to others
FILES_A_COMMIT, COMMITS = 100, 100
TRIES, LONGEST_WAIT = 6, 60.0  # attempts without progress; seconds

# What the client raises: for an answer or for none (the error of its HTTP library, httpx or httpx2), for none
# to Xet, around either of them, and for what it does not accept itself.
FAILURES = (HTTPError, ConnectionError, RuntimeError, ValueError)


class Event(NamedTuple):
    """What just happened. kind: verified, created, commit, retry, checked, tagged or unchanged."""

    kind: str
    text: str


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
    report: Callable[[Event], None] = lambda event: None,
) -> Published:
    """Bring a release folder to the dataset repository `repo` (default: the manifest's `publish.repo`, else the user's
    own, named as the release).

    The repository is made when it is missing, the branch too. With `pr` the files go to a pull request, and
    publishing again once it is merged sets the tag. A dry run only reads, and tells what it would send.

    Raises CurateError when the release, the token or the rights do not allow it or the version is tagged with
    other content; Unverified when files are not what the lock says; Stopped when the Hub went away: the same
    call then goes on from there. Nothing is tagged in any of these cases.
    """
    if pr and branch not in (None, "main"):
        raise CurateError("a pull request goes to main", f"branch {branch}", "leave out the one or the other")
    release = Path(release)
    lock, files = read_release(release)
    report(Event("verified", f"{len(files)} files are what the lock says"))
    tag, title, revision = f"v{lock['version']}", f"{lock['name']} {lock['version']}", branch or "main"

    with _Remote(endpoint, token, report).listening() as remote:
        wish = lock.get("publish") or {}
        private = private or wish.get("private", False)
        me = remote.open(repo or wish.get("repo") or lock["name"], read_only=dry_run)
        remote.check_card((release / "README.md").read_text("utf-8"))
        result = partial(Published, remote.repo, remote.url)
        if not remote.exists(private):
            if pr:
                fix = "publish without a pull request first"
                raise CurateError(f"there is no repository {remote.repo}", remote.url, fix)
            if dry_run:
                return result(revision, tag, None, _plan({}, files, release, title))
            remote.create(private)
        if (commit := remote.refs("tags").get(tag)) is not None:
            _same_version(remote, commit, files, release)
            report(Event("unchanged", f"{tag} is on the Hub as it is here"))
            return result(revision, tag, commit, [])

        branches = remote.refs("branches")
        start = revision if revision in branches else "main"
        planned = _plan(remote.files(branches[start]), files, release, title)
        pr = pr and bool(planned)  # when it is merged nothing is left but the tag
        if dry_run:
            return result(revision, None if pr else tag, branches[start], planned)
        if revision not in branches:
            remote.write(remote.api.create_branch, branch=revision, revision=start, exist_ok=True)
        if pr:
            revision = remote.pull_request(title, me)
        commit, sent = remote.send(revision, files, release, title)
        report(Event("checked", f"{len(files)} files on the Hub are what the lock says"))
        if pr:
            remote.propose(revision)
            return result(revision, None, commit, sent)
        remote.tag(tag, commit)
        return result(revision, tag, commit, sent)


def verify_published(address: str, *, endpoint: str | None = None, token: str | None = None) -> tuple[dict, list]:
    """The lock of a published release, and what is wrong with it: as `curate.lock.verify`, without its work folder.

    address  hf://datasets/ORG/NAME@vVERSION. Its files are fetched one after the other, hashed and let go, so that
             the largest alone needs room on this machine.

    Raises CurateError where there is no such release, or the Hub does not answer.
    """
    repo, version = _address(address)
    with _Remote(endpoint, token, lambda event: None).listening() as remote, TemporaryDirectory() as scratch:
        remote.repo, root = repo, Path(scratch)
        there = remote.files(version)
        remote.fetch("lock.json", version, root, there, address)
        lock, problems = read_lock(root), []
        for file in lock["files"]:
            if file["path"] in there:
                remote.fetch(file["path"], version, root, there, address)
            if problem := check_file(root, file):
                problems.append(CurateError(problem.what, f"{address}/{file['path']}", "publish the release again"))
            (root / file["path"]).unlink(missing_ok=True)
    listed, again = {file["path"] for file in lock["files"]}, "publish the release again"
    unknown = sorted(path for path in there if path.startswith(MANAGED) and path not in listed)
    problems += [CurateError("a file is not in the lock", f"{address}/{path}", again) for path in unknown]
    if release_digest(lock["files"]) != lock["digest"]:
        problems.append(CurateError("the digest is not that of the files", address, again))
    if f"v{lock['version']}" != version:
        what = f"the lock is that of version {lock['version']}"
        problems.append(CurateError(what, address, "name the tag of that version"))
    return lock, problems


def local_copy(address: str, *, endpoint: str | None = None, token: str | None = None) -> Path:
    """A folder with lock, shards and index of a published release, downloaded once and kept in the Hub's cache.

    address  hf://datasets/ORG/NAME@vVERSION. Raises CurateError where there is no such release.
    """
    repo, version = _address(address)
    with _Remote(endpoint, token, lambda event: None).listening() as remote:
        remote.repo = repo
        patterns = ["lock.json", "data/*", "index/*"]
        folder = remote.ask(remote.api.snapshot_download, revision=version, allow_patterns=patterns)
    return Path(folder)


def _address(address: str) -> tuple[str, str]:
    """Repository and tag of hf://datasets/ORG/NAME@vVERSION."""
    found = re.fullmatch(r"hf://datasets/([\w.-]+/[\w.-]+)@(v[^/]+)/?", address)
    if not found:
        fix = "write hf://datasets/ORG/NAME@vVERSION, such as hf://datasets/org/web@v1.0.0"
        raise CurateError("not the address of a published release", address, fix)
    return found[1], found[2]


def _same(file: File, remote, release: Path) -> bool:
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


def _same_version(remote: "_Remote", commit: str, files: list[File], release: Path) -> None:
    there = remote.files(commit)
    lock = next(file for file in files if file.path == "lock.json")
    if not _same(lock, there.get("lock.json"), release):
        raise CurateError(
            "this version is already tagged with other content",
            f"{remote.url} at {commit}",
            "raise `version:` in the manifest; a published version never changes",
        )
    listed = [file for file in files if file.path.startswith(MANAGED)]
    if wrong := [file.path for file in listed if not _same(file, there.get(file.path), release)]:
        raise Unverified(f"{len(wrong)} published files are not what the lock says: {', '.join(wrong[:5])}", remote.url)


class _Remote:
    """One dataset repository on the Hub, asked with patience."""

    def __init__(self, endpoint: str | None, token: str | None, report: Callable[[Event], None]):
        self.api = HfApi(endpoint=endpoint, token=token, library_name="curate")
        self.report, self.repo = report, ""
        self._secret = token or get_token()
        self._wrote = False

    @property
    def url(self) -> str:
        return f"{self.api.endpoint}/datasets/{self.repo}"

    @contextmanager
    def listening(self) -> Iterator["_Remote"]:
        """Pass on as events what the client says about its own retries, instead of to stderr."""
        logger = logging.getLogger("huggingface_hub.utils._http")
        handler, propagate = logging.Handler(logging.WARNING), logger.propagate
        handler.emit = lambda record: self._retry(re.sub(r"\?\S*", "", record.getMessage()))
        logger.addHandler(handler)
        logger.propagate = False
        try:
            yield self
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagate

    def _retry(self, text: str) -> None:
        self.report(Event("retry", self._clean(text)))

    def _clean(self, text: str) -> str:
        return text.replace(self._secret, "(token)") if self._secret else text

    # Patience

    def ask(self, function: Callable, **arguments):
        """Call the client on this repository, again while the Hub is busy or out of reach."""
        attempt = 0
        while True:
            try:
                return function(self.repo, repo_type="dataset", **arguments)
            except FAILURES as error:
                attempt += 1
                self.wait(error, attempt)

    def write(self, function: Callable, **arguments):
        """The same for what changes the repository: from here on a failure leaves something to resume."""
        self._wrote = True
        return self.ask(function, **arguments)

    def wait(self, error: Exception, attempt: int) -> None:
        """Wait after a failure that may pass; raise what it means when it cannot, or did not for long."""
        while isinstance(error, RuntimeError) and error.__cause__ is not None:
            error = error.__cause__  # the client wraps what happened to a file
        if isinstance(error, RuntimeError) or not isinstance(error, FAILURES):
            raise error
        status = _status(error)
        if isinstance(error, ValueError | OfflineModeIsEnabled) or (
            status and status not in (408, 412, 429) and status < 500
        ):
            raise self._refused(status, error) from None
        what = f"the Hub answers {status}" if status else f"no answer from the Hub ({error})"
        if attempt == TRIES:
            self._give_up(self._clean(what))
        seconds = _asked(error, status) or min(LONGEST_WAIT, 2.0 ** (attempt - 1))
        self._retry(f"{what}: again in {seconds:.0f} s, attempt {attempt + 1} of {TRIES}")
        sleep(seconds)

    def _give_up(self, what: str) -> None:
        if self._wrote:
            raise Stopped(what, self.url, "run the same command again: it goes on from where it stopped")
        raise CurateError(what, self.api.endpoint, "check the network and the address, then try again")

    def _refused(self, status: int | None, error: Exception) -> CurateError:
        where = self.url if self.repo else self.api.endpoint
        if status == 401:
            fix = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"
            return CurateError("the Hub does not accept the token", where, fix)
        if status == 403:
            fix = "use a token that may write there, ask for the right, or open a pull request (--pr)"
            return CurateError("the token has no right to do this", where, fix)
        said = getattr(error, "server_message", None) or str(error)
        return CurateError(f"the Hub refuses: {self._clean(said)}", where, "mend what it names, then try again")

    # Reading

    def open(self, name: str, read_only: bool) -> str:
        """Log in and choose the repository; the user's name."""
        try:
            me = self.ask(lambda repo, repo_type: self.api.whoami())
        except LocalTokenNotFoundError:
            raise self._refused(401, ValueError()) from None
        if not read_only and me.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise CurateError("the token may only read", self.api.endpoint, "use a token that may write")
        self.repo = name if "/" in name else f"{me['name']}/{name}"
        return me["name"]

    def check_card(self, text: str) -> None:
        """Ask the Hub what it thinks of the card, before anything is sent."""

        def validate(repo, repo_type):
            url, question = f"{self.api.endpoint}/api/validate-yaml", {"content": text, "repoType": repo_type}
            hf_raise_for_status(get_session().post(url, json=question))

        self.ask(validate)

    def exists(self, private: bool) -> bool:
        def look(repo, repo_type):
            try:
                return self.api.repo_info(repo, repo_type=repo_type)
            except RepositoryNotFoundError:
                return None

        info = self.ask(look)
        if info and private and not info.private:
            fix = "make it private in its settings, or publish without --private"
            raise CurateError("the repository is public", self.url, fix)
        return info is not None

    def refs(self, kind: str) -> dict[str, str]:
        """Name -> commit of all "branches" or "tags"."""
        return {ref.name: ref.target_commit for ref in getattr(self.ask(self.api.list_repo_refs), kind)}

    def files(self, revision: str) -> dict:
        """Path -> the Hub's description of every file."""

        def walk(repo, repo_type):
            tree = self.api.list_repo_tree(repo, recursive=True, revision=revision, repo_type=repo_type)
            return {item.path: item for item in tree if isinstance(item, RepoFile)}

        return self.ask(walk)

    def fetch(self, path: str, revision: str, root: Path, there: dict, address: str) -> None:
        """Download one file into a folder."""
        if path not in there:
            raise CurateError("this is not a release: it has no lock.json", address, "name a release that curate made")
        self.ask(self.api.hf_hub_download, filename=path, revision=revision, local_dir=root)

    # Writing

    def create(self, private: bool) -> None:
        self.write(self.api.create_repo, private=private, exist_ok=True)
        self.report(Event("created", self.url))

    def pull_request(self, title: str, author: str) -> str:
        """The ref of the open pull request of this title, made when there is none."""

        def find_or_make(repo, repo_type):
            for pull in self.api.get_repo_discussions(repo, repo_type=repo_type):
                mine = pull.is_pull_request and (pull.title, pull.author) == (title, author)
                if mine and pull.status in ("draft", "open"):
                    return pull
            return self.api.create_pull_request(repo, title, repo_type=repo_type)

        pull = self.write(find_or_make)
        self.report(Event("created", f"{self.url}/discussions/{pull.num}"))
        return f"refs/pr/{pull.num}"

    def propose(self, revision: str) -> None:
        """Turn a draft into an open pull request."""
        num = int(revision.rsplit("/", 1)[1])
        if self.ask(self.api.get_discussion_details, discussion_num=num).status == "draft":
            self.write(self.api.change_discussion_status, discussion_num=num, new_status="open")

    def send(self, revision: str, files: list[File], release: Path, title: str) -> tuple[str, list[Commit]]:
        """Commit until the Hub holds the release; the commit that does, and what was sent."""
        sent, made, attempt = [], None, 1
        while True:
            head = self.ask(self.api.repo_info, revision=revision).sha
            commits = _plan(self.files(head), files, release, title)
            if not commits:
                return head, sent
            if head == made:
                first = (commits[0].delete or [commits[0].files[0].path])[0]
                raise Unverified(f"the Hub holds other content than was sent, as in {first}", self.url)
            try:
                for commit in commits:
                    head = made = self._commit(commit, revision, head, release)
                    sent.append(commit)
                    attempt = 1
            except FAILURES as error:
                self.wait(error, attempt)
                attempt, made = attempt + 1, None

    def _commit(self, commit: Commit, revision: str, parent: str, release: Path) -> str:
        operations = [CommitOperationDelete(path) for path in commit.delete]
        operations += [CommitOperationAdd(file.path, release / file.path) for file in commit.files]
        self._wrote = True
        made = self.api.create_commit(
            self.repo,
            operations,
            commit_message=commit.title,
            revision=revision,
            parent_commit=parent,
            repo_type="dataset",
        )
        size = sum(file.bytes for file in commit.files)
        self.report(Event("commit", f"{commit.title} ({len(commit.files)} files, {size:,} bytes)"))
        return made.oid

    def tag(self, tag: str, commit: str) -> None:
        self.write(self.api.create_tag, tag=tag, revision=commit, exist_ok=True)
        if self.refs("tags").get(tag) != commit:
            fix = "find out who else publishes this version"
            raise CurateError(f"{tag} was set to another commit meanwhile", self.url, fix)
        self.report(Event("tagged", tag))


def _status(error: Exception) -> int | None:
    """The HTTP status in an error of the client; Xet's has it in its text alone."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code
    found = re.search(r"\((\d{3}) ", str(error)) if isinstance(error, ConnectionError) else None
    return int(found[1]) if found else None


def _asked(error: Exception, status: int | None) -> float | None:
    """The seconds that the Hub asks to wait, if it does."""
    headers = error.response.headers if isinstance(error, HfHubHTTPError) else {}
    asked = headers.get("Retry-After") or ""
    if status == 429 and not asked:  # RateLimit: "api";r=0;t=55
        asked = headers.get("RateLimit", "").rpartition("t=")[2]
    return float(asked) if asked.isdigit() else None
