"""Copies that a kept document stands for: against a walk over all documents, in any partitioning, through stages."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import release, released_rows, write_jsonl, write_manifest

from curate.stage_api import find_stage
from curate.testing import docs, run_group

EXACT, NEAR = find_stage("exact_dedup"), find_stage("near_dedup")
NAMES = ("n_duplicates", "n_duplicate_sources", "duplicate_sources")


def standing_for(documents: list[dict], column: str) -> dict[str, tuple]:
    """{id of a kept document: its counts}: follow each document from what it is a duplicate of to what stayed."""
    by_id = {row["id"]: row for row in documents}
    held: dict[str, list] = {row["id"]: [] for row in documents if not row["duplicate_of"]}
    for row in documents:
        stays = row
        while stays["duplicate_of"]:
            stays = by_id[stays["duplicate_of"]]
        held[stays["id"]].append(row)
    found = {}
    for id, rows in held.items():
        sources = sorted({row[column] for row in rows if row[column] is not None})
        found[id] = (len(rows), len(sources), sources)
    return found


words = st.lists(st.sampled_from(["red", "green", "blue", "One", "two", "ein", "zwei"]), max_size=8).map(" ".join)
rows = st.lists(st.tuples(words, st.sampled_from(["web", "wiki", "code", None])), min_size=1, max_size=24)


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_counts_of_two_stages_add_up_in_any_partitions(rows, data):
    texts, hosts = zip(*rows, strict=True)
    table = docs(*texts, host=pa.array(hosts, pa.string()))
    cut = data.draw(st.integers(0, len(rows)))
    parts, bins = [table.slice(0, cut), table.slice(cut)], data.draw(st.integers(1, 4))
    verify = {"rule": data.draw(st.sampled_from(["greedy", "components"]))}
    verify |= {"verify": "none"} if verify["rule"] == "components" else {}
    near = NEAR.configure({"ngram": 2, "bands": 8, "rows": 2, "threshold": 0.4, "counts": "host", **verify})
    exact = EXACT.configure({"counts": "host"})
    first = run_group(EXACT, parts, exact | {"bins": bins})
    out = [part.filter(part["reject"].is_valid()) for part in first]
    last = run_group(
        NEAR, [part.filter(part["reject"].is_null()).drop_columns("reject") for part in first], near | {"bins": bins}
    )
    every = pa.concat_tables([*out, *last], promote_options="default").to_pylist()
    expected = standing_for(every, "host")
    kept = [row for part in last for row in part.filter(part["reject"].is_null()).to_pylist()]
    assert {row["id"]: tuple(row[name] for name in NAMES) for row in kept} == expected
    assert sum(row["n_duplicates"] for row in kept) == len(rows)


@pytest.mark.parametrize("stage", [EXACT, NEAR])
def test_without_counts_nothing_is_added(stage):
    (found,) = run_group(stage, [docs("a b c d e f", "a b c d e f")], stage.configure({}))
    assert not {*NAMES} & {*found.column_names}


PAGE = "one page that was found in several crawls and is longer than a shingle"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Releases of one manifest: its documents in two sources, with 0 and with 2 workers and other bins."""
    folder, found = tmp_path_factory.mktemp("counts"), []
    crawls = {"old": [PAGE, PAGE, PAGE + " again", "only here"], "new": [PAGE, "only there", "only there"]}
    for name, texts in crawls.items():
        write_jsonl(folder / f"{name}.jsonl", [{"text": text, "dump": f"{name}-1"} for text in texts])
    stages = [
        {"exact_dedup": {"counts": "meta.dump"}},
        {"near_dedup": {"ngram": 2, "threshold": 0.7, "counts": "meta.dump"}},
        {"filter": {"found_once": "n_duplicates = 1"}},
    ]
    document = {"name": "counted", "version": "1.0.0", "license": "mit", "stages": stages}
    document |= {"sources": {name: {"inputs": [f"{name}.jsonl"]} for name in crawls}}
    document |= {"shards": {"columns": [*NAMES]}}
    for workers, bins in ((0, 1), (2, 3)):
        stages[1]["near_dedup"]["bins"] = bins
        path = write_manifest(folder / "counted.yaml", document)
        found.append(release(path, folder / f"work{workers}", workers=workers))
    return found


def test_a_release_has_the_counts_and_filters_by_them(made):
    rows = {row["text"]: tuple(row[name] for name in NAMES) for row in released_rows(made[0].path)}
    (page,) = {*rows} - {"only there"}
    assert page in (PAGE, PAGE + " again")
    assert rows == {page: (4, 2, ["new-1", "old-1"]), "only there": (2, 1, ["new-1"])}
    assert made[0].lock["stages"][-1]["sources"]["old"]["reasons"] == {"found_once": 1}


def test_the_counts_do_not_depend_on_workers_or_bins(made):
    assert made[0].lock["digest"] == made[1].lock["digest"]


def test_evidence_names_what_a_kept_document_stands_for(made):
    evidence = pq.read_table(made[0].path / "evidence" / "near_duplicates.parquet")
    (kept,) = evidence.filter(pc.field("kept")).to_pylist()
    assert (kept["n_duplicates"], kept["duplicate_sources"]) == (4, ["new-1", "old-1"])
