"""The Hub of the tests answers the real `huggingface_hub` and `datasets` as the real one would."""

import json
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

REPO = "tester/web"
DATASET = {"repo_type": "dataset"}


@pytest.fixture(params=[False, True], ids=["lfs", "xet"])
def hub(request, tmp_path):
    with Hub(tmp_path, xet=request.param) as hub:
        yield hub


@pytest.fixture
def lfs_hub(tmp_path):
    with Hub(tmp_path, verify=True) as hub:
        yield hub


def client(hub, token=None):
    return HfApi(endpoint=hub.endpoint, token=hub.token if token is None else token)


def noise(size, seed=0):
    return np.random.default_rng(seed).bytes(size)


def digests(contents):
    return {path: sha256(content).hexdigest() for path, content in contents.items()}


def commit(api, contents, rev="main", **more):
    """One commit of {path: bytes}; None deletes."""
    operations = [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in contents.items()
    ]
    return api.create_commit(REPO, operations, commit_message="change", revision=rev, **DATASET, **more)


def files(hub, ref="refs/heads/main"):
    found = dict(hub.state()[REPO]["refs"][ref])
    del found[".gitattributes"]
    return found


CONTENTS = {
    "README.md": b"---\nlicense: mit\n---\n# Web\n",
    "data/train-0.parquet": noise(150_000),
    "data/train-1.parquet": noise(3_000, seed=1),
}


@pytest.fixture
def api(hub):
    """A client of a Hub that holds CONTENTS."""
    api = client(hub)
    api.create_repo(REPO, **DATASET)
    commit(api, CONTENTS)
    return api


def test_users_and_namespaces(lfs_hub):
    assert client(lfs_hub).whoami()["name"] == "tester"
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as wrong:
        client(lfs_hub, "hf_wrong").whoami()
    assert wrong.value.response.status_code == 401

    url = client(lfs_hub).create_repo("org/web", private=True, **DATASET)
    assert url == f"{lfs_hub.endpoint}/datasets/org/web"
    with pytest.raises(HfHubHTTPError) as again:
        client(lfs_hub).create_repo("org/web", **DATASET)
    assert again.value.response.status_code == 409
    client(lfs_hub).create_repo("org/web", exist_ok=True, **DATASET)
    with pytest.raises(HfHubHTTPError, match="403 Forbidden"):
        client(lfs_hub, lfs_hub.stranger_token).create_repo("org/other", **DATASET)

    client(lfs_hub).delete_repo("org/web", **DATASET)
    assert lfs_hub.state() == {}
    with pytest.raises(RepositoryNotFoundError):
        client(lfs_hub).delete_repo("org/web", **DATASET)


def test_a_folder_goes_up_once(hub, tmp_path):
    api = client(hub)
    api.create_repo(REPO, **DATASET)
    folder = tmp_path / "release"
    for path, content in CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    api.upload_folder(repo_id=REPO, folder_path=folder, **DATASET)
    assert files(hub) == digests(CONTENTS)
    assert len(hub.history(REPO)) == 2
    first, stored = list(hub.received), hub.stored
    assert len(first) == len(set(first))
    assert (stored > 150_000) == hub.xet

    api.upload_folder(repo_id=REPO, folder_path=folder, **DATASET)
    assert len(hub.history(REPO)) == 2
    assert (hub.received, hub.stored) == (first, stored)


def test_a_tree_tells_what_git_would(api, hub):
    tree = {item.path: item for item in api.list_repo_tree(REPO, recursive=True, **DATASET)}
    assert set(tree) == {".gitattributes", "data", *CONTENTS}
    shard = tree["data/train-0.parquet"]
    assert (shard.size, shard.lfs.sha256) == (150_000, sha256(CONTENTS["data/train-0.parquet"]).hexdigest())
    assert (shard.xet_hash is not None) == hub.xet
    command = ["git", "hash-object", "--stdin"]
    expected = subprocess.run(command, input=CONTENTS["README.md"], capture_output=True, check=True)
    assert tree["README.md"].blob_id == expected.stdout.decode().strip()
    assert tree["README.md"].lfs is None

    assert {i.path for i in api.list_repo_tree(REPO, **DATASET)} == {".gitattributes", "README.md", "data"}
    inside = [item.path for item in api.list_repo_tree(REPO, "data", **DATASET)]
    assert inside == ["data/train-0.parquet", "data/train-1.parquet"]
    some = api.get_paths_info(REPO, ["data", "README.md", "absent"], **DATASET)
    assert [item.path for item in some] == ["data", "README.md"]
    info = api.dataset_info(REPO, files_metadata=True)
    assert {item.rfilename: item.size for item in info.siblings}["data/train-0.parquet"] == 150_000


def test_a_long_tree_comes_in_pages(tmp_path):
    with Hub(tmp_path, page=4) as hub:
        api = client(hub)
        api.create_repo(REPO, **DATASET)
        contents = {f"a b/{i:02}.txt": b"%d" % i for i in range(10)}
        commit(api, contents)
        before = len(hub.requests)
        tree = [item.path for item in api.list_repo_tree(REPO, recursive=True, **DATASET)]
        assert tree == sorted([".gitattributes", "a b", *contents])
        assert len(hub.requests) - before == 3


def test_a_file_comes_back_whole_and_in_part(api, hub, tmp_path):
    for path, content in CONTENTS.items():
        got = api.hf_hub_download(REPO, path, cache_dir=tmp_path / "cache", **DATASET)
        assert Path(got).read_bytes() == content
    shard = CONTENTS["data/train-0.parquet"]
    url = hf_hub_url(REPO, "data/train-0.parquet", endpoint=hub.endpoint, **DATASET)
    about = get_hf_file_metadata(url, token=hub.token, endpoint=hub.endpoint)
    assert (about.etag, about.size) == (sha256(shard).hexdigest(), len(shard))
    assert about.commit_hash == api.dataset_info(REPO).sha
    assert (about.xet_file_data is not None) == hub.xet
    from huggingface_hub.utils import get_session

    for asked, expected in [
        ("bytes=10-19", shard[10:20]),
        ("bytes=149990-", shard[-10:]),
        ("bytes=-7", shard[-7:]),
    ]:
        answer = get_session().get(url, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, expected)
    assert get_session().get(url, headers={"Range": "bytes=150000-"}).status_code == 416


def test_what_is_missing_is_named(api, tmp_path):
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("tester/absent")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision="v9")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(REPO, "absent", cache_dir=tmp_path, **DATASET)
    with pytest.raises(EntryNotFoundError):
        commit(api, {"absent": None})
    with pytest.raises(HfHubHTTPError):
        list(api.list_repo_tree(REPO, "absent", **DATASET))


def test_a_commit_changes_and_deletes(api, hub):
    old = api.dataset_info(REPO).sha
    commit(api, {"README.md": b"---\nlicense: mit\n---\n", "data/train-1.parquet": None})
    after = {
        "README.md": b"---\nlicense: mit\n---\n",
        "data/train-0.parquet": CONTENTS["data/train-0.parquet"],
    }
    assert files(hub) == digests(after)
    assert api.list_repo_files(REPO, revision=old, **DATASET) == [".gitattributes", *sorted(CONTENTS)]
    commit(api, {"data/": None})
    assert set(files(hub)) == {"README.md"}


def test_a_stale_parent_is_refused(api, hub):
    old = api.dataset_info(REPO).sha
    commit(api, {"a.txt": b"a"}, parent_commit=old)
    with pytest.raises(HfHubHTTPError) as stale:
        commit(api, {"b.txt": b"b"}, parent_commit=old)
    assert stale.value.response.status_code == 412
    assert "b.txt" not in files(hub)


def test_tags_and_branches(api, hub):
    api.create_tag(REPO, tag="v1", **DATASET)
    api.create_branch(REPO, branch="next", **DATASET)
    commit(api, {"a.txt": b"a"}, rev="next")
    assert files(hub, "refs/tags/v1") == files(hub) == digests(CONTENTS)
    assert files(hub, "refs/heads/next") == digests(CONTENTS | {"a.txt": b"a"})
    for again in (
        lambda: api.create_tag(REPO, tag="v1", revision="next", **DATASET),
        lambda: api.create_branch(REPO, branch="next", **DATASET),
    ):
        with pytest.raises(HfHubHTTPError) as conflict:
            again()
        assert conflict.value.response.status_code == 409
    with pytest.raises(RevisionNotFoundError):
        commit(api, {"a.txt": b"a"}, rev="v1")
    refs = api.list_repo_refs(REPO, **DATASET)
    assert ([b.name for b in refs.branches], [t.name for t in refs.tags]) == (["main", "next"], ["v1"])
    api.delete_tag(REPO, tag="v1", **DATASET)
    api.delete_branch(REPO, branch="next", **DATASET)
    assert set(hub.state()[REPO]["refs"]) == {"refs/heads/main"}


def test_pull_requests(api, hub):
    made = commit(api, {"a.txt": b"a"}, create_pr=True)
    assert (made.pr_num, made.pr_revision) == (1, "refs/pr/1")
    assert files(hub) == digests(CONTENTS)
    assert files(hub, "refs/pr/1") == digests(CONTENTS | {"a.txt": b"a"})

    second = api.create_pull_request(REPO, title="More", **DATASET)
    commit(api, {"b.parquet": noise(500)}, rev=second.git_reference)
    api.change_discussion_status(REPO, second.num, "open", **DATASET)
    listed = list(api.get_repo_discussions(REPO, **DATASET))
    assert [(pull.num, pull.title, pull.status) for pull in listed] == [
        (1, "change", "draft"),
        (2, "More", "open"),
    ]
    api.merge_pull_request(REPO, second.num, **DATASET)
    assert files(hub) == digests(CONTENTS | {"b.parquet": noise(500)})
    assert hub.state()[REPO]["pulls"][1] == ("More", "merged")


def test_rights(api, hub):
    before = hub.state()
    for token, status in [("hf_wrong", 401), (hub.read_token, 403), (hub.stranger_token, 403), (False, 401)]:
        with pytest.raises(HfHubHTTPError) as refused:
            commit(client(hub, token), {"c.parquet": noise(99)})
        assert refused.value.response.status_code == status
    assert hub.state() == before
    # Whoever may read may propose.
    assert commit(client(hub, hub.stranger_token), {"c.txt": b"c"}, create_pr=True).pr_num == 1


def test_a_private_repository_exists_for_members_alone(lfs_hub, tmp_path):
    client(lfs_hub).create_repo(REPO, private=True, **DATASET)
    commit(client(lfs_hub), CONTENTS)
    for token in (lfs_hub.token, lfs_hub.read_token):
        assert client(lfs_hub, token).dataset_info(REPO).private
        path = client(lfs_hub, token).hf_hub_download(REPO, "README.md", cache_dir=tmp_path, **DATASET)
        assert Path(path).read_bytes() == CONTENTS["README.md"]
    for token in (lfs_hub.stranger_token, False):
        with pytest.raises(RepositoryNotFoundError):
            client(lfs_hub, token).dataset_info(REPO)


def test_a_refused_request_has_no_effect_and_a_lost_answer_has(lfs_hub):
    api = client(lfs_hub)
    api.create_repo(REPO, **DATASET)
    for how in ("reset", 429, 500, 503, 412):
        for after in (False, True):
            head = len(lfs_hub.history(REPO))
            lfs_hub.fail(at=2, how=how, after=after)  # preupload, then commit, which the client does not repeat
            with pytest.raises((HfHubHTTPError, OSError) if how != "reset" else Exception) as broken:
                commit(api, {"a.txt": f"{how} {after}".encode()})
            assert getattr(getattr(broken.value, "response", None), "status_code", "reset") == how
            assert len(lfs_hub.history(REPO)) == head + after
            assert lfs_hub.requests[-1].status == (0 if how == "reset" else how)


def test_a_broken_upload_is_repeated_by_the_client(lfs_hub):
    api = client(lfs_hub)
    api.create_repo(REPO, **DATASET)
    start = len(lfs_hub.requests)
    lfs_hub.fail(at=1, how=429, retry_after=7)  # preupload
    lfs_hub.fail(at=4, how="reset")  # the PUT of the shard
    commit(api, {"data/a.parquet": noise(2_000_000)})
    assert [request.status for request in lfs_hub.requests[start:]] == [429, 200, 200, 0, 200, 200, 200]
    assert len(lfs_hub.received) == 1
    assert lfs_hub.waits == [8.0, 1]  # seconds: what the Hub asked for and one more; the client's first wait


def test_a_hub_that_stays_away(lfs_hub):
    api = client(lfs_hub)
    lfs_hub.fail(at=2, times=float("inf"))
    api.create_repo(REPO, **DATASET)
    for _ in range(3):
        with pytest.raises(Exception, match=r"reset|disconnected"):
            api.dataset_info(REPO)
    lfs_hub.heal()
    assert api.dataset_info(REPO).id == REPO


UPLOAD = """
import sys
from huggingface_hub import HfApi
HfApi().upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[2], repo_type="dataset")
"""


def test_a_process_can_be_killed_at_a_request(lfs_hub, tmp_path):
    client(lfs_hub).create_repo(REPO, **DATASET)
    (tmp_path / "release").mkdir()
    (tmp_path / "release/a.parquet").write_bytes(noise(1000))
    command = [sys.executable, "-c", UPLOAD, REPO, str(tmp_path / "release")]
    child = subprocess.Popen(command, env=lfs_hub.env(), stderr=subprocess.PIPE)
    lfs_hub.fail(at=4, how=child.kill, after=True)  # preupload, batch, PUT, verify
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert (len(lfs_hub.received), len(lfs_hub.history(REPO))) == (1, 1)
    assert lfs_hub.run(UPLOAD, REPO, str(tmp_path / "release")).returncode == 0
    assert (len(lfs_hub.received), len(lfs_hub.history(REPO))) == (1, 2)


def test_xet_keeps_equal_chunks_once(tmp_path):
    with Hub(tmp_path, xet=True) as hub:
        api = client(hub)
        api.create_repo(REPO, **DATASET)
        commit(api, {"a.parquet": noise(2_000_000)})
        stored = hub.stored
        commit(api, {"b.parquet": noise(2_000_000) + noise(1000, seed=1)})
        assert 0 < hub.stored - stored < 500_000
        assert hub.content(files(hub)["b.parquet"]) == noise(2_000_000) + noise(1000, seed=1)


CARD = """---
license: mit
configs:
- config_name: phase1
  default: true
  data_files:
  - {split: train, path: data/phase1/train-*.parquet}
  - {split: validation, path: data/validation/*.parquet}
- config_name: phase2
  data_files:
  - {split: train, path: data/phase2/train-*.parquet}
---
"""

LOAD = """
import json, sys, datasets
for kwargs in json.loads(sys.argv[1]):
    print(json.dumps(datasets.load_dataset("tester/web", **kwargs)["text"][:]))
"""


def test_datasets_loads_configs_and_splits(hub):
    api = client(hub)
    api.create_repo(REPO, private=True, **DATASET)

    def shard(*texts):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"text": list(texts)}), sink)
        return sink.getvalue().to_pybytes()

    commit(
        api,
        {
            "README.md": CARD.encode(),
            "data/phase1/train-0.parquet": shard("a", "b"),
            "data/phase1/train-1.parquet": shard("c"),
            "data/phase2/train-0.parquet": shard("d"),
            "data/validation/0.parquet": shard("e"),
        },
    )
    api.create_tag(REPO, tag="v1", **DATASET)
    commit(api, {"data/phase2/train-0.parquet": shard("changed")})
    wanted = [
        {"split": "train"},
        {"split": "validation"},
        {"name": "phase2", "split": "train", "revision": "v1"},
        {"name": "phase2", "split": "train"},
    ]
    loaded = hub.run(LOAD, json.dumps(wanted))
    assert loaded.returncode == 0, loaded.stderr
    rows = [json.loads(line) for line in loaded.stdout.splitlines()]
    assert rows == [["a", "b", "c"], ["e"], ["d"], ["changed"]]
