"""What of the inputs is not taken is named, and so is what is not what its name says."""

import gzip
import lzma
import os
from pathlib import Path

import pytest
from test_inputs import NOT_UTF8, paths

from curate.errors import CurateError
from curate.sources import inputs
from curate.sources.impostors import impostor

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
        "unknown extension": ["README.md", "deep/c"],
        "hidden": [".x.jsonl", "deep/.git/"],
        "link out of the folder": ["out.jsonl"],
        "link to a file already included": ["same.jsonl"],
        "link to a folder already searched": ["deep/up/", "loop/"],
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
    assert {entry["why"]: entry["paths"] for entry in found.not_taken} == {
        "link to a file already included": ["b.jsonl"]
    }


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
        assert not left or found.not_taken == [{"why": "already in another input", "files": 1, "paths": left}]


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
        "link to a folder already searched": ["one/back/", "two/"]
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
    with pytest.raises(CurateError, match="broken links") as caught:
        inputs.discover([item], tmp_path)
    assert all(f"{name}.jsonl -> " in caught.value.what for name in ("b", "c", "self"))
    with pytest.raises(CurateError, match="a broken link"):
        inputs.discover(["in/b.jsonl"], tmp_path)
    assert paths(["in/a*"], tmp_path) == ["a.jsonl"]


def test_what_is_not_taken_is_counted_where_it_is_much(tmp_path):
    (tmp_path / "a.jsonl").write_text("x")
    for number in range(50):
        (tmp_path / f"{number:02d}.log").write_text("x")
    [entry] = inputs.discover(["."], tmp_path).not_taken
    assert (entry["why"], entry["files"]) == ("unknown extension", 50)
    assert entry["paths"] == [f"{number:02d}.log" for number in range(inputs.NAMED)]


def test_a_name_that_is_not_utf8_is_an_error_only_where_it_would_be_taken(tmp_path):
    for name in (f"{NOT_UTF8}.jsonl", f"{NOT_UTF8}.txt", "ok.jsonl"):
        (tmp_path / name).write_text("x")
    with pytest.raises(CurateError, match=r"not UTF-8:\n.*caf\\xe9.jsonl") as caught:
        inputs.discover(["."], tmp_path)
    assert ".txt" not in caught.value.what
    assert paths(["ok*.jsonl"], tmp_path) == ["ok.jsonl"]
    (tmp_path / f"{NOT_UTF8}.jsonl").unlink()
    found = inputs.discover(["."], tmp_path)
    assert found.not_taken == [{"why": "unknown extension", "files": 1, "paths": ["caf\\xe9.txt"]}]


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
