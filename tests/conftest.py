"""What the tests share: the stages of another package, and one small corpus."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from package import python_path
from releases import write_corpus

from curate.sources.format_api import formats
from curate.stage_api import find_stage, stage_homes

HERE = Path(__file__).parent
LONG = frozenset((HERE / "long_tests.txt").read_text(encoding="utf-8").split())
"""Names of tests that are not quick, as `tools/long_tests.py` measures them."""

os.environ.setdefault("CURATE_HANG_SECONDS", "0")  # no sandbox, so that compiled kernels serve all tests of a process

# The same examples every time, so that a failure is due to the change; `--hypothesis-profile explore` looks further.
# No deadline: the first call of a kernel compiles it.
settings.register_profile("curate", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("quick", parent=settings.get_profile("curate"), max_examples=20)
settings.register_profile("explore", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("hypothesis_profile", None):
        settings.load_profile("quick" if config.option.markexpr == "quick" else "curate")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell, which processes would inherit
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    if getattr(item, "originalname", item.name) not in LONG:
        item.add_marker(pytest.mark.quick)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most tests that are not quick begin first, so that none of them is all that runs in the end."""
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += 1 if item.get_closest_marker("quick") else 1000
    items.sort(key=lambda item: -weights[item.path])


def know_odd_stages(patch: pytest.MonkeyPatch) -> None:
    """Make the stages of `plugin/` known, here and in every process started from here."""
    patch.setenv("PYTHONPATH", python_path(HERE / "plugin"), prepend=os.pathsep)
    patch.syspath_prepend(HERE / "plugin")
    forget_stages()


def forget_stages() -> None:
    stage_homes.cache_clear()
    find_stage.cache_clear()
    formats.cache_clear()
    sys.modules.pop("odd_stages", None)


@pytest.fixture
def odd_stages(monkeypatch):
    know_odd_stages(monkeypatch)
    yield
    forget_stages()


@pytest.fixture
def corpus(tmp_path, odd_stages) -> Path:
    """The manifest of a small corpus of four sources."""
    return write_corpus(tmp_path / "corpus")
