"""Inputs: found by file, folder, glob and list; what is not taken is named."""

import bz2
import gzip
import lzma
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
from curate.sources.impostors import impostor


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
    with pytest.raises(CurateError, match=r"is not a glob|no file matches"):
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
    with pytest.raises(CurateError, match=r"two inputs are called `a.jsonl`"):
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


# What is not taken ------------------------------------------------------------------------------------------


def not_taken(items, base, **options) -> dict[str, list[str]]:
    return {entry["why"]: entry["paths"] for entry in inputs.discover(items, base, **options).not_taken}


def test_every_file_of_a_folder_is_taken_or_named(tmp_path):
    """A law: files taken and files named are all there are, whatever they are."""
    home = tmp_path / "in"
    (home / "deep" / ".git").mkdir(parents=True)
    for name in ("a.jsonl", "README.md", "deep/b.jl", "deep/c", ".x.jsonl", "deep/.git/config", "q?x.jsonl", "e.pq"):
        (home / name).write_text("x")
    os.mkfifo(home / "pipe.jsonl")
    (home / "loop").symlink_to(home)
    (home / "deep" / "up").symlink_to("..")
    (home / "out.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (tmp_path / "secret.jsonl").write_text("x")
    (home / "same.jsonl").symlink_to("a.jsonl")
    found = inputs.discover(["in"], tmp_path)
    assert [file.path for file in found.files] == ["a.jsonl", "deep/b.jl", "e.pq", "q?x.jsonl"]
    assert {entry["why"]: entry["paths"] for entry in found.not_taken} == {
        "ending unknown": ["README.md", "deep/c"],
        "hidden": [".x.jsonl", "deep/.git/"],
        "link out of the folder": ["out.jsonl"],
        "link to a file that is taken": ["same.jsonl"],
        "link to where the search has been": ["deep/up/", "loop/"],
        "not a regular file": ["pipe.jsonl"],
    }
    followed = inputs.discover(["in"], tmp_path, follow_links=True)
    assert "out.jsonl" in [file.path for file in followed.files]


def test_a_file_behind_several_links_is_taken_once(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.bin").write_text("x")
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "in" / name).symlink_to("data.bin")
    found = inputs.discover(["in/*.jsonl"], tmp_path)
    assert [file.path for file in found.files] == ["a.jsonl"]
    assert {entry["why"]: entry["paths"] for entry in found.not_taken} == {"link to a file that is taken": ["b.jsonl"]}


def test_a_file_that_two_inputs_take_is_there_once(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.jsonl").write_text("{}")
    (tmp_path / "in" / "deep" / "b.jsonl").write_text("{}")
    for items, taken, left in (
        (["in", "in/deep"], ["a.jsonl", "deep/b.jsonl"], ["b.jsonl"]),
        (["in/deep/b.jsonl", "in/**/*.jsonl"], ["a.jsonl", "b.jsonl"], ["deep/b.jsonl"]),
        (["in/a.jsonl", "in/deep/../a.jsonl"], ["a.jsonl"], None),
    ):
        found = inputs.discover(items, tmp_path)
        assert [file.path for file in found.files] == taken
        assert not left or found.not_taken == [{"why": "taken by another input", "files": 1, "paths": left}]


def test_a_work_folder_among_the_inputs_is_none_of_them(tmp_path):
    (tmp_path / "in" / "work" / "parts").mkdir(parents=True)
    (tmp_path / "in" / "a.jsonl").write_text("{}")
    (tmp_path / "in" / "work" / "parts" / "x.parquet").write_text("x")
    inputs.resolve(["in/a.jsonl"], tmp_path, tmp_path / "in" / "work")
    for item in ("in", "in/**"):
        found = inputs.discover([item], tmp_path)
        assert [file.path for file in found.files] == ["a.jsonl"]
        assert {entry["why"]: entry["paths"] for entry in found.not_taken} == {"a work folder": ["work/"]}


def test_what_a_shell_would_expand_is_said(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    for item in ("~/a.jsonl", "${HOME}/a.jsonl", "$HOME/a.jsonl", "{a,b}.jsonl"):
        with pytest.raises(CurateError) as caught:
            inputs.discover([item], tmp_path)
        assert "not expanded" in caught.value.fix


def test_a_folder_behind_a_link_is_walked_once_where_links_are_followed(tmp_path):
    (tmp_path / "far" / "x").mkdir(parents=True)
    (tmp_path / "far" / "x" / "a.jsonl").write_text("x")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "far")
    assert not_taken(["in"], tmp_path, follow_links=True) == {
        "link to where the search has been": ["one/back/", "two/"]
    }
    assert [file.path for file in inputs.discover(["in"], tmp_path, follow_links=True).files] == ["one/x/a.jsonl"]
    with pytest.raises(CurateError, match="link out of the folder: one/, two/") as caught:
        inputs.discover(["in"], tmp_path)
    assert "follow_links" in caught.value.fix


def test_a_snapshot_of_the_hugging_face_cache_leads_to_its_blobs_and_nowhere_else(tmp_path):
    home = tmp_path / "hub" / "datasets--a--b"
    (home / "blobs").mkdir(parents=True)
    (home / "blobs" / "0123").write_text("{}")
    data = home / "snapshots" / "abc" / "data"
    data.mkdir(parents=True)
    (data / "a.jsonl").symlink_to("../../../blobs/0123")
    (tmp_path / "secret").write_text("x")
    (data / "b.jsonl").symlink_to("../../../../../secret")
    for item in (home / "snapshots" / "abc", data, home):
        found = inputs.discover([str(item)], tmp_path)
        assert [Path(file.path).name for file in found.files] == ["a.jsonl"]
        assert "link out of the folder" in {entry["why"] for entry in found.not_taken}


@pytest.mark.parametrize("item", ["in", "in/*.jsonl", "in/**/*.jsonl"])
def test_links_to_nothing_are_named_all_at_once(tmp_path, item):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("x")
    for name in ("b.jsonl", "c.jsonl"):
        (tmp_path / "in" / name).symlink_to("../blobs/none")
    (tmp_path / "in" / "self.jsonl").symlink_to("self.jsonl")
    with pytest.raises(CurateError, match="links to nothing") as caught:
        inputs.discover([item], tmp_path)
    assert all(f"{name}.jsonl -> " in caught.value.what for name in ("b", "c", "self"))
    with pytest.raises(CurateError, match="a link to nothing"):
        inputs.discover(["in/b.jsonl"], tmp_path)
    assert paths(["in/a*"], tmp_path) == ["a.jsonl"]


def test_what_is_not_taken_is_counted_where_it_is_much(tmp_path):
    (tmp_path / "a.jsonl").write_text("x")
    for number in range(50):
        (tmp_path / f"{number:02d}.log").write_text("x")
    [entry] = inputs.discover(["."], tmp_path).not_taken
    assert (entry["why"], entry["files"]) == ("ending unknown", 50)
    assert entry["paths"] == [f"{number:02d}.log" for number in range(inputs.NAMED)]


def test_a_format_wins_over_endings(tmp_path):
    for name in ("parts/part-00000", "parts/_SUCCESS", "parts/.part-00000.crc", "corpus.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = inputs.discover(["parts"], tmp_path, format="jsonl")
    assert [file.path for file in found.files] == ["part-00000"]
    assert found.not_taken == [{"why": "hidden", "files": 2, "paths": [".part-00000.crc", "_SUCCESS"]}]
    with pytest.raises(CurateError, match="no file matches input `parts`") as caught:
        inputs.discover(["parts"], tmp_path)
    assert "ending unknown: _SUCCESS, part-00000" in caught.value.what
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


def test_a_name_that_is_not_utf8_is_an_error_only_where_it_would_be_taken(tmp_path):
    for name in (f"{NOT_UTF8}.jsonl", f"{NOT_UTF8}.txt", "ok.jsonl"):
        (tmp_path / name).write_text("x")
    with pytest.raises(CurateError, match=r"not UTF-8:\n.*caf\\xe9.jsonl") as caught:
        inputs.discover(["."], tmp_path)
    assert ".txt" not in caught.value.what
    assert paths(["ok*.jsonl"], tmp_path) == ["ok.jsonl"]
    (tmp_path / f"{NOT_UTF8}.jsonl").unlink()
    found = inputs.discover(["."], tmp_path)
    assert found.not_taken == [{"why": "ending unknown", "files": 1, "paths": ["caf\\xe9.txt"]}]


def test_a_folder_whose_own_name_is_not_utf8_is_read(tmp_path):
    home = tmp_path / NOT_UTF8
    home.mkdir()
    (home / "a.jsonl").write_text("{}")
    found = inputs.resolve(["."], home, tmp_path / "work")
    assert [file.path for file in found.files] == ["a.jsonl"]
    assert "caf\\xe9" in found.files[0].shown


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path):
    for name in ("a.jsonl", "closed.jsonl", "folder/b.jsonl"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("{}")
    (tmp_path / "in" / "closed.jsonl").chmod(0)
    (tmp_path / "in" / "folder").chmod(0)
    found = inputs.resolve(["in"], tmp_path, tmp_path / "work")
    (tmp_path / "in" / "folder").chmod(0o700)
    assert found.not_taken == [{"why": "not readable", "files": 2, "paths": ["closed.jsonl", "folder/"]}]


# Not what the name says -------------------------------------------------------------------------------------

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("head", "kind", "expected"),
    [
        (LFS, "jsonl", "LFS pointer"),
        (b"\xef\xbb\xbf\r\n <!DOCTYPE  HTML><title>Sign in</title>", "jsonl", "HTML"),
        (b"<html lang=en>", "warc", "HTML"),
        (b"<!-- cached --><html>", "parquet", "HTML"),
        (gzip.compress(b"<!doctype html>" + bytes(9000), mtime=0), "warc", "HTML"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "warc", "AccessDenied"),
        (b'{"message": "rate limit"}', "parquet", "JSON"),
        (b"../../blobs/0123abc", "jsonl", "link"),
        (b"PK\x03\x04\x14\0", "jsonl", "zip"),
        (gzip.compress(b"a.jsonl".ljust(257, b"\0") + b"ustar\x0000", mtime=0), "jsonl", "tar"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "jsonl", "twice"),
        (b"\x1f\x8b\x08\0 damaged", "jsonl", None),
        (b"\x02\x21\x4c\x18\x10\0\0\0", "jsonl", "lz4"),
        (lzma.compress(b"{}" * 99, lzma.FORMAT_ALONE), "jsonl", "lzma"),
        (b"ARROW1\0\0", "parquet", "Arrow"),
        (b"PAR1\x15", "jsonl", "`format: parquet`"),
        (b"WARC/1.1\r\n", "arc", "`format: warc`"),
        (b"filedesc://a.arc 0.0.0.0", "warc", "`format: arc`"),
        (b'{"a": 1}', "warc", "`format: jsonl`"),
        (b"]some text", "jsonl", None),
        (b'{"text": "<html>"}', "jsonl", None),
        (b"WARC/1.0\r\n", "warc", None),
        (gzip.compress(b"WARC/1.0\r\n", mtime=0), "warc", None),
        (b"PAR1\x15", "parquet", None),
        (b"", "jsonl", None),
    ],
)
def test_impostors(head, kind, expected):
    told = impostor(head, kind)
    assert (told is None) == (expected is None)
    assert told is None or expected in " ".join(told)


def test_all_impostors_of_a_source_are_named_in_one_error(tmp_path):
    for name, content in {
        "a.jsonl.gz": LFS,
        "b.warc.gz": b"<html><title>Sign in</title>",
        "c.jsonl": b'{"text": "x"}\n',
    }.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CurateError) as caught:
        inputs.resolve(["."], tmp_path, tmp_path / "work")
    assert "a.jsonl.gz: a Git LFS pointer" in caught.value.what
    assert "b.warc.gz: an HTML page" in caught.value.what
    assert "c.jsonl" not in caught.value.what
    assert "git lfs pull" in caught.value.fix


def test_empty_files_are_named_and_an_empty_archive_that_was_asked_for_is_an_error(tmp_path):
    for name, content in {"in/a.jsonl": b"{}", "in/b.jsonl": b"", "in/c.warc.gz": b"", "d.warc.gz": b""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = inputs.resolve(["in"], tmp_path, tmp_path / "work")
    assert found.not_taken == [{"why": "empty", "files": 2, "paths": ["b.jsonl", "c.warc.gz"]}]
    assert [file.path for file in found.files] == ["a.jsonl"]
    with pytest.raises(CurateError, match=r"d.warc.gz: empty"):
        inputs.resolve(["d.warc.gz"], tmp_path, tmp_path / "work")
    assert [file.path for file in inputs.resolve(["in/b.jsonl"], tmp_path, tmp_path / "work").files] == ["b.jsonl"]
    with pytest.raises(CurateError, match=r"no file to read\n  not read, empty: b.jsonl"):
        inputs.resolve(["in/b*"], tmp_path, tmp_path / "work")


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
    with pytest.raises(CurateError, match=r"of the machine `(data|host|host\.example)`"):
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
    with pytest.raises(CurateError, match="a link out of the list's `base:`"):
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
    with pytest.raises(CurateError, match="two inputs are called") as caught:
        discovered("sig=SECRET1", "sig=SECRET2", "sig=SECRET3")
    assert "SECRET" not in str(caught.value)


def test_a_folder_around_the_work_folder_has_its_inputs_beside_it(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "work/plans").mkdir(parents=True)
    (tmp_path / "work/plans/x.jsonl").write_text('{"text": "b"}\n')
    (tmp_path / "work/digests.sqlite").touch()
    for item in (".", "**/*.jsonl", str(tmp_path)):
        found = inputs.resolve([item], tmp_path, tmp_path / "work")
        assert [file.path for file in found.files] == ["a.jsonl"]
        assert found.not_taken == [{"why": "a work folder", "files": 1, "paths": ["work/"]}]
    assert inputs.resolve(["work/plans"], tmp_path, tmp_path / "work").files  # where a person names it
