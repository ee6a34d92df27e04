"""A document that takes its stage down is rejected alone; every other one is kept, as if it had not been there."""

import pytest
from releases import one_source, rejected_rows, release, released_rows

from curate.engine.apply import Configured
from curate.engine.execute import Lost
from curate.engine.stage_sandbox import StageSandbox
from curate.errors import ManifestError
from curate.manifest.manifest import load
from curate.release.make import run_events
from curate.stage_api import find_stage
from curate.testing import docs

GOOD = ["first page", "SPAM page", "second page", "third page"]


@pytest.fixture(autouse=True)
def soon(monkeypatch, odd_stages):
    monkeypatch.setenv("CURATE_HANG_SECONDS", "6")  # for the worker; a document has a tenth of it


@pytest.fixture
def sandboxed():
    made = StageSandbox()
    yield made
    made.end()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["exit", "segv", "spin", "sleep"])
def test_the_hostile_document_alone_is_rejected(tmp_path, how, workers):
    pages = [{"text": text} for text in (*GOOD[:2], "POISON page", *GOOD[2:])]
    manifest = one_source(tmp_path, pages, [{"hostile": how}])
    *events, last = run_events(manifest, tmp_path / "work", workers=workers)
    assert any(isinstance(event, Lost) for event in events)
    assert sorted(row["text"] for row in released_rows(last.path)) == sorted(set(GOOD) - {"SPAM page"})
    reasons = {row["position"]: (row["stage"], row["reason"]) for row in rejected_rows(last.path)}
    assert reasons == {1: ("hostile", "spam"), 2: ("hostile", "hostile_crashed")}
    counts = last.lock["stages"][0]["sources"]["only"]
    assert (counts["in"], counts["kept"]) == (5, 3)
    assert counts["reasons"] == {"hostile_crashed": 1, "spam": 1}


def _hostile() -> Configured:
    return Configured("hostile", find_stage("hostile"), {"how": "exit"})


def test_a_sandbox_changes_no_result(sandboxed):
    table = docs(*GOOD, None, "")
    assert sandboxed(_hostile(), table).to_pylist() == _hostile()(table).to_pylist()


def test_no_document_and_no_good_document(sandboxed):
    assert sandboxed(_hostile(), docs()).num_rows == 0
    result = sandboxed(_hostile(), docs("POISON", "more POISON"))
    assert result["reject"].to_pylist() == ["hostile_crashed"] * 2


def test_a_stage_of_another_package_takes_part_in_the_checks_of_a_manifest(tmp_path):
    with pytest.raises(ManifestError) as caught:
        load(one_source(tmp_path, [{"text": "a"}], [{"hostil": "exit"}, {"hostile": {"how": "slowly"}}]))
    assert "did you mean `hostile`?" in str(caught.value)
    assert "slowly" in str(caught.value)


def test_without_a_crash_nothing_runs_twice(tmp_path):
    manifest = one_source(tmp_path, [{"text": text} for text in GOOD], [{"hostile": "exit"}])
    assert release(manifest, tmp_path / "work", workers=0).lock["documents"] == 3
