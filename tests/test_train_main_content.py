"""`curate train` of a recipe of main content, over pages that the test makes."""

import gzip
import json
import random
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from curate.errors import CurateError, ManifestError
from curate.models.main_content import MainContent
from curate.models.marked_pages import marked_pages
from curate.models.train import load, train_events
from curate.models.train_main_content import word_f1

pytest.importorskip("lightgbm")
WORDS = ["river", "sand", "dam", "beach", "sea", "stone", "boat", "year", "people", "water", "wind", "field"]
RECIPE = """\
name: small
pages:
  ours: {path: pages.parquet, form: parquet, source: made for a test, license: cc0-1.0}
boosting: {num_iterations: 20, learning_rate: 0.3, min_data_in_leaf: 5}
"""


def sentence(random: random.Random) -> str:
    return " ".join(random.choices(WORDS, k=12)).capitalize() + "."


def a_page(number: int) -> tuple[str, str]:
    """(html, main content): menus of links around paragraphs."""
    dice = random.Random(number)
    paragraphs = [" ".join(sentence(dice) for _ in range(3)) for _ in range(4)]
    links = "".join(f"<li><a href=/{k}>{dice.choice(WORDS)} {k}</a>" for k in range(8))
    body = "".join(f"<p>{one}</p>" for one in paragraphs)
    html = f"<title>t</title><ul class=menu>{links}</ul><div class=post>{body}</div><div class=footer>© {number}</div>"
    return html, "\n\n".join(paragraphs)


@pytest.fixture
def recipe(tmp_path):
    pages = [a_page(number) for number in range(40)]
    table = pa.table(
        {
            "url": [f"https://site{number}.example/a" for number in range(40)],
            "html": [html.encode() for html, _ in pages],
            "main_content": [text for _, text in pages],
            "page_type": ["article"] * 40,
        }
    )
    pq.write_table(table, tmp_path / "pages.parquet")
    (tmp_path / "small.yaml").write_text(RECIPE)
    return tmp_path / "small.yaml"


def trained(recipe, work):
    return list(train_events(recipe, work))[-1]


def test_training_gives_a_model_and_its_card(recipe, tmp_path):
    made = trained(recipe, tmp_path / "work")
    assert made.changed
    assert made.metrics["ours"]["f1"] > 0.95
    assert made.metrics["ours"]["by_kind"] == {"article": made.metrics["ours"]["f1"]}
    model = MainContent.load(made.path / "model.npz")
    html, text = a_page(1000)
    assert model.read(html.encode()).text() == text
    card = (made.path / "README.md").read_text()
    assert "made for a test" in card
    assert "cc0-1.0" in card
    assert str(tmp_path) not in card + (made.path / "lock.json").read_text()


def test_the_same_pages_give_the_same_file_and_are_not_learned_again(recipe, tmp_path):
    first, second = trained(recipe, tmp_path / "a"), trained(recipe, tmp_path / "b")
    assert (first.path / "model.npz").read_bytes() == (second.path / "model.npz").read_bytes()
    assert first.lock == second.lock
    assert not trained(recipe, tmp_path / "a").changed


def test_other_pages_give_another_model(recipe, tmp_path):
    first = trained(recipe, tmp_path / "work")
    table = pq.read_table(tmp_path / "pages.parquet")
    pq.write_table(table.slice(0, 30), tmp_path / "pages.parquet")
    second = trained(recipe, tmp_path / "work")
    assert second.changed
    assert second.lock["fingerprint"] != first.lock["fingerprint"]


def test_pages_with_marked_parts(tmp_path):
    html, text = a_page(1)
    part, other = text.split("\n\n")[0], "© 1"
    with (tmp_path / "web.warc.gz").open("wb") as file:
        writer = WARCWriter(file)
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.0")
        record = writer.create_warc_record(
            "https://a.example/1", "response", payload=BytesIO(html.encode()), http_headers=headers
        )
        writer.write_record(record)
    gold = [{"url": "https://a.example/1", "with": [part], "without": [other]}]
    (tmp_path / "web.gold.json").write_text(json.dumps(gold))
    (page,) = marked_pages(tmp_path / "web.warc.gz", "segments")
    assert (page.text, page.inside, page.out, page.site) == (None, (part,), (other,), "a.example")
    assert page.html.decode() == html


def test_a_folder_as_scrapinghub_has_it(tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "x.html.gz").write_bytes(gzip.compress(b"<p>a"))
    (tmp_path / "ground-truth.json").write_text(json.dumps({"x": {"articleBody": "a"}}))
    (page,) = marked_pages(tmp_path, "scrapinghub")
    assert (page.html, page.text) == (b"<p>a", "a")


def test_mistakes_are_named(recipe, tmp_path):
    (tmp_path / "pages.parquet").unlink()
    with pytest.raises(CurateError, match="no such file of labeled pages"):
        trained(recipe, tmp_path / "work")
    (tmp_path / "pages.parquet").write_bytes(b"no Parquet")
    with pytest.raises(CurateError, match="cannot read the labeled pages"):
        trained(recipe, tmp_path / "work")
    recipe.write_text(RECIPE.replace("num_iterations: 20", "num_leaves: 65"))
    with pytest.raises(ManifestError, match="num_leaves"):
        load(recipe)


@pytest.mark.parametrize(
    ("got", "wanted", "scores"),
    [
        ("a b", "a b", (1, 1, 1)),
        ("a a", "a", (0.5, 1, 2 / 3)),
        ("", "", (1, 1, 1)),
        ("a", "", (0, 0, 0)),
        ("a", "b", (0, 0, 0)),
    ],
)
def test_f1_of_words(got, wanted, scores):
    assert word_f1(got.split(), wanted.split()) == pytest.approx(scores)
