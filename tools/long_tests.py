"""Measure the tests, and name those in tests/long_tests.txt that `pytest -m quick` leaves out.

    python tools/long_tests.py [--quick]

It runs the suite in one process. A test is long that takes more than SECONDS of CPU, with all its parameters, its
fixtures and the processes that it starts. --quick: measure the tests that are quick so far, and add to the file: where
a long test is left out, another one has to make what both look at.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "long_tests.txt"
SECONDS = 0.25


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

    def long(self) -> set[str]:
        return {name for name, seconds in self.seconds.items() if seconds > SECONDS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick, measure = parser.parse_args().quick, Measure()
    ended = pytest.main(["-n", "0", *(["-m", "quick"] if quick else []), str(ROOT / "tests")], plugins=[measure])
    if ended == pytest.ExitCode.OK:
        before = set(LIST.read_text(encoding="utf-8").split()) if quick else set()
        LIST.write_text("".join(f"{name}\n" for name in sorted(before | measure.long())), encoding="utf-8")
    return ended


if __name__ == "__main__":
    sys.exit(main())
