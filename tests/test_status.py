"""How far a run has come, and what of the store can go."""

import json
import os
import shutil
import socket

import pytest
import yaml
from releases import one_source, release, released_rows, rows, write_jsonl, write_manifest

from curate.cli.render import plan_lines, status_lines
from curate.engine.execute import Ended
from curate.engine.store import Store
from curate.errors import CurateError
from curate.inspect.explain import explain
from curate.inspect.status import gc, status
from curate.inspect.status import plan as plan_of_run
from curate.manifest.manifest import load
from curate.release.accounts import funnel_rows
from curate.release.lock import verify
from curate.release.make import prepare, recall, run_events


def test_status_before_in_the_middle_and_after(corpus, tmp_path):
    work = tmp_path / "work"
    found = status(corpus, work)
    assert (found["made"], found["documents"], found["release"]) == (0, 0, None)
    events = run_events(corpus, work, workers=0)
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


@pytest.mark.parametrize("below", ["", "work"])
@pytest.mark.parametrize("verb", [plan_of_run, status, lambda manifest, work: gc([manifest], work)])
def test_a_work_folder_that_is_a_file_is_an_error(tmp_path, verb, below):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 5))
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
    manifest = write_manifest(tmp_path / "m.yaml", document)
    with pytest.raises(CurateError, match="not a folder") as caught:
        verb(manifest, tmp_path / "a.jsonl" / below)
    assert caught.value.where == str(tmp_path / "a.jsonl")
    assert caught.value.exit_code == 2


def test_status_has_the_funnel_of_what_is_done(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 40))
    source = {"inputs": ["a.jsonl"], "pipeline": [{"length": {"min_words": 20}}]}
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": source}}
    manifest = write_manifest(tmp_path / "m.yaml", document | {"stages": [{"exact_dedup": "text"}]})
    assert status(manifest, tmp_path / "work")["funnel"] == []
    made = release(manifest, tmp_path / "work")
    found = status(manifest, tmp_path / "work")
    lock = [
        {"source": name, "stage": stage, "in": docs_in, "kept": kept}
        for name, stage, docs_in, kept, _ in funnel_rows(made.typed)
    ]
    assert [{key: row[key] for key in ("source", "stage", "in", "kept")} for row in found["funnel"]] == lock
    assert [list(row["reasons"]) for row in found["funnel"]] == [[], ["too_few_words"], ["duplicate_text"]]
    assert all(row["in"] - row["kept"] == sum(row["reasons"].values()) for row in found["funnel"])
    assert any(line.split()[:4] == ["a", "read", "40", "40"] for line in status_lines(found))


def test_the_lines_of_a_plan_have_one_for_each_stage(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 5))
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": {"inputs": ["a.jsonl"]}}}
    manifest = write_manifest(tmp_path / "m.yaml", document | {"stages": ["near_dedup"]})
    found = plan_of_run(manifest, tmp_path / "work")
    steps = [line.split() for line in plan_lines(found) if line.startswith("near_dedup ")]
    jobs = [step["jobs"] for step in found["steps"] if step["step"].startswith("near_dedup ")]
    assert (len(jobs) > 4, steps) == (True, [["near_dedup", str(sum(jobs)), str(sum(jobs)), "new"]])


def test_plan_counts_what_will_run(corpus, tmp_path):
    work = tmp_path / "work"
    before = plan_of_run(corpus, work)
    assert (before["reused"], before["shards_planned"]) == (0, False)
    assert before["sources"]["old"]["files"] == 2
    ended = sum(isinstance(event, Ended) for event in run_events(corpus, work, workers=0))
    after = plan_of_run(corpus, work)
    assert (after["run"], after["reused"], after["shards_planned"]) == (0, ended, True)


def test_garbage(corpus, tmp_path):
    """What another manifest or a killed run left goes; what the named manifests use stays."""
    work = tmp_path / "work"
    first = release(corpus, work)
    document = yaml.safe_load(corpus.read_text()) | {"name": "other"}
    document["stages"] = [{"length": {"min_words": 9}}]
    other = write_manifest(corpus.with_name("other.yaml"), document)
    second = release(other, work)
    assert gc([str(corpus), str(other)], work)["removed"] == 0
    draft = work / "store" / "ab" / f"{'ab' * 16}.{'0123' * 8}.tmp"
    draft.parent.mkdir(exist_ok=True)
    draft.write_bytes(b"half")
    would = gc([str(corpus)], work, dry_run=True)
    assert draft.exists()
    did = gc([str(corpus)], work)
    assert did == would
    assert did["removed"] > 0
    assert did["bytes"] > 4
    assert not draft.exists()
    assert plan_of_run(corpus, work)["run"] == 0
    assert plan_of_run(other, work)["run"] > 0
    assert release(other, work).lock == second.lock
    assert release(corpus, work).lock == first.lock
    assert verify(first.path) == verify(second.path) == []


def test_one_note_of_a_plan_that_was_cut_off_does_no_harm(corpus, tmp_path):
    work = tmp_path / "work"
    release(corpus, work)
    assert {path.suffix for path in (work / "plans").iterdir()} == {".json"}
    for content in (b"", b"{", b"[]", b"\xff", b'{"a": 1}'):
        for path in (work / "plans").iterdir():
            path.write_bytes(content)
        assert status(corpus, work)["made"] > 0
        assert plan_of_run(corpus, work)["run"] == 0
    write_jsonl(corpus.parent / "in" / "extra.jsonl", rows(77, 3))
    assert plan_of_run(corpus, work)["run"] > 0
    assert len(list(Store(work / "store").fingerprints())) > 0


def test_status_explain_and_garbage_need_neither_inputs_nor_network(corpus, tmp_path, monkeypatch):
    work = tmp_path / "work"
    made = release(corpus, work)
    before = status(corpus, work)
    row = released_rows(made.path)[0]
    shutil.rmtree(corpus.parent / "in")

    def no_network(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert status(corpus, work) == before
    assert explain(corpus, row["id"], work)[0]["released"]
    assert gc([str(corpus)], work)["removed"] == 0
    with pytest.raises(CurateError, match="no file matches"):
        plan_of_run(corpus, work)
    corpus.write_text(corpus.read_text() + "\n# another text, so another plan\n")
    with pytest.raises(CurateError, match="no file matches"):
        status(corpus, work)


def test_addresses_of_inputs_are_remembered_for_their_owner_alone(corpus, tmp_path):
    release(corpus, tmp_path / "work")
    [path] = (tmp_path / "work" / "plans").glob("*.plan.json")
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().replace("web", "wob"))
    assert status(corpus, tmp_path / "work")["made"] > 0  # what was tampered with is looked up anew


def test_the_plan_of_another_manifest_is_not_believed(corpus, tmp_path):
    release(corpus, tmp_path / "work")
    before = status(corpus, tmp_path / "work")
    [path] = (tmp_path / "work" / "plans").glob("*.plan.json")
    other = one_source(tmp_path, [{"text": "a"}], [])
    release(other, tmp_path / "else")
    [stranger] = (tmp_path / "else" / "plans").glob("*.plan.json")
    path.write_bytes(stranger.read_bytes())
    assert status(corpus, tmp_path / "work") == before


def test_garbage_is_only_what_curate_names_so_and_never_behind_a_link(corpus, tmp_path):
    """A user's own files and links in the work folder stay; a dangling link of a part, or of a draft, goes itself."""
    work = tmp_path / "work"
    release(corpus, work)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / f"{'ab' * 16}.parquet").write_text("theirs")
    home, store = work / "releases" / "small", work / "store"
    kept = [home / ".git", home / ".DS_Store", home / ".1.0.0.backup", store / "ab" / "notes.txt", store / "README"]
    kept.append(store / "running" / "notes.txt")
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (store / "zz").symlink_to(theirs)
    (work / "releases" / "linked").symlink_to(theirs)
    (theirs / f".1.0.0.{'0' * 32}").write_text("theirs")
    going = [
        store / "ab" / f"{'ab' * 16}.parquet",
        store / "ab" / f"{'ab' * 16}.json",
        store / "ab" / f"{'ab' * 16}.{'cd' * 16}.tmp",
        home / f".1.0.0.{'12' * 16}",
        home / f".1.0.0-rc.1.{'12' * 16}.old",
        store / "running" / f"{'ab' * 16}.json",
        store / "running" / f"{'ab' * 16}.{'cd' * 16}.tmp",
    ]
    going[0].symlink_to(tmp_path / "a release that is gone")
    going[1].write_text("{}")
    going[2].write_text("half")
    going[3].mkdir()
    (going[3] / "half").write_text("half")
    (going[3] / "link").symlink_to(theirs)
    going[4].symlink_to(theirs)
    for path in going[5:]:
        path.write_text("{}")
    would = gc([str(corpus)], work, dry_run=True)
    assert sorted(would["paths"]) == sorted(path.relative_to(work).as_posix() for path in going)
    assert all(map(os.path.lexists, going))
    assert gc([str(corpus)], work) == would
    assert not any(map(os.path.lexists, going))
    assert all(path.read_text() == "mine" for path in kept)
    assert sorted(path.name for path in theirs.iterdir()) == [f".1.0.0.{'0' * 32}", f"{'ab' * 16}.parquet"]
    assert status(corpus, work)["release"]


def test_a_plan_that_is_recalled_is_the_plan(tmp_path, corpus):
    """All of it, with earlier releases, Parquet in ranges and addresses; only that JSON has no tuples."""
    work = tmp_path / "work"
    first = release(corpus, work)
    document = yaml.safe_load(corpus.read_text()) | {"name": "next", "against": [str(first.path)]}
    manifest = load(write_manifest(corpus.with_name("next.yaml"), document))
    made = prepare(manifest, work)
    shutil.rmtree(corpus.parent / "in")
    again = recall(manifest, work)
    assert again.references == made.references != []
    assert again.lanes == made.lanes
    assert list(again.jobs) == list(made.jobs)
    assert json.loads(json.dumps([job.args for job in made.jobs.values()])) == [job.args for job in again.jobs.values()]
    assert [job.where for job in again.jobs.values()] == [job.where for job in made.jobs.values()]
    assert (again.mix, again.evidence, again.not_taken) == (made.mix, made.evidence, made.not_taken)
