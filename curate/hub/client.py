"""One dataset repository on the Hub; waits for busy servers.

The only file that imports `huggingface_hub`.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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

from curate.base.names import checked_repository, repository_mistake
from curate.base.redact import in_error
from curate.base.retry import T, Trouble, retried
from curate.errors import CurateError, Stopped

TRIES = 6  # without progress

# What the client raises: for an answer or for none (the error of its HTTP library, httpx or httpx2), for none
# to Xet, around either of them, and for what it does not accept itself.
FAILURES = (HTTPError, ConnectionError, RuntimeError, ValueError)


class Event(NamedTuple):
    """What just happened. kind: verified, created, commit, retry, checked, tagged, unchanged or unasked."""

    kind: str
    text: str


class Remote:
    """One dataset repository on the Hub, asked with patience."""

    def __init__(
        self,
        endpoint: str | None,
        token: str | None,
        report: Callable[[Event], None] = lambda event: None,
        repo: str = "",
        patient: bool = True,
    ):
        self.api = HfApi(endpoint=endpoint, token=token, library_name="curate")
        self.report, self.repo = report, repo
        self._secret = token or get_token()
        self._wrote, self._tries = False, TRIES if patient else 1

    @property
    def url(self) -> str:
        return f"{self.api.endpoint}/datasets/{self.repo}"

    @contextmanager
    def listening(self) -> Iterator["Remote"]:
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
        return in_error(text.replace(self._secret, "(token)") if self._secret else text)

    # Patience

    def patiently(self, work: Callable[[], T]) -> T:
        """What `work` returns, called again where it raises Trouble."""
        return retried(work, self._wait, lambda trouble: trouble.final, tries=self._tries)

    def ask(self, function: Callable, **arguments):
        """Call the client on this repository, again while the Hub is busy or out of reach."""
        return self.patiently(lambda: self._try(function, **arguments))

    def _try(self, function: Callable, **arguments):
        """One call. Raises Trouble for a failure that may pass, what it means for one that does not."""
        try:
            return function(self.repo, repo_type="dataset", **arguments)
        except FAILURES as error:
            raise self._meaning(error) from None

    def write(self, function: Callable, **arguments):
        """The same for what changes the repository: from here on a failure leaves something to resume."""
        self._wrote = True
        return self.ask(function, **arguments)

    def _wait(self, trouble: Trouble, pause: float, tried: int) -> None:
        self._retry(f"{trouble.said}: retrying in {pause:.0f} s, attempt {tried + 1} of {TRIES}")
        sleep(pause)

    def _meaning(self, error: Exception) -> Exception:
        """What a failure means: Trouble where it may pass."""
        while isinstance(error, RuntimeError) and error.__cause__ is not None:
            error = error.__cause__  # the client wraps what happened to a file
        if isinstance(error, RuntimeError) or not isinstance(error, FAILURES):
            return error
        status = _status(error)
        if isinstance(error, ValueError | OfflineModeIsEnabled) or (
            status and status not in (408, 412, 429) and status < 500
        ):
            return self._refused(status, error)
        what = self._clean(f"the Hub answers {status}" if status else f"no answer from the Hub ({error})")
        return Trouble(what, _asked(error, status), final=self._given_up(what))

    def _given_up(self, what: str) -> CurateError:
        if self._wrote:
            return Stopped(what, self.url, "run the same command again: it resumes where it stopped")
        return CurateError(what, self.api.endpoint, "check the network and the address, then try again")

    def _refused(self, status: int | None, error: Exception) -> CurateError:
        where = self.url if self.repo else self.api.endpoint
        if status == 401:
            fix = "log in with `hf auth login`, or set HF_TOKEN to a token with write access"
            return CurateError("the Hub does not accept the token", where, fix)
        if status == 403:
            fix = "use a token with write access, ask for access, or open a pull request (--pr)"
            return CurateError("the token lacks permission to do this", where, fix)
        said = getattr(error, "server_message", None) or str(error)
        return CurateError(f"the Hub refuses: {self._clean(said)}", where, "correct the problem, then try again")

    # Reading

    def open(self, name: str, read_only: bool) -> str:
        """Log in and choose the repository; the user's name."""
        try:
            me = self.ask(lambda repo, repo_type: self.api.whoami())
        except LocalTokenNotFoundError:
            raise self._refused(401, ValueError()) from None
        if not read_only and me.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise CurateError("the token is read-only", self.api.endpoint, "use a token with write access")
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
            raise CurateError("not a release: no lock.json", address, "use a release made by curate")
        got = Path(self.ask(self.api.hf_hub_download, filename=path, revision=revision, local_dir=root))
        if not got.resolve().is_relative_to(root.resolve()):
            raise CurateError(
                "a file path in the repository points outside its folder",
                f"{address}/{path}",
                "do not use this repository",
            )

    def snapshot(self, revision: str, patterns: list[str]) -> Path:
        """Files by their patterns, downloaded once and kept in the Hub's cache."""
        return Path(self.ask(self.api.snapshot_download, revision=revision, allow_patterns=patterns))

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

    def commit(self, title: str, files: dict[str, Path], delete: list[str], revision: str, parent: str) -> str:
        """One attempt to commit files by their path there, and to delete others; the commit. Raises Trouble."""
        operations = [CommitOperationDelete(path) for path in delete]
        operations += [CommitOperationAdd(path, file) for path, file in files.items()]
        self._wrote = True
        settings = {"commit_message": title, "revision": revision, "parent_commit": parent}
        made = self._try(self.api.create_commit, operations=operations, **settings)
        size = sum(file.stat().st_size for file in files.values())
        self.report(Event("commit", f"{title} ({len(files)} files, {size:,} bytes)"))
        return made.oid

    def branch(self, name: str, start: str) -> None:
        self.write(self.api.create_branch, branch=name, revision=start, exist_ok=True)

    def head(self, revision: str) -> str:
        """The newest commit of a branch or pull request."""
        return self.ask(self.api.repo_info, revision=revision).sha

    def tag(self, tag: str, commit: str) -> None:
        self.write(self.api.create_tag, tag=tag, revision=commit, exist_ok=True)
        if self.refs("tags").get(tag) != commit:
            fix = "check who else is publishing this version"
            raise CurateError(f"{tag} was moved to another commit in the meantime", self.url, fix)
        self.report(Event("tagged", tag))


def logged_in(token: str | None) -> bool:
    """Whether there is a token to ask the Hub with."""
    return bool(token or get_token())


def address_of(repo: str, endpoint: str | None) -> str:
    """Where a dataset repository is."""
    return f"{HfApi(endpoint=endpoint).endpoint}/datasets/{repo}"


def check_repository(repo: str) -> None:
    """Raise CurateError for a name, NAME or ORG/NAME, that the Hub does not take."""
    try:
        mistake = repository_mistake(repo) if "/" not in repo else ""
        if not mistake:
            checked_repository(repo if "/" in repo else f"user/{repo}")
    except ValueError as error:
        mistake = str(error)
    if mistake:
        raise CurateError(f"`{repo}` is not a valid Hub repository: {mistake}", "--repo", "choose another name")


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
    return float(asked) if asked.isdigit() and int(asked) else None
