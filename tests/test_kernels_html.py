"""The source of a page: the kernel against a reference in plain Python, and against a parser's tree."""

from pathlib import Path

import numpy as np
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from html_reference import reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from curate.kernels.html import LISTS, NESTS, OPTIONS, SCRIPTS, scan
from curate.stages._charset import decode

ARCHIVE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "crawl" / "web-a.warc.gz"


def found(page: bytes) -> tuple[list[int], list[int], list[list[int]]]:
    counts, places, lone = scan(np.frombuffer(page, np.uint8))
    assert (counts.dtype, places.dtype, lone.dtype, lone.shape[1]) == (np.int64, np.int32, np.int32, 2)
    return counts.tolist(), places.tolist(), lone.tolist()


# --- pages made up


def pages_of(*vocabulary: str) -> st.SearchStrategy[bytes]:
    """Pages of pieces, which stand between spaces or, if one is blank, between bars."""
    pieces = [piece for words in vocabulary for piece in (words.split("|") if "|" in words else words.split())]
    return st.lists(st.sampled_from(["", *pieces]), min_size=15, max_size=40).map(lambda page: "".join(page).encode())


LINES = pages_of(
    "<b> </b> <i> </i> <br> <hr> <p> </p> <div> </div> <li> <table> </table> <tr> </tr> <td> </td> <time> </time>",
    "<sup>|</sup>|<a >|<a href=#>|<a href='JavaScript:x'>|</a>|<span class=share>|<span id=ad>|</span>|<span rel=tag>",
    "<b class=logo>|<td class=ad>|<th itemprop=url>|<img class=katex>|<b href=#>|<img aria-hidden=true>|<option>|<ul>",
    "w|·|« »|&nbsp; |…| |\0|é|<script>a</script>|<title>a</title>|<xmp class=ad>x</xmp>|<section>",
)
BALANCED = pages_of(  # where no inline element stays open, as it does on most pages of LINES
    "<a href=#>x</a>|<span class=share>x</span>|<i rel=tag>x</i>|<i rel=tag></i>|<time>x</time>|<a href=#></a>",
    "</p>|<div>|</div>|<br>|<td>|</td>|<tr>|<table>|</table>|<p>|<div>|<br>|<li>|<td class=ad>|<svg><g></svg></g>",
    "<b>x</b>|<a href=#><a href=#>x</a></a>|<i rel=tag><p>|</i>|<b>|</b>|</b>|<sup>|</sup>|<i id=ad><time></time></i>",
)
FOREIGN = pages_of(
    "<svg> <svg> <svg/> </svg> </svg/> <math> <math/> </math> <mi> </mi> <mi/> <desc> </desc> <foreignObject>",
    "<b> <b/> </b> <p> </p> <path/> <path> </path> <style> </style> <script/> </script> <title> x <g> <sup/> <b",
    "</foreignObject>|<a/>|</a>|<br/>|<mjx-container/>|<![CDATA[|]]>|>|<span|<time>| |x|<g class=ad>|<xmp rel=tag>",
)
SCRIPTS_MADE = pages_of(
    "<script> <script> </script> </Script/ <script/ </script </scripts> <!-- --> <!--> <a--> - > <b> x"
)
RAW = pages_of(
    "<style> </style> <textarea> </textarea> <plaintext> <title> </title> </title/ <xmp> </xmp <p>|<b| |\n|\v|<!-- -->"
)
ODD = pages_of(
    "<!-- --> <!--> <!---> <!---> --!> <!----!> <! - -- > ! <!> <?x <? <!x </> </ </1 < <1 é <b> </b> </b <B> <!-->",
    "<p|<p x='|<p x=\"|'|\"|=|/|>| |\v|\f|\0|<!doctype x 'a>b'>|<![CDATA[|]]>",
)
TEXTS = pages_of(
    "<b> <p> </> <!----> & ¶ é n né 5° 和 は \ue001 \uf8ff \uf900 \uffe5 😀 a\u0301 &euro; &#8364; &NBSP; &nbsp &nbsp;",
    "和&#32;|¶&#32;|né&#32;|&amp;" + "&#160;" * 11 + "| |\n|\0|\u00a0|<b>|<p>|<b>|<p>|<time>|<p>|<i rel=tag>",
)
KEYS = ["class", "ID", "rel", "itemprop", "aria-hidden", "data-ad", "href", "TYPE", "x", "=class", "\0class", "CLASS/"]
QUOTED = ["='{}' ", '="{}"', "={} ", " =\n{}\t", " ", "/", "='{}'", "={}/ ", "='{} "]
VALUES = (
    "share|a_share-b|x Logo|ad|ads|_ad_|spinners|katex|x_tex |sh&#97;re|a&b|[&amp;>p]|&lt;&gt;&|author| Tag\n|\0tag|"
    "authors|&#|true|#|##|JavaScript:x|&#35;|java&#115;c|java|math/tex|mat&|| |é|/"
)
ATTRIBUTE_MADE = st.builds(
    lambda key, quoted, value: key + quoted.format(value),
    *map(st.sampled_from, (KEYS, QUOTED, VALUES.split("|"))),
)
ATTRIBUTED = st.lists(
    st.builds(
        "<{} {}{}{}".format,
        st.sampled_from(["a", "b", "span", "sPan", "img", "script", "td", "p", "/b", "time", "s\0"]),
        st.lists(ATTRIBUTE_MADE, max_size=3).map("".join),
        st.sampled_from([">", ">", ">", "/>", " / >", ""]),
        st.sampled_from(["", "w", "</b>", "<p>w", "</span>"]),
    ),
    max_size=12,
).map(lambda page: "".join(page).encode())
SIGNS = [*(bytes([sign]) for sign in b"<<>/!-?= '\"\n\0&#;asb\xc2\xb6\xef\xe2\x80"), "和".encode(), b"<b>"]
BYTES = st.lists(st.sampled_from(SIGNS), max_size=40).map(b"".join) | st.binary(max_size=40)


@pytest.mark.parametrize("pages", [LINES, BALANCED, FOREIGN, SCRIPTS_MADE, RAW, ODD, TEXTS, ATTRIBUTED, BYTES])
@settings(max_examples=200)
@given(st.data())
def test_a_page_is_read_as_the_reference_reads_it(pages, data):
    page = data.draw(pages)
    page = page[: len(page) - data.draw(st.integers(0, 2))]
    assert found(page) == reference(page)


TREE_PAGES = pages_of(
    "<div> </div> <ul> <option> <sub> </sub> <article> <p> <b> </b> <svg> </svg> <math> </math> <mi> </mi> <br> x",
    "<foreignObject> <svg/> </svg/ <style> </style> <script> </script> <!----> <![CDATA[x>x]]> <i/>",
)


@settings(max_examples=300)
@given(TREE_PAGES)
@example(b"<svg><![CDATA[><!--]]></svg><div>")
@example(b"<svg><p><style><!--</style><div>")
@example(b"<svg><foreignObject><style><!--</style></foreignObject></svg><div>")
@example(b"<script><!--<script></script><!--</script><div>")
@example(b"<svg></svg/><style><!--</style><div>")
@example("<s`\u0388pt><div>".encode())  # its hash was that of `script`
def test_no_fewer_elements_are_found_than_a_parser_makes(page):
    tree, counts = HTMLTree.parse(page.decode()), scan(np.frombuffer(page, np.uint8))[0]
    for count, selector in ((NESTS, "div,article"), (OPTIONS, "option"), (LISTS, "ul"), (SCRIPTS, "sup,sub")):
        assert counts[count] >= len(tree.document.query_selector_all(selector)), selector


def test_real_pages_are_read_as_the_reference_reads_them():
    if not ARCHIVE.exists():
        pytest.skip(f"the real pages are not here: {ARCHIVE}")
    with ARCHIVE.open("rb") as stream:
        for number, record in enumerate(ArchiveIterator(stream, record_types=WarcRecordType.response)):
            if number % 8 == 0:
                page = decode(record.reader.read(), None).encode()
                assert found(page) == reference(page), record.headers["WARC-Target-URI"]


# --- what a reader would notice


def lone_texts(page: str) -> list[str]:
    data = page.encode()
    return [data[start:end].decode() for start, end in found(data)[2]]


def candidates(page: str) -> list[str]:
    """The tags of candidates, without their attributes."""
    data = page.encode()
    return [data[data.rfind(b"<", 0, place) : place].decode() for place in found(data)[1]]


def test_texts_of_three_bytes_and_pilcrows_are_lone():
    assert lone_texts("<b> 和 </b>né<i>¶</i>和は<p>a<p>abc<p>\ue001") == ["和", "né", "¶"]
    assert lone_texts("<b>&euro;</b>n&eacute;<i>和&#32;</i>&nbsp;<p>AT&amp;T") == ["&euro;", "n&eacute;", "和&#32;"]


def test_a_class_with_a_ruled_word_makes_a_candidate_of_an_element_in_a_line_of_words():
    assert candidates("<p>words <span class='a share-b'>x</span><p><span class=share>x</span><p>") == ["<span"]
    assert candidates("<p>words <span class=shares-no>x</span> <span class=unshared>y</span>") == ["<span"]
    assert candidates("<p>words <i class=sh&#97;re>x</i> <b class='[&amp;>p]'>x</b>") == ["<i"]


def test_two_candidates_are_each_others_words_and_a_row_may_have_words_in_any_cell():
    assert candidates("<p><i class=share>x</i> <i class=share>y</i><p>") == ["<i", "<i"]
    assert candidates("<table><tr><td><i class=share>x</i></td></table>") == []
    assert candidates("<table><tr><i class=share>x</i><td>words</table>") == ["<i"]


def test_a_line_of_nothing_but_nbsp_and_signs_has_no_words():
    assert candidates("<p>&nbsp; « \u2026 <i rel=tag>x</i><p>") == []
    assert candidates("<p>&NBSP; <i rel=tag>x</i><p>") == ["<i"]  # no reference: they are letters


@pytest.mark.parametrize(
    "page", ["<!-- <div>", "<!--><!-- --!><!-- <div>", "<div", "<p><div class='a>", "<title><div>"]
)
def test_no_element_is_in_an_unclosed_comment_or_title_and_a_tag_without_an_end_is_none(page):
    assert found(page.encode())[0][NESTS] == 0


def test_an_empty_page_has_nothing():
    assert found(b"") == ([0] * 9, [], [])


def test_names_are_told_apart_by_all_of_their_bytes():
    assert candidates("<p>words <i \0class=share>x</i> <i rel=\0tag>x</i>") == []
