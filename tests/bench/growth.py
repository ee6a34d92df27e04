"""How the cost of a run grows with its data: near-duplicates removed, from JSONL to the release.

    python tests/bench/growth.py [--json] [--large] [--workers 2] [--scratch FOLDER] [--sizes 0.2 2]

Texts are those of `grown_text.py`, a quarter duplicates, written once to the scratch folder. The run is the command
from its start to its end, with verified near-duplicates, evidence, index, card and lock. What counts is processor time
of all its processes; a small run before compiles the kernels.

gb_core_hour_SIZE  GB of text in an hour of one core
cpu_growth_10x     processor time for ten times the text, over that for one
peak_worker_mb     most memory that any process of the run held
tail_share         share of the time in which workers are busy that just one of them is
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
from grown_text import write_corpus

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = """\
name: growth
version: 0.1.0
license: other
sources:
  docs: {{inputs: ["{corpus}/*.jsonl"], columns: {{text: text, meta: [id]}}}}
stages: {stages}
"""
POLL = 0.25
BUSY = 0.1
"""Share of a poll's time in which a process must have worked to count."""


@dataclass
class Watched:
    """What a command and its descendants used. cpu: seconds of processors; peak: most bytes of one process; busy: how
    many polls found so many workers at work."""

    cpu: float = 0.0
    seconds: float = 0.0
    peak: int = 0
    busy: dict[int, int] = field(default_factory=dict)
    digest: str = ""

    @property
    def tail_share(self) -> float:
        working = sum(count for number, count in self.busy.items() if number)
        return self.busy.get(1, 0) / max(working, 1)


def run_manifest(corpus: Path, work: Path, workers: int, stages: str = "[near_dedup]") -> Watched:
    """Run the command over a corpus, and watch it."""
    work.mkdir(parents=True)
    manifest = work / "growth.yaml"
    manifest.write_text(MANIFEST.format(corpus=corpus, stages=stages))
    call = [sys.executable, "-m", "curate", "run", manifest, "--work", work, "--workers", str(workers), "--json"]
    return watch([str(word) for word in call])


def watch(call: list[str]) -> Watched:
    """Run a command that prints JSON, and watch it."""
    start = time.perf_counter()
    child = subprocess.Popen(
        call, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watched, spent = Watched(), {}
    while child.poll() is None:
        time.sleep(POLL)
        _look(child.pid, watched, spent)
    out, err = child.communicate()
    if child.returncode:
        sys.exit(f"the command failed with exit code {child.returncode}: {err[-2000:]}")
    watched.seconds, watched.cpu = time.perf_counter() - start, sum(spent.values())
    watched.digest = json.loads(out.splitlines()[-1]).get("digest", "")
    return watched


def _look(pid: int, watched: Watched, spent: dict) -> None:
    """Add to what is known of a process and its descendants. spent: {process: seconds so far}"""
    at_work = 0
    try:
        family = [psutil.Process(pid)]
        family += family[0].children(recursive=True)
    except psutil.Error:
        return
    for process in family:
        try:
            used = process.cpu_times()
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (psutil.Error, OSError):
            continue
        key, total = (process.pid, process.create_time()), used.user + used.system
        at_work += process.pid != pid and total - spent.get(key, 0.0) > BUSY * POLL
        spent[key] = total
        watched.peak = max(
            watched.peak, *(int(line.split()[1]) << 10 for line in status.splitlines() if "VmHWM" in line), 0
        )
    watched.busy[at_work] = watched.busy.get(at_work, 0) + 1


def measure(sizes: list[float], workers: int, scratch: Path) -> dict[str, float]:
    found, cpu = {}, {}
    warm = scratch / "text-4mb"
    write_corpus(warm, 4)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        run_manifest(warm, Path(folder) / "warm", workers)
        for size in sizes:
            corpus = scratch / f"text-{size:g}gb"
            gigabytes = write_corpus(corpus, size * 1000) / 1e9
            work = Path(folder) / f"{size:g}"
            watched = run_manifest(corpus, work, workers)
            shutil.rmtree(work)
            cpu[size] = watched.cpu
            found |= {
                f"cpu_s_{size:g}gb": watched.cpu,
                f"seconds_{size:g}gb": watched.seconds,
                f"gb_core_hour_{size:g}gb": gigabytes / watched.cpu * 3600,
                f"peak_worker_mb_{size:g}gb": watched.peak / 1e6,
                f"tail_share_{size:g}gb": watched.tail_share,
            }
            print(json.dumps({name: round(value, 3) for name, value in found.items() if name.endswith(f"_{size:g}gb")}))
    for small, large in pairwise(sizes):
        found[f"cpu_growth_{large / small:g}x"] = cpu[large] / cpu[small]
    largest = f"{sizes[-1]:g}gb"
    found["peak_worker_mb"] = max(value for name, value in found.items() if name.startswith("peak_worker_mb_"))
    return found | {"tail_share": found[f"tail_share_{largest}"], "workers": workers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.2, 2], metavar="GB", help="gigabytes of text")
    parser.add_argument("--large", action="store_true", help="20 GB as well")
    parser.add_argument("--workers", type=int, default=2, help="processes to work with")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir(), "curate-growth"), help="for texts")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    sizes = options.sizes + [20.0] * options.large
    figures = {name: round(value, 3) for name, value in measure(sizes, options.workers, options.scratch).items()}
    for name, value in figures.items():
        print(f"{name:28}{value:>12}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
