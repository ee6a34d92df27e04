"""A stage that takes more of a source than was meant stops the run before a release, whichever stage it is."""

import json

import pytest
import yaml
from releases import write_jsonl, write_manifest

from curate.cli.render import plan_lines, release_lines
from curate.engine.execute import Ended
from curate.errors import CurateError, ManifestError
from curate.inspect.status import plan as plan_of_run
from curate.manifest.manifest import loads
from curate.manifest.schema import json_schema
from curate.release.make import Released, run_events

ROWS = [
    *[{"text": "The invoice of a customer was paid on some day."}] * 40,
    {"text": "Something else altogether that no other document says in any of its words at all."},
]
PARTS = {
    "map": ({"length": {"min_words": 12}}, "too_few_words"),
    "group": ({"line_dedup": {}}, "nothing_new"),
    "filter": ({"filter": {"paid": "contains(text, 'paid')"}}, "paid"),
}
"""Stages that take 39 or 40 of the 41."""


def manifest(folder, stages: list, own: list = ()):
    write_jsonl(folder / "a.jsonl", ROWS)
    other = [f"{'And so on and on and on and on. ' * 9}{'x' * place}" for place in range(41)]
    write_jsonl(folder / "b.jsonl", [{"text": text} for text in other])
    document = {"name": "n", "version": "1.0.0", "license": "mit", "stages": stages}
    document["sources"] = {"a": {"inputs": ["a.jsonl"], "pipeline": list(own)}, "b": {"inputs": ["b.jsonl"]}}
    return write_manifest(folder / "manifest.yaml", document)


def made(path) -> Released:
    *_, last = run_events(path, path.parent / "work", workers=0)
    return last


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("scope", ["source", "all"])
def test_a_stage_that_takes_too_much_stops_the_run(tmp_path, kind, scope):
    stage, reason = PARTS[kind]
    ((name, params),) = stage.items()
    listed = [{name: params | {"max_removed": 0.5}}]
    path = manifest(tmp_path, *([listed] if scope == "all" else ([], listed)))
    with pytest.raises(CurateError) as caught:
        made(path)
    first = getattr(caught.value, "problems", [caught.value])[0]
    assert caught.value.exit_code == 2
    assert f"`{name}` removes " in first.what
    assert "of source `a` (9" in first.what
    assert f" {reason}, such as " in first.what
    assert "max_removed" in first.fix
    assert f"{path}:" in first.where
    assert not (tmp_path / "work" / "releases").exists()
    document = yaml.safe_load(path.read_text())
    where = document["stages"] if scope == "all" else document["sources"]["a"]["pipeline"]
    where[0][name]["max_removed"] = 1
    write_manifest(path, document)
    *events, last = run_events(path, tmp_path / "work", workers=0)
    tasks = {event.job.task for event in events if isinstance(event, Ended)}
    assert tasks <= {"scatter", "barrier", "shard", "index"}, "more ran than what had not yet run"
    assert last.lock["stages"][0]["max_removed"] == 1


def test_all_that_take_too_much_are_named_at_once(tmp_path):
    path = manifest(tmp_path, [{"length": {"min_words": 5000, "max_removed": 0.2}}])
    with pytest.raises(ManifestError) as caught:
        made(path)
    assert ["`a`" in problem.what or "`b`" in problem.what for problem in caught.value.problems] == [True, True]


def test_stages_that_compare_texts_stop_without_being_asked(tmp_path):
    with pytest.raises(CurateError, match=r"`line_dedup` removes 39 of 41 documents of source `a` \(95.1%\)"):
        made(manifest(tmp_path, ["line_dedup"]))


def test_near_duplicates_show_the_largest_clusters(tmp_path):
    path = manifest(tmp_path, [{"near_dedup": {"ngram": 1, "threshold": 0.5, "max_removed": 0.4}}])
    with pytest.raises(
        CurateError, match=r"(?s)more than its `max_removed` of 40%\nlargest clusters:\n +\d+ documents like \w{32}"
    ):
        made(path)


def test_a_stage_without_it_that_takes_nearly_all_is_a_warning(tmp_path):
    path = manifest(tmp_path, [{"length": {"min_words": 12}}])
    last = made(path)
    (warning,) = last.lock["warnings"]
    assert warning.startswith("`length` removes 40 of 41 documents of source `a` (97.6%)")
    assert "max_removed" in warning
    assert f"warning: {warning}" in list(release_lines(last.typed, last.path))
    assert json.loads((last.path / "lock.json").read_text())["warnings"] == [warning]


def test_bands_that_miss_many_pairs_are_a_warning_of_plan_and_lock(tmp_path):
    path = manifest(tmp_path, [{"near_dedup": {"bands": 9, "rows": 13, "max_removed": None}}])
    found = plan_of_run(path, tmp_path / "work")
    (warning,) = found["warnings"]
    assert "9 bands of 13 rows find only 40% of the pairs at the threshold 0.8" in warning
    assert f"warning: {warning}" in list(plan_lines(found))
    assert warning in made(path).lock["warnings"]
    write_manifest(path, yaml.safe_load(path.read_text()) | {"stages": ["near_dedup"]})
    assert plan_of_run(path, tmp_path / "work")["warnings"] == []


HEAD = "name: n\nversion: 1.0.0\nlicense: mit\nsources: {a: {inputs: [a.jsonl]}}\n"


@pytest.mark.parametrize("value", ["1.5", "-0.1", "many", "[]", ".nan", ".inf"])
def test_a_share_that_is_none_is_an_error(value):
    with pytest.raises(ManifestError, match=r"length\.max_removed"):
        loads(f"{HEAD}stages:\n  - length: {{max_removed: {value}}}\n")


def test_the_set_of_a_source_and_the_former_name_give_it_too():
    given = loads(f"{HEAD}stages: [length, near_dedup: {{alarm: 0.7}}]\nset: {{length.max_removed: 0.3}}\n")
    assert [call.max_removed for call in given.stages] == [0.3, 0.7]
    assert loads(f"{HEAD}stages: [near_dedup]\n").stages[0].max_removed == 0.9
    assert loads(f"{HEAD}stages: [near_dedup: {{max_removed: null}}]\n").stages[0].max_removed is None
    with pytest.raises(ManifestError, match="alarm"):
        loads(f"{HEAD}stages: [length: {{alarm: 0.7}}]\n")


def test_the_schema_has_it_for_every_stage():
    entries = json_schema()["$defs"]["Stage"]["anyOf"][1:]
    assert all("max_removed" in next(iter(entry["properties"].values()))["anyOf"][0]["properties"] for entry in entries)
