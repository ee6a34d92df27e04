"""What was asked out comes back by no way, and every number of a patch version is that of its files."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import yaml
from releases import curate, release, released_rows
from removing import SITES, asked, make, told, urls
from test_removals_numbers import counted_again

from curate.errors import CurateError
from curate.inspect.explain import explain
from curate.release.lock import read_lock, verify
from curate.release.manifest_text import with_record
from curate.release.takedown import RECORD, remove
from curate.stages.removed import list_names, read_list

WAYS = {"ids": None, "urls": "http://SITE2.example:80/p/#top", "domains": "site2.example"}


@pytest.fixture(params=WAYS)
def patched(request, tmp_path):
    """A release of four sites, and its patch version without site2, asked for in each way."""
    old = make(tmp_path, SITES[:4])
    ids = {row["url"]: row["id"] for row in released_rows(old)}
    line = WAYS[request.param] or ids["https://site2.example/p"]
    taken = remove(old, **{request.param: asked(tmp_path / "asked.txt", line)})
    assert urls(taken.path) == [site["url"] for place, site in enumerate(SITES[:4]) if place != 2]
    return old, taken.path


LEFT = sorted(site["url"] for place, site in enumerate(SITES) if place != 2)


@pytest.mark.parametrize("how", ["patch", "before", "against", "record", "renamed"])
def test_nothing_comes_back(tmp_path, patched, how):
    old, new = patched
    changed = [site | {"url": site["url"] + "/?"} for site in SITES]
    record = {"removed": [str(new / RECORD)]}
    more = {
        "patch": {"extends": str(new)},
        "before": {"extends": str(old)} | record,
        "against": {"against": [str(new)]},
        "record": record,
        "renamed": record | {"sources": {"other": {"inputs": ["web-1.1.0.jsonl"]}}},
    }[how]
    made = make(tmp_path, changed, "1.1.0", **more)
    assert "https://site2.example/p" not in {url.removesuffix("/?") for url in urls(made)}
    lock = read_lock(made)
    assert {(entry["version"], entry["list"]) for entry in lock["removed"]} == {("1.0.1", "asked")}
    assert verify(made) == []
    again = make(tmp_path, SITES, "1.2.0", extends=str(made))  # and so on, from version to version
    assert "https://site2.example/p" not in urls(again)
    assert read_lock(again)["removed"][0]["version"] == "1.0.1"
    assert lock["documents"] == len(released_rows(made))


def test_a_list_is_put_to_the_shards_that_are_taken_over(tmp_path):
    old = make(tmp_path, SITES[:4], shards={"size": "0.4KB"})
    before = {path.name: path.read_bytes() for path in (old / "data").iterdir()}
    assert len(before) > 2
    list_of = asked(tmp_path / "asked.txt", "site2.example")
    made = make(tmp_path, SITES[4:], "1.1.0", extends=str(old), removed=[list_of.name], shards={"size": "0.4KB"})
    assert urls(made) == LEFT
    lock, data = read_lock(made), sorted((made / "data").iterdir())
    assert sum(path.read_bytes() in before.values() for path in data) == len(before) - 1
    assert {row["id"] for path in data for row in pq.read_table(path).to_pylist()} == {
        id for path in (made / "index").iterdir() for id in pq.read_table(path)["id"].to_pylist()
    }
    assert lock["removed"] == [{"version": "1.1.0", "list": "asked", "documents": 1, "entries": 1, "matched": 1}]
    assert counted_again(made) == told(lock)
    assert verify(made) == []


def test_what_a_list_names_for_later_stays_out_though_nothing_has_it_yet(tmp_path):
    old = make(tmp_path, SITES[:2], removed=[asked(tmp_path / "asked.txt", "site2.example", "never.example").name])
    counts = {"list": "asked", "documents": 0, "entries": 2, "matched": 0}
    assert read_lock(old)["removed"] == [{"version": "1.0.0"} | counts]
    made = make(tmp_path, SITES, "1.1.0", extends=str(old))
    assert urls(made) == LEFT
    assert read_lock(made)["removed"] == [{"version": "1.0.0"} | counts | {"documents": 1, "matched": 1}]


def test_the_same_page_and_the_same_text_go_too(tmp_path):
    documents = [
        {"text": "one", "url": "https://a.example/page"},
        {"text": "one", "url": "https://mirror.example/copy"},
        {"text": "another crawl of it", "url": "http://a.example:80/page/#top"},
        {"text": "another crawl of it", "url": "https://mirror.example/second"},
        {"text": "mine", "url": "https://mirror.example/third"},
        {"text": " ", "url": "https://a.example/blank"},
        {"text": " ", "url": "https://mirror.example/blank"},
    ]
    made = make(tmp_path, documents, stages=[])
    ids = {row["url"]: row["id"] for row in released_rows(made)}
    names = asked(tmp_path / "asked.txt", ids["https://a.example/page"], ids["https://a.example/blank"])
    dry = remove(made, ids=names, dry_run=True)
    assert not dry.path.exists()
    taken = remove(made, ids=names)
    assert taken.causes == dry.causes == {"id": 2, "same URL": 1, "same text": 2}
    assert urls(taken.path) == ["https://mirror.example/blank", "https://mirror.example/third"]
    later = make(tmp_path, documents, "1.1.0", stages=[], removed=[str(taken.path / RECORD)])
    assert urls(later) == urls(taken.path)
    for column in ("url_sha256", "text_sha256"):  # the copies at other addresses take nothing with them
        then, now = ({*pq.read_table(path / RECORD)[column].to_pylist()} for path in (taken.path, later))
        assert then == now
    record = (taken.path / RECORD).read_bytes()
    assert not any(word.encode() in record for row in documents[:4] for word in (row["url"], row["text"] + " "))


def test_a_rerun_of_the_manifest_of_the_patch_version(tmp_path):
    old = make(tmp_path, SITES, removed=[asked(tmp_path / "first.txt", "site5.example").name])
    taken = remove(old, domains=asked(tmp_path / "asked.txt", "site2.example"))
    expected = urls(taken.path)
    manifest = tmp_path / "again.yaml"
    shutil.copy(taken.path / "manifest.yaml", manifest)
    made = release(manifest, tmp_path / "work")
    assert (made.lock["version"], urls(made.path)) == ("1.0.1", expected)
    assert {entry["list"] for entry in made.lock["removed"]} == {"first", "asked"}
    assert len(expected) == 4


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nversion: 1.0.0\nlicense: mit\n",
        "name: a\nversion: 1.0.0  # remark\nremoved: [x.txt, y.txt]\nlicense: mit",
        "removed:\n  - x.txt\n  - y.txt\n\n# of the version\nversion: '1.0.0'\n",
        "version: 1.0.0\nremoved: [\n  x.txt,\n  y.txt\n  ]\nsources: {a: {inputs: [version: 1]}}\n",
        "version: 1.0.0\nremoved:\n- x.txt\n- y.txt\nname: a\n",
        "{name: a, version: 1.0.0, removed: [x.txt]}",
        "{name: a, version: 1.0.0}\n",
        "---\nname: a\nversion: 1.0.0\n...\n",
        "version: 1.0.0\nremoved: &lists [x.txt]\nx-other: *lists\n",
        "version: 1.0.0\nremoved:\nname: a\n",
        "version: 1.0.0\ndescription: |\n  version: 9\n  removed: []\n",
        "version: 1.0.0\r\nremoved:\r\n  - x.txt\r\nname: ä\r\n",
        '"version": 1.0.0\n"removed": []\n',
    ],
)
def test_the_manifest_of_a_patch_version_names_the_record_whatever_its_style(text):
    made = yaml.safe_load(with_record(text, "1.0.1", RECORD))
    assert made.pop("removed") == [RECORD]
    assert made.pop("version") == "1.0.1"
    given = yaml.safe_load(text)
    assert made == {key: value for key, value in given.items() if key not in ("removed", "version")}
    assert with_record(text, "1.0.1", RECORD).count("#") == text.count("#") or "*lists" in text


def test_several_kinds_of_lists_in_one_go(tmp_path):
    made = make(tmp_path, SITES, stages=[])
    id = next(row["id"] for row in released_rows(made) if "site0" in row["url"])
    lists = {"ids": id, "urls": "site1.example/p", "domains": "||site2.example^\n0.0.0.0 none.example"}
    files = [part for kind, line in lists.items() for part in (f"--{kind}", asked(tmp_path / kind / "asked.txt", line))]
    dry = json.loads(curate("remove", made, *files, "--dry-run", "--json").stdout)
    assert (dry["documents"], dry["dry_run"], dry["sources"]) == (3, True, {"a": 3})
    assert [path.name for path in made.parent.iterdir()] == ["1.0.0"]
    done = curate("remove", made, *files)
    assert done.returncode == 0, done.stderr
    assert "list domains_asked: 1 of 2 entries matched" in done.stdout
    lock = read_lock(made.parent / "1.0.1")
    told = {entry["list"]: (entry["entries"], entry["matched"]) for entry in lock["removed"]}
    assert told == {"ids_asked": (1, 1), "urls_asked": (1, 1), "domains_asked": (2, 1)}
    again = curate("remove", made.parent / "1.0.1", *files)
    assert (again.returncode, "no document of web 1.0.1" in again.stderr) == (2, True)


def test_lists_of_one_name_are_two(tmp_path):
    lists = ["a/asked.txt", "b/asked.txt", "b/asked.txt", "c.txt", "d/c.txt", "/x/a/asked.txt"]
    assert list_names(lists) == {
        "a_asked": "a/asked.txt",
        "b_asked": "b/asked.txt",
        "c": "c.txt",
        "d_c": "d/c.txt",
        "a_asked_2": "/x/a/asked.txt",
    }
    for folder, site in (("a", "site1.example"), ("b", "site2.example")):
        asked(tmp_path / folder / "asked.txt", site)
    made = make(tmp_path, SITES, removed=["a/asked.txt", "b/asked.txt"])
    assert len(released_rows(made)) == 4
    assert {entry["list"]: entry["documents"] for entry in read_lock(made)["removed"]} == {"a_asked": 1, "b_asked": 1}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("com", "one label"),
        ("two words", "whitespace"),
        ("||a.example/x^", "Adblock"),
        ("0123456789abcdef", "one label"),
        ("me@a.example", "mail address"),
    ],
)
def test_a_line_of_a_list_of_removals_that_can_match_nothing_is_named(tmp_path, line, told):
    with pytest.raises(CurateError, match=told) as caught:
        read_list(asked(tmp_path / "asked.txt", "a.example", line), "asked")
    assert caught.value.where.endswith("asked.txt:2")


def test_a_record_that_is_none_is_named(tmp_path):
    made = make(tmp_path, SITES[:1], stages=[])
    for path in ((made / "data").glob("*"), [asked(tmp_path / "x.parquet", "no")]):
        with pytest.raises(CurateError, match="not a record of removals"):
            read_list(next(iter(path)), "x")


def test_copies_in_the_run_itself_go_too(tmp_path):
    """So that a version has what the next one would have of the same documents."""
    documents = [
        {"text": "one", "url": "https://a.example/page"},
        {"text": "one", "url": "https://mirror.example/copy"},
        {"text": "other", "url": "https://mirror.example/other"},
    ]
    list_of = asked(tmp_path / "asked.txt", "a.example").name
    made = make(tmp_path, documents, stages=[], removed=[list_of])
    assert urls(made) == ["https://mirror.example/other"]
    lock = read_lock(made)
    assert lock["removed"] == [{"version": "1.0.0", "list": "asked", "documents": 2, "entries": 1, "matched": 1}]
    assert counted_again(made) == told(lock)
    assert verify(made) == []
    assert lock["stages"][-1]["sources"] == {"a": {"in": 3, "kept": 1, "bytes": 5, "reasons": {"asked": 2}}}
    assert lock["kept"] == {"a": {"documents": 1, "bytes": 5}}
    (copy,) = explain(tmp_path / "web-1.0.0.yaml", "https://mirror.example/copy", tmp_path / "work")
    assert (copy["reason"], copy["released"], copy["removed"]["version"]) == ("removed.asked", None, "1.0.0")
    (kept,) = explain(tmp_path / "web-1.0.0.yaml", "https://mirror.example/other", tmp_path / "work")
    assert (kept["reason"], kept["removed"]) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        '"http://a.example/x"',
        '"http://a.example/x","asked"',
        "http://a.example/x,http://a.example/y",
        "<http://a.example/x>",
        "[page](http://a.example/x)",
        "http://a.example/x,",
        "hxxp://a[.]example/x",
        "http://a.example:port/x",
        "mailto:a@a.example",
        "javascript:alert(1)",
        "id:3",
        "http://a.example/x\0",
    ],
)
def test_what_stands_around_a_url_is_named_and_not_taken_for_it(tmp_path, line):
    (tmp_path / "asked.txt").write_text(f"http://b.example/fine,with,commas\n{line}\n")
    with pytest.raises(CurateError) as raised:
        read_list(tmp_path / "asked.txt", "asked", "urls")
    assert raised.value.where.endswith("asked.txt:2")
    assert raised.value.fix


def test_a_release_on_the_hub_is_told_from_a_folder(tmp_path):
    with pytest.raises(CurateError, match="not an address") as raised:
        remove("hf://datasets/org/web@v1.0.0", ids=tmp_path / "ids.txt")
    assert "download" in raised.value.fix
