"""Exactly a share of the documents stays: the best, whatever the partitions."""

import math
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.keep_top import keep_top, kept, select
from curate.errors import CurateError
from curate.manifest.manifest import loads
from curate.stage_api import find_stage
from curate.testing import docs, run_group


def run(values, *, cuts=(), sources=None, kind=None, **params):
    """Which documents stay, in their order, run in the partitions that the cuts make."""
    columns = {"source": sources} if sources else {}
    table = docs(*["text"] * len(values), **columns).append_column("quality", pa.array(values, kind or pa.float64()))
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [table.slice(start, stop - start) for start, stop in pairwise(bounds)]
    params = find_stage("keep_top").configure(params)
    return [reason is None for part in run_group(keep_top, parts, params) for reason in part["reject"].to_pylist()]


def reference(values, fraction, groups):
    ids = docs(*["text"] * len(values))["id"].to_pylist()
    members, stay = defaultdict(list), set()
    for row, group in enumerate(groups):
        members[group].append(row)
    for rows in members.values():
        missing = {row: values[row] is None or math.isnan(values[row]) for row in rows}
        rows.sort(key=lambda row: (missing[row], 0 if missing[row] else -values[row], ids[row]))
        stay |= set(rows[: kept(fraction, len(rows))])
    return [row in stay for row in range(len(values))]


values = st.none() | st.sampled_from([0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf]) | st.floats()


@settings(deadline=None)
@given(st.lists(st.tuples(values, st.sampled_from(["a", "b", None])), max_size=30), st.data())
def test_equals_the_reference(rows, data):
    scores, sources = [score for score, _ in rows], [source for _, source in rows]
    fraction = data.draw(st.sampled_from([0, 0.1, 0.25, 1 / 3, 0.5, 0.999, 1]))
    cuts = data.draw(st.lists(st.integers(0, 30), max_size=3))
    bins = data.draw(st.integers(1, 4))
    assert run(scores, cuts=cuts, fraction=fraction, bins=bins) == reference(scores, fraction, [0] * len(rows))
    found = run(scores, cuts=cuts, sources=sources, fraction=fraction, by="source", bins=bins)
    assert found == reference(scores, fraction, sources)


@pytest.mark.parametrize("score", [0.25, None])
def test_a_tenth_is_a_tenth_even_where_all_are_equal(score):
    assert sum(run([score] * 1000, cuts=[137, 500], fraction=0.1)) == 100


@pytest.mark.parametrize(
    ("fraction", "count", "expected"),
    [(0.1, 10, 1), (0.1, 14, 1), (0.1, 15, 2), (0.1, 4, 0), (0.7, 10, 7), (0.29, 100, 29), (1, 3, 3), (0, 3, 0)],
)
def test_rounding(fraction, count, expected):
    assert kept(fraction, count) == expected
    assert sum(run([float(place) for place in range(count)], fraction=fraction)) == expected


def test_each_source_keeps_its_share():
    sources = ["good"] * 10 + ["bad"] * 10
    stay = run([1.0] * 10 + [0.0] * 10, sources=sources, fraction=0.5, by="source")
    assert (sum(stay[:10]), sum(stay[10:])) == (5, 5)
    stay = run([1.0] * 10 + [0.0] * 10, sources=sources, fraction=0.5)
    assert (sum(stay[:10]), sum(stay[10:])) == (10, 0)


def test_whole_numbers_compare_too():
    assert run([3, None, 5, 4], kind=pa.int32(), fraction=0.5) == [False, False, True, True]


def test_a_column_of_text_is_an_error():
    with pytest.raises(CurateError, match="only numbers can be ranked"):
        run(["a", "b"], kind=pa.string(), fraction=0.5)


def test_a_manifest_says_it_in_one_line():
    text = "name: a\nversion: '1.0.0'\nlicense: cc0-1.0\nsources: {s: {inputs: [a.jsonl]}}\nstages: [{keep_top: 0.1}]"
    (call,) = loads(text).stages
    assert call.params == {"fraction": 0.1, "column": "quality", "by": None, "bins": 0}
    assert call.stage.reads(call.params) == ("quality",)


def test_as_many_groups_as_documents_are_sent_on_together():
    count = 5000
    rows = {"doc": np.arange(count, dtype=np.uint64), "key": np.arange(count, dtype=np.uint64)}
    rows = pa.table(rows | {"group": [str(number % 2500) for number in range(count)]})
    (found,) = select(iter([rows]), np.array([count]), fraction=0.5)
    assert found["doc"].to_pylist() == list(range(2500))  # the lower one of each group
