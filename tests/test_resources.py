"""A resource is found where the documentation says, is what it should be, and its place has no bearing on results."""

import hashlib
import http.server
import os
import threading
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from releases import release, rows, write_jsonl, write_manifest

from curate.engine import jobs
from curate.engine.apply import Configured
from curate.engine.planner import Planner
from curate.errors import CurateError, ManifestError
from curate.inspect.fetch import fetch
from curate.models import resources
from curate.models.resources import Known, locate
from curate.release.lock import verify
from curate.stage_api import stage

WORDS = b"one\ntwo\n"
DIGEST = hashlib.sha256(WORDS).hexdigest()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of the user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CURATE_MODEL_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cache" / "curate" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def web(tmp_path):
    """Address of a server of a folder with `words.txt`, and what was asked of it."""
    folder, asked = tmp_path / "web", []
    folder.mkdir()
    (folder / "words.txt").write_bytes(WORDS)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            if self.command == "GET":
                asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_path_goes_before_the_model_folder_and_that_before_the_cache(home, tmp_path, monkeypatch):
    (home / "words").write_bytes(b"cache")
    assert locate("words").read_bytes() == b"cache"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "words").write_bytes(b"models")
    monkeypatch.setenv("CURATE_MODEL_DIR", str(tmp_path / "models"))
    assert locate("words").read_bytes() == b"models"
    (tmp_path / "words").write_bytes(b"here")
    assert locate("words").read_bytes() == b"here"
    assert locate(tmp_path / "words").is_absolute()


def test_what_is_missing_is_named_with_the_places_where_it_can_be_put(home):
    with pytest.raises(CurateError, match=r"no model `nothing\.bin`") as caught:
        locate("nothing.bin")
    assert str(home / "nothing.bin") in caught.value.where
    assert "put the file there" in caught.value.fix
    with pytest.raises(CurateError, match=r"no list `lists/nothing\.txt`") as caught:
        locate("lists/nothing.txt", kind="list")
    assert str(home) not in caught.value.where


def test_a_tokenizer_may_be_the_folder_it_is_in(home, tmp_path):
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "tokenizer.json").write_text("{}")
    assert locate("llama", kind="tokenizer") == tmp_path / "llama" / "tokenizer.json"
    with pytest.raises(CurateError):
        locate("llama", kind="model")


def test_a_file_is_downloaded_once(home, web):
    address, asked = web
    first = locate("words.txt", kind="list", url=f"{address}/words.txt", sha256=DIGEST)
    assert first == home / "words.txt"
    assert first.read_bytes() == WORDS
    assert locate("words.txt", kind="list", url=f"{address}/words.txt", sha256=DIGEST) == first
    assert asked == ["/words.txt"]


def test_the_query_of_an_address_is_in_no_name(home, web):
    address, _ = web
    found = [locate(f"{address}/words.txt?token={n}", "list") for n in (1, 2)]
    assert found[0] != found[1]
    assert all(path.name.endswith("-words.txt") for path in found)


def test_addresses_with_the_same_last_part_are_two_files(home, web):
    address, asked = web
    one, two = locate(f"{address}/words.txt", "list"), locate(f"{address}/./words.txt", "list")
    assert one != two
    assert one.read_bytes() == two.read_bytes() == WORDS
    locate(f"{address}/words.txt", "list")
    assert len(asked) == 2


def test_a_download_that_is_another_file_leaves_nothing_behind(home, web):
    address, _ = web
    with pytest.raises(CurateError, match=DIGEST):
        locate("words.txt", kind="list", url=f"{address}/words.txt", sha256="0" * 64)
    assert list(home.iterdir()) == []


def test_a_pinned_file_that_is_another_is_an_error(home, monkeypatch):
    monkeypatch.setitem(resources.KNOWN, "words.txt", Known("http://127.0.0.1:1/words.txt", "0" * 64))
    (home / "words.txt").write_bytes(WORDS)
    with pytest.raises(CurateError, match=DIGEST) as caught:
        locate("words.txt")
    assert caught.value.where == str(home / "words.txt")


def test_the_language_model_is_pinned():
    model = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "models" / "lid.176.ftz"
    if not model.exists():
        pytest.skip(f"the model is not here: {model}")
    assert resources.sha256(model) == resources.KNOWN["lid.176.ftz"].sha256


def test_a_changed_file_has_another_digest(tmp_path):
    path = tmp_path / "list"
    path.write_text("one")
    before = resources.sha256(path)
    path.write_text("three")
    assert resources.sha256(path) == hashlib.sha256(b"three").hexdigest() != before


def test_lines_of_a_list(tmp_path):
    path = tmp_path / "list"
    path.write_text("\ufeffone\r\n\n# a remark\n  two  \nthree#four\n")
    assert resources.lines(path) == ["one", "two", "three#four"]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CurateError, match="UTF-8") as caught:
        resources.lines(path)
    assert caught.value.where == str(path)


def located(words, others, **_):
    return resources.each(locate, {"words": words, "others": others})


@stage(version=1, resources_from=located)
def listed(docs: pa.Table, *, words: str, others: list[str] = [], share: float = 0.5) -> pa.Table:  # noqa: B006
    """Read lists.

    Reads: text
    """
    assert share == 0.5
    assert [Path(name).read_bytes() for name in (words, *others)] == [WORDS, b"other"]
    return docs


def test_contents_and_not_paths_bear_on_identity(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words").write_bytes(WORDS)
        (tmp_path / folder / "other").write_bytes(b"other")
    params = [
        listed.configure({"words": str(tmp_path / folder / "words"), "others": [str(tmp_path / folder / "other")]})
        for folder in ("a", "b")
    ]
    assert listed.identity(params[0]) == listed.identity(params[1])
    assert listed.identity(params[0])["params"] == {
        "words": f"sha256:{DIGEST}",
        "others": [f"sha256:{hashlib.sha256(b'other').hexdigest()}"],
        "share": 0.5,
    }
    (tmp_path / "b" / "other").write_bytes(b"changed")
    assert listed.identity(params[0]) != listed.identity(params[1])


def test_a_job_finds_the_files_that_its_identity_names_by_digest(tmp_path, monkeypatch):
    (tmp_path / "words").write_bytes(WORDS)
    (tmp_path / "other").write_bytes(b"other")
    params = listed.configure({"words": str(tmp_path / "words"), "others": [str(tmp_path / "other")]})
    args = {"stages": [{"label": "listed", **listed.identity(params)}], "read": [f"sha256:{DIGEST}"]}
    placed = jobs._placed(args, listed.resources(params) | {"input": "elsewhere"})
    assert placed["read"] == args["read"]
    monkeypatch.setattr("curate.engine.apply.find_stage", lambda name: listed)
    assert Configured.of(placed["stages"][0]).params == params
    planner = Planner()
    planner.resources |= listed.resources(params)
    moved = Planner()
    assert planner.add("map", "", args) == moved.add("map", "", args)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("change", [pipe, huge])
def test_what_is_no_note_of_ours_is_neither_waited_for_nor_read(tmp_path, corpus, change):
    work = tmp_path / "work"
    made = release(corpus, work)
    resources.note_places(work, {f"sha256:{DIGEST}": "somewhere"})
    notes = [work / "resources.json", *work.glob("plans/*.json"), *work.glob("store/??/*.json")]
    for path in [*notes, made.path / "lock.json", made.path / "README.md"]:
        before = path.read_bytes()
        change(path)
        with pytest.raises(OSError, match="not a file that curate wrote"):
            resources.read_note(path)
        path.unlink()
        path.write_bytes(before)
    for path in notes:
        change(path)
    assert release(corpus, work).lock == made.lock
    change(made.path / "README.md")
    assert "README.md" in str(verify(made.path)[0])
    change(made.path / "lock.json")
    with pytest.raises((OSError, CurateError), match=r"lock\.json"):
        verify(made.path)


def test_fetch_brings_what_a_manifest_needs_and_a_run_needs_no_network_for_it(home, web, tmp_path):
    address, asked = web
    write_jsonl(tmp_path / "a.jsonl", rows(1, 30))
    filtered = {"url_filter": {"domains": [f"{address}/words.txt"]}}
    source = {"inputs": ["a.jsonl"], "pipeline": [filtered]}
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": source}}
    manifest = write_manifest(tmp_path / "m.yaml", document)
    (found,) = fetch(manifest)
    assert (found["stage"], found["bytes"], found["sha256"]) == ("url_filter", len(WORDS), DIGEST)
    assert Path(found["path"]).read_bytes() == WORDS
    assert fetch(manifest) == [found]
    release(manifest, tmp_path / "work")
    assert len(asked) == 1


def test_fetch_names_all_that_is_nowhere(home, tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    calls = [{"url_filter": {"domains": ["here/none.txt"]}}, {"quality": {"model": "no-such.bin", "label": "hq"}}]
    source = {"inputs": ["a.jsonl"], "pipeline": calls}
    document = {"name": "x", "version": "1.0.0", "license": "mit", "sources": {"a": source}}
    with pytest.raises(ManifestError) as caught:
        fetch(write_manifest(tmp_path / "m.yaml", document))
    one, two = (problem.what for problem in caught.value.problems)
    assert "here/none.txt" in one
    assert "no model `no-such.bin`" in two
