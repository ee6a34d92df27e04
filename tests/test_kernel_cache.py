"""Machine code is kept where nobody else can put any: in the user's own cache, else nowhere that can be foreseen."""

import os
import stat
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


def test_a_cache_that_all_may_write_is_not_used(home):
    home.chmod(0o777)
    check_temporary(home)


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
