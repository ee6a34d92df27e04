"""What a manifest takes from outside its file: `--set`, and the environment in its paths."""

import json

import pytest
import yaml
from releases import one_source, release, rows, write_jsonl, write_manifest

from curate.errors import CurateError, ManifestError
from curate.manifest.manifest import load, loads
from curate.manifest.settings import parse
from curate.manifest.yaml_tree import read_tree
from curate.sources import patience

BASIC = """\
name: small  # a remark
version: 1.0.0
license: mit
x-shared: &shared
  - length: {min_words: 5}
  - exact_dedup
sources:
  web: {inputs: [a.jsonl], pipeline: *shared}
  books: {inputs: [b.jsonl], pipeline: *shared, priority: 3}
  code: {inputs: [c.jsonl], pipeline: quickstart}
stages: [near_dedup, exact_dedup, exact_dedup]
"""


def with_settings(*given: str, text: str = BASIC):
    return loads(text, set=parse(given))


@pytest.mark.parametrize(
    ("setting", "found", "expected"),
    [
        ("near_dedup.threshold=0.7", lambda m: m.stages[0].params["threshold"], 0.7),
        ("stages.near_dedup.threshold=0.7", lambda m: m.stages[0].params["threshold"], 0.7),
        ("stages.0={near_dedup: {ngram: 3}}", lambda m: m.stages[0].params["ngram"], 3),
        ("exact_dedup.2.by=url", lambda m: [call.params["by"] for call in m.stages[1:]], ["text", "url"]),
        ("set.near_dedup.ngram=3", lambda m: m.stages[0].params["ngram"], 3),
        ("near_dedup.max_removed=0.5", lambda m: m.stages[0].max_removed, 0.5),
        (
            "length.min_words=9",
            lambda m: [m.pipelines[name][0].params["min_words"] for name in ("web", "books")],
            [9, 9],
        ),
        (
            "sources.web.pipeline.length.min_words=9",
            lambda m: [m.pipelines[name][0].params["min_words"] for name in ("web", "books")],
            [9, 5],
        ),
        ("sources.books.priority=-1", lambda m: m.spec.sources["books"].priority, -1),
        ("sources.web.inputs.0=z.jsonl", lambda m: m.spec.sources["web"].inputs, ["z.jsonl"]),
        ("shards.size=1MB", lambda m: m.spec.shards.size, 10**6),
        ("mixture={repeats: 2}", lambda m: m.spec.mixture.repeats, 2),
        ("name=other", lambda m: m.name, "other"),
        ("description=a = b", lambda m: m.spec.description, "a = b"),
    ],
)
def test_a_setting_takes_the_place_of_what_is_written(setting, found, expected):
    made = with_settings(setting)
    assert found(made) == expected
    assert found(loads(made.text)) == expected  # the text that a release has of it says what ran
    assert found(loads(BASIC)) != expected


@pytest.mark.parametrize(
    ("setting", "what", "fix"),
    [
        ("near_dedup.treshold=0.7", "unknown parameter `treshold`", "threshold"),
        ("near_dedup.threshold=7", "threshold", "1"),
        ("near_dup.threshold=0.7", "neither a key nor a parameter", "near_dedup"),
        ("source.web.priority=1", "neither a key nor a parameter", "sources"),
        ("sources.web.prioritty=1", "unknown key `prioritty`", "priority"),
        ("stages.near_dup.ngram=1", "the list has no `near_dup`", "near_dedup"),
        ("stages.7=length", "the list has no `7`", "known: `exact_dedup`, `near_dedup`"),
        ("name.first=a", "not a mapping", "whole value"),
        ("near_dedup.threshold", "`--set` takes `PATH=VALUE`", "for example"),
        ("a..b=1", "`--set` takes `PATH=VALUE`", "for example"),
        ("name=[", "not YAML", "quotes"),
    ],
)
def test_a_mistake_in_a_setting_is_named_as_one(setting, what, fix):
    with pytest.raises(CurateError) as caught:
        with_settings(setting)
    said = str(caught.value)
    assert what in said
    assert fix in said
    assert f"--set {setting.partition('=')[0]}" in said


def test_settings_give_the_digest_of_the_edited_file(tmp_path):
    path = one_source(tmp_path, rows(1, 40), ["length"], stages=["near_dedup"])
    before = release(path, tmp_path / "work").lock
    set_to = {"near_dedup.threshold": 0.3, "sources.only.pipeline.length.min_words": 70, "shards.size": "4KB"}
    made = release(load(path, set=set_to), tmp_path / "work")
    edited = yaml.safe_load(path.read_text()) | {"shards": {"size": "4KB"}}
    edited["stages"] = [{"near_dedup": {"threshold": 0.3}}]
    edited["sources"]["only"]["pipeline"] = [{"length": {"min_words": 70}}]
    again = release(write_manifest(tmp_path / "edited.yaml", edited), tmp_path / "other")
    assert made.lock["digest"] == again.lock["digest"] != before["digest"]
    copy = (made.path / "manifest.yaml").read_text()
    assert copy.startswith("# set: near_dedup.threshold\n")
    kept = yaml.safe_load(copy)
    assert (kept["set"], kept["shards"]) == ({"near_dedup.threshold": 0.3}, {"size": "4KB"})


@pytest.mark.parametrize("value", ["no", "1:30", "0x10", "1e3", "2024-01-01", "~", "null", "'true'", "1_000", ".inf"])
def test_what_is_written_out_reads_as_before(value):
    text = f"{BASIC}description: {value}\n"
    made = loads_tree(text)
    assert read_tree(yaml.safe_dump(made, sort_keys=False)).value == made


def loads_tree(text: str):
    return read_tree(text).value


# The environment


def test_paths_take_variables_and_the_home(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "data" / "in.jsonl", rows(1, 20))
    monkeypatch.setenv("CORPUS", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    digests = set()
    for address in ("${CORPUS}/in.jsonl", "~/data/in.jsonl", "${NOT_SET:-data}/in.jsonl", "data/in.jsonl"):
        path = one_source(tmp_path, [], ["length"], sources={"only": {"inputs": [address]}})
        made = release(path, tmp_path / "work")
        digests.add(made.lock["digest"])
        said = (made.path / "manifest.yaml").read_text()
        assert address.replace("~/data", "LOCAL") in said  # where a file lies on this machine is not published
        assert str(tmp_path) not in json.dumps(made.lock)
    assert len(digests) == 1


def test_another_value_of_a_variable_is_another_plan(tmp_path, monkeypatch):
    from curate.inspect.status import status

    for name, count in (("a", 3), ("b", 5)):
        write_jsonl(tmp_path / f"{name}.jsonl", rows(1, count))
    path = one_source(tmp_path, [], [], sources={"only": {"inputs": ["${WHICH}.jsonl"]}})
    for name, count in (("a", 3), ("b", 5), ("a", 3)):
        monkeypatch.setenv("WHICH", name)
        assert release(path, tmp_path / "work").lock["documents"] == count
        assert status(path, tmp_path / "work")["documents"] == count


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    path = one_source(tmp_path, [], [{"url_filter": {"lists": ["${NOWHERE}/list.txt"]}}])
    path.write_text(path.read_text().replace("in.jsonl", "${NOWHERE}/in.jsonl"))
    with pytest.raises(ManifestError) as caught:
        load(path)
    problems = caught.value.problems
    assert [problem.what for problem in problems] == ["the environment variable `NOWHERE` is not set"] * 2
    assert all(f"{path}:" in problem.where for problem in problems)


def test_a_secret_of_the_environment_is_not_published(tmp_path, monkeypatch, capsys):
    """Not where it is expanded, and not in the error of an address that cannot be reached."""
    monkeypatch.setenv("SECRET", "hunter2hunter2")
    monkeypatch.setattr(patience, "PATIENCE", 0)
    address = "https://user:${SECRET}@127.0.0.1:1/in.jsonl?key=${SECRET}"
    path = one_source(tmp_path, [], [], sources={"only": {"inputs": [address]}})
    with pytest.raises(CurateError) as caught:
        release(path, tmp_path / "work")
    assert "hunter2" not in str(caught.value)


def test_text_that_is_no_path_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    made = loads(BASIC + "description: ${HOME} and ~\n")
    assert made.spec.description == "${HOME} and ~"
    assert made.environment == {}
