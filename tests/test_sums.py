"""Numbers that one job passes to the next are checked before a release is built, and made anew where they are wrong."""

import json

import pytest
from releases import release

from curate.engine.execute import Lost
from curate.engine.store import Store, _checksum
from curate.release.make import run_events


def rewrite(store: Store, fp: str, change) -> None:
    """Change what a marker counts, with a checksum that fits: what a bug would do."""
    counts = store.counts(fp)
    change(counts)
    store.marker_path(fp).write_text(json.dumps(counts | {"checksum": _checksum(fp, counts)}))


def of_task(store: Store, task: str) -> list[str]:
    return [fp for fp in store.fingerprints() if store.counts(fp)["task"] == task]


@pytest.fixture
def made(corpus, tmp_path):
    return release(corpus, tmp_path / "work"), corpus, tmp_path / "work", Store(tmp_path / "work" / "store")


def test_a_shard_with_too_few_rows_is_made_anew_with_all_that_went_into_it(made):
    first, corpus, work, store = made
    scattered = of_task(store, "scatter")[0]
    rewrite(store, scattered, lambda counts: counts.update(bins=[-1] * len(counts["bins"])))
    for fp in of_task(store, "shard"):
        store.discard(fp)
    *events, last = run_events(corpus, work, workers=0)
    assert any(isinstance(event, Lost) for event in events)
    assert last.lock == first.lock


def test_a_mixture_of_too_few_documents_is_made_anew(made):
    first, corpus, work, store = made
    (mix,) = of_task(store, "mix")
    rewrite(store, mix, lambda counts: counts.update(documents=counts["documents"] - 1))
    *events, last = run_events(corpus, work, workers=0)
    assert any(isinstance(event, Lost) for event in events)
    assert last.lock == first.lock


def test_a_changed_marker_is_not_believed(made):
    first, corpus, work, store = made
    tasks = ("mix", "scatter", "collect", "barrier", "shard", "rejected")
    for path in [store.marker_path(of_task(store, task)[0]) for task in tasks]:
        counts = json.loads(path.read_text())
        path.write_text(json.dumps(counts | {"bins": [0], "rows": 1, "splits": []}))
    assert release(corpus, work).lock == first.lock
