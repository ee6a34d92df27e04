"""croissant.json: `mlcroissant` finds nothing wrong with it, and reads the release by it."""

import json
from hashlib import sha256

import mlcroissant
import pytest
from releases import release, released_rows, rows, write_jsonl, write_manifest

from curate.release.checked_lock import check
from curate.release.croissant import render


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("croissant")
    write_jsonl(folder / "a.jsonl", rows(1, 40))
    document = {
        "name": "roll",
        "version": "2.0.1",
        "license": "mit",
        "sources": {"only": {"inputs": ["a.jsonl"], "description": "Words."}},
        "stages": ["length"],
        "shards": {"size": "5KB", "columns": ["n_words"]},
    }
    return release(write_manifest(folder / "manifest.yaml", document), folder / "work")


def test_mlcroissant_reads_every_document(made):
    found = mlcroissant.Dataset(str(made.path / "croissant.json"))
    assert not found.metadata.issues.errors
    read = {row["default-train/id"].decode(): row for row in found.records("default-train")}
    expected = {row["id"]: row for row in released_rows(made.path)}
    assert read.keys() == expected.keys()
    for key, row in read.items():
        assert row["default-train/text"].decode() == expected[key]["text"]
        assert row["default-train/n_words"] == expected[key]["n_words"]


def test_every_file_has_its_digest(made):
    text = json.loads((made.path / "croissant.json").read_text())
    listed = {item["@id"]: item["sha256"] for item in text["distribution"] if item["@type"] == "cr:FileObject"}
    there = {path.relative_to(made.path).as_posix(): path for path in made.path.rglob("*") if path.is_file()}
    assert listed.keys() == there.keys() - {"croissant.json", "lock.json"}  # which cannot hold their own
    for name, digest in listed.items():
        assert sha256(there[name].read_bytes()).hexdigest() == digest


def test_a_published_release_is_fetched_from_its_tag(made, tmp_path):
    lock = made.lock | {"publish": {"repo": "org/roll", "private": False}}
    lock["files"] = [file for file in lock["files"] if file["path"] != "croissant.json"]
    (tmp_path / "croissant.json").write_text(render(check(lock, "lock.json")))
    found = mlcroissant.Dataset(str(tmp_path / "croissant.json"))
    assert not found.metadata.issues.errors
    addresses = [item.content_url for item in found.metadata.distribution if hasattr(item, "content_url")]
    assert "https://huggingface.co/datasets/org/roll/tree/v2.0.1" in addresses
    assert "https://huggingface.co/datasets/org/roll/resolve/v2.0.1/README.md" in addresses


def test_it_says_how_it_was_made(made):
    metadata = mlcroissant.Dataset(str(made.path / "croissant.json")).metadata
    assert metadata.data_preprocessing_protocol == ["length"]
    assert metadata.data_collection_raw_data == "only: Words."
    assert metadata.personal_sensitive_information
    assert metadata.version == "2.0.1"
    text = json.loads((made.path / "croissant.json").read_text())
    assert text["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    assert [entity["prov:label"] for entity in text["prov:wasDerivedFrom"]] == ["only, mit"]
    assert text["prov:wasGeneratedBy"]["prov:used"] == {"@id": "manifest.yaml"}
