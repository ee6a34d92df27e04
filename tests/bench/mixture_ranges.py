"""How long a mixture of very many documents takes, by ranges of the hash line, and the memory of its largest job.

    python tests/bench/mixture_ranges.py [--documents 2000000 | --large] [--json]

Writes what the job `order` makes of each partition, without texts, then runs the mixture's jobs one after the other,
each in a process of its own. `mixture_seconds` is the time of these jobs, all added up, `mixture_longest_seconds` that
of the longest, which no number of workers makes shorter; `mixture_peak_mb` is the memory of the largest process at its
peak. `--large` takes 50 million documents in 500 partitions.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time

import numpy as np
import pyarrow as pa

from curate.engine.exchange import BinnedWriter
from curate.engine.job import Job
from curate.engine.jobs import run_job
from curate.engine.mix_ranges import plan_ranges
from curate.engine.planner import Planner
from curate.engine.store import Store
from curate.mix.mixture import Mixture
from curate.mix.ranges import range_of, ranges_for

PARTITION = 100_000
"""Documents of a partition."""

MIXTURE = {
    "weights": {"web": 0.5, "code": 0.3, "wiki": 0.2},
    "repeats": 3,
    "validation": 0.002,
    "phases": [{"name": "main"}, {"name": "long", "budget": "1B", "weights": {"web": 0.4, "code": 0.6}}],
}


def orders(planner: Planner, store: Store, documents: int, ranges: int) -> list[str]:
    """Write the parts of `order`."""
    chance, made = np.random.default_rng(0), []
    for first in range(0, documents, PARTITION):
        count = min(PARTITION, documents - first)
        line = chance.integers(0, 1 << 64, count, np.uint64)
        size = chance.integers(100, 9000, count)
        keys = pa.array(["code", "web", "wiki"]).take(pa.array(chance.choice(3, count, p=[0.3, 0.6, 0.1])))
        columns = {"doc": np.arange(count, dtype=np.uint64), "order": line, "bytes": size, "key": keys}
        columns |= {"tokens": size // 4, "bin": range_of(line, ranges)}
        fp = planner.add("order", f"{first}: order", {"first": first})
        with store.commit(fp) as (draft, counts):
            with BinnedWriter(draft, counts) as writer:
                writer.write(pa.table(columns))
            counts["rows"] = count
        made.append(fp)
    return made


def measured(root: str, job: Job) -> tuple[float, float]:
    """Seconds that a job takes, and the MB of this process at its peak."""
    start = time.perf_counter()
    run_job(root, job)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2_000_000)
    parser.add_argument("--large", action="store_true", help="50 million documents")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    documents = 50_000_000 if options.large else options.documents
    ranges = max(ranges_for(-(-documents // PARTITION)), 2)
    times, peaks = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        planner, store = Planner(), Store(folder)
        made = orders(planner, store, documents, ranges)
        args = {"mixture": Mixture(**MIXTURE).choice(), "unit": "tokens", "shard_bytes": 256_000_000}
        mix = plan_ranges(planner, planner.barrier("order", made), args, ranges)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            for job in planner.jobs.values():
                if job.task not in ("order", "barrier"):
                    seconds, peak = pool.apply(measured, (folder, job))
                elif job.task == "barrier":
                    run_job(folder, job)
                    continue
                else:
                    continue
                times.setdefault(job.task, []).append(seconds)
                peaks[job.task] = max(peaks.get(job.task, 0), peak)
        mixed = store.counts(mix)
    assert mixed["documents"] == documents
    found = {
        "documents": documents,
        "ranges": ranges,
        "mixture_seconds": round(sum(map(sum, times.values())), 2),
        "mixture_longest_seconds": round(max(map(max, times.values())), 2),
        "mixture_peak_mb": round(max(peaks.values())),
    }
    found |= {f"{task}_seconds": round(sum(seconds), 2) for task, seconds in times.items()}
    found |= {f"{task}_peak_mb": round(peak) for task, peak in peaks.items()}
    print(json.dumps(found) if options.json else "\n".join(f"{name:>24}  {value:,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
