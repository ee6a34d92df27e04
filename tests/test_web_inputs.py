"""Inputs of web servers with the habits of real ones: busy, forgetful, without ranges, labeling what they send."""

import errno
import gzip
import hashlib
import http.server
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import CurateError, Stopped
from curate.sources import File, Origin, inputs, patience, web
from curate.sources.formats import parquet, warc
from curate.sources.identify import identify
from curate.sources.patience import retry_after

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "warc" / "whirlwind"


class Server(http.server.BaseHTTPRequestHandler):
    """Files, with habits named by the first folder of the path. `server.busy` are answers to give before the real one:
    (status, headers)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        habit, _, name = path.strip("/").partition("/")
        self.server.asked.append((path, dict(self.headers)))
        if self.server.busy:
            status, headers = self.server.busy.pop(0)
            return self.answer(status, b"no", headers)
        if habit == "redirect":
            return self.answer(302, b"", {"Location": self.server.target or f"/plain/{name}"})
        if name not in self.server.files:
            return self.answer(404, b"no")
        data, headers = self.server.files[name], {}
        if habit not in ("untagged", "unmeasured"):
            headers["ETag"] = f'"{hashlib.md5(data).hexdigest()}"'
        if habit == "always":
            data, headers["Content-Encoding"] = gzip.compress(data, mtime=0), "gzip"
        if habit == "labeled":
            headers["Content-Encoding"] = "gzip"
        wanted = self.headers.get("Range")
        if habit == "boastful":
            if wanted or len(self.server.asked) > 200:
                return self.answer(416 if wanted else 404, b"")
            return self.answer(200, data, headers | {"Content-Length": str(len(data) + 500)}, measured=False)
        if wanted and habit not in ("rangeless", "always", "untagged", "unmeasured"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            return self.answer(206, data[start:end], headers)
        self.answer(200, data, headers, measured=habit != "unmeasured")

    def do_HEAD(self):
        self.answer(403, b"")

    def answer(self, status: int, body: bytes, headers: dict | None = None, measured: bool = True):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if measured:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.server.breaks and len(body) > 1000:
            self.server.breaks -= 1
            body, self.close_connection = body[: len(body) // 2], True
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 0.0)
    monkeypatch.setattr(web, "_answered", set())
    monkeypatch.setattr(patience, "_told", {})
    held = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    held.handle_error = lambda *_: None  # a client that hung up is no news, and what is printed is looked at
    held.asked, held.busy, held.files, held.breaks, held.target = [], [], {}, 0, ""
    held.url = f"http://127.0.0.1:{held.server_port}"
    thread = threading.Thread(target=held.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield held
    held.shutdown()
    held.server_close()
    thread.join()


def known(server, path: str, work) -> File:
    [file] = inputs.discover([f"{server.url}/{path}"], work).files
    [(file, told)] = identify([file], work)
    assert told is None
    return file


def content(file: File) -> bytes:
    with inputs.opened(file) as stream:
        return stream.read()


LINES = b'{"text": "some words of a document"}\n' * 100


@pytest.mark.parametrize("habit", ["plain", "always", "rangeless", "untagged", "unmeasured", "redirect"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_stored_arrives_whatever_the_server_does(server, tmp_path, habit, name):
    server.files = {"a.jsonl": LINES, "a.jsonl.gz": gzip.compress(LINES, mtime=0)}
    file = known(server, f"{habit}/{name}", tmp_path)
    assert file.path == name
    assert content(file) == server.files[name]
    assert all(headers["Accept-Encoding"] == "identity" for _, headers in server.asked)


def test_what_is_only_labeled_as_packed_stays_as_it_is(server, tmp_path):
    server.files = {"a.jsonl.gz": gzip.compress(LINES, mtime=0)}
    file = known(server, "labeled/a.jsonl.gz", tmp_path)
    assert (content(file), file.size) == (server.files["a.jsonl.gz"], len(server.files["a.jsonl.gz"]))


def busy(server, tmp_path, *answers) -> bytes:
    server.files, server.busy = {"a.jsonl": LINES}, list(answers)
    return content(known(server, "plain/a.jsonl", tmp_path))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 403])
def test_a_busy_server_is_waited_for(server, tmp_path, status, capsys):
    assert busy(server, tmp_path, (status, {}), (status, {"Retry-After": "7"})) == LINES
    assert capsys.readouterr().err == f"waiting 1 s for 127.0.0.1: it answers {status}\n"


def test_patience_ends_with_run_again(server, tmp_path):
    """The waits add up to the patience, and no more is asked of the server than that."""
    with pytest.raises(Stopped, match="it answers 503") as caught:
        busy(server, tmp_path, *[(503, {})] * 99)
    assert caught.value.exit_code == 3
    assert "run the same command again" in caught.value.fix
    assert len(server.asked) == 8  # after 1, 2, 4 ... 32 s, and what is left of 120 s
    server.asked.clear()
    with pytest.raises(Stopped, match="asks to wait 3,600 s"):
        busy(server, tmp_path, (429, {"Retry-After": "3600"}))
    assert len(server.asked) == 1


def test_a_wait_that_is_asked_for_is_kept(server, tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(patience, "PAUSE", 1.0)
    monkeypatch.setattr(patience.abandoned, "wait", slept.append)
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    assert busy(server, tmp_path, (429, {"Retry-After": "12"}), (503, {"Retry-After": until}), (503, {})) == LINES
    assert [low <= wait <= high for wait, (low, high) in zip(slept, [(12, 15), (37, 50), (4, 5)], strict=True)]


@pytest.mark.parametrize(
    ("value", "low", "high"), [("12", 12, 12), ("0", 0, 0), ("-5", 0, 0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0)]
)
def test_what_a_server_asks_for(value, low, high):
    assert low <= retry_after(value) <= high


@pytest.mark.parametrize("value", [None, "", "soon", "inf", "nan x", "Fri, 99 Dec 1999"])
def test_what_is_no_time_to_wait(value):
    assert retry_after(value) is None


@pytest.mark.parametrize("status", [404, 410])
def test_a_name_that_is_absent_is_told_at_once(server, tmp_path, status):
    with pytest.raises(CurateError, match="no such file") as caught:
        busy(server, tmp_path, (status, {}))
    assert (caught.value.exit_code, len(server.asked)) == (2, 1)


def test_403_of_a_host_that_answered_before_means_too_many_requests(server, tmp_path):
    assert busy(server, tmp_path) == LINES
    with pytest.raises(Stopped, match="limits requests"):
        busy(server, tmp_path, *[(403, {})] * 99)


def test_403_at_first_is_no_access_after_a_short_while(server, tmp_path):
    with pytest.raises(CurateError, match="no access") as caught:
        busy(server, tmp_path, *[(403, {})] * 99)
    assert (caught.value.exit_code, len(server.asked)) == (2, 5)
    with pytest.raises(CurateError, match="no access"):
        busy(server, tmp_path, (401, {}))


def test_a_port_that_nobody_listens_to_is_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 0.0)
    with pytest.raises(Stopped, match="cannot be reached") as caught:
        identify([File("a", "http://user:SECRET@127.0.0.1:1/a.jsonl?token=SECRET")], tmp_path)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://a..b/x.jsonl", "http://[::1/x.jsonl", "http://a:99999/x.jsonl", "http:///x.jsonl"]
)
def test_an_address_that_is_none_is_said(tmp_path, url):
    (tmp_path / "list.paths").write_text(f"{url}\n")
    with pytest.raises(CurateError):
        identify(inputs.discover(["list.paths"], tmp_path).files, tmp_path)
    with pytest.raises(CurateError):
        identify(inputs.discover([url], tmp_path).files, tmp_path)


def test_a_broken_download_goes_on_where_it_broke(server, tmp_path):
    data = os.urandom(100_000)
    server.files = {"a.bin": data}
    file = known(server, "plain/a.bin", tmp_path)
    server.asked.clear()
    server.breaks = 3
    assert content(file) == data
    assert [headers.get("Range") for _, headers in server.asked] == [None, *(
        f"bytes={100_000 - (100_000 >> n)}-" for n in (1, 2, 3)
    )]  # fmt: skip


def test_a_broken_download_begins_anew_where_it_cannot_go_on(server, tmp_path):
    data = os.urandom(100_000)
    server.files = {"a.bin": data}
    file = known(server, "rangeless/a.bin", tmp_path)
    server.breaks = 3
    assert content(file) == data
    server.breaks = 10**6
    with pytest.raises(Stopped, match="the connection broke"):
        content(file)


def test_a_server_that_promises_more_than_there_is_is_given_up(server, tmp_path):
    server.files["a.jsonl"] = LINES
    with pytest.raises(Stopped, match="cannot fetch an input now"):
        content(File("a.jsonl", f"{server.url}/boastful/a.jsonl", len(LINES) + 500))
    assert len(server.asked) < 100


def archive(number: int) -> bytes:
    block = b"HTTP/1.1 200 OK\r\n\r\n<p>%d" % number + os.urandom(3000).hex().encode()
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/%d\r\nContent-Length: %d\r\n\r\n"
    return gzip.compress(head % (number, len(block)) + block + b"\r\n\r\n", mtime=0)


def test_a_broken_connection_never_looks_like_a_damaged_archive(server, tmp_path):
    server.files = {"a.warc.gz": archive(1)}
    file = known(server, "rangeless/a.warc.gz", tmp_path)
    server.breaks = 2
    [table] = warc.read(file, origin=Origin("t"))
    assert table["reject"].to_pylist() == [None]


@pytest.mark.parametrize("habit", ["plain", "untagged"])
def test_a_file_that_changed_is_another_file(server, tmp_path, habit):
    server.files = {"a.jsonl": b'{"text": "one"}'}
    first = known(server, f"{habit}/a.jsonl", tmp_path)
    assert known(server, f"{habit}/a.jsonl", tmp_path).digest == first.digest
    server.files = {"a.jsonl": b'{"text": "two"}'}
    second = known(server, f"{habit}/a.jsonl", tmp_path)
    assert second.digest != first.digest
    assert content(second) == b'{"text": "two"}'
    with pytest.raises(Stopped, match="changed"):
        content(first)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//", "/redirect/a.jsonl"])
def test_redirects_lead_to_web_addresses_alone(server, tmp_path, target):
    server.target = target
    with pytest.raises(CurateError, match=r"not a web address|redirected more than"):
        known(server, "redirect/a.jsonl", tmp_path)


def test_a_password_is_sent_to_its_own_host_alone(server, tmp_path):
    server.files = {"a.jsonl": LINES}
    server.target = server.url.replace("127.0.0.1", "localhost") + "/plain/a.jsonl"
    url = server.url.replace("//", "//user:pass@") + "/redirect/a.jsonl"
    [(file, _)] = identify([File("a.jsonl", url)], tmp_path)
    assert ["authorization" in headers for _, headers in server.asked] == [True, False]
    assert "pass" not in file.shown


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("content", "format"), [(b'[{"text": "a"}]\n' * 99, "json"), (LINES, "jsonl")])
def test_what_a_json_file_of_the_web_is_is_told_by_its_beginning(server, tmp_path, content, format, pack):
    server.files = {"a.json": pack(content)}
    assert known(server, "plain/a.json", tmp_path).format == format


def test_a_page_is_an_input_where_pages_are_expected(server, tmp_path):
    server.files = {"a.html": b"<!doctype html><p>some words</p>"}
    file = known(server, "plain/a.html", tmp_path)
    assert file.format == "html"
    assert content(file) == server.files["a.html"]


def test_a_page_in_place_of_a_file_is_an_error(server, tmp_path):
    server.files = {"a.warc.gz": b"<!DOCTYPE html><title>Sign in</title>", "b.bin": b"<html>no</html>"}
    with pytest.raises(CurateError, match=r"a.warc.gz(\?…)?: an HTML page"):
        inputs.resolve([f"{server.url}/plain/a.warc.gz?key=SECRET"], tmp_path, tmp_path)
    with pytest.raises(CurateError, match="an input is an HTML page"):
        content(File("b.bin", f"{server.url}/plain/b.bin"))


@pytest.mark.parametrize("habit", ["plain", "rangeless", "untagged", "always"])
def test_parquet_of_the_web_is_read_by_range_where_it_can_be(server, tmp_path, habit):
    rows = {"text": [os.urandom(500).hex() for _ in range(2000)]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet", row_group_size=500, use_dictionary=False)
    server.files = {"a.parquet": (tmp_path / "a.parquet").read_bytes()}
    file = known(server, f"{habit}/a.parquet", tmp_path)
    assert len(parquet.ranges(file, 1)) == 4
    found = [t for tables in parquet.read(file, origin=Origin("t"), rows=(1, 2)) for t in tables["text"].to_pylist()]
    assert found == rows["text"][500:1000]
    assert all("Range" in headers for _, headers in server.asked) == (habit == "plain")


def test_a_list_of_the_web_that_never_ends_is_not_fetched_to_its_end(server, tmp_path, monkeypatch):
    monkeypatch.setattr("curate.sources.lists.MAX_LIST", 1000)
    server.files = {"list.paths": b"a.jsonl\n" * 1000}
    with pytest.raises(CurateError, match="larger than"):
        inputs.discover([f"{server.url}/plain/list.paths"], tmp_path)


@pytest.mark.parametrize(
    "line", ["..\\a.jsonl", "..%5ca.jsonl", "x/..%2F../a.jsonl", "/a.jsonl", "FILE:///a.jsonl", "?a=1"]
)
def test_a_list_of_the_web_names_nothing_but_files_below_it(server, tmp_path, line):
    server.files = {"list.paths": line.encode()}
    with pytest.raises(CurateError, match=r"points outside|is not allowed|is not a file"):
        inputs.discover([f"{server.url}/plain/list.paths"], tmp_path)


def test_files_of_a_crawl_are_chosen_by_hash(server, tmp_path):
    crawl = "CC-MAIN-2024-22"
    real = SHARED / f"{crawl}.warc.paths.gz"
    names = [f"crawl-data/{crawl}/segments/{n}/warc/{n}.warc.gz" for n in range(50)]
    listing = real.read_bytes() if real.is_file() else gzip.compress("\n".join(names).encode(), mtime=0)
    names = gzip.decompress(listing).decode().split()
    server.files = {f"crawl-data/{crawl}/warc.paths.gz": listing}

    def chosen(**options):
        item = {"commoncrawl": {"crawl": crawl, "base": f"{server.url}/plain"} | options}
        return inputs.discover([item], tmp_path).files

    count = min(3, len(names))
    three = chosen(files=count)
    by_hash = sorted(names, key=lambda name: hashlib.blake2b(f"0\x1f{name}".encode(), digest_size=16).digest())
    assert [file.path for file in three] == sorted(by_hash[:count])
    assert all(file.url == f"{server.url}/plain/{file.path}" for file in three)
    assert len(chosen()) == len(names)
    assert {file.path for file in chosen(files=1)} <= {file.path for file in three}
    server.files[three[0].path] = archive(7)
    [table] = warc.read(three[0], origin=Origin("t"))
    assert table["path"].to_pylist() == [three[0].path]
    assert table["url"].to_pylist() == ["http://a/7"]
    with pytest.raises(CurateError, match="no such file"):
        chosen(crawl="CC-MAIN-2024-23")
    with pytest.raises(CurateError, match="is not the name of a crawl"):
        chosen(crawl="2024-22")
    with pytest.raises(CurateError, match="did you mean `files`"):
        chosen(file=3)


def test_nobody_waits_for_a_server_once_another_file_is_known_to_be_absent(server, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 1.0)
    server.files = {}
    server.busy = [(503, {"Retry-After": "50"})]
    started = time.monotonic()
    with pytest.raises(CurateError):
        identify([File(name, f"{server.url}/plain/{name}") for name in ("a.jsonl", "b.jsonl")], tmp_path)
    assert time.monotonic() - started < 20


def test_a_full_disk_is_not_blamed_on_the_server(server, tmp_path, monkeypatch):
    server.files = {"a.jsonl": LINES}
    file = known(server, "plain/a.jsonl", tmp_path)
    monkeypatch.setattr(web._Fetch, "copy", lambda *args: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        content(file)
