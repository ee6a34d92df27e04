"""How far a run has come, and what of the store can go."""

import yaml
from releases import release, rows, write_jsonl, write_manifest

from curate.lock import verify
from curate.run import Ended, run
from curate.status import collect_garbage, explain_plan, status
from curate.store import Store


def test_status_before_in_the_middle_and_after(corpus, tmp_path):
    work = tmp_path / "work"
    found = status(corpus, work)
    assert (found["made"], found["documents"], found["release"]) == (0, 0, None)
    events = run(corpus, work, workers=0)
    for _ in range(8):
        next(events)
    events.close()
    found = status(corpus, work)
    assert 0 < found["made"] < found["jobs"]
    assert found["release"] is None
    lock = release(corpus, work).lock
    found = status(corpus, work)
    assert found["made"] == found["jobs"]
    assert found["documents"] == sum(source["read"]["in"] for source in lock["sources"].values())
    assert found["kept"] == lock["documents"]
    assert found["release"] is not None


def test_plan_counts_what_will_run(corpus, tmp_path):
    work = tmp_path / "work"
    before = explain_plan(corpus, work)
    assert (before["reused"], before["shards_planned"]) == (0, False)
    assert before["sources"]["old"]["files"] == 2
    ended = sum(isinstance(event, Ended) for event in run(corpus, work, workers=0))
    after = explain_plan(corpus, work)
    assert (after["run"], after["reused"], after["shards_planned"]) == (0, ended, True)


def test_garbage(corpus, tmp_path):
    """What another manifest or a killed run left goes; what the named manifests use stays."""
    work = tmp_path / "work"
    first = release(corpus, work)
    document = yaml.safe_load(corpus.read_text()) | {"name": "other"}
    document["stages"] = [{"length": {"min_words": 9}}]
    other = write_manifest(corpus.with_name("other.yaml"), document)
    second = release(other, work)
    assert collect_garbage([str(corpus), str(other)], work)["removed"] == 0
    draft = work / "store" / "ab" / ("ab" * 16 + ".0123.tmp")
    draft.parent.mkdir(exist_ok=True)
    draft.write_bytes(b"half")
    would = collect_garbage([str(corpus)], work, dry_run=True)
    assert draft.exists()
    did = collect_garbage([str(corpus)], work)
    assert did == would
    assert did["removed"] > 0
    assert did["bytes"] > 4
    assert not draft.exists()
    assert explain_plan(corpus, work)["run"] == 0
    assert explain_plan(other, work)["run"] > 0
    assert release(other, work).lock == second.lock
    assert release(corpus, work).lock == first.lock
    assert verify(first.path) == verify(second.path) == []


def test_one_note_of_a_plan_that_was_cut_off_does_no_harm(corpus, tmp_path):
    work = tmp_path / "work"
    release(corpus, work)
    assert [path.suffix for path in (work / "plans").iterdir()] == [".json"]
    write_jsonl(corpus.parent / "in" / "extra.jsonl", rows(77, 3))
    assert explain_plan(corpus, work)["run"] > 0
    assert len(list(Store(work / "store").fingerprints())) > 0
