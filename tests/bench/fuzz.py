"""Fuzz every reader of data that strangers may have written.

    python tests/bench/fuzz.py [--json] [--minutes 10] [--seed 0] [--keep FOLDER] [--plain] [TARGET ...]

Each target (`tests/fuzz/fuzz_targets.py`) gets an equal share of the time, in a process of its own: atheris chooses the
inputs where it is installed, by the coverage of Python code, else mutations of small sound inputs, the same for the
same seed. A finding is an exception other than a CurateError, a crash, an input that takes more than 20 s or 1 GiB.
Prints `executions`, `findings` and, by target, the first inputs that fail, which are saved.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fuzz"))

from fuzz_loop import fuzz

TARGETS = (
    "warc",
    "arc",
    "http",
    "html",
    "jsonl",
    "json",
    "csv",
    "text",
    "parquet",
    "manifest",
    "lock",
    "fasttext",
    "npz",
)
SHOWN = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together [default: 10]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "curate-findings")
    parser.add_argument("--plain", action="store_true", help="no atheris, though it is installed")
    given = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None and not given.plain
    share = given.minutes * 60 / len(given.targets)
    executions, findings, failing = {}, 0, {}
    for name in given.targets:
        found = fuzz([name], given.keep, seconds=share, seed=given.seed, guided=guided)
        executions |= found.executions
        findings += found.count
        failing |= {target: first[:SHOWN] for target, first in found.found.items()}
        if not given.json:
            print(f"{name}: {executions[name]:,} executions, {found.count} findings", flush=True)
    result = {"executions": sum(executions.values()), "findings": findings, "guided": guided}
    result |= {"by_target": executions, "failing": failing}
    print(json.dumps(result, indent=None if given.json else 1))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
