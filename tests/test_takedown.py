"""A removal touches only the shards concerned, leaves a record, and holds in later runs."""

from hashlib import sha256
from urllib.parse import urlsplit

import datasets
import mlcroissant
import pyarrow.parquet as pq
import pytest
import yaml
from releases import CORPUS, curate, release, released_rows

from curate.errors import CurateError
from curate.inspect.explain import explain
from curate.release.files import Unverified
from curate.release.lock import read_lock, verify
from curate.release.takedown import patch, remove


@pytest.fixture
def made(corpus, tmp_path):
    """A release of several shards, with an index and clusters of near-duplicates."""
    document = CORPUS | {"stages": [*CORPUS["stages"], {"near_dedup": {"threshold": 0.6}}]}
    corpus.write_text(yaml.safe_dump(document, sort_keys=False))
    return release(corpus, tmp_path / "work").path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(path, *lines):
    path.write_text("# what was asked for\n\n" + "\n".join(lines) + "\n")
    return path


def test_only_the_shards_concerned_change(made, tmp_path):
    before, shards = contents(made), sorted((made / "data").iterdir())
    assert len(shards) > 2
    victim = pq.read_table(shards[1]).to_pylist()[3]
    taken = remove(made, ids=write(tmp_path / "asked.txt", victim["id"]))
    after, name = contents(taken.path), shards[1].name
    assert contents(made) == before
    assert verify(taken.path) == []
    assert {path for path in before.keys() & after.keys() if before[path] != after[path]} - {
        f"{kind}/{name}" for kind in ("data", "index")
    } <= {"README.md", "report.html", "croissant.json", "lock.json", "manifest.yaml"} | {
        "evidence/near_duplicates.parquet",
        *(f"charts/{name}.svg" for name in ("funnel", "lengths", "similarity")),
    }
    kept = [row["id"] for row in pq.read_table(taken.path / "data" / name).to_pylist()]
    assert kept == [row["id"] for row in pq.read_table(shards[1]).to_pylist() if row["id"] != victim["id"]]
    assert pq.read_table(taken.path / "index" / name)["id"].to_pylist() == kept
    assert (taken.version, taken.documents) == ("1.0.1", 1)
    assert set(taken.changed) == {path for path in after if after[path] != before.get(path)} - {"lock.json"}


def test_the_record_and_the_lock_say_what_is_gone(made, tmp_path):
    victims = released_rows(made)[::40]
    old = read_lock(made)
    taken = remove(made, ids=write(tmp_path / "asked.txt", *(row["id"] for row in victims)))
    record = pq.read_table(taken.path / "evidence/removed.parquet").to_pylist()
    assert {row["id_sha256"] for row in record} == {sha256(row["id"].encode()).hexdigest() for row in victims}
    assert {(row["list"], row["version"]) for row in record} == {("asked", "1.0.1")}
    lock = read_lock(taken.path)
    counts = dict.fromkeys(("documents", "entries", "matched"), len(victims))
    assert lock["removed"] == [{"version": "1.0.1", "list": "asked"} | counts]
    assert lock["parent"] == {"version": "1.0.0", "digest": old["digest"]}
    rows = released_rows(taken.path)
    assert lock["documents"] == len(rows) == old["documents"] - len(victims)
    for column in ("source", "license"):
        for value, count in lock["composition"][column].items():
            mine = [row for row in rows if row[column] == value]
            assert count == {"documents": len(mine), "bytes": sum(len(row["text"].encode()) for row in mine)}
    (split,) = lock["mixture"]["splits"]
    assert split["documents"] == len(rows)
    # Nowhere does the version say where the documents were.
    told = b"".join(content for path, content in contents(taken.path).items() if not path.endswith(".parquet"))
    for row in victims:
        assert row["url"].encode() not in told
        assert row["id"].encode() not in told
    for path in taken.path.rglob("*.parquet"):
        table = pq.read_table(path)
        assert "id" not in table.column_names or not set(table["id"].to_pylist()) & {row["id"] for row in victims}
    assert "| 1.0.1 | asked |" in (taken.path / "README.md").read_text()


@pytest.mark.parametrize("kind", ["urls", "domains"])
def test_by_address(made, tmp_path, kind):
    url = "https://2.example/7"
    host = urlsplit(url).netloc
    lines = {"urls": ["http://2.EXAMPLE/7/#top"], "domains": [host, "ample"]}[kind]
    expected = {
        row["id"]
        for row in released_rows(made)
        if row["url"] == url or (kind == "domains" and f"//{host}/" in row["url"])
    }
    if kind == "domains":
        lines = lines[:1]
    taken = remove(made, **{kind: write(tmp_path / "l.txt", *lines)})
    left = {row["id"] for row in released_rows(taken.path)}
    assert {row["id"] for row in released_rows(made)} - left == expected != set()


def test_later_runs_stay_without_it(corpus, made, tmp_path):
    victims = {row["id"] for row in released_rows(made)[::50]}
    taken = remove(made, ids=write(tmp_path / "asked.txt", *victims))
    document = yaml.safe_load(corpus.read_text())
    document |= {"version": "1.1.0", "removed": [str(taken.path / "evidence/removed.parquet")]}
    corpus.write_text(yaml.safe_dump(document, sort_keys=False))
    again = release(corpus, tmp_path / "work")
    assert {row["id"] for row in released_rows(again.path)} == {row["id"] for row in released_rows(taken.path)}
    assert again.lock["removed"] == read_lock(taken.path)["removed"]
    assert again.lock["removed"][0]["documents"] == len(victims)
    rejected = pq.read_table(again.path / "evidence/rejected.parquet")["id"].to_pylist()
    assert not victims & set(rejected)
    assert again.lock["documents"] + again.lock["rejected"] + len(victims) == 310
    assert verify(again.path) == []
    (told,) = explain(corpus, min(victims), tmp_path / "work")
    assert told["reason"] == "removed.asked"
    assert told["removed"] == {"version": "1.0.1", "list": "asked"}


def test_explain_says_when_and_by_which_list(corpus, made, tmp_path):
    """Also where the manifest does not name the list yet; the second removal goes on from the first."""
    one, two = released_rows(made)[:2]
    first = remove(made, ids=write(tmp_path / "asked.txt", one["id"]))
    second = remove(first.path, urls=write(tmp_path / "more.txt", two["url"]))
    assert second.version == "1.0.2"
    work = tmp_path / "work"
    assert explain(corpus, one["id"], work)[0]["removed"] == {"version": "1.0.1", "list": "asked"}
    assert explain(corpus, two["id"], work)[0]["removed"] == {"version": "1.0.2", "list": "more"}
    assert explain(corpus, released_rows(second.path)[0]["id"], work)[0]["removed"] is None
    told = curate("explain", corpus, one["id"], "--work", work)
    assert "removed on request in version 1.0.1, by the list `asked`" in told.stdout


def test_what_reads_a_release_reads_the_patch_version(made, tmp_path):
    rows = released_rows(made)
    asked = write(tmp_path / "asked.txt", rows[0]["id"])
    done = curate("remove", made, "--ids", asked)
    assert done.returncode == 0, done.stderr
    path = made.parent / "1.0.1"
    assert datasets.load_dataset(str(path), split="train", cache_dir=str(tmp_path / "c")).num_rows == len(rows) - 1
    found = mlcroissant.Dataset(str(path / "croissant.json"))
    assert len(list(found.records("default-train"))) == len(rows) - 1
    assert yaml.safe_load((path / "manifest.yaml").read_text())["version"] == "1.0.1"
    again = curate("remove", made, "--ids", asked)
    assert (again.returncode, "1.0.1 already exists" in again.stderr) == (2, True)


def test_a_shard_may_end_up_empty(made, tmp_path):
    shard = min((made / "data").iterdir())
    taken = remove(made, ids=write(tmp_path / "a.txt", *pq.read_table(shard)["id"].to_pylist()))
    assert pq.read_metadata(taken.path / "data" / shard.name).num_rows == 0
    assert verify(taken.path) == []


def test_what_cannot_be_removed_is_said(made, tmp_path):
    with pytest.raises(CurateError, match="no document of small"):
        remove(made, ids=write(tmp_path / "a.txt", "0" * 32))
    with pytest.raises(CurateError, match="not an id"):
        remove(made, ids=write(tmp_path / "a.txt", "https://2.example/7"))
    with pytest.raises(CurateError, match="no such list"):
        remove(made, ids=tmp_path / "none.txt")
    assert [path.name for path in made.parent.iterdir()] == ["1.0.0"]
    (made / "README.md").write_text("by hand")
    with pytest.raises(Unverified):
        remove(made, ids=write(tmp_path / "a.txt", released_rows(made)[0]["id"]))


@pytest.mark.parametrize(("old", "new"), [("1.2.3", "1.2.4"), ("0.1.9", "0.1.10"), ("2.0.0-rc1", "2.0.1")])
def test_the_version_after(old, new):
    assert patch(old) == new
