"""Text comes out of web pages whatever their encoding; what is no page of text is named."""

import json
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from curate.errors import CurateError
from curate.stages import _html_cost
from curate.stages.extract import extract
from curate.testing import docs

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"

PAGE = """<!doctype html><html><head>{head}<title>{title}</title></head><body>
<nav class="menu"><a href="/a">Home</a> <a href="/b">Contact</a></nav>
<article><h1>{title}</h1><p>{text}</p><ul><li>first</li></ul><p>See <a href="https://example.org/x">this</a>.</p></article>
</body></html>"""
LONG = "The committee met on Tuesday to consider the report, and agreed that work should go on. " * 30


def page(text: str, title: str = "Report", head: str = "") -> str:
    return PAGE.format(head=head, title=title, text=text)


def run(payload, *, status=200, content_type="text/html", charset=None, text=None, **params):
    """(text, reason) of one document."""
    row = docs(text, payload=[payload], http_status=[status], content_type=[content_type], charset=[charset])
    result = extract(row, **params)
    return result["text"][0].as_py(), result["reject"][0].as_py()


def test_main_content_without_menus():
    text, reason = run(page("Words of the article.").encode())
    assert reason is None
    assert "Words of the article." in text
    assert "Contact" not in text
    assert "example.org" not in text


def test_options_reach_resiliparse():
    payload = page("Words.").encode()
    assert "Contact" in run(payload, main_content=False)[0]
    assert "https://example.org/x" in run(payload, links=True)[0]
    assert "• first" in run(payload, main_content=False)[0]
    assert "•" not in run(payload, main_content=False, list_bullets=False)[0]
    assert "Words." not in run(payload, skip_elements=["article p"])[0]


RUSSIAN = "Комиссия собралась во вторник, чтобы рассмотреть отчёт о работе за прошлый год. " * 5
JAPANESE = "委員会は火曜日に会合を開き、報告書を検討した。カタカナもある。" * 5
CHINESE = "委员会于星期二开会，审议了报告，并同意继续开展工作。" * 5
GERMAN = "Der Ausschuß tagte über Größe und Maße – „gut“ für € 5. " * 5


@pytest.mark.parametrize(
    ("text", "encoding", "header", "meta"),
    [
        (GERMAN, "utf-8", None, None),
        (GERMAN, "utf-8-sig", "iso-8859-1", None),
        (GERMAN, "cp1252", "iso-8859-1", None),
        (GERMAN, "cp1252", None, "latin1"),
        (GERMAN, "utf-8", "iso-8859-1", "iso-8859-1"),
        (RUSSIAN, "cp1251", "windows-1251", None),
        (RUSSIAN, "cp1251", None, "windows-1251"),
        (RUSSIAN, "cp1251", None, None),
        (RUSSIAN, "koi8-r", "KOI8-R", "windows-1251"),
        (RUSSIAN, "cp1251", "utf-8", "windows-1251"),
        (RUSSIAN, "cp1251", "iso-8859-1", "windows-1251"),
        ("안녕하세요 여러분 반갑습니다", "euc_kr", None, None),
        (GERMAN, "utf-32", None, None),
        (JAPANESE, "shift_jis", None, "shift_jis"),
        (JAPANESE, "euc_jp", None, None),
        (JAPANESE, "iso2022_jp", None, "iso-2022-jp"),
        (CHINESE, "gb18030", "gb2312", None),
        (CHINESE, "gb18030", None, None),
        (CHINESE, "big5", "big5", None),
        (CHINESE, "utf-16", None, None),
        (CHINESE, "utf-16-le", "utf-16le", None),
        (GERMAN, "utf-8", "no-such-charset", None),
        (GERMAN, "cp1252", "utf-16", "utf-16"),
    ],
)
def test_encodings(text, encoding, header, meta):
    head = f'<meta charset="{meta}">' if meta else ""
    text = text.encode(encoding, "ignore").decode(encoding)
    found, reason = run(page(text, head=head).encode(encoding, "ignore"), charset=header)
    assert reason is None
    assert text.strip() in found


def test_a_selector_that_is_none_is_a_mistake_of_the_manifest():
    with pytest.raises(CurateError, match="skip_elements"):
        extract(docs(), skip_elements=["p >>> ["])


def test_few_broken_bytes_do_not_change_the_encoding_of_a_page():
    payload = page(RUSSIAN).encode()
    cut = payload.index("вторник".encode()) + 1
    found, reason = run(payload[:cut] + payload[cut + 1 :])
    assert reason is None
    assert "чтобы рассмотреть отчёт" in found


def test_one_broken_byte_among_few_letters_does_not_either():
    payload = page("Größe und Maß, €5, und viel mehr, was dort stand").encode().replace(b"mehr", b"m\xffhr")
    assert "Größe und Maß, €5" in run(payload, charset="utf-8")[0]
    assert "Größe und Maß, €5" in run(payload)[0]


def test_noise_is_undecodable():
    noise = bytes(range(256)) * 40
    assert run(b"<html><p>" + noise) == (None, "undecodable")


@pytest.mark.parametrize(
    ("payload", "content_type", "reason"),
    [
        (b"%PDF-1.7\n%", "text/html", "pdf"),
        (b"?", "application/pdf", "pdf"),
        (b"\xff\xd8\xff\xe0", None, "image"),
        (b"<svg>", "image/svg+xml", "image"),
        (b"ID3\x03", "application/octet-stream", "audio_video"),
        (b"?", "video/mp4", "audio_video"),
        (b"alert(1)", "application/x-javascript", "script"),
        (b"{}", "application/ld+json", "script"),
        (b"p {}", "text/css", "script"),
        (b"PK\x03\x04", "text/html", "not_html"),
        (b"a,b", "text/csv", "not_html"),
        (b"<?xml version='1.0'?><rss>", "application/rss+xml", "not_html"),
        (b"\x00\x01\x02", "text/plain", "not_html"),
        (b"\x00\x01\x02", None, "not_html"),
        (b"", "text/html", "empty"),
        (b"<html><img src=x>", "text/html", "empty"),
        (None, None, "empty"),
    ],
)
def test_what_is_no_page_is_named(payload, content_type, reason):
    assert run(payload, content_type=content_type)[1] == reason


@pytest.mark.parametrize(
    "content_type", [None, "application/octet-stream", "text/plain", "application/xml", "image/png"]
)
def test_a_page_is_known_by_its_content_where_the_server_does_not_say_so(content_type):
    text, reason = run(page("Words.").encode(), content_type=content_type)
    assert reason is None
    assert "<" not in text


def test_plain_text_stays_as_it_is():
    assert run("a <b> ü\n".encode("cp1252"), content_type="text/plain") == ("a <b> ü\n", None)
    assert run(b"no type at all", content_type=None) == ("no type at all", None)


def test_text_that_is_there_already_stays():
    assert run(None, status=None, content_type=None, text="from a WET file") == ("from a WET file", None)
    assert extract(docs("a row of a table"))["text"].to_pylist() == ["a row of a table"]


@pytest.mark.parametrize("status", [204, 301, 404, 500])
def test_http_status(status):
    assert run(page("Words.").encode(), status=status) == (None, "http_status")


def test_no_http_status_is_no_reason():
    assert run(page("Words.").encode(), status=None)[1] is None


def test_too_large():
    payload = page("Words.").encode()
    assert run(payload, max_bytes=len(payload))[1] is None
    assert run(payload, max_bytes=len(payload) - 1) == (None, "too_large")


@pytest.mark.parametrize("closed", [True, False])
def test_too_deep(closed):
    def nested(depth):
        return (b"<div>" * depth) + b"Words." + b"</div>" * depth * closed

    assert run(nested(_html_cost.MAX_DEPTH - 10))[1] is None
    assert run(nested(_html_cost.MAX_DEPTH + 10)) == (None, "too_deep")
    assert run(nested(100_000)) == (None, "too_deep")


def test_many_elements_side_by_side_are_not_deep():
    text, reason = run(b"<div>word</div>" * 20_000, main_content=False)
    assert reason is None
    assert text.count("word") == 20_000


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("404 Not Found", "nginx"),
        ("Page not found - My Site", "Sorry, nothing here. Try a search?"),
        ("My Site » 404", "Go to the front page."),
        ("Seite nicht gefunden | Rathaus", "Die Seite gibt es nicht mehr."),
        ("Erreur 404 : page introuvable", "Retour."),
        ("Página não encontrada", "Voltar"),
        ("Страница не найдена — Новости", "Вернуться на главную."),
        ("ページが見つかりません", "戻る"),
        ("404 - 页面不存在", "返回首页"),
        ("My Site", "The requested URL /old was not found on this server."),
        ("My Site", "We are sorry, but the page you are looking for could not be found."),
        ("Just a moment...", "Checking your browser."),
    ],
)
def test_error_pages_that_answer_200(title, text):
    payload = f"<html><title>{title}</title><body><p>{text}</p></body></html>".encode()
    kept = run(payload, keep_error_pages=True)
    assert kept[1] is None
    assert run(payload) == (kept[0], "error_page")


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("HTTP 404 - Wikipedia", "The page not found message is what a server says. " * 20),
        ("How we fixed our 404 pages", "Page not found errors cost us visitors."),
        ("Peugeot 404", "A car made from 1960 on."),
        ("Page not found", LONG),
        ("Lost letters: not found in 40 years", "They turned up at last."),
        ("Error 500 miles away", "A short story."),
        ("Just a Moment - Lyrics", "Give me just a moment of your time.\n" * 20),
    ],
)
def test_articles_about_errors_are_not_error_pages(title, text):
    assert run(f"<title>{title}</title><p>{text}</p>".encode())[1] is None


def test_first_reason_wins_and_a_reason_given_before_stays():
    assert run(b"%PDF-", status=404)[1] == "http_status"


def test_trafilatura():
    pytest.importorskip("trafilatura")
    text, reason = run(page(LONG).encode(), extractor="trafilatura")
    assert reason is None
    assert "The committee met on Tuesday" in text
    assert "Contact" not in text
    assert "committee" in run(page(LONG).encode(), extractor="trafilatura", main_content=False)[0]


def test_trafilatura_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(CurateError, match="not installed") as caught:
        run(b"<p>Words.", extractor="trafilatura")
    assert "pip install" in caught.value.fix


def test_no_worse_than_the_bare_call_on_real_pages():
    archive = DATA / "crawl" / "web-a.warc.gz"
    if not archive.exists():
        pytest.skip(f"the real pages are not here: {archive}")
    gold = json.loads((DATA / "crawl" / "web-a.gold.json").read_text())
    urls, payloads = [], []
    with archive.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            urls.append(record.headers["WARC-Target-URI"])
            payloads.append(record.reader.read())
    count = len(payloads)
    types = ["text/html"] * count
    table = docs(
        *[None] * count,
        payload=payloads,
        http_status=[200] * count,
        content_type=types,
        charset=[None] * count,
    )
    result = extract(table)
    assert set(result["reject"].to_pylist()) <= {None, "empty"}

    def found(texts):
        by_url = dict(zip(urls, texts, strict=True))
        return sum(part in (by_url.get(page["url"]) or "") for page in gold for part in page["with"])

    bare = [extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True) for body in payloads]
    assert found(result["text"].to_pylist()) >= found(bare)


def test_trafilaturas_options_and_no_memory_of_other_pages():
    trafilatura = pytest.importorskip("trafilatura")
    repeated = page("<p>".join([LONG[:400]] * 6) + "<p>" + LONG).encode()
    options = {"extractor": "trafilatura", "comments": False}
    for favor_precision in (False, True):
        text, _ = run(repeated, favor_precision=favor_precision, **options)
        assert text == trafilatura.extract(
            repeated.decode(), include_comments=False, favor_precision=favor_precision, include_links=False
        )
    forgetful = [run(repeated, deduplicate=True, **options) for _ in range(5)]
    trafilatura.deduplication.LRU_TEST.clear()
    library = [trafilatura.extract(repeated.decode(), include_comments=False, deduplicate=True) for _ in range(5)]
    assert library[0] == forgetful[0][0]
    assert len(set(library)) > len(set(forgetful)) == 1
