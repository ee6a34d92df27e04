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
from curate.sources import File, Origin, arc, http, warc, wet
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
    block = response(
        html, 'Content-Type: Text/HTML; Charset="ISO-8859-1"', "X-Robots-Tag: noindex", "X-Robots-Tag: nofollow",
        "TDM-Reservation: 1",
    )  # fmt: skip
    archive = record("warcinfo", b"software: x") + record("response", block, 7, WARC_IP_Address="10.0.0.1")
    origin = Origin("web", license="CC0-1.0")
    [row] = rows(tmp_path, archive, origin=origin)
    assert row["payload"] == html
    assert row["url"] == "http://site.example/7"
    assert row["date"] == "2024-05-18T01:58:10Z"
    assert row["position"] == archive.index(b"WARC/1.0", 1)
    assert (row["source"], row["path"], row["license"]) == ("web", "a.warc", "CC0-1.0")
    assert (row["http_status"], row["content_type"], row["charset"]) == (200, "text/html", "iso-8859-1")
    assert row["robots"].splitlines() == [
        "x-robots-tag: noindex", "x-robots-tag: nofollow", "tdm-reservation: 1"
    ]  # fmt: skip
    assert json.loads(row["meta"]) == {"ip": "10.0.0.1", "record_id": f"<urn:uuid:{7:032x}>"}
    assert row["reject"] is None
    assert row["text"] is None
    assert origin.skipped == {"warcinfo": 1}


def test_the_schema_is_the_document_table_and_a_reason():
    assert warc.archive.SCHEMA.names == [*ARCHIVE_SCHEMA.names, "reject"]


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressions_give_the_same_pages_at_their_own_offsets(tmp_path, ending):
    records = [COMPRESS[ending](r) for r in pages(7)]
    found = rows(tmp_path, b"".join(records), f"a.warc{ending}")
    assert [row["payload"] for row in found] == [page(n) for n in (0, 2, 4, 6)]
    assert [row["position"] for row in found] == [len(b"".join(records[:n])) for n in (0, 2, 4, 6)]


def test_one_gzip_member_for_all_still_gives_ids_that_differ(tmp_path):
    same = record("response", response(b"x"), 1)
    found = rows(tmp_path, gzip.compress(same * 50), "a.warc.gz")
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
    data += record("revisit", response(b""), 8) + record(
        "resource", b"%PDF", 9, Content_Type="application/pdf"
    )
    revisit, resource = rows(tmp_path, data, origin=origin)
    assert origin.skipped == {"warcinfo": 1, "request": 1, "metadata": 1, "continuation": 1, "unknown": 1}
    assert (revisit["reject"], revisit["payload"], revisit["http_status"]) == ("revisit", None, 200)
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
    [table] = wet.read(File("a.warc.wet", str(tmp_path / "a.warc.wet")), origin=Origin("t"))
    assert table["text"].to_pylist() == [text, None]
    assert table["reject"].to_pylist() == [None, "not_utf8"]


# Damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", COMPRESS)
def test_an_archive_cut_anywhere_keeps_what_is_whole_and_names_what_is_not(tmp_path, ending):
    records = [COMPRESS[ending](r) for r in pages(4)]
    ends = [len(b"".join(records[: n + 1])) for n in range(4)]
    data = b"".join(records)
    for cut in range(len(data)):
        found = rows(tmp_path, data[:cut], f"a.warc{ending}")
        sound = [row["payload"] for row in found if row["reject"] is None]
        whole = [page(n) for n in range(0, 4, 2) if ends[n] <= cut]
        assert sound[: len(whole)] == whole, cut
        assert len(sound) <= len(whole) + 1, cut
        if cut not in ends and not (ending == "" and cut + 4 >= min(e for e in ends if e > cut)):
            assert [row for row in found if row["reject"]], cut
        assert all(row["payload"] is None and row["text"] is None for row in found if row["reject"]), cut


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(COMPRESS)),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(["flip", "remove", "insert"]),
    st.binary(min_size=1, max_size=40),
)
def test_damage_costs_only_what_it_touches(folder, ending, where, how, garbage):
    records = [COMPRESS[ending](r) for r in pages(8)]
    data = b"".join(records)
    at = int(where * len(data))
    end = at if how == "insert" else min(len(data), at + len(garbage))
    damaged = data[:at] + (b"" if how == "remove" else garbage) + data[end:]
    found = rows(folder, damaged, f"b.warc{ending}")
    sound = [row["payload"] for row in found if row["reject"] is None]
    starts = [len(b"".join(records[:n])) for n in range(9)]
    for n in range(0, 8, 2):
        if starts[n + 1] <= at or (starts[n] >= end and ending):
            assert page(n) in sound
    assert len({row["id"] for row in found}) == len(found)
    assert len(found) <= 4 + 4
