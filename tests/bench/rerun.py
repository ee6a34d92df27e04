"""How long another value of one setting takes to the new lock, and which jobs run again for it.

    python tests/bench/rerun.py --json [--documents 1000000] [--workers 2]

Makes a release of synthetic documents (short ones, one in five a near-duplicate of another), then changes in turn the
`threshold` of `near_dedup`, its `keep`, a weight of the mixture and a rule of `filter`. Prints `threshold_s`, `keep_s`,
`weight_s`, `filter_s` (seconds to the new lock), `jobs_rerun` ({change: {step: jobs}}) and `full_s`, the first run.
"""

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from curate.engine.execute import Ended
from curate.release.make import Released, run_events

FILE_DOCUMENTS = 25_000
WORDS = 60
"""Words of a document, of 6 letters on average."""

DOCUMENT = {
    "name": "rerun",
    "version": "1.0.0",
    "license": "cc0-1.0",
    "sources": {
        name: {"inputs": [f"{name}-*.parquet"], "pipeline": [{"length": {"min_words": 1}}]} for name in ("web", "books")
    },
    "stages": [{"near_dedup": {"threshold": 0.8}}, {"filter": {"short": "n_words < 20"}}],
    "mixture": {"weights": {"web": 0.6, "books": 0.4}, "unit": "bytes"},
}

CHANGES = {
    "threshold": lambda d: d["stages"][0]["near_dedup"].update(threshold=0.7),
    "keep": lambda d: d["stages"][0]["near_dedup"].update(keep=["-n_words"]),
    "weight": lambda d: d["mixture"]["weights"].update(web=0.5, books=0.5),
    "filter": lambda d: d["stages"][1]["filter"].update(short="n_words < 21"),
}


def write_inputs(folder: Path, documents: int) -> None:
    """Parquet files of documents of random words; one in five is one of the thousand before it, a few words changed."""
    chance = np.random.default_rng(0)
    vocabulary = np.array(["".join(map(chr, word)) for word in chance.integers(97, 123, (20_000, 6))])
    for number, start in enumerate(range(0, documents, FILE_DOCUMENTS)):
        count = min(FILE_DOCUMENTS, documents - start)
        words = chance.integers(0, len(vocabulary), (count, WORDS))
        near = np.flatnonzero(chance.random(count) < 0.2)
        near = near[near >= 1000]
        words[near] = words[near - chance.integers(1, 1000, len(near))]
        changed = chance.integers(0, 14, len(near))  # words at the end: a similarity of 1 to 0.6
        for most in range(1, 14):
            rows = near[changed >= most]
            words[rows, WORDS - most] = chance.integers(0, len(vocabulary), len(rows))
        lengths = chance.integers(18, WORDS + 1, count)
        lengths[near] = WORDS
        texts = [" ".join(vocabulary[row[:length]]) for row, length in zip(words, lengths, strict=True)]
        name = ("web", "books")[number % 2]
        pq.write_table(pa.table({"text": texts}), folder / f"{name}-{number:05d}.parquet")


def timed(manifest: Path, work: Path, workers: int | None) -> tuple[float, dict[str, int], str]:
    """Seconds of a run, its jobs by step, and the digest it came to."""
    start, jobs, digest = time.perf_counter(), Counter(), ""
    for event in run_events(manifest, work, workers=workers, replace=True):
        if isinstance(event, Ended):
            jobs[
                re.sub(r"( \d+)?(,? (web|books|bin|shard))? ?\d+/\d+|^(web|books) \d+/\d+: ", "", event.job.label)
            ] += 1
        elif isinstance(event, Released):
            digest = event.lock["digest"]
    return time.perf_counter() - start, dict(sorted(jobs.items())), digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curate-rerun-") as name:
        folder, found, jobs = Path(name), {"documents": options.documents}, {}
        write_inputs(folder, options.documents)
        manifest = folder / "manifest.yaml"
        document = yaml.safe_load(yaml.safe_dump(DOCUMENT))
        manifest.write_text(yaml.safe_dump(document, sort_keys=False))
        seconds, everything, before = timed(manifest, folder / "work", options.workers)
        found |= {"full_s": round(seconds, 1), "jobs": sum(everything.values())}
        for change, edit in CHANGES.items():
            edit(document)
            manifest.write_text(yaml.safe_dump(document, sort_keys=False))
            seconds, jobs[change], digest = timed(manifest, folder / "work", options.workers)
            assert digest != before, f"another {change} changed nothing"
            before = digest
            found[f"{change}_s"] = round(seconds, 1)
        found["jobs_rerun"] = jobs
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
