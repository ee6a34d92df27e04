"""The demo's corpus is the same for the same interpreter, and says nothing of the machine it was made on."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from package import python_path

from curate import demo_corpus
from curate.base.library_pages import library_pages

SECRET = "c0ffee-do-not-publish"


def _make(folder: Path, **environment: str) -> dict[str, bytes]:
    script = "import sys; from curate.demo_corpus import make_demo; make_demo(sys.argv[1])"
    folder.mkdir()
    given = os.environ | {"PYTHONPATH": python_path()} | environment
    command = [sys.executable, "-c", script, str(folder / "demo")]
    subprocess.run(command, env=given, cwd=folder, check=True, capture_output=True, timeout=120)
    return {path.name: path.read_bytes() for path in sorted((folder / "demo" / "corpus").iterdir())}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    one = _make(folder / "one", PYTHONHASHSEED="1", HF_TOKEN=SECRET)
    return one, _make(folder / "two", PYTHONHASHSEED="2", COLUMNS="40", HOME=str(folder))


def test_the_corpus_is_the_same_in_another_process(corpora):
    one, two = corpora
    assert {name: hashlib.sha256(content).hexdigest() for name, content in one.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in two.items()
    }


def test_a_corpus_is_made_once_and_again_where_it_was_changed(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(demo_corpus, "library_pages", lambda: made.append("pages") or {"json": b"<p>A page."})
    monkeypatch.setattr(demo_corpus, "_code", lambda: pa.table({"content": ["pass"]}))
    changed = tmp_path / "corpus" / "reference.jsonl"
    demo_corpus.make_demo(tmp_path)
    content = changed.read_bytes()
    demo_corpus.make_demo(tmp_path)
    assert len(made) == 1
    changed.write_bytes(b"")
    demo_corpus.make_demo(tmp_path)
    assert changed.read_bytes() == content
    changed.unlink()
    demo_corpus.make_demo(tmp_path)
    assert changed.read_bytes() == content


def test_no_page_tells_the_environment(corpora):
    pages = gzip.decompress(corpora[0]["web.warc.gz"])
    assert SECRET.encode() not in pages
    assert os.environ["PATH"].encode() not in pages


def test_what_a_package_adds_to_the_standard_library_is_on_no_page(monkeypatch):
    def added_by_a_package(self):
        """What no interpreter comes with."""

    monkeypatch.setattr(json.JSONEncoder, "added_by_a_package", added_by_a_package, raising=False)
    page = library_pages()["json"]
    assert b"JSONEncoder" in page
    assert b"added_by_a_package" not in page
