"""What a job's identity depends on, and what a change runs again."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import forget_stages, know_odd_stages
from releases import CORPUS, release, rows, write_corpus, write_jsonl, write_manifest

from curate.engine.execute import Ended
from curate.engine.job import fingerprint
from curate.errors import ManifestError
from curate.inspect.status import plan as plan_of_run
from curate.manifest.manifest import load
from curate.release.make import prepare, run_events


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A corpus and a work folder in which its release was made."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        know_odd_stages(patch)
        release(write_corpus(folder), folder / "work")
    forget_stages()
    return folder


@pytest.fixture
def made(whole, tmp_path, odd_stages):
    """A copy of it: the manifest's path; the work folder lies beside it."""
    shutil.copytree(whole, tmp_path / "made")
    return tmp_path / "made" / "manifest.yaml"


def changed(corpus, edit) -> None:
    """Edit the manifest in place."""
    document = yaml.safe_load(corpus.read_text())
    edit(document)
    write_manifest(corpus, document)


def prints(corpus, work) -> dict[str, str]:
    return {job.label: job.fp for job in prepare(load(corpus), work).jobs.values()}


def ran(corpus, work) -> set[str]:
    """What runs: labels without the numbers of partitions, bins and shards."""
    labels = {
        event.job.label for event in run_events(corpus, work, workers=0, replace=True) if isinstance(event, Ended)
    }
    return {" ".join(word for word in label.replace(":", "").split() if "/" not in word) for label in labels}


SOURCES = list(CORPUS["sources"])
SCATTER = {f"{name} scatter" for name in SOURCES} | {"scatter, all"}
ORDER = {f"{name} order" for name in SOURCES} | {"order, all"}


def test_a_fingerprint_has_no_order_of_keys():
    one = fingerprint("map", {"a": 1, "b": {"c": 2, "d": 3}}, ["x"])
    assert one == fingerprint("map", {"b": {"d": 3, "c": 2}, "a": 1}, ["x"])
    others = [("step", {"a": 1}, ["x"]), ("map", {"a": 2}, ["x"]), ("map", {"a": 1}, ["y"]), ("map", {"a": 1}, [])]
    assert len({fingerprint(*other) for other in others} | {one}) == 5


def test_no_fingerprint_depends_on_the_machine(corpus, tmp_path):
    """Not on the hash seed, the work folder, the working folder, nor on the order of keys in the manifest."""
    here = prints(corpus, tmp_path / "work")

    def reverse(value):
        if isinstance(value, dict):
            return {key: reverse(value[key]) for key in reversed(value)}
        return [reverse(item) for item in value] if isinstance(value, list) else value

    document = yaml.safe_load(corpus.read_text())
    turned = reverse(document) | {"sources": {n: reverse(s) for n, s in document["sources"].items()}}
    turned["stages"][-1] = document["stages"][-1]  # rules apply in order
    write_manifest(corpus.with_name("turned.yaml"), turned)
    script = (
        "import sys, json; from curate.manifest.manifest import load; from curate.release.make import prepare\n"
        "print(json.dumps({j.label: j.fp for j in prepare(load(sys.argv[1]), sys.argv[2]).jobs.values()}))"
    )
    command = [sys.executable, "-c", script, str(corpus.with_name("turned.yaml")), str(tmp_path / "other")]
    environment = os.environ | {"PYTHONHASHSEED": "77", "CURATE_WORKERS": "9", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60, check=True
    )
    assert json.loads(done.stdout) == here


@pytest.mark.parametrize(
    ("edit", "runs"),
    [
        (lambda d: d.update(description="Other words.", version="2.0.0"), set()),
        (lambda d: d["sources"]["old"].update(description="Other words."), set()),
        (lambda d: d["sources"]["old"].update(license="cc-by-4.0"), {"old scatter", "scatter, all", "shard"}),
        (lambda d: d["shards"].update(columns=[]), SCATTER | {"shard"}),
        (
            lambda d: d["stages"][2]["filter"].update(too_few="n_words < 13"),
            {f"{name} filter" for name in SOURCES} | ORDER | SCATTER | {"mix", "shard", "evidence rejected"},
        ),
        (
            lambda d: d.update(seed=1),
            ORDER | SCATTER | {"mix", "shard"},
        ),
    ],
    ids=["words", "words of a source", "licence", "columns", "threshold", "seed"],
)
def test_a_change_runs_only_what_follows_from_it(made, edit, runs):
    changed(made, edit)
    assert ran(made, made.parent / "work") == runs


def test_a_change_in_one_source_leaves_the_stages_of_the_others(made):
    changed(made, lambda d: d["sources"]["old"].update(pipeline=[{"normalize": {"strip_lines": True}}, "fragile"]))
    again = ran(made, made.parent / "work")
    assert "old normalize, fragile" in again
    assert again.isdisjoint({"web extract, normalize", "web exact_dedup", "table read", "extra read"})
    assert not {label for label in again if label.endswith("length") and not label.startswith("old")}


def test_a_new_file_runs_its_own_source_and_what_is_global(made):
    write_jsonl(made.parent / "in" / "old" / "c.jsonl", rows(9, 5))
    again = ran(made, made.parent / "work")
    assert {"old normalize, fragile", "old length"} <= again
    assert not {
        label for label in again if label.endswith(("read", "length", "extract, normalize")) and "old" not in label
    }


def test_the_content_of_an_input_counts_not_its_time(corpus, tmp_path):
    before = prints(corpus, tmp_path / "work")
    path = corpus.parent / "in" / "extra.jsonl"
    os.utime(path)
    assert prints(corpus, tmp_path / "work") == before
    write_jsonl(path, rows(5, 41))
    after = prints(corpus, tmp_path / "work")
    assert after["extra 1/1: read"] != before["extra 1/1: read"]
    assert after["web 1/1: extract, normalize"] == before["web 1/1: extract, normalize"]


def test_a_stages_version_and_packages_count(corpus, tmp_path, monkeypatch):
    before = prints(corpus, tmp_path / "work")
    from curate.stage_api import find_stage

    monkeypatch.setitem(find_stage("normalize").__dict__, "version", 99)
    after = prints(corpus, tmp_path / "work")
    assert before["web 1/1: extract, normalize"] != after["web 1/1: extract, normalize"]
    assert before["table 1/1: read"] == after["table 1/1: read"]


def reasons(corpus, work, step: str) -> dict:
    found = plan_of_run(corpus, work)
    return dict(next(entry["why"] for entry in found["steps"] if entry["step"] == step))


@pytest.mark.parametrize(
    ("edit", "step", "why"),
    [
        (
            lambda d: d["stages"][2]["filter"].update(too_few="n_words < 13"),
            "web: filter",
            "filter.too_few: n_words < 12 → n_words < 13",
        ),
        (lambda d: d["stages"][2]["filter"].update(long="n_words > 13"), "web: filter", "long added"),
        (lambda d: d["stages"][0].update(length={"min_words": 6}), "web: length", "length.min_words: 5 → 6"),
        (
            lambda d: d["stages"][1]["exact_dedup"].update(by="text"),
            "exact_dedup 1, web",
            "by: normalized_text → text",
        ),
        (lambda d: d["sources"]["web"].update(priority=7), "exact_dedup 3, web", "priority: 1 → 7"),
        (lambda d: d["sources"]["web"].update(priority=7), "mix", "upstream changed"),
        (lambda d: d.update(seed=4), "web: order", "seed: 0 → 4"),
        (lambda d: d["shards"].update(size="9KB"), "mix", "shard_bytes: 20000 → 9000"),
        (lambda d: d["shards"].update(columns=[]), "web: scatter", "n_words removed"),
        (
            lambda d: d["sources"]["old"].update(layout="c4"),
            "old: normalize, fragile",
            "read.options.layout: null → c4",
        ),
        (lambda d: d["sources"]["old"].update(pipeline=["fragile", "normalize"]), "old: fragile, normalize", "new"),
    ],
)
def test_plan_says_why(made, edit, step, why):
    assert plan_of_run(made, made.parent / "work")["run"] == 0
    changed(made, edit)
    found = reasons(made, made.parent / "work", step)
    assert any(why in reason for reason in found), found


def test_plan_names_the_input_that_changed(made):
    write_jsonl(made.parent / "in" / "old" / "a.jsonl", rows(2, 71))
    assert reasons(made, made.parent / "work", "old: normalize, fragile") == {"input a.jsonl changed": 1}


def test_plan_of_what_never_ran_and_of_what_was_lost(corpus, tmp_path):
    assert set(reasons(corpus, tmp_path / "work", "mix")) == {"new"}
    release(corpus, tmp_path / "work")
    for marker in (tmp_path / "work" / "store").glob("??/*.json"):
        marker.unlink()
    assert set(reasons(corpus, tmp_path / "work", "mix")) == {"not computed yet"}


MISFITS = {
    "after the first job the payload is gone": ([{"exact_dedup": "url"}, "extract"], "no column `payload`"),
    "a column no stage made": (["normalize", {"filter": {"a": "n_word > 1"}}], "no column `n_word`"),
    "a column made only later": ([{"filter": {"a": "n_words > 1"}}, "length"], "no column `n_words`"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_stages_that_do_not_fit_together(corpus, tmp_path, name):
    pipeline, says = MISFITS[name]
    changed(corpus, lambda d: d["sources"]["web"].update(pipeline=pipeline))
    with pytest.raises(ManifestError) as caught:
        prepare(load(corpus), tmp_path / "work")
    assert says in str(caught.value)
    assert f"{corpus}:" in str(caught.value)


def test_a_column_to_publish_that_is_not_there(corpus, tmp_path):
    changed(corpus, lambda d: d["shards"].update(columns=["n_wordz"]))
    with pytest.raises(ManifestError, match="did you mean `n_words`"):
        prepare(load(corpus), tmp_path / "work")
