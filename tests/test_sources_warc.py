"""Archives: every record is a row or counted, damage is named and costs no more than what it touches."""

import base64
import gzip
import hashlib
import json
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.documents import ARCHIVE_SCHEMA
from curate.errors import CurateError
from curate.sources import File, Origin, http, records
from curate.sources.formats import arc, warc, wet
from curate.sources.http import Damaged

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "warc"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared archives are not on this machine")

COMPRESS = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    ".lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
}


def record(kind: str, block: bytes, number: int = 0, **headers) -> bytes:
    headers = {
        "WARC-Type": kind,
        "WARC-Target-URI": f"<http://site.example/{number}>",
        "WARC-Date": "2024-05-18T01:58:10Z",
        "WARC-Record-ID": f"<urn:uuid:{number:032x}>",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block)),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def response(body: bytes, *lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (status, *lines, "")).encode() + body


def page(number: int) -> bytes:
    """A page that does not compress to nothing, so that damage hits its middle."""
    noise = b"".join(hashlib.sha256(b"%d %d" % (number, i)).hexdigest().encode() for i in range(4))
    return b"<p>page %d</p>" % number + noise


def pages(count: int) -> list[bytes]:
    """Records by turns of a response and a request."""
    return [
        record("request", b"GET / HTTP/1.1\r\n\r\n", n, WARC_Type="request")
        if n % 2
        else record("response", response(page(n), "Content-Type: text/html"), n)
        for n in range(count)
    ]


def rows(tmp_path: Path, data: bytes, name: str = "a.warc", **options) -> list[dict]:
    (tmp_path / name).write_bytes(data)
    reader = arc if ".arc" in name else warc
    origin = options.pop("origin", Origin("test"))
    tables = list(reader.read(File(name, str(tmp_path / name)), origin=origin, **options))
    for table in tables:
        assert table.schema.equals(warc.archive.SCHEMA)
    return [row for table in tables for row in table.to_pylist()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("archives")


def test_a_page_keeps_where_it_comes_from(tmp_path):
    html = "<p>é</p>".encode("latin-1")
    robots = ["X-Robots-Tag: noindex", "X-Robots-Tag: nofollow", "TDM-Reservation: 1"]
    block = response(html, 'Content-Type: Text/HTML; Charset="ISO-8859-1"', *robots)
    archive = record("warcinfo", b"software: x") + record("response", block, 7, WARC_IP_Address="10.0.0.1")
    origin = Origin("web", license="CC0-1.0")
    [row] = rows(tmp_path, archive, origin=origin)
    assert row["payload"] == html
    assert row["url"] == "http://site.example/7"
    assert row["date"] == "2024-05-18T01:58:10Z"
    assert row["position"] == archive.index(b"WARC/1.0", 1)
    assert (row["source"], row["path"], row["license"]) == ("web", "a.warc", "CC0-1.0")
    assert (row["http_status"], row["content_type"], row["charset"]) == (200, "text/html", "iso-8859-1")
    assert row["robots"].lower().splitlines() == [line.lower() for line in robots]
    assert json.loads(row["meta"]) == {"ip": "10.0.0.1", "record_id": f"<urn:uuid:{7:032x}>"}
    assert row["reject"] is None
    assert row["text"] is None
    assert origin.skipped == {"warcinfo": 1}


def test_the_schema_is_the_document_table_and_a_reason():
    assert warc.archive.SCHEMA.names == [*ARCHIVE_SCHEMA.names, "reject"]


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressions_give_the_same_pages_at_their_own_offsets(tmp_path, ending):
    written = [COMPRESS[ending](r) for r in pages(7)]
    found = rows(tmp_path, b"".join(written), f"a.warc{ending}")
    assert [row["payload"] for row in found] == [page(n) for n in (0, 2, 4, 6)]
    assert [row["position"] for row in found] == [len(b"".join(written[:n])) for n in (0, 2, 4, 6)]


def test_one_gzip_member_for_all_still_gives_ids_that_differ(tmp_path):
    same = record("response", response(b"x"), 1)
    found = rows(tmp_path, gzip.compress(same * 50, mtime=0), "a.warc.gz")
    assert len(found) == 50
    assert len({row["id"] for row in found}) == 50


def test_blocks_stay_small(tmp_path):
    data = b"".join(record("response", response(b"x" * 1000), n) for n in range(40))
    (tmp_path / "a.warc").write_bytes(data)
    tables = list(warc.read(File("a.warc", str(tmp_path / "a.warc")), origin=Origin("t", block_bytes=10_000)))
    assert sum(table.num_rows for table in tables) == 40
    assert all(sum(map(len, table["payload"].to_pylist())) <= 10_000 for table in tables)


def test_records_that_are_no_documents_are_counted_and_revisits_named(tmp_path):
    kinds = ["warcinfo", "request", "metadata", "continuation", "monkeys"]
    origin = Origin("t")
    data = b"".join(record(kind, b"x", n) for n, kind in enumerate(kinds))
    data += record("revisit", b"", 8) + record("resource", b"%PDF", 9, Content_Type="application/pdf")
    revisit, resource = rows(tmp_path, data, origin=origin)
    assert origin.skipped == {"warcinfo": 1, "request": 1, "metadata": 1, "continuation": 1, "unknown": 1}
    assert (revisit["reject"], revisit["payload"], revisit["url"]) == (
        "revisit",
        None,
        "http://site.example/8",
    )
    assert (resource["payload"], resource["content_type"], resource["http_status"]) == (
        b"%PDF",
        "application/pdf",
        None,
    )


def test_wet_text_is_text(tmp_path):
    text = "Grüße\n"
    data = record("conversion", text.encode(), 1, Content_Type="text/plain")
    data += record("conversion", b"\xff\xfe", 2, Content_Type="text/plain")
    (tmp_path / "a.warc.wet").write_bytes(data)
    [table] = wet.FORMAT.read(File("a.warc.wet", str(tmp_path / "a.warc.wet")), origin=Origin("t"))
    assert table["text"].to_pylist() == [text, None]
    assert table["reject"].to_pylist() == [None, "not_utf8"]


# Damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        ("10", "malformed_record"),
        ("99999", "truncated"),
        ("x", "malformed_record"),
        (None, "malformed_record"),
    ],
)
def test_a_wrong_length_costs_one_record(tmp_path, length, reason):
    first, last = record("response", response(page(1)), 1), record("response", response(page(3)), 3)
    wrong = record("response", response(page(2)), 2, Content_Length=length)
    found = rows(tmp_path, first + wrong + last)
    assert [(row["payload"], row["reject"]) for row in found] == [
        (page(1), None),
        (None, reason),
        (page(3), None),
    ]
    assert found[1]["position"] == len(first)


def test_a_length_that_swallows_the_next_record_is_found_out(tmp_path):
    first, last = record("response", response(page(1)), 1), record("response", response(page(3)), 3)
    wrong = record("response", response(page(2)), 2, Content_Length=str(len(response(page(2))) + 100))
    found = rows(tmp_path, first + wrong + last)
    assert [(row["payload"], row["reject"]) for row in found] == [
        (page(1), None), (None, "malformed_record"), (page(3), None)
    ]  # fmt: skip


def test_garbage_between_records_is_lost_and_nothing_else(tmp_path):
    first, last = record("response", response(page(1)), 1), record("response", response(page(2)), 2)
    origin = Origin("t")
    found = rows(tmp_path, first + b"garbage\n" * 9 + last, origin=origin)
    assert [(row["payload"], row["reject"]) for row in found] == [(page(1), None), (page(2), None)]
    assert found[1]["position"] == len(first) + 72
    assert origin.files["a.warc"].lost == 72
    [damage] = origin.files["a.warc"].damage
    assert damage.startswith(
        f"bytes {len(first):,} to {len(first) + 72:,}: no record where one should begin: b'garbage"
    )


@pytest.mark.parametrize("form", ["base32", "hex"])
def test_a_block_that_is_not_what_its_digest_says(tmp_path, form):
    block = response(page(1))
    digest = hashlib.sha1(block)
    value = digest.hexdigest() if form == "hex" else base64.b32encode(digest.digest()).decode()
    data = record("response", block, 1, WARC_Block_Digest=f"sha1:{value}")
    good, bad = rows(tmp_path, data + data.replace(b"page 1", b"page 2"))
    assert (good["reject"], good["payload"]) == (None, page(1))
    assert (bad["reject"], bad["payload"]) == ("digest_mismatch", None)


def test_what_is_larger_than_a_document_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_PAYLOAD", 1000)
    big, small = record("response", response(b"x" * 2000), 1), record("response", response(b"y"), 2)
    for ending in COMPRESS:
        for together in (True, False):
            data = COMPRESS[ending](big + small) if together else COMPRESS[ending](big) + COMPRESS[ending](small)
            found = rows(tmp_path, data, f"a.warc{ending}")
            assert [(row["payload"], row["reject"]) for row in found] == [(None, "too_large"), (b"y", None)]


def test_an_archive_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(CurateError, match="cannot read an input"):
        list(warc.read(File("a.warc", str(tmp_path / "none.warc")), origin=Origin("t")))


# HTTP ------------------------------------------------------------------------------------------------------


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;x=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: x\r\n\r\n"


def brotli(data: bytes) -> bytes:
    return pa.compress(data, "brotli", asbytes=True)


HTML = b"<p>" + b"text " * 30
GZIP, CHUNKED = "Content-Encoding: gzip", "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (HTML, []),
        (gzip.compress(HTML, mtime=0), [GZIP]),
        (gzip.compress(HTML, mtime=0), ["content-encoding: X-GZip"]),
        (gzip.compress(HTML[:50], mtime=0) + gzip.compress(HTML[50:], mtime=0), [GZIP]),
        (zlib.compress(HTML), ["Content-Encoding: deflate"]),
        (zlib.compress(HTML)[2:-4], ["Content-Encoding: deflate"]),
        (brotli(HTML), ["Content-Encoding: br"]),
        (pa.compress(HTML, "zstd", asbytes=True), ["Content-Encoding: zstd"]),
        (brotli(gzip.compress(HTML, mtime=0)), ["Content-Encoding: gzip, br"]),
        (chunked(HTML), [CHUNKED]),
        (chunked(gzip.compress(HTML, mtime=0)), [GZIP, CHUNKED]),
        (chunked(gzip.compress(HTML, mtime=0)), ["Transfer-Encoding: gzip, chunked"]),
        # the header says so, but the archiver has taken the encoding off
        (HTML, [CHUNKED]),
        (HTML, [GZIP]),
        (HTML, ["Content-Encoding: br"]),
        (HTML, ["Content-Encoding: deflate"]),
        (HTML, ["Content-Encoding: utf-8"]),
    ],
)
def test_encodings_are_taken_off(body, lines):
    parsed = http.parse(response(body, *lines))
    assert http.decode(parsed.body, parsed.codings) == HTML


@pytest.mark.parametrize(
    ("body", "lines", "reason"),
    [
        (gzip.compress(HTML, mtime=0)[:-9], [GZIP], "truncated"),
        (gzip.compress(HTML, mtime=0)[:-8] + b"12345678", [GZIP], "bad_encoding"),
        (brotli(HTML)[:-3], ["Content-Encoding: br"], "bad_encoding"),
        (b"\xff\xff\xff", ["Content-Encoding: deflate"], "bad_encoding"),
        (chunked(HTML)[:60], [CHUNKED], "truncated"),
        (chunked(HTML)[:-19], [CHUNKED], "truncated"),
        (chunked(HTML)[:26] + b"zz" + chunked(HTML)[26:], [CHUNKED], "bad_chunking"),
    ],
)
def test_what_cannot_be_taken_off_is_named(body, lines, reason):
    parsed = http.parse(response(body, *lines))
    with pytest.raises(Damaged) as caught:
        http.decode(parsed.body, parsed.codings)
    assert caught.value.reason == reason


def test_a_small_body_cannot_unpack_to_a_huge_one():
    bomb = gzip.compress(bytes(10_000_000), mtime=0)
    for body, coding in ((bomb, "gzip"), (brotli(bytes(10_000_000)), "br")):
        with pytest.raises(Damaged) as caught:
            http.decode(body, [coding], limit=1_000_000)
        assert caught.value.reason == "too_large"


@pytest.mark.parametrize("block", [b"", b"<html>", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 20000\r\n\r\n"])
def test_no_status_line(block):
    with pytest.raises(Damaged) as caught:
        http.parse(block)
    assert caught.value.reason == "bad_http"


def test_header_lines_may_end_in_line_feeds_alone_and_be_nonsense():
    parsed = http.parse(b"HTTP/1.0 404 \xff\nnonsense\nContent-Type: text/html\n\n<p>")
    assert (parsed.status, parsed.kind, parsed.body) == (404, "text/html", b"<p>")


def test_header_lines_may_go_on_in_the_next():
    parsed = http.parse(b"HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n\tcharset=koi8-r\r\n\r\n<p>")
    assert (parsed.kind, parsed.charset) == ("text/html", "koi8-r")


def test_many_gzip_members_in_one_body_are_read_once_each():
    body = gzip.compress(b"x", mtime=0) * 50_000  # a second; hours if each member were cut off the rest
    assert http.decode(body, ["gzip"]) == b"x" * 50_000


@settings(max_examples=200)
@given(st.binary(max_size=200), st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "chunked", "x"])))
def test_any_body_decodes_or_is_named(body, codings):
    reason = None
    try:
        http.decode(body, codings)
    except Damaged as damage:
        reason = damage.reason
    assert reason in (None, "truncated", "bad_encoding", "bad_chunking", "too_large")


# ARC -------------------------------------------------------------------------------------------------------


def arc_record(url: str, block: bytes) -> bytes:
    return f"{url} 10.0.0.1 20080430204825 text/html {len(block)}\n".encode() + block + b"\n"


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_arc_archives(tmp_path, ending):
    head = arc_record("filedesc://a.arc", b"1 0 Maker\nURL IP-address Archive-date Content-type Archive-length\n")
    written = [head] + [arc_record(f"http://a.example/a page {n}", response(page(n))) for n in range(3)]
    written = [COMPRESS[ending](r) for r in written]
    origin = Origin("t")
    found = rows(tmp_path, b"".join(written), f"a.arc{ending}", origin=origin)
    assert [row["payload"] for row in found] == [page(n) for n in range(3)]
    assert [row["url"] for row in found] == [f"http://a.example/a page {n}" for n in range(3)]
    assert found[0]["date"] == "2008-04-30T20:48:25Z"
    assert origin.skipped == {"warcinfo": 1}
    assert [row["position"] for row in found] == [len(b"".join(written[:n])) for n in (1, 2, 3)]
    for cut in range(1, len(b"".join(written)), 7):
        kept = [
            row["payload"] for row in rows(tmp_path, b"".join(written)[:cut], f"a.arc{ending}") if not row["reject"]
        ]
        whole = [page(n) for n in range(3) if len(b"".join(written[: n + 2])) <= cut]
        assert kept[: len(whole)] == whole
        assert len(kept) <= len(whole) + 1


# Real archives ---------------------------------------------------------------------------------------------


def real_archives() -> list[Path]:
    found = SHARED.rglob("*") if SHARED.is_dir() else []
    return sorted(p for p in found if (".warc" in p.name or ".arc" in p.name) and ".paths" not in p.name)


@needs_shared
def test_real_archives_are_read_to_their_end(tmp_path):
    """The peer reader is warcio. Where it reads an archive, so do we, record for record."""
    iterator = pytest.importorskip("warcio.archiveiterator").ArchiveIterator
    exceptions = pytest.importorskip("warcio.exceptions")
    compared = 0
    for path in real_archives():
        reader = arc if ".arc" in path.name else warc
        origin = Origin("t")
        tables = list(reader.read(File(path.name, str(path)), origin=origin))
        rejects = [reason for table in tables for reason in table["reject"].to_pylist()]
        ids = [i for table in tables for i in table["id"].to_pylist()]
        assert len(set(ids)) == len(ids), path
        damaged = [reason for reason in rejects if reason not in (None, "revisit")]
        lower = path.name == "valid-warcfile-upper-lower-case.warc"  # warcio wants WARC in capitals
        if damaged or lower or "invalid" in path.parts or path.name.endswith((".lz4", ".bad")):
            continue
        try:
            with path.open("rb") as stream:
                kinds = [record.rec_type for record in iterator(stream)]
        except (exceptions.ArchiveLoadFailed, AttributeError):  # not an archive that warcio reads
            continue
        documents = [kind for kind in kinds if kind in records.DOCUMENTS]
        logs = origin.skipped.pop("crawler_log", 0)
        assert len(rejects) == len(documents) - logs, path
        assert sum(origin.skipped.values()) == len(kinds) - len(documents), path
        assert rejects.count("revisit") == kinds.count("revisit"), path
        compared += 1
    assert compared > 40
