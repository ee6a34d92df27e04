"""A released version stays what it is: replaced on demand alone, whole at any time, never by an empty one unasked."""

import json
import os
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from releases import one_source, release, rows, write_jsonl, write_manifest

from curate.cli.commands import main
from curate.cli.render import release_lines
from curate.errors import CurateError
from curate.inspect.explain import explain
from curate.release import build as building
from curate.release.build import replacing
from curate.release.lock import read_lock
from curate.release.make import run_events


@pytest.fixture
def said(capsys, monkeypatch):
    """Run a command in this process; what it says on stdout and stderr."""

    def run(*arguments, code: int = 0):
        monkeypatch.setattr(sys, "argv", ["curate", *map(str, arguments), "--workers", "0"])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert ended.value.code == code, done.err
        return done

    return run


def test_a_version_with_another_digest_is_replaced_on_demand_alone(tmp_path, said):
    manifest, work = one_source(tmp_path, rows(1, 20), []), tmp_path / "work"
    said("run", manifest, "--work", work)
    said("run", manifest, "--work", work)  # the same again is fine
    lock = read_lock(work / "releases/one/1.0.0")
    manifest = one_source(tmp_path, rows(1, 20), [{"length": {"min_words": 5}}])
    done = said("run", manifest, "--work", work, code=2)
    assert "one 1.0.0 is already released" in done.err
    assert str(work / "releases/one/1.0.0") in done.err
    assert "bump `version:`" in done.err
    assert "--replace" in done.err
    assert read_lock(work / "releases/one/1.0.0") == lock
    assert os.listdir(work / "releases/one") == ["1.0.0"]
    said("run", manifest, "--work", work, "--replace")
    assert read_lock(work / "releases/one/1.0.0")["digest"] != lock["digest"]


def test_what_another_run_released_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    manifest, work = one_source(tmp_path, rows(1, 5), []), tmp_path / "work"
    target, write = work / "releases/one/1.0.0", building.write_pages

    def slowly(folder, lock, text):
        made = write(folder, lock, text)
        target.mkdir(parents=True)
        other = (folder / "lock.json").read_text().replace(made.digest, "sha256:" + "0" * 64)
        (target / "lock.json").write_text(other)
        return made

    monkeypatch.setattr(building, "write_pages", slowly)
    with pytest.raises(CurateError, match="is already released"):
        list(run_events(manifest, work, workers=0))
    assert os.listdir(target) == ["lock.json"]


def test_a_lock_that_cannot_be_read_is_replaced_on_demand(tmp_path):
    manifest, work = one_source(tmp_path, rows(1, 5), []), tmp_path / "work"
    made = release(manifest, work).path
    (made / "lock.json").write_text("{")
    with pytest.raises(CurateError, match="not JSON"):
        release(manifest, work, replace=False)
    assert release(manifest, work).path == made
    assert read_lock(made)


@pytest.mark.parametrize("kind", ["link to a folder", "link to nothing", "file"])
def test_a_target_that_is_no_folder_is_refused_before_anything_moves(tmp_path, kind):
    target = tmp_path / "releases" / "1.0.0"
    target.parent.mkdir()
    (tmp_path / "there").mkdir()
    if kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / ("there" if kind == "link to a folder" else "nothing"))
    with pytest.raises(CurateError, match="path of the release is a"), replacing(target):
        pytest.fail("the block ran")
    assert os.listdir(target.parent) == ["1.0.0"]
    assert (tmp_path / "there").is_dir()


@pytest.mark.parametrize("exchange", [True, False])
def test_runs_that_end_at_once_are_all_fine(tmp_path, exchange, monkeypatch):
    if not exchange:  # as on systems that cannot
        monkeypatch.setattr(building, "_exchange", lambda one, other: False)
    target, failed, missed, going = tmp_path / "race" / "1.0.0", [], [], [True]

    def race(who: int) -> None:
        for turn in range(60):
            try:
                with replacing(target) as draft:
                    (draft / "lock.json").write_text(f"{who} {turn}")
            except Exception as error:
                failed.append(error)

    def watch() -> None:
        while going:
            if target.exists():
                missed.append(not (target / "lock.json").exists())

    racing = [threading.Thread(target=race, args=[who]) for who in range(3)]
    watching = threading.Thread(target=watch)
    for thread in (*racing, watching):
        thread.start()
    for thread in racing:
        thread.join()
    going.clear()
    watching.join()
    assert failed == []
    assert os.listdir(target.parent) == ["1.0.0"]
    assert (target / "lock.json").read_text().endswith(" 59")


def test_an_empty_release_is_an_error_that_prints_the_funnel(tmp_path, said):
    manifest, work = one_source(tmp_path, rows(1, 10), [{"length": {"min_words": 1000}}]), tmp_path / "work"
    done = said("run", manifest, "--work", work, code=2)
    assert "error: the release is empty" in done.err
    assert "--allow-empty" in done.err
    lines = [line.split() for line in done.err.splitlines()]
    assert ["only", "read", "10", "10"] in lines
    assert ["length", "10", "0", "too_few_words", "10"] in lines
    assert not (work / "releases").exists()
    notes = json.loads(said("run", manifest, "--work", work, "--json", code=2).out)["error"]["notes"]
    assert "too_few_words 10" in notes[0]
    said("run", manifest, "--work", work, "--allow-empty")
    assert read_lock(work / "releases/one/1.0.0")["documents"] == 0


def test_a_stage_that_is_of_a_source_and_of_all_is_two_lines_of_the_funnel(tmp_path):
    manifest = one_source(tmp_path, rows(1, 10), ["exact_dedup"])
    document = yaml.safe_load(manifest.read_text())
    document["stages"] = ["exact_dedup", {"length": {"min_words": 1000}}]
    with pytest.raises(CurateError, match="empty") as caught:
        release(write_manifest(manifest, document), tmp_path / "work", allow_empty=False)
    lines = [line.split() for line in caught.value.__notes__[0].splitlines()]
    assert lines.count(["exact_dedup", "10", "10"]) == 2


def test_a_run_that_a_mixture_stops_prints_its_funnel(tmp_path):
    manifest = one_source(
        tmp_path, rows(1, 10), [], mixture={"unit": "documents", "budget": 1000, "weights": {"only": 1}}
    )
    with pytest.raises(CurateError, match="the mixture asks for") as caught:
        release(manifest, tmp_path / "work")
    assert [line.split() for line in caught.value.__notes__[0].splitlines()][-1] == ["only", "read", "10", "10"]


def test_a_source_of_which_nothing_is_left_is_a_warning(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 10))
    write_jsonl(tmp_path / "b.jsonl", [{"text": "short"}])
    sources = {"a": {"inputs": ["a.jsonl"]}, "b": {"inputs": ["b.jsonl"], "pipeline": [{"length": {"min_words": 5}}]}}
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": sources}
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    assert "warning: no documents of source `b` were kept" in list(release_lines(made.typed, made.path))
    for page in ("README.md", "report.html"):
        assert "No document of the source" in (made.path / page).read_text()


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """A release of which a mixture draws one source several times, in two phases. Returns it and its manifest."""
    folder = tmp_path_factory.mktemp("repeated")
    write_jsonl(folder / "big.jsonl", [row | {"language": "en"} for row in rows(1, 60)])
    write_jsonl(folder / "small.jsonl", [row | {"language": "de"} for row in rows(2, 10)])
    sources = {name: {"inputs": [f"{name}.jsonl"]} for name in ("big", "small")}
    phases = [{"name": "one", "budget": 40}, {"name": "two", "budget": 20, "repeat_earlier": True}]
    mixture = {"unit": "documents", "repeats": 4, "weights": {"big": 0.5, "small": 0.5}, "phases": phases}
    document = {"name": "drawn", "version": "1.0.0", "license": "mit", "sources": sources, "mixture": mixture}
    manifest = write_manifest(folder / "m.yaml", document)
    return release(manifest, folder / "work"), manifest


def _shards(made: Path) -> list[dict]:
    return [row for path in sorted(made.rglob("data/**/*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_repeats_are_counted_apart_from_documents(repeated):
    made, _ = repeated
    data, lock = _shards(made.path), made.lock
    ids = {row["id"] for row in data}
    assert len(ids) < len(data) == 60
    assert (lock["documents"], lock["drawn"]) == (len(ids), 60)
    for column in ("source", "language", "license"):
        for value, count in lock["unique"][column].items():
            once = {row["id"]: len(row["text"].encode()) for row in data if row[column] == value}
            assert (count["documents"], count["bytes"]) == (len(once), sum(once.values()))
    for split in lock["mixture"]["splits"]:
        held = [row for row in data if (made.path / f"data/{split['phase']}").is_dir()]
        assert split["unique"] <= split["documents"] <= len(held)
        assert split["unique"] == sum(key["unique"] for key in split["keys"].values())


def test_every_page_says_documents_and_rows(repeated):
    made, _ = repeated
    documents = made.lock["documents"]
    card = (made.path / "README.md").read_text()
    assert f"\n{documents} documents (" in card
    assert "the shards have 60 rows" in card
    assert "| source | license | documents | rows | text | share of the rows' text |" in card
    assert "share of documents | documents | drawn |" in card
    front = yaml.safe_load(card.split("---\n")[1])
    assert sum(split["num_examples"] for info in front["dataset_info"] for split in info["splits"]) == 60
    assert f"<b>{documents}</b><span>documents</span>" in (made.path / "report.html").read_text()
    lines = list(release_lines(made.typed, made.path))
    assert any(line.startswith(f"{documents} documents (drawn 60 times in all by the mixture)") for line in lines)
    funnel = made.lock["unique"]["source"]
    assert sum(count["documents"] for count in funnel.values()) == documents
    croissant = json.loads((made.path / "croissant.json").read_text())
    assert croissant["description"].startswith(f"drawn, {documents} documents")


def test_explain_lists_every_place_of_a_document(repeated):
    made, manifest = repeated
    data = _shards(made.path)
    often = max({row["id"] for row in data}, key=lambda id: sum(row["id"] == id for row in data))
    (found,) = explain(manifest, often, made.path.parents[2])
    assert len(found["places"]) == sum(row["id"] == often for row in data) > 1
    for place in found["places"]:
        assert pq.read_table(made.path / place["shard"])["id"][place["row"]].as_py() == often
    assert found["released"] == found["places"][0]


def test_the_card_lists_deduplication_alone_below_its_title(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", rows(1, 20))
    (tmp_path / "eval.jsonl").write_text('{"text": "a question that nobody asks in a corpus of random words at all"}\n')
    stages = [
        {"exact_dedup": "text"},
        {"decontaminate": {"sets": {"eval": {"path": "eval.jsonl", "columns": ["text"]}}}},
    ]
    document = {
        "name": "x",
        "version": "1.0.0",
        "license": "mit",
        "sources": {"a": {"inputs": ["a.jsonl"]}},
        "stages": stages,
    }
    made = release(write_manifest(tmp_path / "m.yaml", document), tmp_path / "work")
    part = (made.path / "README.md").read_text().split("## Deduplication\n")[1].split("\n## ")[0]
    assert "- `exact_dedup`" in part
    assert "decontaminate" not in part
