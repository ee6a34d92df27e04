"""Two releases are compared by what they are made of and by what they hold."""

import json
import shutil
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from releases import CORPUS, curate, release, released_rows, rows, write_jsonl

from curate.release.diff import diff
from curate.release.takedown import remove


def again(corpus, work, version, **changes):
    document = yaml.safe_load(corpus.read_text()) | {"version": version} | changes
    corpus.write_text(yaml.safe_dump(document, sort_keys=False))
    return release(corpus, work).path


def ids(path):
    return {row["id"] for row in released_rows(path)}


@pytest.fixture
def made(corpus, tmp_path):
    return release(corpus, tmp_path / "work").path


def test_a_release_is_itself(made):
    found = diff(made, made)
    assert (found["same"], found["bump"], found["manifest"]) == (True, None, [])
    assert found["documents"]["shared"] == len(ids(made))
    assert found["shards"]["shared"] == found["shards"]["new"]
    assert curate("diff", made, made).returncode == 0


def test_more_input_is_a_minor_version(corpus, made, tmp_path):
    write_jsonl(tmp_path / "corpus/in/old/c.jsonl", rows(9, 30))
    new = again(corpus, tmp_path / "work", "1.1.0")
    found = diff(made, new)
    assert found["inputs"] == {"old": {"added": ["c.jsonl"], "removed": [], "changed": []}}
    assert found["documents"]["added"] == len(ids(new) - ids(made)) > 0
    assert found["documents"]["removed"] == len(ids(made) - ids(new))
    assert found["documents"]["shared"] == len(ids(made) & ids(new))
    assert found["documents"]["added_ids"] == sorted(ids(new) - ids(made))[:5]
    assert {"source": "old", "stage": "read", "in": [120, 150], "kept": [120, 150]} in found["stages"]
    assert all(stage["source"] == "old" for stage in found["stages"] if stage["stage"] == "read")
    assert found["bump"] == "minor"


def test_another_threshold_says_what_it_did(corpus, made, tmp_path):
    stages = [{"length": {"min_words": 40}}, *CORPUS["stages"][1:]]
    new = again(corpus, tmp_path / "work", "1.1.0", stages=stages)
    done = curate("diff", made, new, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert [line[1:] for line in found["manifest"] if "min_words" in line and line[0] in "-+"] == [
        "    min_words: 5",
        "    min_words: 40",
    ]
    assert found["documents"]["removed"] == len(ids(made) - ids(new)) > 0
    assert found["inputs"] == {}
    assert "-    min_words: 5" in curate("diff", made, new).stdout


def test_a_removal_is_a_patch(made, tmp_path):
    victim = released_rows(made)[0]["id"]
    (tmp_path / "asked.txt").write_text(victim)
    found = diff(made, remove(made, ids=tmp_path / "asked.txt").path)
    assert found["documents"] | {"shared": 0} == {
        "added": 0,
        "removed": 1,
        "shared": 0,
        "text_changed": 0,
        "added_ids": [],
        "removed_ids": [victim],
    }
    assert found["shards"]["shared"] == found["shards"]["new"] - 1
    assert (found["stages"], found["bump"]) == ([], "patch")


def test_what_breaks_readers_is_a_major_version(corpus, made, tmp_path):
    new = again(corpus, tmp_path / "work", "2.0.0", shards={"size": "20KB"})
    found = diff(made, new)
    assert found["columns"] == {"n_words": ["int32", None]}
    assert (found["bump"], found["documents"]["added"], found["documents"]["text_changed"]) == ("major", 0, 0)


def test_another_text_of_the_same_document_is_told(corpus, made, tmp_path):
    again_rows = rows(5, 40)
    again_rows[0]["text"] += " And one sentence more."
    write_jsonl(tmp_path / "corpus/in/extra.jsonl", again_rows)
    found = diff(made, again(corpus, tmp_path / "work", "1.1.0"))
    assert found["documents"]["text_changed"] == 1
    assert found["inputs"]["extra"]["changed"] == ["extra.jsonl"]
    assert found["bump"] == "minor"


def test_what_is_no_release_is_refused(made, tmp_path):
    done = curate("diff", made, tmp_path)
    assert (done.returncode, "no lock.json" in done.stderr) == (2, True)


def test_documents_that_share_an_id_are_the_same_in_any_order(made, tmp_path):
    """Which of them comes first in the shards says nothing."""
    other = shutil.copytree(made, tmp_path / "other")
    for root, texts in ((made, ["one", "two"]), (other, ["two", "one"])):
        lock = json.loads((root / "lock.json").read_text())
        shard = next(file for file in lock["files"] if file["path"].startswith("data/"))
        table = pq.read_table(root / shard["path"]).slice(0, 2)
        table = table.set_column(0, "id", pa.array(["twin"] * 2)).set_column(1, "text", pa.array(texts))
        pq.write_table(table, root / shard["path"])
        lock["files"] = [shard | {"sha256": sha256((root / shard["path"]).read_bytes()).hexdigest()}]
        (root / "lock.json").write_text(json.dumps(lock))
    assert diff(made, other)["documents"] == {
        "added": 0,
        "removed": 0,
        "shared": 1,
        "text_changed": 0,
        "added_ids": [],
        "removed_ids": [],
    }
