"""Publishing that breaks at any request, and is run again."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hub import Hub
from published import DATASET, REPO, TAG, client, digests, files, lfs_hub, release, send, waits  # noqa: F401

from curate.errors import CurateError, Stopped
from curate.hub import publish as publishing

# Breaks at every request. The reference is a publish in four commits that nothing disturbs.


@pytest.fixture
def four_commits(monkeypatch):
    monkeypatch.setattr(publishing, "FILES_A_COMMIT", 2)


@contextmanager
def fresh_hub(folder, settings, xet=False):
    """A Hub on which such a publish can begin: a pull request needs a repository."""
    with Hub(folder, xet=xet) as hub:
        if settings.get("pr"):
            client(hub).create_repo(REPO, **DATASET)
            hub.requests.clear()
        yield hub


def undisturbed(folder, release, xet=False, **settings):
    """The requests of a publish, what it leaves on the Hub and in its Xet store."""
    with fresh_hub(folder / "undisturbed", settings, xet) as hub:
        send(hub, release, **settings)
        return list(hub.requests), hub.state(), hub.stored


def complete_if_tagged(hub, release):
    refs = hub.state().get(REPO, {"refs": {}})["refs"]
    assert TAG not in refs or files(hub, TAG) == digests(release)


@pytest.mark.parametrize(
    ("settings", "after"),
    [({}, False), ({}, True), ({"branch": "next", "private": True}, True), ({"pr": True}, True)],
    ids=["before", "after", "branch-after", "pull-request-after"],
)
def test_interrupted_at_any_request_and_run_again(tmp_path, release, four_commits, settings, after):
    requests, state, _ = undisturbed(tmp_path, release, **settings)
    reads = [request.method == "GET" or "validate-yaml" in request.path for request in requests]
    for n, request in enumerate(requests, 1):
        with fresh_hub(tmp_path / str(n), settings) as hub:
            hub.fail(at=n, after=after)
            hub.fail(at=n + 1, times=float("inf"))
            with pytest.raises(CurateError) as stopped:
                send(hub, release, **settings)
            # Once the Hub was asked to change something there may be something to go on from.
            assert all(reads[:n]) or isinstance(stopped.value, Stopped), f"{n}: {request}"
            complete_if_tagged(hub, release)
            hub.heal()
            send(hub, release, **settings)
            assert hub.state() == state, f"{n}: {request}"
            assert len(hub.received) == len(set(hub.received)), f"{n}: {request}"


def test_interrupted_with_xet_nothing_is_stored_twice(tmp_path, release, four_commits):
    requests, state, stored = undisturbed(tmp_path, release, xet=True)
    for n, request in enumerate(requests, 1):
        with Hub(tmp_path / str(n), xet=True) as hub:
            hub.fail(at=n, times=float("inf"))
            with pytest.raises(CurateError):
                send(hub, release)
            complete_if_tagged(hub, release)
            hub.heal()
            send(hub, release)
            assert (hub.state(), hub.stored) == (state, stored), f"{n}: {request}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("how", ["reset", 429, 500, 503, 412])
def test_a_short_break_at_any_request_is_overcome(tmp_path, release, four_commits, how, after):
    requests, state, _ = undisturbed(tmp_path, release)
    for n, request in enumerate(requests, 1):
        if how == 412 and "/lfs/" in request.path:
            continue  # only the Hub itself knows of parents
        with Hub(tmp_path / str(n)) as hub:
            hub.fail(at=n, how=how, after=after)
            _, kinds = send(hub, release)
            assert "retry" in kinds
            assert hub.state() == state, f"{n}: {request}"
            assert len(hub.history(REPO)) == 1 + 4  # the Hub's own first one
            # A PUT whose answer is lost is repeated by the client, before anyone can ask what arrived.
            repeated = after and request.method == "PUT"
            assert len(hub.received) - len(set(hub.received)) == repeated


PUBLISH = "import sys; from curate.hub.publish import publish; publish(sys.argv[1], repo='tester/web')"


def test_killed_at_a_commit_and_run_again(lfs_hub, tmp_path, release):
    requests, state, _ = undisturbed(tmp_path, release)
    number = next(i for i, request in enumerate(requests, 1) if "/commit/" in request.path)
    command = [sys.executable, "-c", PUBLISH, str(release)]
    child = subprocess.Popen(command, env=lfs_hub.env(), stderr=subprocess.PIPE)
    lfs_hub.fail(at=number, how=child.kill, after=True)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert TAG not in lfs_hub.state()[REPO]["refs"]
    again = lfs_hub.run(PUBLISH, str(release))
    assert again.returncode == 0, again.stderr
    assert lfs_hub.state() == state
    assert len(lfs_hub.received) == len(set(lfs_hub.received))
