"""A selection against the few lines that say what it is, whatever the partitions."""

import json
import math
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import one_source, rejected_rows, release, released_rows, write_manifest
from texts import columns, documents, reference_words, untimed

from curate.dedup.select import hosts, topics
from curate.errors import CurateError
from curate.kernels.lowest_word import lowest_words
from curate.kernels.words import next_word
from curate.manifest.manifest import loads
from curate.stage_api import find_stage
from curate.testing import docs, run_group

SELECT = find_stage("select")
ROWS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "rows"


def run(table, *, cuts=(), **params):
    """The table with what the stage adds, run in the partitions that the cuts make."""
    bounds = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    parts = [table.slice(start, stop - start) for start, stop in pairwise(bounds)]
    return pa.concat_tables(run_group(SELECT, parts, SELECT.configure(params)))


def reference(documents: list[dict], count: int, order: list[str]) -> set[str]:
    """Clusters take turns; in a round that they cannot all end, the best go first."""

    def better(one):
        keys = []
        for name in order:
            value = one[name.removeprefix("-")]
            missing = 2 if value is None else 1 if math.isnan(value) else 0
            keys += [missing, 0 if missing else -value if name.startswith("-") else value]
        return *keys, one["id"]

    clusters = defaultdict(list)
    for one in sorted(documents, key=better):
        clusters[one["domain"]].append(one)
    chosen = []
    while len(chosen) < count and any(clusters.values()):
        turn = [members.pop(0) for members in clusters.values() if members]
        chosen += sorted(turn, key=better)
    return {one["id"] for one in chosen[:count]}


numbers = st.none() | st.sampled_from([0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf])
rows = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), numbers, numbers), max_size=30)


@settings(deadline=None)
@given(rows, st.integers(1, 35), st.lists(st.integers(0, 30), max_size=3), st.integers(1, 4), st.data())
def test_equals_the_reference(rows, count, cuts, bins, data):
    domains, quality, difficulty = zip(*rows, strict=True) if rows else ((), (), ())
    table = docs(
        *["text"] * len(rows),
        domain=pa.array(domains, pa.string()),
        quality=pa.array(quality, pa.float64()),
        difficulty=pa.array(difficulty, pa.float64()),
    )
    order = data.draw(st.sampled_from([["-difficulty", "-quality"], ["quality"], ["-quality", "difficulty"], []]))
    found = run(table, cuts=cuts, count=count, order=order, by="domain", bins=bins, at_most=True)
    kept = set(found.filter(found["reject"].is_null())["id"].to_pylist())
    assert kept == reference(table.to_pylist(), count, order)
    assert len(kept) == min(count, len(rows))
    for row in found.to_pylist():
        assert row["selection_cluster"] == row["domain"]
        members = [other for other in table.to_pylist() if other["domain"] == row["domain"]]
        rank = next(n for n in range(1, 99) if row["id"] in reference(members, n, order))
        assert row["selection_rank"] == (rank if rank <= count else None)


def test_small_clusters_give_all_and_large_ones_the_rest():
    table = docs(*["text"] * 106, source=["large"] * 100 + ["small"] * 2 + ["middle"] * 4)
    found = run(table, count=12, order=["position"], by="source", cuts=[50])
    kept = found.filter(found["reject"].is_null())
    assert kept["source"].value_counts().to_pylist() == [
        {"values": "large", "counts": 6},
        {"values": "small", "counts": 2},
        {"values": "middle", "counts": 4},
    ]
    assert kept["position"].to_pylist()[:6] == [0, 1, 2, 3, 4, 5]


def test_without_clusters_it_is_the_best():
    table = docs(*["text"] * 50, quality=[number * 7 % 50 for number in range(50)])
    found = run(table, count=5, cuts=[10, 30])
    assert sorted(found.filter(found["reject"].is_null())["quality"].to_pylist()) == [45, 46, 47, 48, 49]


def test_too_few_documents_are_an_error_unless_they_may_be():
    table = docs(*["text"] * 4)
    with pytest.raises(CurateError, match="needs 5 documents, but there are only 4") as caught:
        run(table, count=5, order=[])
    assert "at_most" in caught.value.fix
    assert run(table, count=5, order=[], at_most=True)["reject"].null_count == 4
    assert run(table, count=4, order=[])["reject"].null_count == 4


def test_hosts():
    urls = {
        "https://www.Example.org/a?b": "example.org",
        "http://user:word@example.org:8080/www.": "example.org",
        "HTTP://WWW2.example.org": "www2.example.org",
        "//example.org/a": None,
        "http://[::1]:80/": "[::1]",
        "http://[::1 <p>": None,
        "mailto:a@example.org": None,
        "": None,
        None: None,
    }
    found = hosts(pa.chunked_array([list(urls)], pa.string())).to_pylist()
    assert dict(zip(urls, found, strict=True)) == urls


@untimed
@given(documents, st.sampled_from([0, 1, 3, 6]))
def test_the_lowest_word_equals_the_reference(documents, characters):
    def value(word):
        data, offsets = columns([word.encode()])
        return next_word(data, *offsets, True)[2]

    data, offsets = columns(documents)
    starts, stops = lowest_words(data, offsets, characters)
    for document, start, stop in zip(documents, starts, stops, strict=True):
        words = reference_words(document)
        words = [word for word in words if len(word) >= characters] or words
        assert data[start:stop].tobytes().decode() == min(words, key=value, default="")


def test_texts_that_share_many_words_share_a_cluster_more_often():
    def shared(common: int) -> int:
        """Of 300 pairs of texts with 20 words each, of which so many are the same, how many share a cluster."""
        pairs = []
        for pair in range(300):
            same = [f"common{pair}x{n}" for n in range(common)]
            pairs += [" ".join([*same, *(f"other{pair}x{n}x{side}" for n in range(20 - common))]) for side in (0, 1)]
        found = topics(pa.chunked_array([pairs])).to_pylist()
        return sum(a == b for a, b in zip(found[::2], found[1::2], strict=True))

    for common in (0, 10, 16, 20):
        jaccard = common / (40 - common)
        assert abs(shared(common) - 300 * jaccard) <= 4 * math.sqrt(300 * jaccard * (1 - jaccard))


def test_words_are_compared_without_case_and_short_ones_only_where_there_is_no_other():
    found = topics(
        pa.chunked_array([["The ENERGY of it", "energy, and so on", "a to of", "", None, "数据"]])
    ).to_pylist()
    assert found[:2] == ["energy", "energy"]
    assert found[2] in ("a", "to", "of")
    assert found[3:5] == [None, None]
    assert found[5] in ("数", "据")
    greek, long_s = (
        topics(pa.chunked_array([["ΛΟΓΟΣΣΣ", "λογοσσς"]])),
        topics(pa.chunked_array([["ſtreets", "STREETS"]])),
    )
    assert len(set(greek.to_pylist())) == len(set(long_s.to_pylist())) == 1


@pytest.mark.skipif(not ROWS.is_dir(), reason="no real rows beside the project, at ../shared/data/rows")
def test_clusters_of_real_instructions_are_many_and_none_is_large():
    rows = json.loads((ROWS / "llamafactory" / "alpaca_en_demo.json").read_text())
    found = topics(pa.chunked_array([[f"{row['instruction']} {row['input']} {row['output']}" for row in rows]]))
    counts = [count["counts"] for count in found.value_counts().to_pylist()]
    assert len(counts) > 200
    assert max(counts) < len(rows) / 10


def test_a_release_of_exactly_so_many_on_any_number_of_workers(tmp_path):
    texts = [f"{'river' if n % 3 else 'engine'} number {n}" for n in range(40)]
    rows = [{"text": text, "url": f"https://www.{n % 7}.example/{n}"} for n, text in enumerate(texts)]
    stages = [{"filter": {"late": "position > 35"}}, {"select": {"count": 10, "order": ["-position"], "by": "host"}}]
    shards = {"columns": ["selection_cluster", "selection_rank"]}
    manifest = one_source(tmp_path, rows, [], stages=stages, shards=shards)
    made = release(manifest, tmp_path / "work")
    kept = released_rows(made.path)
    assert len(kept) == made.lock["documents"] == 10
    assert {row["selection_cluster"] for row in kept} == {f"{n}.example" for n in range(7)}
    assert sorted(row["selection_rank"] for row in kept) == [1] * 7 + [2] * 3
    out = [row for row in rejected_rows(made.path) if row["reason"] == "not_selected"]
    assert len(out) == 26
    assert all(row["selection_rank"] > 1 and row["selection_cluster"] in row["url"] for row in out)
    assert release(manifest, tmp_path / "other", workers=2).lock == made.lock


def test_an_empty_source_and_none_at_all(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "some.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    document = {"name": "a", "version": "1.0.0", "license": "cc0-1.0", "sources": {"none": {"inputs": ["empty.jsonl"]}}}
    document |= {"stages": [{"select": {"count": 1, "order": ["position"], "by": "source"}}]}
    made = release(write_manifest(tmp_path / "none.yaml", document), tmp_path / "work")
    assert made.lock["documents"] == 0
    document["sources"]["some"] = {"inputs": ["some.jsonl"]}
    made = release(write_manifest(tmp_path / "some.yaml", document), tmp_path / "work2")
    assert made.lock["documents"] == 1


def test_a_manifest_says_it_in_one_line():
    text = "name: a\nversion: '1.0.0'\nlicense: cc0-1.0\nsources: {s: {inputs: [a.jsonl]}}\nstages: [{select: 1000}]"
    (call,) = loads(text).stages
    assert call.params == {"count": 1000, "order": ["-quality"], "by": None, "at_most": False, "bins": 0}
    assert call.stage.reads(call.params) == ("quality",)
    assert call.stage.reads(call.params | {"by": "host", "order": ["-a", "b"]}) == ("url", "a", "b")
