"""Blocks of a page: the text of the parser's own tree, without a tree."""

import re
from html import unescape
from html.entities import html5
from pathlib import Path

import numpy as np
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree, NodeType

from curate.kernels.html_names import hash_of
from curate.kernels.page_names import TAG_KEYS, TAG_VALUES, UNSEEN
from curate.kernels.page_reader import (
    BLOCK_CELL,
    BLOCK_ITEM,
    BLOCK_OWNER,
    BLOCK_ROW,
    BREAKS,
    END,
    LINKED_BYTES,
    PARENT,
    SOLID_BYTES,
    START,
    TITLE,
    TITLE_END,
    read_page,
)
from curate.stages._charset import read

ARCHIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "crawl" / "web-a.warc.gz"
NOT_COMPARED = re.compile(r"[\s\0^_{}\[\]]")
"""White space, and what is written around superscripts and subscripts."""


def blocks_of(page: str) -> list[str]:
    text, blocks, *_ = parts_of(page)
    return [bytes(text[row[START] : row[END]]).decode("utf-8", "replace") for row in blocks]


def parts_of(page: str):
    return read_page(np.frombuffer(page.encode("utf-8", "replace"), np.uint8))


def is_unseen(tag: str) -> bool:
    slot = np.flatnonzero(np.uint64(hash_of(tag)) == TAG_KEYS)
    return len(slot) > 0 and bool(TAG_VALUES[slot[0]] & UNSEEN)


def tree_text(page: str) -> str:
    """The text of a page's tree, without what is not seen."""
    found = []
    node = HTMLTree.parse(page).document.first_child
    stack = [node]
    while stack:
        node = stack.pop()
        if node is None:
            continue
        stack.append(node.next)
        if node.type == NodeType.TEXT:
            found.append(node.value or "")
        elif node.type == NodeType.ELEMENT and not is_unseen(node.tag):
            stack.append(node.first_child)
    return "".join(found)


def compared(text: str) -> str:
    return NOT_COMPARED.sub("", text)


WORDS = st.sampled_from(
    ["foo", "b.a", "é", "漢字", "x&amp;y", "&lt;", "&copy", "&notit;", "&#65;", "&#x80;", "12", "&nbsp;", "&", "a<b"]
)
WELL_NESTED = ["div", "p", "span", "b", "i", "ul", "li", "section", "h2", "blockquote", "pre", "a", "x-card", "em"]
_SOUP_IN_WORDS = """
p div span a b i ul ol li table tr td th tbody caption h1 h2 section br hr img pre code dl dt dd form button label
option blockquote textarea title script style xmp nobr center font em x-card main header summary html math mi input
"""
SOUP = _SOUP_IN_WORDS.split()


def elements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(inner | WORDS, max_size=4).map(" ".join)
    return st.tuples(st.sampled_from(WELL_NESTED), parts).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0]}>")


@given(st.recursive(WORDS, elements, max_leaves=20))
def test_the_text_is_that_of_the_tree(page):
    assert compared("".join(blocks_of(page))) == compared(tree_text(page))


@given(
    st.lists(
        WORDS
        | st.tuples(st.sampled_from(SOUP), st.sampled_from(["", " href=x", ' class="a b"', "/", " / "])).map(
            "<{0[0]}{0[1]}>".format
        )
        | st.sampled_from(SOUP).map("</{}>".format),
        max_size=9,
    ).map("".join)
)
def test_no_character_is_lost_or_made_up_in_a_soup_of_tags(page):
    """What stands in a table and in no cell is put elsewhere by a parser, so that the order may differ."""
    assert sorted(compared("".join(blocks_of(page)))) == sorted(compared(tree_text(page)))


@pytest.mark.skipif(not ARCHIVE.exists(), reason="../shared/data is not there")
def test_real_pages_have_the_text_of_their_trees():
    different = []
    with ARCHIVE.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            page, _ = read(record.reader.read(), record.http_charset)
            head = re.split(r"</head>|<body", page, maxsplit=1, flags=re.IGNORECASE)[0]
            hidden = re.search(r"<noscript[^>]*>\s*(?!<(?:link|style|meta|/noscript))", head, re.IGNORECASE)
            if not hidden and compared("".join(blocks_of(page))) != compared(tree_text(page)):
                different.append(record.headers["WARC-Target-URI"])
    assert different == []


def test_references_are_read_as_the_standard_says():
    wrong = {
        name for name, value in html5.items() if blocks_of(f"<p>x&{name}") != [f"x{value}".replace("\xa0", " ").strip()]
    }
    assert not {name for name in wrong if not html5[name].isspace() and name not in ("lt", "lt;")}
    assert blocks_of("<p>a&ltb&lt;c &notit; &unknown; &#0;&#xD800;&#x110000;&#150;") == [
        unescape("a&ltb&lt;c &notit; &unknown; &#0;&#xD800;&#x110000;&#150;")
    ]


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<p>one <b>two</b>three<p>four", ["one twothree", "four"]),
        ("a<br>b<br><br>c", ["a", "b", "c"]),
        ("<div>a<span> b </span> c</div>d", ["a b c", "d"]),
        ("<ul><li>a<li>b</ul>", ["a", "b"]),
        ("<table><tr><td>a<td>b<tr><td>c</table>d", ["a", "b", "c", "d"]),
        ("<pre>\n  a\n\n   b  \n</pre>", ["  a\n\n   b"]),
        ("<script>var a = '<p>x</p>'</script><p>y", ["y"]),
        ("<style>p{}</style><template>a</template><svg><text>b</text></svg>c", ["c"]),
        ("<noscript>a <b>b</b></noscript>c", ["a bc"]),
        ("<head><noscript>a</noscript><title>t</title></head>b", ["b"]),
        ("<!-- a --><![CDATA[b]]><?c?>d", ["d"]),
        ("<x-card>a</x-card>b", ["a", "b"]),
        ("a < b <1 </ c", ["a < b <1"]),
        ("10<sup>6</sup>, H<sub>2</sub>O, 1<sup>st</sup>, x<sup>n+1</sup>", ["10^6, H_{2}O, 1st, x^{n+1}"]),
        ("said<sup><a href='#n1'>1</a></sup>.", ["said[1]."]),
        ("<button>a</button>b", ["a", "b"]),
        ("\ufeffa\0b", ["\ufeffab"]),
        ("<p>\x01<p>a\x0b", ["\x01", "a\x0b"]),
        ("", []),
        ("<p>   </p>", []),
    ],
)
def test_blocks(page, blocks):
    assert blocks_of(page) == blocks


def test_what_is_known_of_blocks():
    page = (
        "<title>A &amp; b</title><div><a href=x>long link</a> and text<br><br>c</div><table><tr><td><ul><li>d</table>"
    )
    _, blocks, tree, _, counts, _ = parts_of(page)
    first, second, third = blocks
    assert (first[LINKED_BYTES], first[SOLID_BYTES]) == (8, 15)
    assert (first[BREAKS], second[BREAKS]) == (0, 2)
    assert first[BLOCK_ROW] == first[BLOCK_CELL] == first[BLOCK_ITEM] == -1
    assert third[BLOCK_ROW] < third[BLOCK_CELL] < third[BLOCK_ITEM] == third[BLOCK_OWNER]
    assert page[counts[TITLE] : counts[TITLE_END]] == "A &amp; b"
    assert all(tree[k, PARENT] < k for k in range(len(tree)))


def test_deeper_elements_than_the_deepest_belong_to_it():
    page = "<div>" * 100_000 + "deep" + "</div>" * 100_000 + "after"
    _, blocks, tree, *_ = parts_of(page)
    assert blocks_of(page) == ["deep", "after"]
    assert len(tree) < 1000
    assert blocks[1, BLOCK_OWNER] == 0
