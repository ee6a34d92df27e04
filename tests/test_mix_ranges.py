"""The mixture by ranges of the hash line draws what the mixture in one piece draws."""

import json
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from releases import release, rows, write_jsonl, write_manifest

from curate.engine import jobs, mix_ranges
from curate.engine.exchange import BinnedWriter
from curate.engine.planner import Planner
from curate.engine.store import Store
from curate.errors import CurateError
from curate.mix import ranges as ranges_of_line
from curate.mix.keys import copies_labels
from curate.mix.mixture import Mixture
from curate.mix.ranges import Cells, range_of
from curate.mix.splits import Candidates, compose

KEYS = ("code", "web", "wiki")

documents_of_a_partition = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1 << 62, 1 << 63, 2**64 - 1])),
        st.integers(0, 300),
        st.sampled_from(KEYS),
        st.integers(1, 6),
    ),
    max_size=30,
)

mixtures = st.one_of(
    st.just({}),
    st.just({"budget": 400, "unit": "bytes"}),
    st.just({"weights": {"web": 0.5, "wiki": 0.25, "code": 0.25}, "repeats": 4}),
    st.just({"weights": {"web": 1.0}, "validation": 0.3}),
    st.just({"rehydrate": {2: 0, 3: 2.5, 5: 4}, "validation": 0.1}),
    st.just({"rehydrate": {2: 2}, "weights": {"web": 0.5, "wiki": 0.5}, "budget": 300, "repeats": {"wiki": 3}}),
    st.just({"curve": {"power": 1, "most": 3}, "rehydrate": {3: 2}, "budget": 250}),
    st.just({"weights": {"web": 0.6, "code": 0.4}, "budget": 900, "repeats": 3, "validation": 0.1}),
    st.just(
        {
            "weights": {"web": 0.6, "wiki": 0.4},
            "repeats": 3,
            "validation": 0.1,
            "phases": [
                {"name": "first", "budget": 500},
                {"name": "next", "weights": {"web": 0.2, "code": 0.8}, "budget": 300},
                {"name": "last", "budget": 200, "repeat_earlier": True},
            ],
        }
    ),
)


EDGES = [Fraction(0), Fraction(50), Fraction(100)]


def name_of(document: tuple, mixture: dict) -> str:
    """The key of a document, with a bucket where there is a curve."""
    return f"{document[2]}/{1 + document[1] % 2}" if "curve" in mixture else document[2]


def run(store: Store, partitions: list, mixture: dict, unit: str, shard_bytes: int, ranges: int) -> tuple[dict, dict]:
    """What the tasks make of documents: the counts, and the rows of each partition."""
    planner, orders = Planner(), []
    for number, documents in enumerate(partitions):
        fp = planner.add("order", f"{number}: order", {"documents": documents})
        line = np.array([place for place, *_ in documents], np.uint64)
        columns = {
            "doc": np.arange(len(documents), dtype=np.uint64),
            "order": line,
            "bytes": pa.array([size for _, size, *_ in documents], pa.int64()),
            "tokens": pa.array([size // 3 for _, size, *_ in documents], pa.int64()),
            "key": pa.array([name_of(document, mixture) for document in documents], pa.string()),
            "copies": pa.array([copies for *_, copies in documents], pa.int64()),
            "bin": range_of(line, ranges),
        }
        with store.commit(fp) as (draft, counts):
            with BinnedWriter(draft, counts) as writer:
                writer.write(pa.table(columns))
            counts["rows"] = len(documents)
        orders.append(fp)
    args = {"mixture": mixture, "unit": unit, "shard_bytes": shard_bytes}
    mix = mix_ranges.plan_ranges(planner, planner.barrier("order", orders), args, ranges)
    for job in planner.jobs.values():
        jobs.run_job(store.root, job)
    drawn = {place: mix_ranges.drawn_from(store, mix, place) for place in range(len(partitions))}
    return store.counts(mix), drawn


def reference(partitions: list, mixture: dict, unit: str, shard_bytes: int):
    """The same in one piece."""
    everything = [
        (place << 32 | row, *document)
        for place, documents in enumerate(partitions)
        for row, document in enumerate(documents)
    ]
    doc, line, size, _, copies = zip(*everything, strict=True) if everything else ((), (), (), (), ())
    key = [name_of(document[1:], mixture) for document in everything]
    if "rehydrate" in mixture:
        labels, table = copies_labels(mixture["rehydrate"]), mixture["rehydrate"]
        classes = [max(place for place, (first, _) in enumerate(table) if first <= number) for number in copies]
        key = [f"{name}/{labels[number]}" for name, number in zip(key, classes, strict=True)]
    names = sorted(set(key))
    candidates = Candidates(
        np.array(doc, np.uint64),
        np.array(line, np.uint64),
        np.array(size, np.uint32),
        np.array(size, np.uint32) // np.uint32(3),
        np.array([names.index(name) for name in key], np.int32),
        names,
    )
    return candidates, compose(candidates, mixture, unit, shard_bytes)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(documents_of_a_partition, min_size=1, max_size=3),
    mixtures,
    st.sampled_from(["bytes", "tokens", "documents"]),
    st.sampled_from([2, 4, 8]),
    st.sampled_from([100, 1000, 100_000]),
)
def test_ranges_draw_what_one_piece_draws(tmp_path_factory, partitions, mixture, unit, ranges, shard_bytes):
    store = Store(tmp_path_factory.mktemp("store"))
    choice = Mixture(**mixture).choice(EDGES)
    try:
        candidates, expected = reference(partitions, choice, unit, shard_bytes)
    except CurateError as error:
        with pytest.raises(CurateError) as raised:
            run(store, partitions, choice, unit, shard_bytes, ranges)
        assert (raised.value.what, raised.value.fix) == (error.what, error.fix)
        return
    counts, drawn = run(store, partitions, choice, unit, shard_bytes, ranges)
    assert counts["splits"] == json.loads(json.dumps(expected.splits))
    assert (counts["left_out"], counts["documents"]) == (expected.left_out, len(candidates.doc))
    assert counts["drawn"] == np.bincount(expected.shard, minlength=counts["shards"]).tolist()
    expected_rows = zip(
        candidates.doc[expected.row].tolist(), expected.place.tolist(), expected.shard.tolist(), strict=True
    )
    found = [tuple(row[name] for name in ("doc", "order", "shard")) for t in drawn.values() for row in t.to_pylist()]
    assert sorted(found) == sorted(expected_rows)


def test_only_the_range_of_the_exact_cut_is_read():
    read = []

    def sizes(key: int, number: int) -> np.ndarray:
        read.append((key, number))
        return np.array([10, 20, 30])

    cells = Cells(np.full((2, 4), 3), np.full((2, 4), 60), sizes)
    assert [cells.last(0, 12, 145), cells[7], cells[9]] == [7, 130, 180]
    assert read == [(0, 2)]


def test_a_release_is_the_same_with_ranges(tmp_path, monkeypatch):
    for seed, name in enumerate(KEYS):
        write_jsonl(tmp_path / f"{name}.jsonl", rows(seed, 60))
    mixture = {"unit": "bytes", "weights": {"web": 0.5, "code": 0.3, "wiki": 0.2}, "repeats": 3, "validation": 0.1}
    mixture["phases"] = [{"name": "main", "budget": "15K"}, {"name": "long", "budget": "5K", "repeat_earlier": True}]
    mixture |= {"curve": {"column": "size", "drop": 10, "power": 0.5, "most": 2}, "rehydrate": {2: 2}}
    stages = [{"exact_dedup": {"counts": "source"}}, {"bucket": {"column": "n_bytes", "buckets": 5, "name": "size"}}]
    document = {"name": "mixed", "version": "1.0.0", "license": "cc0-1.0", "mixture": mixture, "stages": stages}
    document |= {"sources": {name: {"inputs": [f"{name}.jsonl"]} for name in KEYS}, "shards": {"size": "8KB"}}
    path = write_manifest(tmp_path / "mixed.yaml", document)
    whole = release(path, tmp_path / "whole")
    monkeypatch.setattr(ranges_of_line, "PARTITIONS", 1)
    ranged = release(path, tmp_path / "ranged")
    labels = [json.loads(path.read_text())["label"] for path in (tmp_path / "ranged" / "store").glob("??/*.json")]
    assert "mix: cut range 4/4" in labels
    assert ranged.lock["digest"] == whole.lock["digest"]
    assert ranged.lock["mixture"] == whole.lock["mixture"]
