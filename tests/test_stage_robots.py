"""Pages that ask to be left alone are named; nothing else is."""

import pytest

from curate.stages.robots import robots
from curate.testing import docs


def page(head, body="Words."):
    return f"<!DOCTYPE html><html><head><title>A</title>{head}</head><body>{body}</body></html>".encode()


def reason(payload=b"", headers=None, **params):
    return robots(docs(None, payload=[payload], robots=[headers]), **params)["reject"].to_pylist()[0]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ('<meta name="robots" content="noindex">', "noindex"),
        ("<META CONTENT='index, NOINDEX ,follow' NAME=Robots />", "noindex"),
        ("<meta name=robots content=none>", "noindex"),
        ('<meta\n name="robots"\n content="noai, noimageai">', "noai"),
        ('<meta name="robots" content="noindex, noai">', "noindex"),
        ('<meta name="tdm-reservation" content="1">', "tdm_reservation"),
        ('<meta name="tdm-reservation" content="0">', None),
        ('<meta name="robots" content="index, follow, max-image-preview:large">', None),
        ('<meta name="robots" content="noimageai, nofollow, noarchive">', None),
        ('<meta name="googlebot" content="noindex">', None),
        ('<meta name="description" content="robots: noindex">', None),
        ('<meta property="robots" content="noindex">', None),
        ('<!-- <meta name="robots" content="noindex"> -->', None),
        ('<script>x = \'<meta name="robots" content="noindex">\'</script>', None),
        ("", None),
    ],
)
def test_tags(tag, expected):
    assert reason(page(tag)) == expected


def test_tags_count_in_the_head_only():
    assert reason(page("", '<meta name="robots" content="noindex">')) is None
    assert reason(b'<meta name="robots" content="noindex"><p>no head, no body') == "noindex"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("x-robots-tag: noindex", "noindex"),
        ("X-Robots-Tag: nofollow, noai", "noai"),
        ("x-robots-tag: nofollow\nx-robots-tag: none", "noindex"),
        ("x-robots-tag: unavailable_after: 25 Jun 2010 15:00:00 PST, noindex", "noindex"),
        ("x-robots-tag: max-snippet: 20, nofollow", None),
        ("x-robots-tag: googlebot: noindex, nofollow", None),
        ("x-robots-tag: googlebot: nofollow, otherbot: noindex", None),
        ("x-robots-tag: *: noindex", "noindex"),
        ("tdm-reservation: 1", "tdm_reservation"),
        ("tdm-reservation: 0", None),
        ("", None),
        (None, None),
    ],
)
def test_headers(headers, expected):
    assert reason(b"<p>Words.", headers) == expected


def test_what_is_said_to_a_crawler_of_ones_own_counts():
    tag = page('<meta name="CCBot" content="noindex">')
    assert reason(tag) is None
    assert reason(tag, agents=["ccbot"]) == "noindex"
    header = "x-robots-tag: googlebot: nofollow, ccbot: nofollow, noai, otherbot: noindex"
    assert reason(b"", header, agents=["CCBot"]) == "noai"


def test_rules_that_are_not_asked_for_do_not_count():
    both = page('<meta name="robots" content="noindex, noai">')
    assert reason(both, "tdm-reservation: 1", rules=["tdm_reservation"]) == "tdm_reservation"
    assert reason(both, rules=["noai"]) == "noai"
    assert reason(both, rules=[]) is None


def test_documents_that_are_no_pages_pass():
    assert robots(docs("a row of a table"))["reject"].to_pylist() == [None]
    assert reason(None) is None
    assert reason(b"%PDF-1.4 <meta name=robots content=\xff\xfe>") is None


def test_hostile_pages_take_linear_time():
    for piece in (b"<!--", b"<script>", b"<meta name=robots ", b"<meta name=robots content=a>", b"<meta a='"):
        assert reason(piece * (4_000_000 // len(piece))) is None
