"""The benchmark of hostile inputs leaves out no stage and no reader."""

import sys
from pathlib import Path

import pytest

from curate.errors import CurateError
from curate.stage_api import find_stage, stage_homes
from curate.testing import run_group

sys.path.insert(0, str(Path(__file__).parent / "bench"))
import hostile
import hostile_files

del sys.path[0]


@pytest.mark.parametrize("name", sorted(stage_homes()))
def test_every_stage_takes_hostile_documents(name):
    stage, taken = find_stage(name), 0
    for what, params, table in hostile.documents(name, 1024):
        try:
            found = stage(table, **params) if stage.kind == "map" else run_group(stage, [table], params)[0]
        except CurateError:
            continue
        assert found.num_rows == table.num_rows, what
        taken += 1
    assert taken


@pytest.mark.parametrize("name", hostile.READERS)
def test_every_reader_takes_hostile_files(name, tmp_path):
    for file, content in hostile.files(name, 4096, tmp_path).items():
        for layout in hostile.LAID_OUT.get(file, (None,)):
            hostile.read_file(tmp_path / file, content, layout)


def test_every_format_and_compression_is_covered(monkeypatch):
    hostile.check_readers()
    monkeypatch.setitem(hostile.COMPRESSIONS, ".br", "brotli")
    monkeypatch.setitem(hostile_files.PACKED, "brotli", lambda content: content)
    for format in hostile_files.CONTENTS:
        monkeypatch.delitem(hostile.READERS, f"compressed_{format}")
    with pytest.raises(NotImplementedError, match="brotli"):
        hostile.check_readers()


def test_slow_code_of_another_project_counts_by_its_bare_loop():
    of = {"peak": 0, "bug": None}
    slow, steady = {"seconds": 4.2, "peer": 4.0, **of}, {"seconds": 0.5, "peer": 0.4, **of}
    found = hostile.summary({"datatrove": {"a": [slow, slow], "b": [steady, steady]}})
    assert (found["worst_times_peer"], found["slowest_mb_s"]) == (1.05, 2.0)


@pytest.mark.parametrize("name", hostile.PEERS)
def test_the_bare_loop_of_another_project_runs(name):
    (params,) = hostile.calls(name)
    hostile.PEERS[name](params, hostile.many(1024)["distinct"])


def test_a_larger_damaged_file_has_more_of_the_same():
    small, large = (hostile_files.compressed("csv", size) for size in (1 << 20, 1 << 21))
    for name in (name for name in small if name.startswith("damage")):
        assert large[name] == 2 * small[name]
