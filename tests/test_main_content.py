"""Main content by blocks: trees, what is kept, the text, and the stage around them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curate.errors import CurateError
from curate.kernels.block_names import COLUMN, FEATURES, N_FEATURES
from curate.kernels.block_text import HIGHEST, LOWEST, kept_of
from curate.kernels.boosted_trees import LEAVES, LEVELS, NODES, TOGETHER, packed, sums_of_trees
from curate.models.main_content import MainContent
from curate.models.npz import write_npz
from curate.stages.extract import extract
from curate.testing import docs

MENU = "<nav class=menu>" + "".join(f"<a href=/{k}>Section {k}</a> " for k in range(12)) + "</nav>"
FOOTER = "<footer><p>© 2026 Example. All rights reserved.</p><a href=/terms>Terms of use</a></footer>"
PROSE = (
    "Rivers carry sand from the mountains to the sea, and the sea gives it back to the beaches. "
    "When a dam stops the sand, the beaches below it become smaller year by year. "
    "Engineers have measured this for decades, and their figures agree with what fishermen tell."
)


def page(body: str, title: str = "Rivers and sand") -> str:
    return f"<!doctype html><html><head><title>{title}</title></head><body>{MENU}{body}{FOOTER}</body></html>"


ARTICLE = page(f"<article><h1>Rivers and sand</h1><p>{PROSE}</p><p>{PROSE[:90]}</p><p>{PROSE}</p></article>")


def run(html: str, **params):
    rows = docs(None, payload=[html.encode()], http_status=[200], content_type=["text/html"], charset=[None])
    return extract(rows, **({"extractor": "curate"} | params))


def text_of(html: str, **params) -> str:
    return run(html, **params)["text"][0].as_py()


def a_tree(draw):
    features = draw(arrays(np.int16, NODES, elements=st.integers(0, 5)))
    bounds = draw(arrays(np.int16, NODES, elements=st.integers(0, 20)))
    leaves = draw(arrays(np.int16, LEAVES, elements=st.integers(-1000, 1000)))
    return features, bounds, leaves


@given(st.data())
def test_trees_sum_the_leaves_that_a_row_reaches(data):
    trees = [a_tree(data.draw) for _ in range(data.draw(st.integers(1, 3)))]
    rows = data.draw(arrays(np.int16, (data.draw(st.integers(0, 9)), 6), elements=st.integers(-1, 25)))
    rows = np.tile(rows, (data.draw(st.sampled_from([1, TOGETHER // 8, TOGETHER])), 1))

    def walk(row, tree) -> int:
        features, bounds, leaves = tree
        node = 0
        for _ in range(LEVELS):
            node = 2 * node + (1 if row[features[node]] <= bounds[node] else 2)
        return int(leaves[node - NODES])

    tested, bounds, leaves = (np.stack(part) for part in zip(*trees, strict=True))
    sums = [sum(walk(row, tree) for tree in trees) for row in rows.tolist()]
    assert sums_of_trees(rows, packed(tested, bounds), leaves).tolist() == sums


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 400)), max_size=12))
def test_what_is_kept_has_the_highest_f1_to_be_expected(blocks):
    likely = np.array([block[0] for block in blocks], np.int64)
    features = np.zeros((len(blocks), N_FEATURES), np.int16)
    features[:, COLUMN["words"]] = words = np.array([block[1] for block in blocks], np.int64)

    def expected(bound: int) -> float:
        """F1 of what is at least as likely: twice the words expected to be right, by all kept and all expected."""
        kept = likely >= bound
        return 2 * (words * likely)[kept].sum() / max(1, 1000 * words[kept].sum() + (words * likely).sum())

    bounds = sorted({int(one) for one, size in zip(likely, words, strict=True) if one >= LOWEST and size}, reverse=True)
    best = max(bounds, key=lambda bound: (round(expected(bound), 12), bound), default=HIGHEST)
    assert kept_of(likely, features).tolist() == (likely >= min(best, HIGHEST)).tolist()


def test_the_article_without_menu_and_footer():
    found = run(ARTICLE)
    text = found["text"][0].as_py()
    assert PROSE in text
    assert "Section 3" not in text
    assert "All rights reserved" not in text
    assert found["reject"].to_pylist() == [None]
    assert 0.5 < found["kept_share"][0].as_py() < 1
    assert 0.5 < found["content_score"][0].as_py() <= 1


def test_all_of_the_page_on_request():
    text = text_of(ARTICLE, main_content=False)
    assert "Section 3" in text
    assert "All rights reserved" in text
    assert run(ARTICLE, main_content=False)["kept_share"][0].as_py() == 1


BLOCKS = page(
    f"""<article><h1>Rivers</h1><p>{PROSE}</p><ul><li>sand<ul><li>fine</ul><li>gravel</ul><ol><li>one<li>two</ol>
<pre>for x in y:\n    print(x)</pre><blockquote><p>{PROSE}</p></blockquote><p>{PROSE}</p>
<table><tr><th>year<th>sand</tr><tr><td>1990<td>12 t</tr><tr><td>2000<td>9 t</tr></table><p>{PROSE}</p></article>"""
)


def test_paragraphs_lists_code_and_tables_in_plain_text():
    text = text_of(BLOCKS, main_content=False)
    assert (
        f"Rivers\n\n{PROSE}\n\n- sand\n  - fine\n- gravel\n\n1. one\n2. two\n\nfor x in y:\n    print(x)\n\n{PROSE}"
        in text
    )
    assert f"\n\nyear | sand\n1990 | 12 t\n2000 | 9 t\n\n{PROSE}" in text
    assert "- sand" not in text_of(BLOCKS, main_content=False, list_bullets=False)


def test_markdown():
    text = text_of(BLOCKS, main_content=False, format="markdown")
    assert f"# Rivers\n\n{PROSE}\n\n- sand" in text
    assert f"```\nfor x in y:\n    print(x)\n```\n\n> {PROSE}" in text
    assert "| year | sand |\n| --- | --- |\n| 1990 | 12 t |\n| 2000 | 9 t |" in text


def test_the_title_on_request():
    without = page(f"<article><p>{PROSE}</p><p>{PROSE}</p></article>", title="A &amp; B")
    assert text_of(without, title=True).startswith(f"A & B\n\n{PROSE}")
    assert text_of(without, title=True, format="markdown").startswith(f"# A & B\n\n{PROSE}")
    assert text_of(ARTICLE, title=True).count("Rivers and sand") == 1


def test_comments_go_on_request():
    comment = f"<div id=comments><div class=comment><p>I agree. {PROSE}</p></div></div>"
    body = f"<article><h1>Rivers</h1><p>{PROSE}</p></article>{comment}"
    assert "I agree" in text_of(page(body), main_content=False)
    assert "I agree" not in text_of(page(body), main_content=False, comments=False)
    assert PROSE in text_of(page(body), comments=False)


def test_elements_go_by_selector():
    assert "All rights" not in text_of(ARTICLE, main_content=False, skip_elements=("footer",))
    with pytest.raises(CurateError, match="CSS selector"):
        extract(docs(""), extractor="curate", skip_elements=("..",))


def test_formulas_are_tex():
    tex = '<annotation encoding="application/x-tex">\\sqrt{x}</annotation>'
    body = f"<p>{PROSE}</p><p>It grows as <math><semantics><mi>x</mi>{tex}</semantics></math> does.</p>"
    assert "grows as \\sqrt{x} does" in text_of(page(body), main_content=False)


@pytest.mark.parametrize(
    "body",
    [
        f"<div class=footer><p>{PROSE}</p></div>",
        f"<aside class='related promo' hidden><p>{PROSE}</p></aside>",
        f"<p>{PROSE}",
        "<div>" * 1000 + PROSE,
    ],
)
def test_a_page_with_a_paragraph_of_prose_is_never_empty(body):
    assert PROSE[:80] in text_of(page(body))


def test_a_page_of_too_many_blocks_is_named():
    found = run("a<br>" * 100_001)
    assert found["reject"].to_pylist() == ["too_complex"]


@pytest.mark.parametrize(
    "html", ["<p>", "<html><frameset><frame src=a></frameset></html>", page("<div>" * 100_000), "<p>" + "<b>" * 60_000]
)
def test_pages_without_text_are_empty_or_short(html):
    found = run(html)
    assert found["reject"][0].as_py() in (None, "empty")
    assert len(found["text"][0].as_py()) < 400


def test_text_that_is_there_already_has_no_share():
    found = extract(docs("as it is"), extractor="curate")
    assert found["text"].to_pylist() == ["as it is"]
    assert found["kept_share"].to_pylist() == found["content_score"].to_pylist() == [None]


def trees(**changed) -> dict:
    nodes, values, means = ((1, NODES), np.uint32), ((1, LEAVES), np.int16), ((1, NODES), np.int16)
    return {"nodes": np.zeros(*nodes), "values": np.zeros(*values), "means": np.zeros(*means)} | changed


def test_a_model_comes_back_as_it_was_written(tmp_path):
    model = MainContent(**trees(values=np.full((1, LEAVES), 7, np.int16)))
    model.save(tmp_path / "a.npz")
    model.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert MainContent.load(tmp_path / "a.npz").values.tolist() == model.values.tolist()


@pytest.mark.parametrize(
    ("about", "changed", "says"),
    [
        ({}, {"values": np.zeros((1, LEAVES), np.float32)}, "wrong type"),
        ({}, {"values": np.zeros((2, LEAVES), np.int16)}, "wrong shape"),
        ({}, {"nodes": np.zeros((0, NODES), np.uint32), "values": np.zeros((0, LEAVES), np.int16)}, "wrong shape"),
        ({}, {"nodes": np.full((1, NODES), 60_000 << 16, np.uint32)}, "missing features"),
        ({"features": FEATURES[1:]}, {}, "different set of features"),
    ],
)
def test_a_file_that_is_no_model_is_refused(about, changed, says, tmp_path):
    path = tmp_path / "model.npz"
    write_npz(path, {"format": 1, "features": FEATURES} | about, **trees(**changed))
    with pytest.raises(CurateError, match=says):
        MainContent.load(path)


def test_any_other_file_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    path.write_text(json.dumps({"nodes": []}))
    with pytest.raises(CurateError, match="cannot read the main-content model"):
        MainContent.load(path)
