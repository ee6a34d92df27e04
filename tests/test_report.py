"""The report of a release: its figures are those of the data, and what the data says is no markup."""

import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import release, released_rows, resembling, rows, write_jsonl, write_manifest

from curate.errors import CurateError
from curate.release.charts import funnel, histogram_chart, short, ticks
from curate.release.fetched import Held
from curate.release.figures import BINS, figures, histogram, hosts
from curate.release.lock import verify
from curate.release.report import personal, render

EVIL = "\"><script>alert(1)</script><b onclick=x>'&"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two sources with near-duplicates, dates, hosts that are markup, and a mixture that repeats one of them."""
    folder = tmp_path_factory.mktemp("report")
    first = rows(1, 60)
    for number, row in enumerate(first):
        row["date"] = f"{2015 + number % 7}-01-01T00:00:00Z"
        row["url"] = f"https://host{number % 3}.example/{EVIL}{number}"
    first[7]["url"] = f"https://{EVIL.replace('/', '')}/x"
    write_jsonl(folder / "a.jsonl", first + resembling(5, first[:20]))
    write_jsonl(folder / "b.jsonl", rows(2, 40))
    document = {
        "name": "seen",
        "version": "1.0.0",
        "license": "mit",
        "description": EVIL,
        "sources": {"a": {"inputs": ["a.jsonl"], "description": EVIL}, "b": {"inputs": ["b.jsonl"]}},
        "stages": [{"length": {"min_words": 5}}, "near_dedup"],
        "shards": {"size": "20KB", "columns": ["n_words"]},
        "mixture": {"by": "source", "unit": "bytes", "budget": "40K", "weights": {"a": 0.25, "b": 0.75}, "repeats": 4},
    }
    return release(write_manifest(folder / "manifest.yaml", document), folder / "work")


def found(made):
    return figures(Held(made.path, made.typed, published=False))


def test_bars_count_every_row(made):
    rows = released_rows(made.path)
    shown = found(made)
    words = next(chart for chart in shown.signals if chart.name == "n_words")
    assert {name: sum(kept) for name, (kept, _) in words.counts.items()} == Counter(row["source"] for row in rows)
    assert words.median == np.median([row["n_words"] for row in rows])
    (bound,) = [bound for bound in words.bounds if bound.reason == "too_few_words"]
    lost = sum(passed.reasons.get("too_few_words", 0) for passed in made.typed.stages[0].sources.values())
    assert (bound.value, bound.below) == (5, True)
    assert bound.cut == lost / sum(passed.in_ for passed in made.typed.stages[0].sources.values())
    years = Counter(row["date"][:4] for row in rows if row["date"])
    assert dict(zip(range(2015, 2022), shown.years.kept, strict=True)) == {int(y): n for y, n in sorted(years.items())}


def test_clusters_and_similarities_are_those_of_the_evidence(made):
    near = pq.read_table(made.path / "evidence/near_duplicates.parquet").to_pylist()
    shown = found(made)
    sizes = Counter(Counter(row["cluster"] for row in near).values())
    assert sum(documents for _, _, documents in shown.clusters) == len(near)
    assert sum(clusters for _, clusters, _ in shown.clusters) == sum(sizes.values())
    assert sum(shown.similarity.kept) + sum(shown.similarity.out) == sum(row["similarity"] is not None for row in near)


@given(
    st.lists(st.tuples(st.floats() | st.integers(-1000, 10**12), st.booleans(), st.sampled_from("abc")), max_size=60)
)
def test_a_histogram_leaves_no_finite_number_out(documents):
    values = pa.array([float(value) for value, _, _ in documents], pa.float64())
    kept = pa.array([kept for _, kept, _ in documents], pa.bool_())
    table = pa.table({"x": values, "kept": kept, "source": pa.array([name for *_, name in documents], pa.string())})
    finite = [(value, kept, name) for value, kept, name in documents if np.isfinite(float(value))]
    chart = histogram(table, "x")
    if len({float(value) for value, *_ in finite}) < 2:
        assert chart is None
        return
    for name in "abc":
        inside, outside = chart.counts.get(name, ([], []))
        assert (sum(inside), sum(outside)) == tuple(
            sum(k is side and n == name for _, k, n in finite) for side in (True, False)
        )
    assert all(a < b for a, b in pairwise(chart.edges))
    assert len(chart.edges) <= BINS + 1
    assert len(ticks(chart)) <= 8
    assert all(short(value) for value in ticks(chart))
    assert "nan" not in histogram_chart(chart)


def test_hosts_are_counted_by_source():
    urls = ["https://A.example/x", "http://u:p@a.example:80/", "ftp://b.example?q", "no address", None]
    table = pa.table({"url": urls, "source": ["s"] * 4 + ["t"]})
    assert list(hosts(table, 1.0)) == [("s", "a.example", 2, 0.5), ("s", "b.example", 1, 0.25)]


def test_more_rows_than_are_read_are_estimated(made, monkeypatch):
    monkeypatch.setattr("curate.release.figures.MOST", 30)
    shown = found(made)
    assert 0 < shown.sampled < shown.rows == made.typed.rows
    assert abs(sum(shown.lengths[0].kept) - shown.rows) <= len(shown.lengths[0].kept)
    assert f"estimated from {shown.sampled:,} of {shown.rows:,} rows" in render(made.typed, "", shown)


def test_a_file_that_is_not_what_it_was_is_an_error(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "release")
    shard = tmp_path / "release" / made.typed.shards[0].path
    table = pq.read_table(shard)
    place = table.column_names.index("text")
    pq.write_table(table.set_column(place, "text", pa.array(range(table.num_rows))), shard)
    with pytest.raises(CurateError, match="a file of the release cannot be read"):
        figures(Held(tmp_path / "release", made.typed, published=False))
    shard.write_bytes(b"PAR1")
    with pytest.raises(CurateError, match="a file of the release cannot be read"):
        figures(Held(tmp_path / "release", made.typed, published=False))


def test_the_funnel_never_rises(made, tmp_path):
    write_jsonl(tmp_path / "c.jsonl", rows(9, 12))
    document = {"name": "more", "version": "1.1.0", "license": "mit", "sources": {"c": {"inputs": ["c.jsonl"]}}}
    base = {**document, "version": "1.0.0", "sources": {"c": {"inputs": ["b.jsonl"]}}, "stages": ["near_dedup"]}
    write_jsonl(tmp_path / "b.jsonl", rows(8, 30))
    old = release(write_manifest(tmp_path / "old.yaml", base), tmp_path / "work")
    new = document | {"stages": ["near_dedup"], "extends": str(old.path)}
    extended = release(write_manifest(tmp_path / "new.yaml", new), tmp_path / "work")
    assert extended.typed.documents > extended.typed.sources["c"].read.kept
    for lock in (made.typed, extended.typed):
        steps = funnel(lock)
        for (_, before), (_, after) in pairwise(steps):
            assert all(after[source] <= before[source] for source in before)
    assert sum(funnel(extended.typed)[-1][1].values()) == extended.typed.documents - old.typed.documents
    page = (extended.path / "report.html").read_text()
    assert f"whose {old.typed.documents} documents are all kept" in page
    assert "more 1.0.0" in page


class Page(HTMLParser):
    """The tags of a page, their attributes, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.anchors = Counter(), Counter(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attributes)
        self.ids += [value for name, value in attributes if name == "id"]
        self.anchors += [value for name, value in attributes if name == "href" and tag == "a"]


def test_what_the_data_says_is_no_markup(made):
    page = Page((made.path / "report.html").read_text())
    assert page.tags["script"] == 1
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "src" not in page.attributes
    for chart in made.path.glob("charts/*.svg"):
        assert "<script" not in chart.read_text()


def test_a_host_that_looks_like_a_token_stops_no_release(tmp_path):
    token = "hf_" + "a" * 34
    write_jsonl(tmp_path / "a.jsonl", [{"text": f"Page {n}.", "url": f"https://{token}/{n}"} for n in range(3)])
    document = {"name": "t", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    assert all(token in row["url"] for row in released_rows(made.path))
    assert "<td>REDACTED</td>" in (made.path / "report.html").read_text()
    assert verify(made.path) == []


def test_contents_lead_to_sections(made):
    page = Page((made.path / "report.html").read_text())
    assert len(page.ids) == len({*page.ids})
    assert page.anchors
    assert {anchor.removeprefix("#") for anchor in page.anchors} <= {*page.ids}


def test_drawn_and_unique_stand_apart(made):
    page = (made.path / "report.html").read_text()
    lock = made.typed
    assert lock.rows > lock.documents
    assert f"<b>{lock.documents:,}</b><span>documents</span>" in page
    assert f"<b>{lock.rows:,}</b><span>rows, with the mixture's repeats</span>" in page
    shown = re.search(r"<td>train</td><td>b</td>(.*?)</tr>", page)[1]
    key = lock.mixture.splits[0].keys["b"]
    assert re.findall(r">([\d.,]+)</td>", shown)[-1] == f"{key.epochs:.2f}"


def test_personal_data_is_counted_by_source_and_kind(tmp_path):
    texts = [
        "Write to jane@doe-mail.com or joe@doe-mail.com today.",
        "Ask at 8.8.8.8:80, or jane@doe-mail.com.",
        "None.",
    ]
    write_jsonl(tmp_path / "a.jsonl", [{"text": text, "url": f"https://{n}.example/"} for n, text in enumerate(texts)])
    said = [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[1]}]
    write_jsonl(tmp_path / "b.jsonl", [{"messages": said, "url": "https://b.example/"}])
    document = {"name": "p", "version": "1.0.0", "license": "mit", "stages": ["pii"]}
    document["sources"] = {"a": {"inputs": ["a.jsonl"]}, "b": {"inputs": ["b.jsonl"], "layout": "messages"}}
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    counted = {(source, kind): count for source, _, kind, count in personal(made.typed) if count}
    assert counted == {("a", "email"): 3, ("a", "ip"): 1, ("b", "email"): 3, ("b", "ip"): 1}
    page = (made.path / "report.html").read_text()
    assert '<h2 id="personal-data">' in page
    assert "jane" not in page
    card = (made.path / "README.md").read_text()
    assert "The stage `pii` replaced the personal data that it detected." in card
    assert "Matches in the documents it kept: email 6, ip 2" in card
