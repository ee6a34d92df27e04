"""What a payload is, by bytes, crawler and server in this order; and which characters it stands for, by any label."""

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages._charset import decode, encoding_of
from curate.stages._payload_kind import kind_of, wide

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
REASONS = {"html", "text", "pdf", "image", "audio_video", "script", "not_html"}
WORDS = b"The river runs from the mountains to the sea, and on its way it passes seven towns. "
NO_CLAIM = (None, "", "application/octet-stream", "text/html")

BEGINNINGS = [
    *(
        b"<%s>" % name.encode()
        for name in ("section", "header", "nav", "article", "main", "aside", "ul", "form", "pre", "span", "figure")
    ),
    b"<img src=x.png>",
    b"<my-app class='x'>",
    b"<custom-element>",
    b"<svg viewBox='0 0 1 1'><path d='M0'/></svg><main>",
    b"<!-- " + b"license of this theme " * 200 + b"-->\n<div>",
    b"<!-- one --><!-- two --> <!--> <p>",
    b"<!DOCTYPE html><p>",
    b"<!doctype HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>\n<html>",
    b"\xef\xbb\xbf<section>",
    b"\r\n \t<!doctype html>",
    b"<?xml version='1.0' encoding='utf-8'?>\n<!DOCTYPE html PUBLIC 'x'>\n<html xmlns='http://www.w3.org/1999/xhtml'>",
    b"<?xml version='1.0'?><html>",
    b"<?php /* not run */ ?>\n<div>",
    b"<![if !IE]><p>",
    b"Warning: cannot modify header information in index.php on line 3\n<!DOCTYPE html><html>",
    b"stray words <html><body>",
    b"<style>p {}</style><p>",
    b"<script>var a = {};</script><p>",
]


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("claimed", NO_CLAIM)
def test_a_page_may_begin_with_anything(beginning, claimed):
    page = beginning + WORDS + b"<p>" + WORDS + b"</p></div>"
    assert kind_of(page, claimed) == "html"
    assert kind_of(page, claimed, "text/html") == "html"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_wide_characters_make_no_difference(encoding):
    for page in ("<!doctype html><p>Words", "<section><p>委员会于星期二开会</p></section>", "\n<html>Grüße"):
        assert kind_of(page.encode(encoding), None) == "html"
        assert decode(page.encode(encoding), None) == page
        assert decode(page.encode(encoding), "iso-8859-1") == page
    assert kind_of("only words, and no tag".encode(encoding), "text/html") == "text"
    assert kind_of('{"a": 1}'.encode(encoding), "text/html") == "script"


NO_PAGES = [
    (b"%PDF-1.7\n1 0 obj", "pdf"),
    (b"\xef\xbb\xbf%PDF-1.4\n0 0 obj", "pdf"),
    (b"\n\r\n  %PDF-1.4\n0 0 obj", "pdf"),
    (b"\x00\x01 garbage of a mail gateway " * 30 + b"%PDF-1.3\r\n1 0 obj", "pdf"),
    (b"%!PS-Adobe-3.0\n/Times findfont", "not_html"),
    (b"\x04%!PS-Adobe-3.0\n", "not_html"),
    (b"{\\rtf1\\ansi Words}", "not_html"),
    (b"(function(){var a=1;window.b=a})();", "script"),
    (b"!function(e){e.x=1}(this);", "script"),
    (b"/*! library v1 */\n;(function ($) { $('<div>') })(jQuery)", "script"),
    (b"// a comment\nvar page = '<html><body>' + x;", "script"),
    (b"'use strict';\nlet a = 1;", "script"),
    (b"document.write('<p>words</p>');", "script"),
    (b"window.dataLayer = window.dataLayer || [];", "script"),
    (b'callback({"items": []})', "script"),
    (b"import React from 'react';", "script"),
    (b")]}',\n{'html': '<p>words</p>'}", "script"),
    (b"class A extends B { constructor() { super('<p>'); } }", "script"),
    (b"(self.webpackChunk=self.webpackChunk||[]).push(['<p>']);", "script"),
    (b"MIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n\r\n<html>", "not_html"),
    (b'{"items": [{"id": 0, "html": "<p>words</p>"}]}', "script"),
    (b'[{"id": 0}, {"id": 1}]', "script"),
    (b"[1, 2, 3]", "script"),
    (b"{}", "script"),
    (b"body { margin: 0 } p > a { color: red }", "script"),
    (b"/* theme */\n@import url(x.css);\n", "script"),
    (b".menu li:hover,\n#top { display: none }", "script"),
    (b"<?xml version='1.0'?><urlset><url><loc>http://x/1</loc></url></urlset>", "not_html"),
    (b"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url>", "not_html"),
    (b"<sitemapindex>", "not_html"),
    (b"<?xml version='1.0'?>\n<!-- made by x -->\n<rss version='2.0'><channel><item><title>a</title>", "not_html"),
    (b"<rss version='2.0'><channel>", "not_html"),
    (b"<feed xmlns='http://www.w3.org/2005/Atom'><entry>", "not_html"),
    (b"<rdf:RDF xmlns='http://purl.org/rss/1.0/'>", "not_html"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "not_html"),
    (b"<?xml version='1.0'?><!DOCTYPE svg><svg><path/></svg>", "image"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><g><svg/></g></svg>\n", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\x00\x00\x00\x20ftypavif", "image"),
    (b"wOF2\x00\x01", "not_html"),
    (b"\x00\x01\x00\x00\x00\x0f\x00\x80", "not_html"),
    (b"OTTO\x00\x0b", "not_html"),
    (b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml", "not_html"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not_html"),
    (b"BEGIN:VCALENDAR\r\nVERSION:2.0", "not_html"),
    (b"\x00\x01\x02\x03\x04\x05\x06\x07 no text", "not_html"),
]


@pytest.mark.parametrize(("payload", "reason"), NO_PAGES)
@pytest.mark.parametrize("claimed", NO_CLAIM)
def test_what_is_called_a_page_and_is_none(payload, reason, claimed):
    assert kind_of(payload, claimed) == reason
    assert kind_of(payload, claimed, "text/html") == reason


@pytest.mark.parametrize(
    "text",
    [
        b"User-agent: *\nDisallow: /private/\n",
        WORDS,
        b"[1] A reference. [2] Another.",
        b"{not JSON at all}",
        b"a < b and b > c, 1 <2",
        b"The file format %PDF-1.4 is old.",
        b"function of the liver: to clean the blood",
        b"import duties rose; 'steel' was hit hardest",
        b"for all of us",
        b"let me tell you a story",
        "Größe und Maße".encode("cp1252"),
        b"",
    ],
)
def test_text_without_a_tag_is_text_whatever_it_is_called(text):
    for claimed in (*NO_CLAIM, "text/plain"):
        assert kind_of(text, claimed) == "text"


def test_plain_text_is_believed_unless_it_is_a_whole_page():
    assert kind_of(b"<!doctype html><html><body><p>Words</body></html>", "text/plain") == "html"
    assert kind_of(b"Notice: x\n<html><body><p>Words</body></html>", "text/plain") == "html"
    assert kind_of(b"<div><p>Words</p></div>\n", "text/plain") == "html"
    assert kind_of(b"<div align='center'>\n<h1>Name</h1>\n</div>\n\n## Use\n\nRun `make`.\n", "text/plain") == "text"
    assert kind_of(b"Write `<body>` after `<head>`, as in the example.", "text/plain") == "text"
    assert kind_of(b"var a = 1;\n", "text/plain") == "text"  # a listing
    assert kind_of(b'{"a": 1}', "text/plain") == "script"
    assert kind_of(b"a &amp; b", "text/html") == "html"
    assert kind_of(b"a &amp; b", "text/plain") == "text"


@pytest.mark.parametrize(
    ("identified", "claimed", "kind"),
    [
        ("application/javascript", "text/html", "script"),
        ("application/pdf", "text/html", "pdf"),
        ("image/svg+xml", None, "image"),
        ("application/x-bittorrent", "text/html", "not_html"),
        ("text/plain", "application/json", "script"),
        ("text/plain", "text/html", "text"),
        ("text/html", "text/csv", "not_html"),
        ("application/octet-stream", "text/plain", "text"),
        (None, "text/csv", "not_html"),
        (None, "video/mp4", "audio_video"),
    ],
)
def test_where_bytes_do_not_tell_the_crawler_goes_before_the_server(identified, claimed, kind):
    assert kind_of(WORDS, claimed, identified) == kind


@pytest.mark.parametrize("named", ["image/png", "application/pdf", "application/json", "application/xml", "text/css"])
def test_a_page_is_a_page_whoever_says_otherwise(named):
    page = b"<!doctype html><html><body><p>Words</p></body></html>"
    assert kind_of(page, named) == kind_of(page, "text/html", named) == "html"


PARTS = [b"<", b"!--", b"-->", b"<?xml ", b">", b"<svg", b"/", b"<!doctype ", b"[", b"]", b"{", b'"', b":", b"a", b" "]
PARTS += [b"\n", b"\0", b"\xff\xfe", b"\xb0\xa1", b"<p>", b"(", b"function", b"/*", b"*/", b"%PDF-1.4\n"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join),
    st.sampled_from([*NO_CLAIM, "text/plain", "image/png"]),
)
def test_any_bytes_are_one_of_the_kinds(payload, claimed):
    assert kind_of(payload, claimed) in REASONS
    text = decode(payload, "cp949")
    assert text is None or isinstance(text, str)


PIECES = [b"<!-- -->", b"<!---->", b"<!-->", b"<!--", b"<?xml ", b"<![", b"<svg ", b"<svg>", b"<!doctype a [", b"<a-"]
PIECES += [
    b"<a ",
    b"/*",
    b"/**/",
    b"//\n",
    b"{",
    b"[",
    b"[[",
    b"a{",
    b"a,",
    b"(",
    b"function ",
    b"import ",
    b"&amp",
    b" ",
]
PIECES += [b"\n", b"<meta ", b"\xb0", b"\x1b$", b"a\0"]


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_linear(piece):
    """40 comments once took days. Any pattern that goes back over 300 kB takes minutes."""
    start = time.process_time()
    for tail in (b"x", b"<p>", b"\xff"):
        payload = piece * (300_000 // len(piece)) + tail
        for claimed in ("text/html", None):
            kind_of(payload, claimed)
        decode(payload, None)
    assert time.process_time() - start < 20


def test_forty_comments():
    assert kind_of(b"<!---->" * 40 + b"x", "text/html") == "html"
    assert kind_of(b"<!---->" * 40 + b"x", None) == "html"
    assert kind_of(b"<!---->" * 40 + b"x", "text/plain") == "text"


# Charsets --------------------------------------------------------------------------------------------------

KOREAN = "위원회는 화요일에 모여 보고서를 검토하고 작업을 계속하기로 했다. 그리고 다음 회의는 내년에 열린다. "
JAPANESE = "委員会は火曜日に会合を開き、報告書を検討した。カタカナもある。"
SIMPLIFIED = "委员会于星期二开会，审议了报告，并同意继续开展工作。"
TRADITIONAL = "委員會於星期二開會，審議了報告，並同意繼續開展工作。"
THAI = "คณะกรรมการประชุมเมื่อวันอังคารเพื่อพิจารณารายงาน"
RUSSIAN = "Комиссия собралась во вторник, чтобы рассмотреть отчёт о работе."
GERMAN = "Der Ausschuß tagte über Größe und Maße – „gut“ für € 5."


@pytest.mark.parametrize(
    ("labels", "text", "encoding"),
    [
        (
            "cp949 CP949 ms949 MS949 uhc x-windows-949 windows-949 euc-kr ks_c_5601-1987 ksc5601 korean",
            KOREAN + "뷁",
            "cp949",
        ),
        ("shift_jis x-sjis sjis ms932 windows-31j Windows-31J cp932 ms_kanji x-ms-cp932", JAPANESE + "①", "cp932"),
        ("euc-jp eucjp euc_jp x-euc-jp", JAPANESE, "euc_jp"),
        ("gb2312 gbk cp936 ms936 x-gbk gb18030 chinese euc-cn", SIMPLIFIED + "€镕", "gb18030"),
        ("big5 big5-hkscs cp950 ms950 x-x-big5", TRADITIONAL, "big5"),
        ("windows-874 tis-620 cp874 iso-8859-11 ms874 tis620", THAI, "cp874"),
        ("win-1251 windows-1251 cp1251 cp-1251 win1251 WINDOWS_1251 x-cp1251", RUSSIAN, "cp1251"),
        ("koi8-r koi8_r cskoi8r KOI8-R", RUSSIAN, "koi8-r"),
        ("latin1 latin-1 iso8859_1 ISO_8859-1 iso-8859-1 ascii us-ascii ansi cp1252 win-1252", GERMAN, "cp1252"),
        ("macintosh macroman mac_roman x-mac-roman", "Größe", "mac-roman"),
        ("iso-2022-jp iso2022_jp csiso2022jp", JAPANESE, "iso2022_jp"),
    ],
)
def test_labels_of_the_web_of_python_and_of_java(labels, text, encoding):
    for label in labels.split():
        assert decode(text.encode(encoding), label) == text, label


@pytest.mark.parametrize("label", ["utf8", "utf-8", "UTF_8", "utf8mb4", "utf-8;", '"utf-8"', "unicode-1-1-utf-8"])
def test_labels_of_utf_8(label):
    assert encoding_of(label) == "utf-8"


@pytest.mark.parametrize(
    "label",
    ["", None, "none", "binary", "base64", "rot13", "zlib", "idna", "utf-7", "undefined", "x" * 999, "a\0b", "é"],
)
def test_labels_that_mean_nothing(label):
    assert encoding_of(label) is None


def test_unicode_means_utf_16_where_it_is():
    assert decode("<p>Größe".encode("utf-16-le"), "unicode") == "<p>Größe"
    assert decode("<p>Größe".encode(), "unicode") == "<p>Größe"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "cp949"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (SIMPLIFIED, "gb18030"),
        (TRADITIONAL, "big5"),
        (THAI, "cp874"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        ("안녕하세요 반갑습니다", "cp949"),
    ],
)
@pytest.mark.parametrize("frame", ["<html><head><title>{}</title></head><body><p>{}</p></body></html>", "{} {}"])
def test_without_a_label(text, encoding, frame):
    page = frame.format(text[:20], text * 3)
    assert decode(page.encode(encoding), None) == page


DECLARATIONS = [
    '<?xml version="1.0" encoding="{}"?>',
    '<meta charset="{}">',
    "<META CHARSET={}>",
    "<meta http-equiv='Content-Type' content='text/html; charset={}'>",
    "<!-- <meta charset=shift_jis> --><meta charset={}>",
]


@pytest.mark.parametrize("declaration", DECLARATIONS)
@pytest.mark.parametrize("before", [0, 5_000])
def test_what_a_page_says_itself(declaration, before):
    text = "Комісія зібралась у вівторок"
    for label in ("windows-1251", "win-1251"):
        page = declaration.format(label) + "<script>" + "x" * before + "</script>" + text
        if not declaration.startswith("<?"):
            page = "<script>" + "x" * before + "</script>" + page
        assert decode(page.encode("cp1251"), None) == page


def test_real_pages_of_every_encoding_come_back():
    """Re-encoded, without any label, real pages in each language's own charset give the same text."""
    archive = SHARED / "extraction" / "scrapinghub" / "html"
    if not archive.is_dir():
        pytest.skip(f"the real pages are not here: {archive}")
    pages = [gzip.decompress(path.read_bytes()) for path in sorted(archive.glob("*.gz"))[:20]]
    for page in pages:
        assert kind_of(page, None) == kind_of(page, "text/html", "text/html") == "html"
        assert wide(page) is None
        text = page.decode("utf-8", "replace").replace("\ufffd", "?")
        assert decode(text.encode("utf-16"), None) == text
        assert json.dumps(decode(text.encode(), "iso-8859-1")) == json.dumps(text)
