"""The lock says what is in a release, and `verify` finds every way in which it is not so any more."""

import contextlib
import hashlib
import json
import os
import socket

import pytest
from releases import one_source, release, rows
from small_tokenizers import small_tokenizer

from curate.cli.render import release_lines
from curate.errors import CurateError
from curate.release.build import write_pages
from curate.release.checked_lock import check
from curate.release.lock import dumps, load_lock, load_whole_lock, read_lock, release_digest, verify
from curate.release.typed_lock import as_json


@pytest.fixture
def made(tmp_path):
    pipeline = ["normalize", {"length": {"min_words": 5}}, {"exact_dedup": "text"}]
    return release(one_source(tmp_path, rows(1, 40), pipeline, shards={"size": "4KB"}), tmp_path / "work").path


def problems(path) -> list[tuple[str, str]]:
    return [(problem.where, problem.what.split(":")[0]) for problem in verify(path)]


def test_a_release_holds(made):
    assert problems(made) == []
    assert len(list((made / "data").iterdir())) > 2


def test_the_digest_is_what_sha256sum_prints(made):
    lock = load_lock(made)
    paths = sorted(p.relative_to(made).as_posix() for d in ("data", "evidence") for p in (made / d).rglob("*.parquet"))
    lines = "".join(f"{hashlib.sha256((made / path).read_bytes()).hexdigest()}  {path}\n" for path in paths)
    assert lock.digest == "sha256:" + hashlib.sha256(lines.encode()).hexdigest() == release_digest(lock.files)


def test_what_verify_finds(made):
    shard = sorted((made / "data").iterdir())[0]
    name, content = shard.relative_to(made).as_posix(), shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x")
    assert problems(made) == [(name, "a file changed after the lock was written")]
    shard.write_bytes(content + b"x")
    assert problems(made) == [(name, "a file changed after the lock was written")]
    shard.unlink()
    assert problems(made) == [(name, "a file is missing")]
    shard.write_bytes(content)
    (made / "data" / "more.parquet").write_bytes(content)
    assert problems(made) == [("data/more.parquet", "a file is not in the lock")]
    (made / "data" / "more.parquet").unlink()
    assert problems(made) == []


def test_verify_holds_the_lock_to_itself(made):
    lock = read_lock(made)
    lock["digest"] = "sha256:" + "0" * 64
    (made / "lock.json").write_text(json.dumps(lock))
    assert problems(made) == [("lock.json", "the digest does not match the files")]
    lock = read_lock(made)
    lock["files"][0]["rows"] += 1
    (made / "lock.json").write_text(json.dumps(lock))
    assert "the lock expects" in str(verify(made)[0])


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"lock": 99}', '{"lock": 1, "files": {"model.bin": ""}}'])
def test_what_is_no_lock(made, text):
    (made / "lock.json").write_text(text)
    with pytest.raises(CurateError) as caught:
        verify(made)
    assert "lock.json" in str(caught.value)


def test_counts(made):
    lock = read_lock(made)
    counts = {stage["label"]: stage["sources"]["only"] for stage in lock["stages"]}
    assert counts["normalize"]["in"] == 40
    assert counts["length"]["reasons"] == {"too_few_words": sum(row % 11 == 5 and row % 7 != 3 for row in range(40))}
    assert (
        counts["exact_dedup"]["kept"]
        == lock["documents"]
        == sum(f["rows"] for f in lock["files"] if "data/" in f["path"])
    )
    assert lock["sources"]["only"]["files"][0]["documents"] == 40


def leaves(value, path: tuple = ()):
    """All keys of nested values, with the way to them."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from leaves(inner, (*path, key))


def test_a_lock_that_lacks_anything_is_read_or_refused(tmp_path):
    """Of others' locks nothing is taken for granted: each key is left out once, and once it has another value."""
    tokens = {"tokenizer": small_tokenizer(), "formats": ["npy"], "context": 16}
    more = {"stages": ["near_dedup"], "tokens": tokens, "mixture": {"validation": 0.2, "by": "source"}}
    made = release(one_source(tmp_path, rows(1, 30), ["normalize"], **more), tmp_path / "work").path
    whole = (made / "lock.json").read_text()
    for number, path in enumerate(leaves(json.loads(whole))):
        for value in VALUES[number % 4 :: 4]:
            lock = json.loads(whole)
            *way, last = path
            place = lock
            for key in way:
                place = place[key]
            if value is DELETED:
                del place[last]
            else:
                place[last] = value
            (made / "lock.json").write_text(json.dumps(lock))
            with contextlib.suppress(CurateError):
                found = load_whole_lock(made)
                list(release_lines(found, made))
                (folder := tmp_path / f"{number}").mkdir(exist_ok=True)
                write_pages(folder, found.model_copy(update={"files": []}), "name: one\n")


DELETED = object()
VALUES = (None, DELETED, "odd", -1)


def test_a_lock_is_read_and_written_unchanged(tmp_path):
    """Every key, in its place, and numbers as they were: also what is not a key of ours."""
    tokens = {"tokenizer": small_tokenizer(), "formats": ["npy"], "context": 16}
    more = {"stages": ["near_dedup"], "tokens": tokens, "mixture": {"validation": 0.2, "by": "source"}}
    made = release(one_source(tmp_path, rows(1, 30), ["normalize"], **more), tmp_path / "work").path
    path = made / "lock.json"
    assert dumps(read_lock(made)) == path.read_text()
    turned = json.loads(path.read_text(), object_hook=lambda held: dict(reversed(held.items())))
    turned["mixture"]["splits"][0] |= {"asked": 7, "note": "h\udc80lf"}
    path.write_text(dumps(turned | {"more": {"a": [1.0, None]}}))
    turned = json.loads(path.read_text())
    assert dumps(as_json(check(turned, path))) == path.read_text()


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a broken link", "a link to a folder"])
@pytest.mark.parametrize("known", [True, False])
def test_verify_names_what_is_no_file(made, kind, known):
    path = sorted((made / "data").iterdir())[0] if known else made / "evidence" / "more"
    path.unlink(missing_ok=True)
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        made_socket(path)
    else:
        path.symlink_to(made / "data" if "folder" in kind else "nowhere")
    what = f"expected a file, found {kind}" if known else f"{kind} is in the release"
    assert problems(made) == [(path.relative_to(made).as_posix(), what)]


def made_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # its address has few bytes
    try:
        with socket.socket(socket.AF_UNIX) as found:
            found.bind(path.name)
    finally:
        os.chdir(here)
