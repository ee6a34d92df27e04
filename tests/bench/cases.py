"""Inputs that broke a promise once: each case is run as its user would, and held to what it must give.

    python tests/bench/cases.py [NAME ...] [--json]

The cases lie in `../shared/cases`; without them there is nothing to run, and the benchmark says so. Prints `cases`,
`cases_fail` (how many) and `failing` (their names), and of each failing case what differs.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from case import SHARED, Case
from cases_edges import CASES as EDGES
from cases_security import CASES as SECURITY


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="cases to run [default: all]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (SHARED / "cases").is_dir():
        sys.exit("skipped: there is no ../shared/cases")
    known = EDGES | {f"security/{name}": check for name, check in SECURITY.items()}
    homes = [*(SHARED / "cases").glob("*/README.md"), *(SHARED / "cases").glob("security/*/README.md")]
    there = {path.parent.relative_to(SHARED / "cases").as_posix() for path in homes}
    failing = {name: "no check of this case" for name in there - known.keys() if not options.names}
    names = [name for name in known if name in there and (not options.names or name in options.names)]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                known[name](Case.copy(SHARED / "cases" / name, Path(folder)))
            except Exception as error:  # a case fails in whatever way: the others go on
                failing[name] = f"{type(error).__name__}: {error}"
        if not options.json:
            print(f"{'FAIL' if name in failing else 'ok  '}  {name}  {failing.get(name, '')[:400]}", flush=True)
    result = {"cases": len(names), "cases_fail": len(failing), "failing": sorted(failing)}
    print(json.dumps(result) if options.json else result)
    sys.exit(1 if failing else 0)


if __name__ == "__main__":
    main()
