"""A release goes to the Hub whole and once, and is tagged only when it is all there, whatever breaks."""

import re
from hashlib import sha256

import pytest
from hub import Hub
from huggingface_hub import CommitOperationAdd
from published import (  # noqa: F401
    CARD,
    DATASET,
    MAIN,
    REPO,
    TAG,
    client,
    digests,
    files,
    hub,
    lfs_hub,
    release,
    send,
    table,
    waits,
    write_release,
)

from curate.cli.render import published_lines
from curate.errors import CurateError
from curate.hub import client as hub_client
from curate.hub import publish as publishing
from curate.hub.publish import publish
from curate.release.files import Unverified


def test_a_release_goes_up_and_is_tagged(hub, release):
    done, kinds = send(hub, release)
    assert files(hub) == files(hub, TAG) == digests(release)
    assert hub.state()[REPO]["private"] is False
    assert kinds == ["verified", "created", "commit", "commit", "checked", "tagged"]
    assert (done.repo, done.tag, done.commit) == (REPO, "v1.0.0", hub.repos[REPO].refs[TAG])
    assert done.bytes == sum(path.stat().st_size for path in release.rglob("*") if path.is_file())
    shards, rest = done.commits
    assert all(file.path.startswith(("data/", "evidence/")) for file in shards.files)
    assert {"README.md", "lock.json", "index/signatures.parquet"} <= {file.path for file in rest.files}


def test_an_unchanged_release_makes_no_commit(hub, release):
    send(hub, release)
    state, history, received, stored = hub.state(), hub.history(REPO), list(hub.received), hub.stored
    start = len(hub.requests)
    done, kinds = send(hub, release)
    assert kinds == ["verified", "unchanged"]
    assert (done.commits, done.tag) == ([], "v1.0.0")
    assert (hub.state(), hub.history(REPO)) == (state, history)
    assert (hub.received, hub.stored) == (received, stored)
    asked = [request for request in hub.requests[start:] if request.path != "/api/validate-yaml"]
    assert all(request.method == "GET" for request in asked)


def test_the_next_version_sends_what_changed_and_deletes_what_went(hub, release, tmp_path):
    send(hub, release)
    client(hub).create_commit(
        REPO, [CommitOperationAdd("images/logo.svg", b"<svg/>")], commit_message="A logo", **DATASET
    )
    changed = {"data/phase1/train-1.parquet": None, "data/phase1/train-0.parquet": table(7)}
    after = write_release(tmp_path / "next", "1.1.0", **changed)
    sent = len(hub.received)
    done, _ = send(hub, after)
    assert files(hub, "refs/tags/v1.1.0") == digests(after) | {"images/logo.svg": files(hub)["images/logo.svg"]}
    assert files(hub, TAG) == digests(release)
    assert [[file.path for file in commit.files] for commit in done.commits] == [
        ["data/phase1/train-0.parquet"],
        ["lock.json", "manifest.yaml"],
    ]
    assert [commit.delete for commit in done.commits] == [[], ["data/phase1/train-1.parquet"]]
    assert len(hub.received) - sent == (2 if hub.xet else 3)
    # The first version, published again, does not bring its files back.
    assert send(hub, release)[1] == ["verified", "unchanged"]


def test_a_dry_run_tells_what_a_run_then_does(lfs_hub, release):
    planned, kinds = send(lfs_hub, release, dry_run=True)
    assert lfs_hub.state() == {}
    assert kinds == ["verified"]
    done, _ = send(lfs_hub, release)
    assert planned.commits == done.commits
    assert (planned.tag, planned.repo, planned.bytes) == (done.tag, done.repo, done.bytes)
    state = lfs_hub.state()
    planned, _ = send(lfs_hub, write_release(release, "2.0.0", **{"evidence/rejected.parquet": None}), dry_run=True)
    assert lfs_hub.state() == state
    assert [file.path for commit in planned.commits for file in commit.files] == [
        "lock.json",
        "manifest.yaml",
    ]
    assert planned.commits[-1].delete == ["evidence/rejected.parquet"]


def test_a_dry_run_needs_no_login(lfs_hub, release, monkeypatch):
    monkeypatch.setattr(hub_client, "get_token", lambda: None)
    planned, kinds = send(lfs_hub, release, token="", dry_run=True)
    assert (planned.repo, planned.tag, kinds) == (REPO, "v1.0.0", ["verified"])
    sent = {file.path: file.bytes for commit in planned.commits for file in commit.files}
    assert sent == {path: (release / path).stat().st_size for path in digests(release)}
    assert lfs_hub.requests == []
    said = "\n".join(published_lines(planned, dry_run=True))
    assert all(path in said for path in sent)
    assert f"would upload {len(sent)} files" in said
    assert publish(release, dry_run=True, endpoint=lfs_hub.endpoint).repo == "USER/web"


def test_a_dry_run_needs_no_network(release, waits):
    settings = {"repo": REPO, "dry_run": True, "endpoint": "http://127.0.0.1:9", "token": "hf_any"}
    planned = publish(release, **settings)
    assert len([file for commit in planned.commits for file in commit.files]) == len(digests(release))
    assert waits == []


@pytest.mark.parametrize("repo", ["tester/a--b", "a..b", "tester/a/b", "tester/.a", "tester/ü", "x" * 97])
def test_a_name_that_the_hub_does_not_take_is_refused_before_it_is_asked(lfs_hub, release, repo):
    with pytest.raises(CurateError, match="not a valid Hub repository"):
        send(lfs_hub, release, repo=repo)
    assert lfs_hub.requests == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("language: [zh-CN]", "must only contain lowercase characters"),
        ("language: [sql]", "ISO 639-1, 639-2 or 639-3"),
        ("size_categories: [few]", "size_categories"),
        ("license_name: My own", "license_name"),
        ("dataset_info: [{config_name: none}]", "unknown config"),
    ],
)
def test_the_hub_of_the_tests_has_the_rules_of_the_hub(lfs_hub, release, wrong, said):
    card = CARD.replace("license: mit\n", f"license: mit\n{wrong}\n")
    with pytest.raises(CurateError, match=re.escape(said)):
        send(lfs_hub, write_release(release, **{"README.md": card.encode()}))
    assert lfs_hub.state() == {}


def test_commits_are_of_bounded_size(lfs_hub, release, monkeypatch):
    monkeypatch.setattr(publishing, "FILES_A_COMMIT", 3)
    done, _ = send(lfs_hub, release)
    assert [len(commit.files) for commit in done.commits] == [3, 2, 4]  # a large index goes with the shards
    titles = ["initial commit", "web 1.0.0: shards, 1 of 2", "web 1.0.0: shards, 2 of 2", "web 1.0.0"]
    assert lfs_hub.history(REPO) == titles
    # However many files: the Hub takes 128 commits an hour.
    monkeypatch.setattr(publishing, "FILES_A_COMMIT", 1)
    monkeypatch.setattr(publishing, "COMMITS", 2)
    done, _ = send(lfs_hub, release, repo="tester/other")
    assert [len(commit.files) for commit in done.commits] == [3, 2, 4]


def test_private_branch_and_own_name(lfs_hub, release):
    done, _ = send(lfs_hub, release, repo=None, private=True, branch="next")
    assert (done.repo, done.revision) == (REPO, "next")
    assert lfs_hub.state()[REPO]["private"] is True
    assert files(lfs_hub, "refs/heads/next") == files(lfs_hub, TAG) == digests(release)
    assert files(lfs_hub) == {}


def test_a_public_repository_does_not_get_a_private_release(lfs_hub, release):
    client(lfs_hub).create_repo(REPO, **DATASET)
    with pytest.raises(CurateError, match="public"):
        send(lfs_hub, release, private=True)
    assert files(lfs_hub) == {}


def test_a_pull_request_is_tagged_once_it_is_merged(lfs_hub, release):
    client(lfs_hub).create_repo(REPO, **DATASET)
    done, _ = send(lfs_hub, release, pr=True)
    assert (done.revision, done.tag) == ("refs/pr/1", None)
    assert files(lfs_hub) == {}
    assert files(lfs_hub, "refs/pr/1") == digests(release)
    assert lfs_hub.state()[REPO]["pulls"] == [("web 1.0.0", "open")]
    send(lfs_hub, release, pr=True)  # the same pull request, nothing new
    assert (len(lfs_hub.state()[REPO]["pulls"]), TAG in lfs_hub.state()[REPO]["refs"]) == (1, False)
    client(lfs_hub).merge_pull_request(REPO, 1, **DATASET)
    done, _ = send(lfs_hub, release, pr=True)
    assert (done.tag, done.commits) == ("v1.0.0", [])
    assert files(lfs_hub, TAG) == digests(release)


def test_a_version_is_published_once(lfs_hub, release, tmp_path):
    send(lfs_hub, release)
    state = lfs_hub.state()
    other = write_release(tmp_path / "other", **{"data/phase1/train-0.parquet": table(9)})
    with pytest.raises(CurateError, match="already tagged with different content") as refused:
        send(lfs_hub, other)
    assert refused.value.exit_code == 2
    assert lfs_hub.state() == state


def test_a_token_without_the_right_changes_nothing(lfs_hub, release):
    client(lfs_hub).create_repo(REPO, **DATASET)
    state = lfs_hub.state()
    for token, said in [
        ("hf_wrong", "does not accept the token"),
        (lfs_hub.read_token, "read-only"),
        (lfs_hub.stranger_token, "lacks permission"),
    ]:
        with pytest.raises(CurateError, match=said) as refused:
            send(lfs_hub, release, token=token)
        assert refused.value.exit_code == 2
        assert token not in str(refused.value)
    with pytest.raises(CurateError, match="lacks permission"):
        send(lfs_hub, release, repo="nobody/web")
    assert lfs_hub.state() == state


def test_without_a_network_nothing_is_begun(release, tmp_path):
    with Hub(tmp_path) as hub:
        endpoint = hub.endpoint
    with pytest.raises(CurateError, match="no answer from the Hub") as refused:
        publish(release, repo=REPO, endpoint=endpoint, token="hf_secret")
    assert refused.value.exit_code == 2
    assert "network" in refused.value.fix


def test_offline_mode_is_said_at_once(lfs_hub, release, monkeypatch, waits):
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True)
    with pytest.raises(CurateError, match="HF_HUB_OFFLINE"):
        send(lfs_hub, release)
    assert waits == []


def test_without_a_token_the_fix_says_how_to_get_one(lfs_hub, release):
    code = """
import sys
from curate.hub.publish import publish
try:
    publish(sys.argv[1], repo="tester/web")
except Exception as error:
    print(type(error).__name__, error)
"""
    said = lfs_hub.run(code, str(release), token="")
    assert said.stdout.startswith("CurateError error: the Hub does not accept the token"), said.stderr
    assert "hf auth login" in said.stdout


def test_what_the_hub_does_not_accept_is_said_before_anything_is_sent(lfs_hub, release):
    with pytest.raises(CurateError, match="`tester/not a name` is not a valid Hub repository"):
        send(lfs_hub, release, repo="tester/not a name")
    with pytest.raises(CurateError, match="there is no repository"):
        send(lfs_hub, release, pr=True)
    with pytest.raises(CurateError, match="pull request always targets main"):
        send(lfs_hub, release, pr=True, branch="next")
    card = CARD.replace("mit", "my-own")
    with pytest.raises(CurateError, match='"license" must be one of'):
        send(lfs_hub, write_release(release, **{"README.md": card.encode()}))
    assert lfs_hub.state() == {}


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda r: write_release(r, license=None), CurateError, "no license"),
        (lambda r: (r / "lock.json").unlink(), CurateError, "no lock.json"),
        (lambda r: (r / "lock.json").write_text("{"), CurateError, "lock.json is not JSON"),
        (lambda r: (r / "lock.json").write_text('{"files": []}'), CurateError, "not a release lock"),
        (lambda r: (r / "README.md").write_text("# Web"), Unverified, "README.md .*5 bytes"),
        (lambda r: write_release(r, **{"README.md": b"# Web"}), CurateError, "lacks license, configs"),
        (lambda r: write_release(r, **{"README.md": b"---\n[\n---\n"}), CurateError, "not YAML"),
        (lambda r: (r / "data/phase1/train-0.parquet").unlink(), Unverified, "train-0.parquet .a file is missing"),
        (
            lambda r: (r / "data/phase1/train-0.parquet").write_bytes(table(8)),
            Unverified,
            "train-0.parquet .a file changed",
        ),
    ],
)
def test_what_may_not_be_published_is_not_sent(lfs_hub, release, spoil, error, said):
    spoil(release)
    with pytest.raises(error, match=said) as refused:
        send(lfs_hub, release)
    assert refused.value.fix
    assert refused.value.exit_code == (1 if error is Unverified else 2)
    assert lfs_hub.requests == []


def test_a_full_folder_is_refused(lfs_hub, release, monkeypatch):
    monkeypatch.setattr("curate.release.files.FOLDER_ENTRIES", 7)
    with pytest.raises(CurateError, match="7 entries in one folder"):
        send(lfs_hub, release)
    monkeypatch.setattr("curate.release.files.FOLDER_ENTRIES", 8)
    send(lfs_hub, release)


def test_a_published_file_that_differs_is_found(lfs_hub, release):
    send(lfs_hub, release)
    repo = lfs_hub.repos[REPO]
    tagged = repo.commits[repo.refs[TAG]]
    tagged["data/phase1/train-0.parquet"] = tagged["data/phase1/train-1.parquet"]
    with pytest.raises(Unverified, match=r"train-0\.parquet"):
        send(lfs_hub, release)


def test_others_may_commit_meanwhile(lfs_hub, release):
    send(lfs_hub, release, repo="tester/before")
    number = next(i for i, request in enumerate(lfs_hub.requests, 1) if "/preupload/" in request.path)

    def interfere():
        repo = lfs_hub.repos[REPO]
        repo.commit(MAIN, repo.commits[repo.refs[MAIN]] | {"x.txt": lfs_hub.keep(b"x")}, "Somebody else's")

    lfs_hub.fail(at=number, how=interfere)  # after the look, before the commit, which then has a stale parent
    send(lfs_hub, release)
    assert [r.status for r in lfs_hub.requests if f"{REPO}/commit/" in r.path] == [412, 200, 200]
    assert files(lfs_hub, TAG) == digests(release) | {"x.txt": sha256(b"x").hexdigest()}
    assert "Somebody else's" in lfs_hub.history(REPO)


def test_waits_are_the_hubs_or_grow(lfs_hub, release, waits):
    client(lfs_hub).create_repo(REPO, **DATASET)
    lfs_hub.fail(at=1, how=429, retry_after=17)
    lfs_hub.fail(at=2, how=503, times=3)
    done, kinds = send(lfs_hub, release)
    assert waits == [17.0, 2.0, 4.0, 8.0]
    assert kinds.count("retry") == 4
    assert done.tag == "v1.0.0"


def test_the_token_is_nowhere(lfs_hub, release):
    events = []
    lfs_hub.fail(at=3, how=503, times=2)
    token = lfs_hub.token
    done = publish(release, repo=REPO, endpoint=lfs_hub.endpoint, token=token, report=events.append)
    assert token not in repr((events, done))
    assert all(token.encode() not in path.read_bytes() for path in release.rglob("*") if path.is_file())


LOAD = """
import datasets
for split, revision in [("train", "v1.0.0"), ("validation", "v1.0.0"), ("train", "main")]:
    print(datasets.load_dataset("tester/web", "phase1", split=split, revision=revision).num_rows)
"""


def test_datasets_loads_a_published_version(hub, release, tmp_path):
    send(hub, release, private=True)
    send(hub, write_release(tmp_path / "next", "2.0.0", **{"data/phase1/train-1.parquet": None}))
    loaded = hub.run(LOAD)
    assert loaded.stdout.split() == ["40", "20", "20"], loaded.stderr
