"""No visible character of a block that is kept is lost, formulas come once, and scripts are told from digits."""

import html
import time
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from test_stage_extract import run
from visible import lost

from curate.stages import _html_cost
from curate.stages._charset import decode
from curate.stages._page_source import look
from curate.stages._visible_text import EVERYTHING, prepare, selector_of

ARCHIVE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "crawl" / "web-a.warc.gz"
RIVER = "The river runs from the mountains to the sea, and on its way it passes four towns, two lakes and a forest."


def text_of_tree(tree: HTMLTree) -> str:
    prepare(tree, "\ufdd0", True)
    return extract_plain_text(tree, main_content=True)


def text_of(body: str, **params) -> str:
    text, reason = run(f"<!doctype html><html><body>{body}</body></html>".encode(), content_type="text/html", **params)
    assert reason is None
    return text


def sentence(body: str, **params) -> str:
    """The text of a sentence in a paragraph of an article."""
    return text_of(f"<main><p>{RIVER}</p><p>{body}</p></main>", **params).split("\n\n")[1]


@pytest.mark.parametrize(
    "text", ["和", "は", "나", "€", "₹", "–", "“", "né", "5°", "²", "§", "¶", "a\u0301", "\uffe5", "😀"]
)
@pytest.mark.parametrize("tag", ["b", "span", "a", "td", "li"])
def test_a_short_text_alone_in_its_node_stays(text, tag):
    element = f"<{tag}>{text}</{tag}>"
    if tag == "td":
        assert f"one\t\t{text}\t\ttwo" in text_of(
            f"<p>{RIVER}</p><table><tr><td>one</td>{element}<td>two</td></tr></table>"
        )
    elif tag == "li":
        assert f"• {text}" in text_of(f"<p>{RIVER}</p><ul><li>one</li>{element}<li>two</li></ul>")
    else:
        assert sentence(f"one{element}two") == f"one{text}two"


@pytest.mark.parametrize("source", ["&euro;", "&#8364;", "&#x20AC;", " € ", "<!-- a -->€<!-- b -->"])
def test_however_it_is_written(source):
    assert sentence(f"one <b>{source}</b> two").replace(" ", "") == "one€two"


def test_icons_of_a_font_and_links_to_a_headings_own_place_are_no_text():
    assert sentence("one<i>\ue001</i>two") == "onetwo"
    assert sentence('Heading<a class="headerlink" href="#heading">¶</a>') == "Heading"


def test_the_mark_behind_short_texts_is_one_that_the_page_does_not_have():
    assert sentence("one \ufdd0<b>和</b>\ufdd1 two") == "one \ufdd0和\ufdd1 two"
    assert run("<title>\n和\n</title><p>和".encode())[0] == "和"


@pytest.mark.parametrize(
    "element",
    [
        "<time datetime=1648-10-24>WORDS</time>",
        "<time class=share><b>WORDS</b></time>",
        "<a rel=author href=/a>WORDS</a>",
        "<a rel=tag href=/a>WORDS</a>",
        "<a rel=next href=/a>WORDS</a>",
        "<span itemprop=author>WORDS</span>",
        "<abbr itemprop=datePublished>WORDS</abbr>",
        "<a class='email' href=/a>WORDS</a>",
        "<span class=share>WORDS</span>",
        "<em class=like-button>WORDS</em>",
        "<strong class='x follow'>WORDS</strong>",
        "<i class=user-info>WORDS</i>",
        "<a class=next href=/a>WORDS</a>",
        "<a class=permalink href=/a>WORDS</a>",
        "<code class=login>WORDS</code>",
        "<span class=logo>WORDS</span>",
        "<span class=sponsored>WORDS</span>",
        "<span class=ad>WORDS</span>",
        "<span id=banner>WORDS</span>",
        "<span class=jp-note>WORDS</span>",
        "<span aria-hidden=true>WORDS</span>",
        "<a aria-expanded=false href=/a>WORDS</a>",
        "<a href='#'>WORDS</a>",
        "<ruby>WORDS<rp>(</rp><rt>r</rt><rp>)</rp></ruby>",
        "<bdi>WORDS</bdi>",
        "<wbr>WORDS<wbr>",
        "<data value=1>WORDS</data>",
        "<q cite=x>WORDS</q>",
        "<span><span class=share><time>WORDS</time></span></span>",
    ],
)
def test_words_of_a_sentence_stay_whatever_their_element(element):
    assert "WORDS" in sentence(f"It says {element} there.")
    assert "WORDS" in text_of(f"<p>{RIVER}</p><div><div><div><ol><li>It says {element} there.</ol></div></div></div>")


@pytest.mark.parametrize(
    "element", ["<time>1 May</time>", "<a class=share href=/a>Share</a>", "<a rel=tag href=/a>Tag</a>"]
)
def test_a_line_of_nothing_else_is_still_left_out(element):
    page = f"<main><p>{RIVER}</p><div>{element}</div><div>{element} {element}</div></main>"
    assert text_of(page) == RIVER


def test_what_a_page_hides_stays_out():
    for hidden in ("class='hidden share'", "hidden class=share", "class=share style='display: none'"):
        assert "WORDS" not in sentence(f"It says <span {hidden}>WORDS</span> there.")


def test_cells_of_a_table_of_data_stay():
    row = "<tr><td>Ann</td><td class=email>ann@example.org</td><td class=paid>yes</td></tr>"
    page = f"<div><div><div><p>{RIVER}</p><table>{row * 2}</table></div></div></div>"
    assert text_of(page).count("Ann\t\tann@example.org\t\tyes") == 2


@pytest.mark.parametrize(
    "around", ["{}", "<div>{}</div>", "<article>{}</article>", "<main><article>{}</article></main>"]
)
def test_lists_near_the_body_are_judged_as_others(around):
    prose = "<ul><li>Two eggs and a little flour are needed.<ul><li>inner</li></ul></li></ul>"
    menu = "<ul><li><a href=/a>Home</a></li><li><a href=/b>About</a></li></ul>"
    text = text_of(around.format(f"<h1>Cake</h1>{menu}<p>{RIVER}</p>{prose}<p>{RIVER}</p>"))
    assert "  • Two eggs and a little flour are needed.\n    • inner" in text
    assert "About" not in text


def test_a_list_of_prose_with_links_stays():
    items = "<li><a href=/a>Ann Smith</a>, who leads research at a small company</li>" * 3
    text = text_of(f"<p>{RIVER}</p><ul>{items}</ul><p>{RIVER}</p>")
    assert text.count("• Ann Smith, who leads") == 3
    assert text.endswith(f"\n\n{RIVER}")  # the list is over
    text = text_of(f"<p>{RIVER}</p><ul>{items}</ul><p>{RIVER}</p>", links=True)
    assert text.count("• Ann Smith (/a), who leads") == 3


@pytest.mark.parametrize(
    "around",
    [
        "<dl><dt>{}<dd>The town is founded</dl>",
        "<h3>{}</h3><p>The town is founded</p>",
        "<ol><li>{}<p>The town is founded</p></ol>",
        "<table><tr><td>The town<td>{}</table>",
        "<figure><img src=a><figcaption>{}</figcaption></figure>",
    ],
)
def test_a_date_that_is_a_term_a_cell_or_an_item_stays(around):
    assert "1 May" in text_of(f"<p>{RIVER}</p>{around.format('<time>1 May</time>')}<p>{RIVER}</p>")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("There are 10<sup>6</sup> fish.", "There are 10^6 fish."),
        ("10<sup>-6</sup> m", "10^-6 m"),
        ("x<sup>n+1</sup>", "x^{n+1}"),
        ("2<sup>10</sup>3", "2^{10}3"),
        ("H<sub>2</sub>O and x<sub>max</sub>", "H_{2}O and x_max"),
        ("the 1<sup>st</sup> of May, N<sup>o</sup> 5", "the 1st of May, No 5"),
        ("a name<sup>TM</sup>", "a nameTM"),
        ("e<sup><i>ix</i></sup> and e<sup>i\u03c0</sup>", "e^ix and e^i\u03c0"),
        ("said so [<sup>1</sup>]", "said so [1]"),
        ("said so<sup><a href=#n1>1</a></sup>.", "said so[1]."),
        ("said so<sup>[2]</sup>.", "said so[2]."),
        ("5 km<sup class=share>2</sup>", "5 km^2"),
        ("<sup>1</sup> A note.", "1 A note."),
        ("word <sub>and some more that is only small</sub>", "word and some more that is only small"),
    ],
)
def test_scripts_are_told_from_digits(source, text):
    assert sentence(source) == text


TEX = "E=mc^{2}"
STYLED = "{\\displaystyle E=mc^{2}}"
ANNOTATION = f"<annotation encoding='application/x-tex'>{STYLED}</annotation>"
MATH = f"<math alttext='{TEX}'><semantics><mrow><mi>E</mi><mo>=</mo></mrow>{ANNOTATION}</semantics></math>"
IMAGE = f"<img alt='{TEX}' class=mwe-math-fallback-image-inline aria-hidden=true>"
RENDERED = "<span class=MathJax_Preview>E</span><span class=MathJax id=m><nobr>E=mc2</nobr></span>"
MML = "<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>{2}</mn></msup>"


@pytest.mark.parametrize(
    "formula",
    [
        MATH,
        f"<math alttext='{TEX}'><mi>E</mi></math>",
        "<span class=katex><span class=katex-mathml>"
        f"{MATH}</span><span class=katex-html aria-hidden=true>E=mc2</span></span>",
        f"<span class=mwe-math-element><span style='display: none' class=x>{MATH}</span>{IMAGE}</span>",
        f"<span class=mwe-math-element>{IMAGE}</span>",
        IMAGE,
        f"<script type='math/tex'>{TEX}</script>",
        f"<script type='math/tex; mode=display'>% <![CDATA[\n{TEX} %]]></script>",
        f"{RENDERED}<script type='math/tex' id=n>{TEX}</script>",
        f"<mjx-container><mjx-math aria-hidden=true>E</mjx-math>"
        f"<mjx-assistive-mml>{MATH}</mjx-assistive-mml></mjx-container>",
        f"<script type='math/mml'><math>{MML}</math></script>",
    ],
)
@pytest.mark.parametrize("main_content", [True, False])
def test_a_formula_comes_once_as_tex(formula, main_content):
    text = sentence(f"The energy is {formula} here.", main_content=main_content)
    assert " ".join(text.split()).replace("{{2}}", "{2}") == f"The energy is {TEX} here."


@pytest.mark.parametrize(
    ("mathml", "text"),
    [
        ("<mfrac><mn>1</mn><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></mfrac>", "1/(a+b)"),
        ("<msub><mi>x</mi><mi>i</mi></msub><mo>=</mo><msqrt><mn>2</mn></msqrt>", "x_i=√(2)"),
        ("<msubsup><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></msubsup>", "∑_{i=1}^n"),
        (
            "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd></mtr></mtable>",
            "1, 2; 3",
        ),
        ("<mmultiscripts><mi>C</mi><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>", "_6^14C"),
        ("<mmultiscripts><mi>R</mi><mi>i</mi><none/><none/><mi>k</mi></mmultiscripts>", "R_i^k"),
        ("<mn>2</mn><mo>&InvisibleTimes;</mo><mi>x</mi>", "2x"),
    ],
)
def test_a_formula_without_tex_is_one_line(mathml, text):
    assert sentence(f"So <math>{mathml}</math> it is.") == f"So {text} it is."


def test_skipped_elements_are_skipped_whatever_is_repaired():
    assert sentence("It says <time class=x>A</time><a class='share y'>B</a> there.", skip_elements=[".x", ".y"]) == (
        "It says there."
    )


def test_without_repair_the_library_has_its_own_bytes():
    page = f"<p>{RIVER} <b>和</b><time>now</time> 10<sup>6</sup></p><ul><li>item</li></ul>"
    text, _ = run(page.encode(), repair=False)
    assert text == extract_plain_text(page, main_content=True)
    assert text != run(page.encode())[0]


LETTERS = st.text("abz09éß°²§äйשع和はका나กแ€–“…→🙂\u00ad\u200d,.", min_size=1, max_size=4)
_ATTRIBUTES = """
class=share|class='email x'|rel=tag|rel=author|itemprop=url|aria-hidden=true|class=login id=logo|aria-expanded=false|
class=content|title='a>和<b'|style='color:red'
"""
ATTRIBUTES = st.sampled_from(_ATTRIBUTES.replace("\n", "").split("|"))
_INLINE = "b span i em a time strong bdi mark abbr data font q ruby"
INLINE = st.sampled_from(_INLINE.split())


def _element(children):
    made = st.tuples(INLINE, ATTRIBUTES, st.lists(children, min_size=1, max_size=3))
    return made.map(lambda one: f"<{one[0]} {one[1]}>{' '.join(one[2])}</{one[0]}>")


NODES = st.recursive(LETTERS.map(html.escape), _element, max_leaves=4)
LINES = st.lists(NODES, max_size=6).map("".join).map(lambda line: f"sentence{line}")
BLOCKS = st.tuples(
    st.sampled_from(
        ["<p>{}</p>", "<div>{}</div>", "<ul><li>{}</li></ul>", "<table><tr><td>{}</td></tr></table>", "<h2>{}</h2>"]
    ),
    LINES,
).map(lambda one: one[0].format(one[1]))
PAGES = st.tuples(
    st.sampled_from(
        ["{}", "<main>{}</main>", "<div><div><div><div>{}</div></div></div></div>", "<article>{}</article>"]
    ),
    st.lists(BLOCKS, min_size=1, max_size=5),
).map(lambda one: f"<!doctype html><html><body>{one[0].format(''.join(one[1]))}</body></html>")


@settings(max_examples=150, deadline=None)
@given(PAGES)
@example("<body><p>sentence<b>和</b><time>né</time></p>")
@example("<body><ul><li>sentence<em rel=tag>€</em></li></ul>")
@example("<body><ul><li>sentence0क<a class=share>0§</a></li></ul>")
def test_the_law_on_pages_made_up(page):
    text, reason = run(page.encode(), content_type="text/html")
    if "<ul>" not in page:  # lists of links are left out
        assert reason is None
        assert text.count("sentence") == page.count("sentence")
    marked = look(page.encode()).marked("\ufdd0").decode()  # marks count in a list's share of links
    assert lost(marked, text, text_of_tree) == []


@settings(max_examples=100, deadline=None)
@given(PAGES)
@example("<body><p>words <span id=banner>that</span> stay</p><div><a href='#'>Top</a><br><time>now</time></div>")
@example("<body><span>words<ul><li>a</li></ul></span> / <time>now</time><table><tr><a rel=tag>x</a> words<td>y</table>")
def test_a_look_at_the_source_misses_nothing_of_the_tree(page):
    source = look(page.encode())
    mark = source.mark(page)
    texts = []
    for selector in (EVERYTHING, selector_of(source, True)):
        tree = HTMLTree.parse(source.marked(mark).decode())
        prepare(tree, mark, True, selector)
        texts.append(extract_plain_text(tree, main_content=True))
    assert texts[0] == texts[1]


def test_a_list_of_teasers_near_the_body_stays_out():
    teasers = "<ul>" + "<li><h3>Another page</h3>What it has to say about another matter.</li>" * 3 + "</ul>"
    assert "Another" not in text_of(f"<p>{RIVER}</p><div>{teasers}</div>")


def test_the_law_on_real_pages():
    if not ARCHIVE.exists():
        pytest.skip(f"the real pages are not here: {ARCHIVE}")
    missing = []
    with ARCHIVE.open("rb") as stream:
        for number, record in enumerate(ArchiveIterator(stream, record_types=WarcRecordType.response)):
            if number % 8:  # the benchmark takes all
                continue
            page = decode(record.reader.read(), None)
            text, reason = run(page.encode(), content_type="text/html")
            assert reason in (None, "empty", "error_page")
            missing += lost(page, text or "", text_of_tree)
    assert missing == []


def _many_attributes(n):
    return "<p " + " ".join(f"a{i}=1" for i in range(n)) + ">x"


def _quoted_attributes(n):
    return "<p " + " ".join(f"a{i}='>'" for i in range(n)) + ">x"


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 4_900 + "<p>x</p>" * 50_000,
        "<div>" * 4_900 + "word " * 100_000,
        "<DIV>" * 4_900 + "word " * 100_000,
        "<article>" * 4_900 + "word " * 100_000,
        "<SCRIPT></script>" + "<div>" * 4_900 + "word " * 100_000,
        _many_attributes(300_000),
        _quoted_attributes(100_000),
        "<select>" + "<option>x" * 500_000,
        "<body>" + "".join(f"<b a={n}>" for n in range(50_000)) + "<p>x" * 50_000,
    ],
    ids=lambda page: page[:12],
)
def test_pages_that_would_hold_a_parser_up_are_refused_at_once(page):
    start = time.process_time()
    assert run(page.encode(), content_type="text/html")[1] in ("too_complex", "too_deep")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 30 + "<p>word</p>" * 100_000,
        "<table>" + "<tr><td>word<td>word" * 20_000,
        _many_attributes(2_000),
        "<select>" + "<option>x" * 2_000 + "</select><p>word",
        "<script>" + "a='<div '+b+' c=d'; " * 20_000 + "</script><p>word",
        "<svg>" + "<path d='M0 0'/>" * 30_000 + "</svg><p>word",
        "<!-- " + "<div>" * 50_000 + " --><p>word",
    ],
    ids=lambda page: page[:12],
)
def test_large_pages_are_not_refused(page):
    assert _html_cost.refusal(look(page.encode())) is None
