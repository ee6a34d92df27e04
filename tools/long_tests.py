"""Measure the tests, and name those in tests/long_tests.txt that `pytest -m quick` leaves out.

    python tools/long_tests.py

It runs the whole suite in one process. A test is long that takes more than SECONDS of CPU, with all its parameters, its
fixtures and the processes that it starts.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 0.4


class Measure:
    """A plugin of pytest that adds up the CPU time of each test by its name."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):
        before = os.times()
        try:
            return (yield)
        finally:
            self.seconds[getattr(item, "originalname", item.name)] += sum(os.times()[:4]) - sum(before[:4])

    def long(self) -> list[str]:
        return sorted(name for name, seconds in self.seconds.items() if seconds > SECONDS)


def main() -> int:
    measure = Measure()
    ended = pytest.main(["-n", "0", str(ROOT / "tests")], plugins=[measure])
    if ended == pytest.ExitCode.OK:
        (ROOT / "tests" / "long_tests.txt").write_text("".join(f"{name}\n" for name in measure.long()))
    return ended


if __name__ == "__main__":
    sys.exit(main())
