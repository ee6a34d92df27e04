"""A published release is checked, and used by a later one, without its work folder."""

import json
import subprocess
import sys
from hashlib import sha256

import pyarrow.parquet as pq
import pytest
from hub import Hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from releases import one_source, release, released_rows, rows, write_jsonl, write_manifest

from curate.errors import CurateError
from curate.hub.publish import publish, verify_published
from curate.release.typed_lock import as_json

REPO = "tester/one"
ADDRESS = f"hf://datasets/{REPO}@v1.0.0"
STAGES = [{"near_dedup": {"threshold": 0.8}}]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return release(
        one_source(folder, rows(1, 30), [], license="mit", stages=STAGES, shards={"size": "4KB"}), folder / "work"
    ).path


@pytest.fixture
def hub(tmp_path, made):
    with Hub(tmp_path) as hub:
        publish(made, repo=REPO, endpoint=hub.endpoint, token=hub.token)
        yield hub


def check(hub, address=ADDRESS):
    lock, problems = verify_published(address, endpoint=hub.endpoint, token=hub.token)
    return lock, {problem.where.removeprefix(f"{address}/"): problem.what for problem in problems}


def curate(hub, *arguments):
    command = [sys.executable, "-m", "curate", *map(str, arguments)]
    return subprocess.run(command, env=hub.env(), capture_output=True, text=True, timeout=120)


def change(hub, *operations):
    """Change what the tag holds, as nobody should."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    head = api.create_commit(REPO, list(operations), commit_message="x", repo_type="dataset").oid
    hub.repos[REPO].refs["refs/tags/v1.0.0"] = head


def test_what_was_published_holds(hub, made):
    lock, problems = check(hub)
    assert problems == {}
    assert as_json(lock) == json.loads((made / "lock.json").read_text())
    done = curate(hub, "verify", ADDRESS)
    assert (done.returncode, lock.digest in done.stdout) == (0, True), done.stderr


def test_a_published_release_is_reported_compared_and_verified_as_a_folder_is(hub, made, tmp_path):
    since = ["--compare", made, "--work", tmp_path]
    for local, published in [
        (["report", made], ["report", ADDRESS]),
        (["report", made, *since], ["report", ADDRESS, *since]),
        (["diff", made, made], ["diff", ADDRESS, made]),
        (["diff", made, made], ["diff", made, ADDRESS]),
    ]:
        done, expected = curate(hub, *published, "--json"), curate(hub, *local, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, json.loads(expected.stdout)), done.stderr
    program = f"import curate; opened = curate.open_release({ADDRESS!r}); print(opened.verify(), opened.digest)"
    done = subprocess.run([sys.executable, "-c", program], env=hub.env(), capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["[]", json.loads((made / "lock.json").read_text())["digest"]], done.stderr


def test_what_changed_is_named(hub, made):
    shards = sorted(path.relative_to(made).as_posix() for path in (made / "data").iterdir())
    other = (made / shards[1]).read_bytes()
    change(
        hub,
        CommitOperationAdd(shards[0], other),
        CommitOperationDelete(shards[2]),
        CommitOperationAdd("data/more.parquet", other),
        CommitOperationAdd("notes.txt", b"beside the release"),
    )
    _, problems = check(hub)
    assert problems.keys() == {shards[0], shards[2], "data/more.parquet"}
    assert "changed after the lock" in problems[shards[0]]
    assert problems[shards[2]] == "a file is missing"
    done = curate(hub, "verify", ADDRESS, "--json")
    assert (done.returncode, len(json.loads(done.stdout)["problems"])) == (1, 3)


def test_what_is_not_there_is_said(hub):
    for address, said in [
        ("hf://datasets/tester/one", "not the address"),
        ("hf://datasets/tester/one@v9.9.9", "refuses"),
        ("hf://datasets/tester/none@v1.0.0", "refuses"),
    ]:
        with pytest.raises(CurateError, match=said):
            check(hub, address)
    change(hub, CommitOperationDelete("lock.json"))
    with pytest.raises(CurateError, match=r"no lock\.json"):
        check(hub)


def test_a_manifest_is_compared_with_a_published_release(hub, made, tmp_path):
    write_jsonl(tmp_path / "in.jsonl", rows(1, 30) + rows(7, 5))
    source = {"inputs": ["in.jsonl"]}
    document = {"name": "two", "version": "1.0.0", "license": "mit", "sources": {"new": source}, "stages": STAGES}
    document["against"] = [ADDRESS]
    manifest = write_manifest(tmp_path / "manifest.yaml", document)
    done = curate(hub, "run", manifest, "--work", tmp_path / "work", "--workers", 0)
    assert done.returncode == 0, done.stderr
    texts = {row["text"] for row in released_rows(made)}
    left = {row["text"] for row in released_rows(tmp_path / "work/releases/two/1.0.0")}
    assert left == {row["text"] for row in rows(7, 5)} - texts
    assert left


def test_a_published_release_is_a_source(hub, made, tmp_path):
    source = {"inputs": [f"{ADDRESS}/data/*.parquet"], "layout": "curate"}
    document = {"name": "two", "version": "1.0.0", "license": "mit", "sources": {"old": source}}
    manifest = write_manifest(tmp_path / "manifest.yaml", document)
    done = curate(hub, "run", manifest, "--work", tmp_path / "work", "--workers", 0)
    assert done.returncode == 0, done.stderr
    expected = {row["id"]: row["text"] for row in released_rows(made)}
    found = released_rows(tmp_path / "work/releases/two/1.0.0")
    assert {json.loads(row["meta"])["id"]: row["text"] for row in found} == expected
    shards = (made / "data").iterdir()
    assert sum(pq.read_metadata(shard).num_rows for shard in shards) == len(found)


@pytest.mark.parametrize(
    "path", ["ABSOLUTE", "../../../../../../../../ABSOLUTE", "data", ".", "a\\..\\b", "C:/x", "lock.json/../x", ""]
)
def test_a_path_that_a_lock_names_is_never_touched_outside(hub, made, tmp_path, path):
    mine = tmp_path / "mine.txt"
    mine.write_text("my only copy")
    lock = json.loads((made / "lock.json").read_text())
    named = path.replace("ABSOLUTE", str(mine)).replace("..//", "../")
    lock["files"].append({"path": named, "bytes": 1, "sha256": "0" * 64})
    change(hub, CommitOperationAdd("lock.json", json.dumps(lock).encode()))
    try:
        _, problems = check(hub)
    except CurateError as error:
        assert error.exit_code == 2
    else:
        assert problems
    assert mine.read_text() == "my only copy"


def test_a_release_that_someone_published_with_a_secret_says_so(hub, made):
    card = (made / "README.md").read_bytes() + b"\nhf_" + b"a" * 34 + b"\n"
    lock = json.loads((made / "lock.json").read_text())
    entry = next(file for file in lock["files"] if file["path"] == "README.md")
    entry |= {"bytes": len(card), "sha256": sha256(card).hexdigest()}
    change(hub, CommitOperationAdd("README.md", card), CommitOperationAdd("lock.json", json.dumps(lock).encode()))
    _, problems = check(hub)
    assert list(problems.values()) == ["a Hugging Face token (hf_aaa…) would be published"]
