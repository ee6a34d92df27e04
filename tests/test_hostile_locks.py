"""Locks and folders of strangers: a command refuses what is in them or does its work, and touches nothing else."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from releases import one_source, release, rows, write_jsonl, write_manifest
from small_tokenizers import small_tokenizer

from curate.calibration.calibrate import calibrate
from curate.cli.render import diff_lines, release_lines
from curate.errors import CurateError
from curate.inspect.status import plan as plan_of_run
from curate.release.diff import diff
from curate.release.files import read_release
from curate.release.lock import load_whole_lock, verify
from curate.release.takedown import remove

URLS = "".join(f"https://1.example/{row}\n" for row in (2, 4))


def reported(made: Path, folder: Path) -> None:
    list(release_lines(load_whole_lock(made), made))


def compared(made: Path, folder: Path) -> None:
    for pair in ((made, folder / "sound"), (folder / "sound", made)):
        list(diff_lines(diff(*pair)))


def removed(made: Path, folder: Path) -> None:
    remove(made, urls=folder / "urls.txt", dry_run=True)


def drawn(made: Path, folder: Path) -> None:
    calibrate(made, "gptq", tokenizer=small_tokenizer(), sequences=2, length=8, to=folder / "set", work=folder / "work")


def planned(key: str):
    def plan(made: Path, folder: Path) -> None:
        document = {"name": "next", "version": "2.0.0", "license": "mit", "stages": ["near_dedup"]}
        document |= {"sources": {"new": {"inputs": ["in.jsonl"]}}, key: str(made) if key == "extends" else [str(made)]}
        plan_of_run(write_manifest(folder / f"{key}.yaml", document), folder / "work")

    return plan


COMMANDS = {
    "verify": lambda made, folder: verify(made),
    "report": reported,
    "diff": compared,
    "remove": removed,
    "publish": lambda made, folder: read_release(made),
    "calibrate": drawn,
    "extends": planned("extends"),
    "against": planned("against"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one release twice: `sound`, and `odd/1.0.0`, which tests change."""
    folder = tmp_path_factory.mktemp("locks")
    tokens = {"tokenizer": small_tokenizer(), "formats": ["npy"], "context": 16}
    more = {"stages": ["near_dedup", {"tokens": small_tokenizer()}], "tokens": tokens, "mixture": {"by": "source"}}
    made = release(one_source(folder / "corpus", rows(1, 40), ["normalize"], **more), folder / "corpus/work").path
    shutil.copytree(made, folder / "sound")
    (folder / "urls.txt").write_text(URLS)
    write_jsonl(folder / "in.jsonl", rows(9, 3))
    return folder


@pytest.fixture
def made(folder):
    shutil.rmtree(folder / "odd", ignore_errors=True)
    return Path(shutil.copytree(folder / "sound", folder / "odd/1.0.0"))


def tree(folder: Path) -> list[tuple]:
    """What is in a folder, but for what the commands write there themselves."""
    found = [path for path in sorted(folder.rglob("*")) if path.relative_to(folder).parts[0] not in OWN]
    return [(path, path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns) for path in found]


OWN = ("work", "set", "extends.yaml", "against.yaml")


def refused(made: Path, folder: Path) -> dict[str, str]:
    """{command: what it refuses}. Whatever else comes out of one fails the test."""
    found, before = {}, tree(folder)
    for name, command in COMMANDS.items():
        try:
            command(made, folder)
        except CurateError as error:
            found[name] = str(error)
        shutil.rmtree(folder / "set", ignore_errors=True)
    assert tree(folder) == before
    return found


def places(value, path: tuple = ()):
    """All places in nested values; of a list the first two."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(value, path: tuple, new):
    """A value with another one at a place, or without that place."""
    if not path:
        return new if new is not DELETED else {}
    inner, last = value, path[-1]
    for key in path[:-1]:
        inner = inner[key]
    if new is DELETED:
        del inner[last]
    else:
        inner[last] = new
    return value


DELETED = object()
ODD = [None, DELETED, True, -1, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", "../../x", "/etc/passwd"]
ODD += ["\x1b[31m\x00\n", "\ud800", "*?[", "x" * 2000, [], {}, [None], [[]], {"a": 1}, {"a": {"b": None}}, {"": []}]


def test_a_sound_release_is_refused_nowhere(made, folder):
    assert refused(made, folder) == {}


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_lock_changed_anywhere_is_refused_or_used(made, folder, data):
    lock = json.loads((folder / "sound/lock.json").read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(places(lock))[1:]))
        lock = changed(lock, path, data.draw(st.sampled_from(ODD)))
    (made / "lock.json").write_text(json.dumps(lock))
    refused(made, folder)


@pytest.mark.parametrize("key", ["name", "version", "license", "sources", "stages", "mixture", "rejected", "columns"])
def test_a_lock_that_lacks_a_key_is_refused_by_who_shows_or_uses_it(made, folder, key):
    lock = json.loads((made / "lock.json").read_text())
    del lock[key]
    (made / "lock.json").write_text(json.dumps(lock))
    assert {"report", "diff", "remove", "calibrate", "extends", "against"} <= refused(made, folder).keys()


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "1" * 5000, '{"lock": NaN}', "\ufeff{}", '{"lock": 1, "digest": 1}']
)
def test_what_is_no_lock_is_refused(made, folder, text):
    (made / "lock.json").write_text(text)
    assert refused(made, folder).keys() == COMMANDS.keys()


SHARD = "data/train-00000-of-00001.parquet"


@pytest.mark.parametrize("name", [SHARD, "manifest.yaml", "lock.json", "data", "README.md"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device", "folder", "link to nothing"])
def test_what_is_no_file_of_the_release_is_not_read(made, folder, name, kind):
    place, elsewhere = made / name, folder / "sound" / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to({"link": elsewhere, "device": "/dev/zero", "link to nothing": folder / "nothing"}[kind])
    found = refused(made, folder)
    if name == "lock.json" and kind == "link":
        return  # a copy of what is read
    assert "remove" in found
    assert verify(made) if name != "lock.json" else "verify" in found
    if name in (SHARD, "data", "lock.json"):
        assert {"calibrate", "extends", "against"} <= found.keys()


@pytest.mark.parametrize("twin", [SHARD, SHARD.upper().replace("DATA", "data")])
def test_two_files_of_one_name_on_some_system_are_refused(made, folder, twin):
    lock = json.loads((made / "lock.json").read_text())
    entry = next(file for file in lock["files"] if file["path"] == SHARD)
    lock["files"].append(entry | {"path": twin})
    (made / "lock.json").write_text(json.dumps(lock))
    assert all("lists a file twice" in error for error in refused(made, folder).values())


@pytest.mark.parametrize("name", ["a[1]", "a*b?", "a'b", "ä b"])
def test_a_folder_may_be_called_anything(made, folder, tmp_path, name):
    odd = Path(shutil.copytree(made, tmp_path / name))
    lock = json.loads((odd / "lock.json").read_text())
    assert diff(odd, folder / "sound")["bump"] is None
    shard = next(file for file in lock["files"] if file["path"] == SHARD)
    shard["sha256"] = "0" * 64  # as one that differs, so that its documents are read
    (odd / "lock.json").write_text(json.dumps(lock))
    assert diff(odd, folder / "sound")["documents"]["shared"] == lock["documents"]


@pytest.mark.parametrize("key", ["extends", "against"])
@pytest.mark.parametrize("address", ["https://alice:hunter2@a.example/x", "s3://key:a/hunter2@bucket/x", "file:///etc"])
def test_an_address_of_no_release_is_refused_without_its_secrets(folder, key, address):
    document = {"name": "next", "version": "2.0.0", "license": "mit", "stages": ["near_dedup"]}
    document |= {"sources": {"new": {"inputs": ["in.jsonl"]}}, key: address if key == "extends" else [address]}
    with pytest.raises(CurateError, match="not the address of a release") as caught:
        plan_of_run(write_manifest(folder / f"{key}.yaml", document), folder / "work")
    assert "hunter2" not in str(caught.value)
