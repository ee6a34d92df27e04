"""What is fuzzed: a function for each reader of data that strangers may have written, and inputs to begin with.

A target takes the bytes of a file. It returns where they are read, and where they are refused by a CurateError or, of a
single document, by name. Anything else it raises is a finding, and so are a crash, more than SECONDS and more than
MEMORY, which `fuzz_loop` looks for.
"""

import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import models
import pyarrow as pa
import pyarrow.parquet as pq
from releases import one_source, record, release, response, rows

from curate.cli import render as report
from curate.documents import utf8
from curate.errors import CurateError
from curate.inspect.opened import Release
from curate.manifest.manifest import load
from curate.models.fasttext_file import load_model
from curate.models.fasttext_model import Classifier, Collapsed, can_collapse, collapse
from curate.release.build import write_pages
from curate.release.files import read_release
from curate.release.lock import verify
from curate.sources import File, Origin, http, partitions
from curate.sources.http import Damaged
from curate.stage_api import find_stage
from curate.testing import docs

TEXTS = utf8(docs("a few words of text", "", "日本語 proof click", "x " * 300)["text"])
FOLDER = Path(tempfile.gettempdir()) / f"curate-fuzz-{os.getpid()}"


def warc(data: bytes) -> None:
    _read("warc", "a.warc", data)


def arc(data: bytes) -> None:
    _read("arc", "a.arc", data)


def jsonl(data: bytes) -> None:
    _read("jsonl", "a.jsonl", data)


def json_file(data: bytes) -> None:
    _read("json", "a.json", data)


def csv_file(data: bytes) -> None:
    _read("csv", "a.csv", data)


def text(data: bytes) -> None:
    _read("text", "a.txt", data)


def parquet(data: bytes) -> None:
    _read("parquet", "a.parquet", data)


def message(data: bytes) -> None:
    """An HTTP response, as an archive holds it."""
    try:
        response = http.parse(data)
        body = http.decode(response.body, response.codings)
    except Damaged as damaged:
        assert damaged.reason
        return
    assert len(body) <= http.MAX_PAYLOAD
    assert 0 <= response.status <= 999


def html(data: bytes) -> None:
    """A page, with its types first: `content type | charset`, newline, payload."""
    head, newline, payload = data.partition(b"\n")
    kind, _, charset = (head if newline else b"").decode("latin-1").partition("|")
    page = docs(None, payload=[payload if newline else data], http_status=[200])
    page = page.set_column(page.column_names.index("url"), "url", pa.array(["http://a.example/"]))
    for name, value in (("content_type", kind), ("identified_type", None), ("charset", charset)):
        page = page.append_column(name, pa.array([value or None], pa.string()))
    stage = find_stage("extract")
    for params in ({}, {"extractor": "curate", "format": "markdown"}, {"main_content": False, "links": True}):
        found = stage(page, **stage.configure(params))
        found.validate(full=True)
        assert found.num_rows == 1


def manifest(data: bytes) -> None:
    load(_file("manifest.yaml", data))


def lock(data: bytes) -> None:
    """The lock of a release of others: it is verified, reported, and its pages are written anew."""
    home = FOLDER / "release"
    if not home.is_dir():
        shutil.copytree(_released(), home)
    (home / "lock.json").write_bytes(data)
    problems = verify(home)
    if not problems:
        read_release(home)
    opened = Release(home)
    list(report.release_lines(opened.typed, home))
    assert opened.funnel.num_rows >= 0
    assert opened._repr_html_()
    write_pages(_empty("pages"), opened.typed.model_copy(update={"files": []}), "name: one\n")


def fasttext(data: bytes) -> None:
    model = load_model(_file("model.bin", data))
    if can_collapse(model):
        collapse(model, model.labels[0]).score(*TEXTS)
    if Classifier.supports(model):
        label, probability = Classifier(model).predict(*TEXTS)
        assert (label < len(model.labels)).all()
        assert ((probability >= 0) & (probability <= 1)).all()


def npz(data: bytes) -> None:
    score = Collapsed.load(_file("model.npz", data)).score(*TEXTS)
    assert ((score >= 0) & (score <= 1)).all()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "warc": warc,
    "arc": arc,
    "http": message,
    "html": html,
    "jsonl": jsonl,
    "json": json_file,
    "csv": csv_file,
    "text": text,
    "parquet": parquet,
    "manifest": manifest,
    "lock": lock,
    "fasttext": fasttext,
    "npz": npz,
}


def attempt(name: str, data: bytes) -> None:
    """Give a target an input. Raises what is a finding."""
    FOLDER.mkdir(exist_ok=True)
    try:
        TARGETS[name](data)
    except CurateError as error:
        assert error.exit_code in (1, 2, 3), error
        str(error).encode()  # it can be printed


def clean() -> None:
    """Remove the files that targets wrote."""
    shutil.rmtree(FOLDER, ignore_errors=True)


def _file(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def _empty(name: str) -> Path:
    path = FOLDER / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def _read(kind: str, name: str, data: bytes) -> None:
    """Read a file to its end and hold the reader to its contract: valid tables, no more lost than there is."""
    path = _file(name, data)
    origin, ids = Origin("fuzz", block_bytes=1 << 16), []
    identity = {"format": kind, "options": {}, "pieces": [(name, "", None)]}
    for table in partitions.read(identity, {name: File(name, str(path), len(data))}, origin):
        table.validate(full=True)
        ids += table["id"].to_pylist()
        alive = pa.compute.is_null(table["reject"])
        there = [name for name in ("text", "payload") if name in table.column_names]
        assert not pa.compute.all(alive).as_py() or there
    assert len(ids) == len(set(ids)), "two documents have one id"
    found = origin.of(name)
    assert 0 <= found.lost <= len(data), f"{found.lost} of {len(data)} bytes lost"
    assert found.bad_rows <= found.rows


# Inputs to begin with


def seeds(name: str) -> list[bytes]:
    """Small sound inputs of a target, from which others are made. The same bytes each time."""
    return _SEEDS[name]()


def _warcs() -> list[bytes]:
    page = response("http://a.example/1", "<p>text of a page</p>")
    wet = record("conversion", "http://a.example/2", "Text, already plain. 日本".encode(), "text/plain")
    revisit = record("revisit", "http://a.example/3", b"HTTP/1.1 304\r\n\r\n", "application/http")
    info = record("warcinfo", "", b"software: x\r\n", "application/warc-fields")
    members = [info, page, wet, revisit]
    plain = [gzip.decompress(member) for member in members]
    digest = plain[1].replace(b"WARC-Date", b"WARC-Block-Digest: sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ\r\nWARC-Date")
    packed = gzip.compress(b"packed body", mtime=0)
    coded = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    coded += b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    coded = gzip.decompress(record("response", "http://a.example/4", coded, "application/http"))
    return [b"".join(members), b"".join(plain), b"".join([plain[0], digest, coded]), gzip.compress(b"".join(plain))]


def _arcs() -> list[bytes]:
    head = b"filedesc://a.arc 0.0.0.0 20050101000000 text/plain 20\n1 0 InternetArchive\n\n"
    body = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>old page</p>"
    one = b"http://a.example/ 10.0.0.1 20050101000000 text/html %d\n%s\n" % (len(body), body)
    two = one.replace(b"a.example/", b"a.example/with space")
    return [head + one + two, gzip.compress(head, mtime=0) + gzip.compress(one, mtime=0), one * 3]


def _messages() -> list[bytes]:
    packed = gzip.compress(b"packed " * 50, mtime=0)
    return [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Robots-Tag: noai\r\n\r\n<p>x</p>",
        b"HTTP/1.1 200 OK\nContent-Encoding: gzip, deflate, br\n folded\n\n" + packed,
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n",
        b"HTTP/1.0 404 No\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(packed), packed),
        b"HTTP/2 200\r\nContent-Encoding: zstd\r\n\r\n\x28\xb5\x2f\xfd\x04\x58\x19\x00\x00abc\x55\x0b\x06\x91",
    ]


def _pages() -> list[bytes]:
    body = "<h1>A heading</h1><p>Words of the <b>text</b>, m<sup>2</sup>.</p><ul><li>one<li>two</ul>"
    table = "<table><tr><td>a<td>b</table><script>x</script><pre>  code\n</pre><img alt='picture'>&amp;&#x4e2d;"
    formula = "<math><mi>x</mi><mo>=</mo></math><time>2020</time><a href='http://b.example/?q=1'>link</a><noscript>n"
    page = f"<!doctype html><html><head><title>T</title><meta charset=utf-8></head><body>{body}{table}{formula}"
    return [
        b"text/html|utf-8\n" + page.encode(),
        b"text/html|\n" + page.replace("utf-8", "windows-1251").encode(),
        b"text/plain|utf-16\n" + "plain text".encode("utf-16"),
        b"application/xhtml+xml|shift_jis\n" + f"<html xmlns='x'>日本語{body}".encode("shift_jis"),
        b"|\n%PDF-1.4 x",
    ]


def _lines() -> list[bytes]:
    values = [
        {"text": "some words", "url": "http://a.example/", "id": 5, "date": "2020-01-01", "meta": {"a": [1, None]}},
        {"messages": [{"role": "user", "content": "hello"}], "text": "日本語 \ud83d\ude00", "n": 1.5e300},
        {"text": None, "big": 10**30, "language": "en", "license": "mit"},
    ]
    lines = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    return [lines, gzip.compress(lines, mtime=0), b"\xef\xbb\xbf" + lines + b"\n[1]\n{\n", lines.rstrip()]


def _arrays() -> list[bytes]:
    values = json.dumps([json.loads(line) for line in _lines()[0].splitlines()]).encode()
    spread = json.dumps(json.loads(values), indent=2).encode()
    return [
        values,
        spread,
        spread + b"\n" + values,
        gzip.compress(values, mtime=0),
        spread.strip(b"[]"),
        b'{\n"text": "a"}',
    ]


def _csvs() -> list[bytes]:
    plain = b"text,url,date\r\nsome words,http://a.example/,2020\r\n,,\r\n\r\n"
    quoted = 'text,"url"\n"two\nlines, and ""quotes""",x\n日本,y\nz\n'.encode()
    return [
        plain,
        quoted,
        b"\xef\xbb\xbf" + quoted,
        gzip.compress(quoted, mtime=0),
        plain + b'"open,\n' * 3 + b"\xff,\n",
    ]


def _texts() -> list[bytes]:
    plain = "Some words.\n\n日本語\r\n".encode()
    return [plain, b"\xef\xbb\xbf" + plain, gzip.compress(plain, mtime=0), b"\xff" + plain]


def _tables() -> list[bytes]:
    found = []
    odd = {"text": ["a", None, "日本"], "url": ["http://a.example", "", None], "n": [1, 2, 3], "b": [b"x", b"", None]}
    nested = {"text": ["x"] * 40, "meta": [{"a": [1, 2], "t": "y"}] * 40, "day": [date(2020, 1, 1)] * 40}
    for table, more in ((odd, {}), (nested, {"compression": "zstd", "row_group_size": 15, "use_dictionary": False})):
        sink = io.BytesIO()
        pq.write_table(pa.table(table), sink, **more)
        found.append(sink.getvalue())
    return found


def _manifests() -> list[bytes]:
    folder = Path(__file__).resolve().parents[2] / "manifests"
    return [path.read_bytes() for path in sorted(folder.glob("*.yaml"))[:4]] + [
        b"name: one\nversion: 1.0.0\nlicense: mit\nx-a: &a {license: mit}\nsources:\n  a:\n    <<: *a\n"
        b"    inputs: [in.jsonl]\n    pipeline: [normalize, {length: {min_words: 5}}]\nstages:\n"
        b"  - near_dedup: {threshold: 0.8}\n  - filter: {few: 'n_words < 10'}\nshards: {size: 1MB}\n"
        b"mixture:\n  by: source\n  size: 100\n  weights: {a: 1}\n  seed: 3\n"
    ]


_RELEASES: list[Path] = []


def _released() -> Path:
    """A small release."""
    if not _RELEASES:
        folder = FOLDER / "made"
        stages = ["normalize", {"length": {"min_words": 5}}, {"exact_dedup": "text"}]
        path = one_source(folder, rows(1, 30), stages, stages=["near_dedup"], shards={"size": "8KB"})
        _RELEASES.append(release(path, folder / "work").path)
    return _RELEASES[0]


def _locks() -> list[bytes]:
    FOLDER.mkdir(exist_ok=True)
    return [(_released() / "lock.json").read_bytes()]


def _models() -> list[bytes]:
    small = models.model(bucket=20, dim=4), models.model(bucket=20, dim=4, wordNgrams=1, minn=2, maxn=3, loss="hs")
    return [path.read_bytes() for path in small]


def _collapsed() -> list[bytes]:
    path = FOLDER / "seed.npz"
    FOLDER.mkdir(exist_ok=True)
    collapse(load_model(models.model(bucket=20, dim=4)), "hq").save(path)
    return [path.read_bytes()]


_SEEDS = {
    "warc": _warcs,
    "arc": _arcs,
    "http": _messages,
    "html": _pages,
    "jsonl": _lines,
    "json": _arrays,
    "csv": _csvs,
    "text": _texts,
    "parquet": _tables,
    "manifest": _manifests,
    "lock": _locks,
    "fasttext": _models,
    "npz": _collapsed,
}
