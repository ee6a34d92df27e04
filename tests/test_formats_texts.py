"""Texts and pages, one document a file: what their readers give, reject and count."""

import gzip

import pytest
from releases import rejected_rows, release, released_rows
from test_formats import read, source, texts

from curate.errors import CurateError
from curate.sources import compression

# Plain text


@pytest.mark.parametrize("size", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize(
    ("content", "options", "told", "empty"),
    [
        ("\ufeff One.\r\n\nTwo. \n", {}, [" One.\r\n\nTwo. \n"], 0),
        (" \n", {}, [], 1),
        ("a\n---\nb\n---\n\n---\nc---d\n", {"separator": "\n---\n"}, ["a", "b", "c---d"], 1),
        ("a<|end|>b<|end|>", {"separator": "<|end|>"}, ["a", "b"], 0),
    ],
)
def test_texts(tmp_path, monkeypatch, content, options, told, empty, size):
    monkeypatch.setattr(compression, "_OUT", size)
    rows, origin = read(tmp_path, "a.txt", content.encode(), **options)
    assert texts(rows) == told
    assert origin.skipped["empty_document"] == empty


def test_a_text_that_cannot_be_used_is_told(tmp_path, monkeypatch):
    rows, origin = read(tmp_path, "a.txt", b"caf\xe9")
    assert texts(rows) == ["not_utf8"]
    assert "iconv" in rows[0]["meta"]
    monkeypatch.setattr("curate.sources.formats.plain_text.MAX_ROW", 100)
    monkeypatch.setattr(compression, "_OUT", 30)
    rows, origin = read(tmp_path, "b.txt", b"a|" + b"x" * 500 + b"|b", separator="|")
    assert texts(rows) == ["a", "too_large", "b"]
    assert origin.files["b.txt"].bad_rows == 1


def test_damage_cuts_a_text(tmp_path):
    noise = bytes(range(256)) * 40
    data = gzip.compress(b"text " * 100 + noise.hex().encode(), mtime=0)
    rows, origin = read(tmp_path, "a.txt.gz", data[: len(data) // 2])
    assert texts(rows) == ["truncated"]
    assert origin.files["a.txt.gz"].lost > 0


def test_a_folder_of_texts_with_a_few_that_are_not_utf8_is_released(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(120):
        (tmp_path / "in" / f"{number}.txt").write_text(f"<p> text number {number}")
    (tmp_path / "in" / "7.txt").write_bytes(b"caf\xe9")
    made = release(source(tmp_path, ["in"], format="text"), tmp_path / "work")
    assert len(released_rows(made.path)) == 119
    assert [(row["path"], row["reason"]) for row in rejected_rows(made.path)] == [("7.txt", "not_utf8")]
    (tmp_path / "in" / "8.txt").write_bytes(b"caf\xe9")
    with pytest.raises(CurateError, match=r"too many rows of source `s`(.|\n)*iconv"):
        release(source(tmp_path, ["in"], format="text"), tmp_path / "work")


# HTML

PAGE = "<html><title>T</title><body><h1>News</h1><p>The committee met on Tuesday and agreed.</p></body></html>"


def test_a_folder_of_pages(tmp_path):
    site = tmp_path / "site" / "a b"
    site.mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text(PAGE)
    (site / "two.htm.gz").write_bytes(gzip.compress(PAGE.replace("Tuesday", "Mänty").encode("latin-1")))
    (site / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (site / "paper.pdf").write_bytes(b"%PDF-1.4 x")
    options = {"base_url": "https://site.example"}
    path = source(tmp_path, ["site"], format="html", options=options, pipeline=[{"extract": {"main_content": False}}])
    made = release(path, tmp_path / "work")
    found = {row["path"]: row for row in released_rows(made.path)}
    assert found.keys() == {"index.html", "a b/two.htm.gz"}
    assert "The committee met on Tuesday and agreed." in found["index.html"]["text"]
    assert "Mänty" in found["a b/two.htm.gz"]["text"]
    assert found["a b/two.htm.gz"]["url"] == "https://site.example/a%20b/two.htm"
    reasons = {row["path"]: row["reason"] for row in rejected_rows(made.path)}
    assert reasons == {"a b/image.png": "image", "a b/paper.pdf": "pdf"}


def test_a_page_that_cannot_be_used_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.sources.formats.html_page.MAX_PAYLOAD", 100)
    rows, _ = read(tmp_path, "a.html", b"<p>" * 50)
    assert [(row["reject"], row["payload"]) for row in rows] == [("too_large", None)]
    data = gzip.compress(bytes(range(90)), mtime=0)
    rows, origin = read(tmp_path, "b.html.gz", data[:-20])
    assert rows[0]["reject"] == "truncated"
    assert origin.files["b.html.gz"].lost > 0
