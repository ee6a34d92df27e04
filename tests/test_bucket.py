"""Buckets against ten lines of plain Python, in any partitioning."""

from fractions import Fraction
from math import isnan, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import release, released_rows, write_jsonl, write_manifest

from curate.errors import CurateError, ManifestError
from curate.manifest.manifest import load
from curate.release.make import prepare
from curate.stage_api import find_stage
from curate.testing import docs, run_group

BUCKET = find_stage("bucket")


def reference(values: list, groups: list, buckets: int | list[float]) -> list[int | None]:
    """Count the lower values of each document's group, one document after the other."""
    cuts = [Fraction(100 * n, buckets) for n in range(1, buckets)] if isinstance(buckets, int) else buckets
    found = []
    for value, group in zip(values, groups, strict=True):
        mine = [
            other
            for other, of in zip(values, groups, strict=True)
            if of == group and other is not None and not isnan(other)
        ]
        if value is None or isnan(value):
            found.append(None)
            continue
        percentile = Fraction(100 * sum(other < value for other in mine), len(mine))
        found.append(1 + sum(percentile >= Fraction(str(cut)) for cut in cuts))
    return found


numbers = st.none() | st.sampled_from([nan, 0.0, -0.0, 0.5, 1.0, float("inf"), -float("inf")]) | st.floats(-2, 2)
documents = st.lists(st.tuples(numbers, st.sampled_from(["en", "de", None])), max_size=40)
cuts = st.integers(2, 30) | st.lists(st.sampled_from([0.5, 5, 12.5, 33.3, 40, 50, 95, 99.9]), min_size=1, unique=True)


@given(documents, cuts, st.booleans(), st.data())
def test_against_the_reference(rows, buckets, by_language, data):
    buckets = buckets if isinstance(buckets, int) else sorted(buckets)
    values, languages = [value for value, _ in rows], [language for _, language in rows]
    table = docs(*[""] * len(rows), language=languages, quality=pa.array(values, pa.float64()))
    cut = data.draw(st.integers(0, len(rows)))
    params = BUCKET.configure({"buckets": buckets, "within": "language" if by_language else None})
    found = pa.concat_tables(run_group(BUCKET, [table.slice(cut), table.slice(0, cut)], params)).sort_by("id")
    expected = reference(values, languages if by_language else [None] * len(rows), buckets)
    by_id = dict(zip(table["id"].to_pylist(), expected, strict=True))
    assert found["quality_bucket"].to_pylist() == [by_id[id] for id in found["id"].to_pylist()]
    assert found["reject"].null_count == len(rows)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_without_ties_buckets_have_the_same_number_of_documents(count):
    values = np.random.default_rng(0).permutation(1000).astype(np.float32)
    (found,) = run_group(
        BUCKET, [docs(*[""] * 1000, score=values)], BUCKET.configure({"column": "score", "buckets": count})
    )
    sizes = np.bincount(found["score_bucket"].to_numpy())[1:]
    assert len(sizes) == count
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"buckets": [50, 40]}, "do not ascend"),
        ({"buckets": [33.33333333]}, "6 decimal"),
        ({"column": "text"}, "string"),
    ],
)
def test_mistakes_are_named(params, words):
    params = BUCKET.configure({"column": "position"} | params)

    def use():
        BUCKET.reads(params)
        run_group(BUCKET, [docs("a", "b")], params)

    with pytest.raises(CurateError, match=words):
        use()


def test_buckets_of_a_release_can_be_filtered_published_and_changed(tmp_path):
    write_jsonl(tmp_path / "web.jsonl", [{"text": "word " * (n + 1)} for n in range(40)])
    document = {"name": "cut", "version": "1.0.0", "license": "mit", "sources": {"web": {"inputs": ["web.jsonl"]}}}
    ran = []
    for buckets in (4, [10]):
        stages = [
            {"bucket": {"column": "n_bytes", "buckets": buckets, "name": "size"}},
            {"filter": {"small": "size = 1"}},
        ]
        path = write_manifest(tmp_path / "m.yaml", document | {"stages": stages, "shards": {"columns": ["size"]}})
        made = release(path, tmp_path / "work", replace=True)
        ran.append(made.lock["rejected"])
        assert {row["size"] for row in released_rows(made.path)} == ({2, 3, 4} if buckets == 4 else {2})
    assert ran == [10, 4]


def test_a_name_that_is_taken_is_refused(tmp_path):
    write_jsonl(tmp_path / "web.jsonl", [{"text": "word"}])
    document = {"name": "cut", "version": "1.0.0", "license": "mit", "sources": {"web": {"inputs": ["web.jsonl"]}}}
    path = write_manifest(tmp_path / "m.yaml", document | {"stages": [{"bucket": {"column": "n_bytes", "name": "id"}}]})
    with pytest.raises(ManifestError, match="reserved"):
        prepare(load(path), tmp_path / "work")
