"""One canonical form of URLs: every spelling of a page is one, nothing else is, and nothing raises."""

import time
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.base.urls import canonical, canonicals, host, hosts, name, page, pages, parents


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("HTTP://Bücher.Example:80/%7euser/./a/../b?x=%c3%a4#top", "http://xn--bcher-kva.example/~user/b?x=%C3%A4"),
        ("https://xn--BCHER-KVA.example.", "https://xn--bcher-kva.example/"),
        ("https://b%C3%BCcher.example/", "https://xn--bcher-kva.example/"),
        ("https://fullwidth。example/", "https://fullwidth.example/"),
        ("https://i❤.ws/", "https://xn--i-7iq.ws/"),
        ("https://faß.de/", "https://xn--fa-hia.de/"),
        ("https://user:secret@a.example:443/x", "https://a.example/x"),
        ("http://a.example:00080/x", "http://a.example/x"),
        ("http://a.example:443/x", "http://a.example:443/x"),
        ("http://a.example?q", "http://a.example/?q"),
        ("http://a.example/?", "http://a.example/"),
        ("http://a.example/a/b/..", "http://a.example/a/"),
        ("http://a.example/../../x", "http://a.example/x"),
        ("http://a.example/%2e%2E/x", "http://a.example/x"),
        ("http://a.example/.well-known/x", "http://a.example/.well-known/x"),
        ("https://p.example/café", "https://p.example/caf%C3%A9"),
        ("https://p.example/a b", "https://p.example/a%20b"),
        ("https://p.example/50%", "https://p.example/50%25"),
        ("https://p.example/a%2Fb", "https://p.example/a%2Fb"),
        ("http://[0:0::1]:80/", "http://[::1]/"),
        ("//Cdn.example/x", "//cdn.example/x"),
        (" https://a.example/ ", "https://a.example/"),
    ],
)
def test_spellings(spelling, expected):
    assert canonical(spelling) == expected
    assert canonical(expected) == expected


BAD = [
    "https://[::1",
    "https://[::g]/",
    "https://a.example:port/",
    "https://a.example:99999/",
    "https://a.example/nul\x00",
    "https://a.example\\@b.example/",
    "https://a b.example/",
    "https://%FF.example/",
    "http:///path",
    "mailto:someone@a.example",
    "urn:uuid:1",
    "README.md",
    "",
]


def test_what_cannot_be_read_equals_itself_alone():
    for form in (canonical, page):
        assert [form(url) for url in BAD if form is canonical or url != "README.md"] == [
            url for url in BAD if form is canonical or url != "README.md"
        ]


def test_a_rule_on_a_domain_holds_for_a_url_that_cannot_be_read():
    for url in ("https://a.bad.example:port/", "https://u@a.bad.example\\@b.example/", "https://a b.bad.example/\x00"):
        assert "bad.example" in parents(host(url)), url


def test_pages_are_the_same_whatever_the_scheme():
    spellings = [
        "a.example/x",
        "//a.example/x/",
        "http://a.example:80/x",
        "https://A.example:443/x#top",
        "a.example:80/x",
    ]
    assert {page(spelling) for spelling in spellings} == {"a.example/x"}
    assert page("https://a.example/x/?q=/") == page("http://a.example/x?q=/") == "a.example/x?q=/"
    assert len({page(f"https://a.example{rest}") for rest in ("", "/X", "/x", "/x?y", ":81/x", "/x%2F")}) == 6


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://User:p@Www.A.example.:8080/x", "www.a.example"),
        ("a.example/page", "a.example"),
        ("http://[::0:1]:80/", "[::1]"),
        ("http://127.0.0.1/", "127.0.0.1"),
        ("urn:uuid:1", ""),
        ("", ""),
    ],
)
def test_hosts(url, expected):
    assert host(url) == expected


def test_a_name_is_no_address_and_no_sentence():
    assert [name(text) for text in ("a b", "a/b", "", ".", "a@b", "a\x00b", "::1", "ü" * 5000)] == [None] * 8


LABEL = st.text("abcdefgh0123-_üß中", min_size=1, max_size=6)
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
PATH = st.text("abzAZ09-._~!$&'()*+,;=:@/%é中 ", max_size=12).map(lambda path: "/" + path.strip())
URL = st.builds(
    lambda scheme, host, port, path, query: f"{scheme}://{host}{port}{path}{query}",
    st.sampled_from(["http", "https", "HTTPS", "ftp"]),
    HOST,
    st.sampled_from(["", ":80", ":443", ":8080", ":"]),
    PATH,
    st.sampled_from(["", "?", "?a=%c3%a9&b=/", "?x/?y/", "#f", "?é#f"]),
)
ANYTHING = URL | st.text(max_size=20) | st.text("htp:/[]@?#.%a\\", max_size=20)


@settings(max_examples=300)
@given(ANYTHING)
def test_the_form_of_a_form_is_itself(url):
    once = canonical(url)
    assert canonical(once) == once
    assert host(once) == host(url)
    assert page(once) == page(url)


@settings(max_examples=200)
@given(URL, st.data())
def test_rewritten_urls_are_equal(url, data):
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    tail, _mark, _fragment = tail.partition("#")
    bare, _, port = authority.partition(":")

    def spelled(character):
        octets = character.encode()
        if (character.isalnum() and data.draw(st.booleans())) or not character.isascii():
            return "".join(f"%{byte:02x}" if data.draw(st.booleans()) else f"%{byte:02X}" for byte in octets)
        return character

    again = "".join(map(spelled, tail)) if "%" not in tail else tail
    again = again.replace(" ", "%20") if "%" not in tail else again
    default = {"http": ":80", "https": ":443", "ftp": ":21"}[scheme.lower()] if not port else f":{port}"
    other = f"{scheme.upper()}://user:p@{bare.upper() if 'ß' not in bare else bare}.{default}{slash}./{again}#other"
    assert canonical(other) == canonical(url)
    assert page(other) == page(url)


@settings(max_examples=200)
@given(st.lists(st.none() | ANYTHING, max_size=8))
def test_columns_equal_the_plain_functions(urls):
    column = pa.array(urls, pa.string())
    for whole, one in ((canonicals, canonical), (pages, page), (hosts, host)):
        assert whole(column).to_pylist() == [None if url is None else one(url) for url in urls]
        assert whole(pa.chunked_array([column, column])).to_pylist() == whole(column).to_pylist() * 2


@pytest.mark.parametrize(
    "pattern", ["/..", "%", "a.", "é", "[", ":", "@", "/", " ", "/?", "%41", "x:", "/./", "a%2e", "ü.", "\\", "&a"]
)
@pytest.mark.parametrize("before", ["http://a/", "http://", ""])
def test_time_grows_with_length(before, pattern):
    def seconds(length):
        url = before + pattern * (length // len(pattern))
        column, start = pa.array([url]), time.process_time()
        for form in (canonical, page, host):
            form(url)
        for whole in (canonicals, pages, hosts):
            whole(column)
        return time.process_time() - start

    seconds(1000)
    assert seconds(400_000) < 20  # what is quadratic takes minutes


def test_quoting_is_that_of_the_standard_library():
    text = "".join(map(chr, range(32, 127))) + "é中🜁"
    path = "".join(character for character in text if character not in "?#\\%")
    assert canonical("http://a/x" + path).removeprefix("http://a") == quote("/x" + path, safe="!$&'()*+,;=:@/[]~")
