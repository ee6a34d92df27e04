"""Earlier releases that are damaged, odd or hostile: nothing outside is touched, and no file is used unchecked."""

import json
import shutil
from hashlib import sha256

import pyarrow.parquet as pq
import pytest
from releases import one_source, release
from removing import NEAR, SITES, asked, make

from curate.errors import CurateError
from curate.release.make import run_events
from curate.release.takedown import remove

# Releases of strangers


def tampered(made, name, edit, rehash=()):
    """A copy of a release with another lock."""
    copy = made.parent.parent / name / "1.0.0"
    shutil.copytree(made, copy)
    lock = json.loads((copy / "lock.json").read_text())
    for path in rehash:
        content = (copy / path).read_bytes()
        entry = next(file for file in lock["files"] if file["path"] == path)
        entry |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    edit(lock)
    (copy / "lock.json").write_text(json.dumps(lock))
    return copy


HOSTILE = {
    "version elsewhere": lambda lock, out: lock.update(version=f"{out}/3.11.0"),
    "version above": lambda lock, out: lock.update(version="../../1.0.0"),
    "version of other digits": lambda lock, out: lock.update(version="1.0.٣"),
    "label above": lambda lock, out: lock["stages"][0].update(label="../../../WRITTEN"),
    "label elsewhere": lambda lock, out: lock["stages"][0].update(label=f"{out}/WRITTEN"),
    "phase above": lambda lock, out: lock["mixture"]["splits"][0].update(phase="../../x"),
    "path above": lambda lock, out: lock["files"][0].update(path="data/../../x.parquet"),
    "path elsewhere": lambda lock, out: lock["files"][0].update(path=f"{out}/x.parquet"),
    "path with NUL": lambda lock, out: lock["files"][0].update(path="data/\0.parquet"),
    "path twice": lambda lock, out: lock["files"].append(lock["files"][0]),
    "no path": lambda lock, out: lock["files"].append({}),
    "files null": lambda lock, out: lock.update(files=None),
    "digest a number": lambda lock, out: lock.update(digest=5),
    "name with an escape": lambda lock, out: lock.update(name="\x1b]0;x\x07"),
    "name with a line": lambda lock, out: lock.update(name="web\n"),
    "documents text": lambda lock, out: lock.update(documents="x"),
    "documents below none": lambda lock, out: lock.update(documents=-1),
    "composition a list": lambda lock, out: lock.update(composition=[]),
    "columns null": lambda lock, out: lock.update(columns=None),
    "index a number": lambda lock, out: lock.update(index=5),
    "no mixture": lambda lock, out: lock.pop("mixture"),
    "source a script": lambda lock, out: lock["sources"].update({"<script>": {}}),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make(tmp_path_factory.mktemp("plain"), SITES[:4])


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_lock_is_refused_and_nothing_outside_is_touched(tmp_path, plain, how):
    made = tmp_path / "work/web/1.0.0"
    shutil.copytree(plain, made)
    outside = tmp_path / "outside"
    (outside / "3.11.1").mkdir(parents=True)
    (outside / "3.11.1/precious.txt").write_text("precious")
    evil = tampered(made, "evil", lambda lock: HOSTILE[how](lock, outside))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CurateError):
        remove(evil, domains=asked(tmp_path / "asked.txt", "site2.example"))
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, extends=str(evil), version="2.0.0")
    with pytest.raises(CurateError):
        release(manifest, tmp_path / "next/work")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: after.get(path) for path in before} == before
    assert not list(tmp_path.rglob("WRITTEN*"))


def test_a_target_that_is_there_is_never_replaced(tmp_path):
    made = make(tmp_path, SITES, stages=[])
    (made.parent / "1.0.1").mkdir()
    (made.parent / "1.0.1/precious.txt").write_text("precious")
    with pytest.raises(CurateError, match="already exists"):
        remove(made, domains=asked(tmp_path / "asked.txt", "site2.example"))
    assert (made.parent / "1.0.1/precious.txt").read_text() == "precious"


def edited(column, change):
    def edit(path):
        table = pq.read_table(path)
        pq.write_table(change(table) if column is None else table.set_column(*change(table, column)), path)

    return edit


def put(values):
    return lambda table, column: (table.column_names.index(column), column, [values(table.num_rows)])


def bad_text(count):
    import pyarrow as pa

    raw = pa.array([b"\xff\xf0\x9f" * 30] * count, pa.binary())
    return pa.Array.from_buffers(pa.string(), count, raw.buffers())


DATA, INDEX = "data/train-00000-of-00001.parquet", "index/train-00000-of-00001.parquet"
ODD_FILES = {
    "text is no UTF-8": (DATA, edited("text", put(bad_text))),
    "text is numbers": (DATA, edited("text", put(lambda n: list(range(n))))),
    "no id": (DATA, edited(None, lambda table: table.drop_columns(["id"]))),
    "id null": (DATA, edited("id", put(lambda n: [None] * n))),
    "junk": (DATA, lambda path: path.write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")),
    "index junk": (INDEX, lambda path: path.write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")),
    "index short": (INDEX, edited("band_keys", put(lambda n: [b"abc"] * n))),
    "index long": (INDEX, edited("band_keys", put(lambda n: [b"abcdefgh" * 1000] * n))),
    "index null": (INDEX, edited("band_keys", put(lambda n: [None] * n))),
    "index of fewer rows": (INDEX, edited(None, lambda table: table.slice(0, 2))),
}


@pytest.mark.parametrize("how", ODD_FILES)
def test_odd_files_of_an_earlier_release_are_named(tmp_path, plain, how):
    made = tmp_path / "work/web/1.0.0"
    shutil.copytree(plain, made)
    path, edit = ODD_FILES[how]
    edit(made / path)
    evil = tampered(made, "evil", lambda lock: None, rehash=[path])
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, against=[str(evil)], version="2.0.0")
    with pytest.raises(CurateError, match="earlier release"):
        release(manifest, tmp_path / "next/work")


@pytest.mark.parametrize("path", [DATA, INDEX])
@pytest.mark.parametrize("how", ["extends", "against"])
def test_shards_are_hashed_before_they_are_used(tmp_path, plain, path, how):
    evil = tmp_path / "web/1.0.0"
    shutil.copytree(plain, evil)
    table = pq.read_table(evil / path)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), evil / path)
    lock = json.loads((evil / "lock.json").read_text())
    next(file for file in lock["files"] if file["path"] == path)["bytes"] = (evil / path).stat().st_size
    (evil / "lock.json").write_text(json.dumps(lock))
    named = str(evil) if how == "extends" else [str(evil)]
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, version="2.0.0", **{how: named})
    with pytest.raises(CurateError, match="digest"):
        list(run_events(manifest, tmp_path / "next/work", workers=0))


def test_a_link_out_of_an_earlier_release_is_not_followed(tmp_path, plain):
    evil = tmp_path / "web/1.0.0"
    shutil.copytree(plain, evil)
    (evil / DATA).rename(tmp_path / "moved.parquet")
    (evil / DATA).symlink_to(tmp_path / "moved.parquet")
    manifest = one_source(tmp_path / "next", SITES, [], stages=NEAR, version="2.0.0", extends=str(evil))
    for act in (
        lambda: release(manifest, tmp_path / "next/work"),
        lambda: remove(evil, domains=asked(tmp_path / "asked.txt", "site2.example")),
    ):
        with pytest.raises(CurateError, match="links outside"):
            act()
