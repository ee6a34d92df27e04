"""Machine code is kept where nobody else can put any: in the user's own cache, else nowhere that can be foreseen."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from curate import kernels

NOT_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache that holds nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    return tmp_path


def private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def test_the_users_cache_is_for_the_user_alone(home):
    folder = Path(kernels._cache_folder())
    assert folder.is_relative_to(home)
    assert all(private(one) for one in (folder, folder.parent, folder.parent.parent))
    folder.chmod(0o777)
    assert Path(kernels._cache_folder()) == folder
    assert private(folder)


@pytest.mark.parametrize("level", [0, 1, 2])
@NOT_ROOT
def test_a_folder_of_another_is_not_used(home, level):
    folder = Path(kernels._cache_folder())
    os.chown([folder, *folder.parents][level], 65534, -1)
    check_temporary(home)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_link_is_not_followed(home, tmp_path, level):
    folder = [Path(kernels._cache_folder()), *Path(kernels._cache_folder()).parents][level]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    check_temporary(home)


@pytest.mark.parametrize("level", [0, 1])
def test_a_cache_in_a_folder_that_all_may_write_is_not_used(home, monkeypatch, level):
    inner = home / "home" / "cache"
    inner.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(inner))
    assert Path(kernels._cache_folder()).is_relative_to(inner)
    [inner, *inner.parents][level].chmod(0o777)
    check_temporary(inner)


@NOT_ROOT
def test_a_cache_that_a_group_of_users_may_write_is_not_used(home):
    os.chown(home, -1, 12345)
    home.chmod(0o755)
    assert Path(kernels._cache_folder()).is_relative_to(home)
    home.chmod(0o775)
    check_temporary(home)


@NOT_ROOT
def test_a_cache_in_a_home_of_another_is_not_used(home):
    """As with `sudo`, which may leave HOME as it is: who owns it could change what root runs."""
    os.chown(home, 12345, -1)
    check_temporary(home)


ENTER = """
import os, sys
from pathlib import Path
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
for attempt in (lambda: os.listdir(sys.argv[1]), lambda: (Path(sys.argv[1]) / "planted").write_text("")):
    try:
        attempt()
        print("in")
    except PermissionError:
        print("out")
"""


@NOT_ROOT
@pytest.mark.parametrize("kept", [True, False])
def test_another_user_is_kept_out(home, monkeypatch, kept):
    if not kept:
        monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    folder = kernels._cache_folder()
    assert Path(folder).is_relative_to(home) == kept
    done = subprocess.run([sys.executable, "-c", ENTER, folder, "65534"], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["out", "out"], done.stderr


COMPILE = """
import sys
import numpy as np
from curate.kernels.unionfind import components
print(flush=True)
sys.stdin.readline()
components(np.arange(9, dtype=np.uint32))
print(sum(components.stats.cache_misses.values()), sum(components.stats.cache_hits.values()))
"""


def test_of_workers_that_need_the_same_kernel_one_compiles_it(home):
    command = [sys.executable, "-c", COMPILE]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        worker.stdout.readline()
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    assert sorted(worker.communicate(timeout=120)[0].split() for worker in workers) == [["0", "1"], ["1", "0"]]


def test_a_file_in_the_way(home):
    (home / "curate").write_text("")
    check_temporary(home)


def check_temporary(home: Path) -> None:
    """Another folder each time, private, and the one that children take."""
    folders = [Path(kernels._cache_folder()) for _ in range(2)]
    assert folders[0] != folders[1]
    assert all(private(folder) and not folder.is_relative_to(home) for folder in folders)
    assert os.environ["NUMBA_CACHE_DIR"] == str(folders[1])
    for folder in folders:
        folder.rmdir()
