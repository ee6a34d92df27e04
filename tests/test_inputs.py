"""Inputs: found by file, folder, glob and list; what is not taken is named."""

import bz2
import gzip
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs as pafs

from curate.errors import CurateError
from curate.sources import File, compression_of, inputs, lists, shown, stores
from curate.sources.format_api import format_of
from curate.sources.identify import identify


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a.jsonl",
        "b.jsonl.gz",
        "c.txt.html",
        "d/e.warc.gz",
        "d/f/g.parquet",
        ".hidden.jsonl",
        "d/.h/i.warc",
    ):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


def paths(items, base) -> list[str]:
    return [file.path for file in inputs.discover(items, base).files]


# Finding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("a.jsonl", ["a.jsonl"]),
        ("d/e.warc.gz", ["e.warc.gz"]),
        (".", ["a.jsonl", "b.jsonl.gz", "d/e.warc.gz", "d/f/g.parquet"]),
        ("d", ["e.warc.gz", "f/g.parquet"]),
        ("*.jsonl*", ["a.jsonl", "b.jsonl.gz"]),
        ("**/*.jsonl", ["a.jsonl"]),
        ("**/*.parquet", ["d/f/g.parquet"]),
        ("d/*/g.parquet", ["f/g.parquet"]),
        ("d/*", ["e.warc.gz"]),
        ("[!b].*", ["a.jsonl", "c.txt.html"]),
        ("?.jsonl", ["a.jsonl"]),
    ],
)
def test_files_folders_and_globs(tree, item, expected):
    found = inputs.discover([item], tree).files
    assert [file.path for file in found] == expected
    assert all(Path(file.url).read_text().endswith(file.path) for file in found)
    absolute = inputs.discover([str(tree / item)], Path("/")).files
    assert [(file.path, file.url) for file in absolute] == [(file.path, file.url) for file in found]


def test_a_file_whose_name_looks_like_a_glob(tree):
    (tree / "x[1].jsonl").write_text("x")
    assert paths(["x[1].jsonl"], tree) == ["x[1].jsonl"]


@given(st.text("ab/*?.", max_size=8), st.text("ab/.", max_size=8))
def test_globs_against_a_plain_matcher(pattern, name):
    def matches(p, n):
        if not p:
            return not n
        if p.startswith("**/"):
            return matches(p[3:], n) or any(matches(p[3:], n[i + 1 :]) for i, c in enumerate(n) if c == "/")
        if p.startswith("**"):
            return any(matches(p[2:], n[i:]) for i in range(len(n) + 1))
        if p[0] == "*":
            span = len(n.partition("/")[0])
            return any(matches(p[1:], n[i:]) for i in range(span + 1))
        return bool(n) and (p[0] == n[0] or (p[0] == "?" and n[0] != "/")) and matches(p[1:], n[1:])

    assert inputs.matching(pattern, [name]) == [matches(pattern, name)]


@pytest.mark.parametrize("pattern", ["*" * 200 + "b", "**/" * 60 + "b", "*a" * 60 + "b", "**a" * 60 + "b"])
def test_a_glob_takes_time_that_grows_with_the_names(pattern):
    assert inputs.matching(pattern, ["a" * 4000, "a/" * 2000]) == [False, False]


@pytest.mark.parametrize("pattern", ["[]", "[z-a]*", "a[]"])
def test_a_glob_that_is_none_is_said(tree, pattern):
    with pytest.raises(CurateError, match=r"invalid glob|no file matches"):
        inputs.discover([pattern], tree)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [("?.jsonl", "é.jsonl", True), ("[!a]*", "b\nc", True), ("a*", "a\n", True), ("a b+(c)*", "a b+(c)d", True)],
)
def test_globs_take_characters_as_they_are(pattern, name, expected):
    assert inputs.matching(pattern, [name]) == [expected]


def test_what_matches_nothing_names_what_is_near(tree):
    with pytest.raises(CurateError) as caught:
        inputs.discover(["a.json1"], tree)
    assert "a.json1" in caught.value.what
    assert "did you mean `a.jsonl`?" in caught.value.fix
    with pytest.raises(CurateError) as caught:
        inputs.discover(["dd/f/*.parquet"], tree)
    assert caught.value.where.endswith("data")
    with pytest.raises(CurateError, match="no file matches"):
        inputs.discover(["d/*.jsonl"], tree)


def test_a_glob_of_folders_alone_says_how_to_take_their_files(tmp_path):
    (tmp_path / "rows" / "a").mkdir(parents=True)
    (tmp_path / "rows" / "a" / "x.jsonl").write_text("{}")
    with pytest.raises(CurateError, match="no file matches") as caught:
        inputs.discover(["rows/*"], tmp_path)
    [instead] = re.findall(r"write `(.+)`", caught.value.fix)
    assert [file.path for file in inputs.discover([instead], tmp_path).files] == ["a/x.jsonl"]


def test_two_files_of_one_name_are_an_error_and_one_file_twice_is_not(tree):
    shutil.copy(tree / "a.jsonl", tree / "d" / "a.jsonl")
    with pytest.raises(CurateError, match=r"two inputs are named `a.jsonl`"):
        inputs.discover(["a.jsonl", "d/a.jsonl"], tree)
    assert paths(["a.jsonl", "*.jsonl"], tree) == ["a.jsonl"]


@pytest.mark.parametrize("name", ["list.txt", "list.paths", "list.paths.gz"])
def test_lists_of_paths(tree, name):
    content = f"d/e.warc.gz\n\n{tree}/a.jsonl\nhttps://x.example/b.warc.gz\ncrawl-data/c.warc.gz\n".encode()
    (tree / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    found = {file.path: file.url for file in inputs.discover([name], tree).files}
    assert found == {
        "d/e.warc.gz": str(tree / "d/e.warc.gz"),
        "a.jsonl": f"{tree}/a.jsonl",  # where it lies on this machine is no part of its name
        "https://x.example/b.warc.gz": "https://x.example/b.warc.gz",
        "crawl-data/c.warc.gz": "https://data.commoncrawl.org/crawl-data/c.warc.gz",
    }


def test_a_list_with_its_own_base_and_one_that_is_wrong(tree):
    (tree / "list.txt").write_text("x.warc.gz\n")
    [file] = inputs.discover([{"paths": "list.txt", "base": "s3://bucket/top/"}], tree).files
    assert (file.path, file.url) == ("x.warc.gz", "s3://bucket/top/x.warc.gz")
    with pytest.raises(CurateError, match=r"line 1 of a list of paths: `x.warc.gz` is not a file"):
        inputs.discover(["list.txt"], tree)
    (tree / "bad.paths.gz").write_bytes(gzip.compress(b"a\n" * 999, mtime=0)[:-9])
    with pytest.raises(CurateError, match="cannot read a list of paths"):
        inputs.discover(["bad.paths.gz"], tree)


def test_stores_by_scheme(monkeypatch, tmp_path):
    store, _ = pafs.FileSystem.from_uri("mock:///")
    store.create_dir("bucket/top/deep")
    for name in ("top/a.parquet", "top/deep/b.parquet", "top/c.html"):
        with store.open_output_stream(f"bucket/{name}") as out:
            out.write(b"x")
    monkeypatch.setattr(stores, "_store", lambda scheme, bucket, query: store)
    for item, expected in (
        ("s3://bucket/top", ["a.parquet", "deep/b.parquet"]),
        ("s3://bucket/top/*.parquet", ["a.parquet"]),
        ("gs://bucket/**/b.*", ["top/deep/b.parquet"]),
    ):
        found = inputs.discover([item], Path()).files
        assert [file.path for file in found] == expected
        assert all(file.url.startswith(item[:12]) and file.size == 1 for file in found)
        with inputs.local(found[0]) as path:
            assert path.read_bytes() == b"x"
        [(file, told)] = identify(found[:1], tmp_path)
        assert file.digest.startswith("changed:")
        assert told is None


def test_unknown_kinds_and_schemes():
    with pytest.raises(CurateError, match="did you mean `commoncrawl`"):
        inputs.discover([{"comoncrawl": {}}], Path())
    for scheme in ("nonsense", "local", "memory", "ftp", "simplecache::https"):
        with pytest.raises(CurateError):
            inputs.discover([f"{scheme}://a/b.jsonl"], Path())
    with pytest.raises(CurateError, match="cannot be listed"):
        inputs.discover(["https://x.example/"], Path())


def test_a_format_wins_over_endings(tmp_path):
    for name in ("parts/part-00000", "parts/_SUCCESS", "parts/.part-00000.crc", "corpus.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = inputs.discover(["parts"], tmp_path, format="jsonl")
    assert [file.path for file in found.files] == ["part-00000"]
    assert found.not_taken == [{"why": "hidden", "files": 2, "paths": [".part-00000.crc", "_SUCCESS"]}]
    with pytest.raises(CurateError, match="no file matches input `parts`") as caught:
        inputs.discover(["parts"], tmp_path)
    assert "unknown extension: _SUCCESS, part-00000" in caught.value.what
    assert paths_as(["corpus.txt"], tmp_path, "jsonl") == ["corpus.txt"]
    with pytest.raises(CurateError, match="line 1 of a list of paths"):
        inputs.discover(["corpus.txt"], tmp_path)


def paths_as(items, base, format) -> list[str]:
    return [file.path for file in inputs.discover(items, base, format).files]


def test_endings():
    known = {
        "jsonl": "a.jsonl a.jsonlines a.jl a.ndjson a.json a.json.gz a.jsonl.gzip A.JSONL.ZST a?b.jsonl",
        "parquet": "a.parquet a.pq",
        "warc": "a.warc a.warc.gz a.warc.zst",
        "wet": "a.warc.wet.gz a.wet",
        "csv": "a.csv a.tsv a.csv.gz a.tab",
        "html": "a.html a.htm.xz",
        "text": "a.md a.txt.gz",
        None: "a a.pages a.jsonl.bak a.parquet.gz jsonl part-00000 a.jsonl?x",
    }
    assert {name: format_of(name) for names in known.values() for name in names.split()} == {
        name: kind for kind, names in known.items() for name in names.split()
    }


def test_compression_is_told_by_the_first_bytes_where_they_are_known():
    assert compression_of("a.jsonl.gzip") == "gzip"
    assert compression_of("part-00000") is None
    assert compression_of("part-00000", gzip.compress(b"x", mtime=0)) == "gzip"
    assert compression_of("a.gz", b'{"text": 1}') is None
    assert compression_of("a.gz", bz2.compress(b"x")) == "bz2"


NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///data/a.jsonl", "/data/a.jsonl"),
        ("FILE://localhost/data/a.jsonl", "/data/a.jsonl"),
        ("file:///data/a%20b%25.jsonl", "/data/a b%.jsonl"),
        ("file:///data/part-0?.jsonl", "/data/part-0?.jsonl"),
        ("file:///data/#1.jsonl", "/data/#1.jsonl"),
        ("data/file:///a%20b", "data/file:///a%20b"),
    ],
)
def test_a_file_url_is_a_path(url, path):
    assert stores.local_path(url) == path


@pytest.mark.parametrize("url", ["file://data/a.jsonl", "file://host.example/data/a.jsonl", "file://host"])
def test_a_file_of_another_machine_is_not_taken_for_one_here(url, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}')
    with pytest.raises(CurateError, match=r"on the machine `(data|host|host\.example)`"):
        inputs.resolve([url], tmp_path, tmp_path / "work")


# Lists ------------------------------------------------------------------------------------------------------


@pytest.fixture
def from_the_web(monkeypatch, tmp_path):
    """Files of a list that lies on a server."""

    def found(text: str, base: str | None = None, address: str = "https://lists.example/a/list.paths") -> list[File]:
        (tmp_path / "fetched").write_text(text)
        monkeypatch.setattr(lists, "opened", lambda file, limit: (tmp_path / "fetched").open("rb"))
        return list(lists.listed({"paths": address} | ({"base": base} if base else {}), tmp_path))

    return found


@pytest.mark.parametrize(
    "line",
    [
        "/etc/passwd",
        "file:///etc/hostname",
        "local:///etc/hostname",
        "../../x.jsonl",
        "a/../../x.jsonl",
        "%2e%2e/x.jsonl",
        "~/x.jsonl",
        "FILE:///etc/passwd",
        "s3://private/x.jsonl",
        "memory://x.jsonl",
    ],
)
def test_a_list_of_the_web_names_nothing_of_this_machine(from_the_web, line):
    for base in (None, "https://x.example/b", "sub/folder"):
        with pytest.raises(CurateError, match="line 2 of a list of paths"):
            from_the_web(f"\n{line}\n", base)


def test_a_list_of_the_web_stays_in_the_folder_that_is_its_base(from_the_web, tmp_path):
    (tmp_path / "mirror").mkdir()
    for place in ("mirror/a.jsonl", "secret.jsonl"):
        (tmp_path / place).write_text("{}")
    (tmp_path / "mirror" / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    assert [file.path for file in from_the_web("a.jsonl\n", "mirror")] == ["a.jsonl"]
    with pytest.raises(CurateError, match="links outside the list's `base:`"):
        from_the_web("link.jsonl\n", "mirror")


def test_a_list_of_the_web_names_what_is_below_it_and_other_addresses(from_the_web):
    text = "b/x.jsonl\nhttps://other.example/y.jsonl?sig=SECRET\ncrawl-data/z.warc.gz\nb/w.jsonl?token=SECRET\n"
    assert {file.path: file.url for file in from_the_web(text)} == {
        "b/x.jsonl": "https://lists.example/a/b/x.jsonl",
        "https://other.example/y.jsonl": "https://other.example/y.jsonl?sig=SECRET",
        "crawl-data/z.warc.gz": "https://data.commoncrawl.org/crawl-data/z.warc.gz",
        "b/w.jsonl": "https://lists.example/a/b/w.jsonl?token=SECRET",
    }
    [file] = from_the_web("x.jsonl", address="https://u:p@h.example/a/list.paths?key=SECRET")
    assert (file.path, file.url) == ("x.jsonl", "https://u:p@h.example/a/x.jsonl")


def test_a_list_that_unpacks_to_more_than_memory_is_an_error(tree, monkeypatch):
    monkeypatch.setattr(lists, "MAX_LIST", 1 << 20)
    (tree / "list.paths.gz").write_bytes(gzip.compress(b"a" * (5 << 20), mtime=0))
    with pytest.raises(CurateError, match="larger than 1 MiB"):
        inputs.discover(["list.paths.gz"], tree)


# Secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example/x.jsonl?token=SECRET", "https://h.example/x.jsonl?…"),
        ("https://alice:SECRET@h.example:8/x.jsonl#SECRET", "https://h.example:8/x.jsonl"),
        ("s3://KEY:SECRET@bucket/a b?endpoint_override=SECRET", "s3://bucket/a b?…"),
        ("/data/a?b.jsonl", "/data/a?b.jsonl"),
        ("/data/\x1b[31m.jsonl", "/data/\\x1b[31m.jsonl"),
    ],
)
def test_addresses_are_shown_without_secrets(url, expected):
    assert shown(url) == expected


def test_a_path_has_no_secret_and_tells_apart_what_differs_by_its_query_alone():
    def discovered(*queries):
        items = [f"https://u:SECRET@h.example/get.jsonl?{query}" for query in queries]
        return inputs.discover(items, Path()).files

    assert [file.path for file in discovered("id=1&token=SECRET")] == ["get.jsonl"]
    two = discovered("id=1&sig=SECRET", "id=2&sig=SECRET")
    assert sorted(Path(file.path).name for file in two) == ["get.jsonl", "get.jsonl"]
    assert len({file.path for file in two}) == 2
    assert {f.path for f in discovered("id=1&sig=SECRET", "id=2&sig=other")} == {f.path for f in two}
    with pytest.raises(CurateError, match="two inputs are named") as caught:
        discovered("sig=SECRET1", "sig=SECRET2", "sig=SECRET3")
    assert "SECRET" not in str(caught.value)
