"""Inputs: found by file, folder, glob, list and crawl; identified by content; fetched whole or not at all."""

import gzip
import hashlib
import http.server
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs as pafs

from curate.errors import CurateError, Stopped
from curate.sources import File, Origin, inputs, parquet, warc

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "warc" / "whirlwind"


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
    return [file.path for file in inputs.discover(items, base)]


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
    found = inputs.discover([item], tree)
    assert [file.path for file in found] == expected
    assert all(Path(file.url).read_text().endswith(file.path) and file.size == len(Path(file.url).read_text())
               for file in found)  # fmt: skip
    absolute = inputs.discover([str(tree / item)], Path("/"))
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

    found = inputs.re.compile(inputs.translate(pattern)).fullmatch(name)
    assert bool(found) == matches(pattern, name)


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


def test_two_files_of_one_name_are_an_error_and_one_file_twice_is_not(tree):
    shutil.copy(tree / "a.jsonl", tree / "d" / "a.jsonl")
    with pytest.raises(CurateError, match=r"two inputs are called `a.jsonl`"):
        inputs.discover(["a.jsonl", "d/a.jsonl"], tree)
    assert paths(["a.jsonl", "*.jsonl"], tree) == ["a.jsonl"]


@pytest.mark.parametrize("name", ["list.txt", "list.paths", "list.paths.gz"])
def test_lists_of_paths(tree, name):
    content = f"d/e.warc.gz\n\n{tree}/a.jsonl\nhttps://x.example/b.warc.gz\ncrawl-data/c.warc.gz\n".encode()
    (tree / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = {file.path: file.url for file in inputs.discover([name], tree)}
    assert found == {
        "d/e.warc.gz": str(tree / "d/e.warc.gz"),
        f"{tree}/a.jsonl": f"{tree}/a.jsonl",
        "https://x.example/b.warc.gz": "https://x.example/b.warc.gz",
        "crawl-data/c.warc.gz": "https://data.commoncrawl.org/crawl-data/c.warc.gz",
    }


def test_a_list_with_its_own_base_and_one_that_is_wrong(tree):
    (tree / "list.txt").write_text("x.warc.gz\n")
    [file] = inputs.discover([{"paths": "list.txt", "base": "s3://bucket/top/"}], tree)
    assert (file.path, file.url) == ("x.warc.gz", "s3://bucket/top/x.warc.gz")
    with pytest.raises(CurateError, match=r"`x.warc.gz` of a list of paths is no file"):
        inputs.discover(["list.txt"], tree)
    (tree / "bad.paths.gz").write_bytes(gzip.compress(b"a\n" * 999)[:-9])
    with pytest.raises(CurateError, match="cannot read a list of paths"):
        inputs.discover(["bad.paths.gz"], tree)


def test_stores_by_scheme(monkeypatch):
    store, _ = pafs.FileSystem.from_uri("mock:///")
    store.create_dir("bucket/top/deep")
    for name in ("top/a.parquet", "top/deep/b.parquet", "top/c.html"):
        with store.open_output_stream(f"bucket/{name}") as out:
            out.write(b"x")
    monkeypatch.setattr(inputs, "_store", lambda scheme, bucket, query: store)
    for item, expected in (
        ("s3://bucket/top", ["a.parquet", "deep/b.parquet"]),
        ("s3://bucket/top/*.parquet", ["a.parquet"]),
        ("gs://bucket/**/b.*", ["top/deep/b.parquet"]),
    ):
        found = inputs.discover([item], Path())
        assert [file.path for file in found] == expected
        assert all(file.url.startswith(item[:12]) and file.size == 1 for file in found)
        with inputs.local(found[0]) as path:
            assert path.read_bytes() == b"x"
        assert inputs.identify(found[0], Path()).digest.startswith("changed:")


def test_unknown_kinds_and_schemes():
    with pytest.raises(CurateError, match="did you mean `commoncrawl`"):
        inputs.discover([{"comoncrawl": {}}], Path())
    with pytest.raises(CurateError, match="cannot read `nonsense://`"):
        inputs.discover(["nonsense://a/b"], Path())
    with pytest.raises(CurateError, match="cannot be listed"):
        inputs.discover(["https://x.example/"], Path())


# Identity --------------------------------------------------------------------------------------------------


def test_a_file_is_hashed_once_and_again_when_it_changes(tree, tmp_path, monkeypatch):
    [file] = inputs.discover(["a.jsonl"], tree)
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: hashed.append(1) or digest(*args))
    first = inputs.identify(file, tmp_path / "cache")
    assert first.digest == "sha256:" + hashlib.sha256((tree / "a.jsonl").read_bytes()).hexdigest()
    assert inputs.identify(file, tmp_path / "cache") == first
    assert len(hashed) == 1
    (tree / "a.jsonl").write_text("changed")
    os.utime(tree / "a.jsonl", ns=(1, 1))
    second = inputs.identify(file, tmp_path / "cache")
    assert (second.digest, second.size) == ("sha256:" + hashlib.sha256(b"changed").hexdigest(), 7)
    with pytest.raises(CurateError, match="cannot read an input"):
        inputs.identify(File("x", str(tree / "none")), tmp_path / "cache")


# The web ---------------------------------------------------------------------------------------------------


class Server(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, with entity tags and ranges. trouble: {path: how often its body breaks off}."""

    protocol_version = "HTTP/1.1"

    def do_GET(self, body: bool = True):
        path = urlsplit(self.path).path
        file = Path(self.directory) / path.lstrip("/")
        self.server.asked.append(path)
        if path == "/forbidden.warc":
            return self.send_error(403)
        if not file.is_file():
            return self.send_error(404)
        data = file.read_bytes()
        start, end = 0, len(data)
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or end - 1) + 1, end)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        if path.endswith(".gz"):
            self.send_header("Content-Encoding", "gzip")  # as many servers do with archives
        self.end_headers()
        if body and self.server.trouble.get(path, 0) > 0:
            self.server.trouble[path] -= 1
            self.wfile.write(data[start : start + (end - start) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(data[start:end])

    def do_HEAD(self):
        self.do_GET(body=False)

    def log_message(self, *args):
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "PAUSE", 0.0)
    (tmp_path / "www").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(tmp_path / "www")))
    server.asked, server.trouble, server.folder = [], {}, tmp_path / "www"
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def archive(number: int) -> bytes:
    block = b"HTTP/1.1 200 OK\r\n\r\n<p>%d" % number + os.urandom(3000).hex().encode()
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/%d\r\nContent-Length: %d\r\n\r\n"
    return gzip.compress(head % (number, len(block)) + block + b"\r\n\r\n")


def test_a_file_of_the_web_arrives_as_it_is(web, tmp_path):
    data = archive(1)
    (web.folder / "a.warc.gz").write_bytes(data)
    [file] = inputs.discover([f"{web.url}/a.warc.gz"], tmp_path)
    file = inputs.identify(file, tmp_path)
    assert (file.path, file.size) == ("a.warc.gz", -1)  # the length of what is said to be encoded is not told
    assert hashlib.md5(data).hexdigest() in file.digest
    with inputs.local(file) as path:
        assert path.read_bytes() == data
    assert not path.exists()
    (web.folder / "b.warc").write_bytes(data)
    assert inputs.identify(File("b", f"{web.url}/b.warc"), tmp_path).size == len(data)


def test_a_broken_connection_is_tried_again_and_never_looks_like_a_damaged_archive(web, tmp_path):
    (web.folder / "a.warc.gz").write_bytes(archive(1))
    file = inputs.identify(File("a.warc.gz", f"{web.url}/a.warc.gz"), tmp_path)
    web.trouble["/a.warc.gz"] = 2
    [table] = warc.read(file, origin=Origin("t"))
    assert table["reject"].to_pylist() == [None]
    web.trouble["/a.warc.gz"] = 99
    with pytest.raises(Stopped, match="cannot fetch an input"):
        list(warc.read(file, origin=Origin("t")))


def test_what_is_not_there_or_forbidden_is_not_tried_again(web, tmp_path):
    with pytest.raises(CurateError, match="no such file"):
        inputs.identify(File("x", f"{web.url}/none.warc"), tmp_path)
    with pytest.raises(CurateError, match="no access"), inputs.local(File("x", f"{web.url}/forbidden.warc")):
        pass
    assert web.asked.count("/forbidden.warc") == 1


def test_parquet_of_the_web_is_read_by_range(web, tmp_path):
    rows = {"text": [os.urandom(500).hex() for _ in range(2000)]}
    pq.write_table(pa.table(rows), web.folder / "a.parquet", row_group_size=500, use_dictionary=False)
    [file] = inputs.discover([f"{web.url}/a.parquet"], tmp_path)
    assert len(parquet.ranges(file, 1)) == 4
    found = [t for tables in parquet.read(file, origin=Origin("t"), rows=(1, 2)) for t in tables["text"].to_pylist()]
    assert found == rows["text"][500:1000]


def test_files_of_a_crawl_are_chosen_by_hash(web, tmp_path):
    crawl = "CC-MAIN-2024-22"
    real = SHARED / f"{crawl}.warc.paths.gz"
    names = [f"crawl-data/{crawl}/segments/{n}/warc/{n}.warc.gz" for n in range(50)]
    content = real.read_bytes() if real.is_file() else gzip.compress("\n".join(names).encode())
    names = gzip.decompress(content).decode().split()
    listing = web.folder / "crawl-data" / crawl / "warc.paths.gz"
    listing.parent.mkdir(parents=True)
    listing.write_bytes(content)

    def chosen(**options):
        item = {"commoncrawl": {"crawl": crawl, "base": web.url} | options}
        return inputs.discover([item], tmp_path)

    count = min(3, len(names))
    three = chosen(files=count)
    by_hash = sorted(names, key=lambda name: hashlib.blake2b(f"0\x1f{name}".encode(), digest_size=16).digest())
    assert [file.path for file in three] == sorted(by_hash[:count])
    assert all(file.url == f"{web.url}/{file.path}" for file in three)
    assert len(chosen()) == len(names)
    assert {file.path for file in chosen(files=1)} <= {file.path for file in three}
    target = web.folder / three[0].path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive(7))
    [table] = warc.read(three[0], origin=Origin("t"))
    assert table["path"].to_pylist() == [three[0].path]
    assert table["url"].to_pylist() == ["http://a/7"]
    with pytest.raises(CurateError, match="no such file"):
        chosen(crawl="CC-MAIN-2024-23")
    with pytest.raises(CurateError, match="names no crawl"):
        chosen(crawl="2024-22")
    with pytest.raises(CurateError, match="did you mean `files`"):
        chosen(file=3)
