"""How long another mixture takes over many documents: from the manifest to what is drawn, and to the new lock.

    python tests/bench/mixture.py [--documents 1000000] [--json]

Makes Parquet files of documents of a few words in three sources, some of them copies of others, counts the copies, cuts
buckets, and runs a manifest with two phases up to its mixture. Then it changes one thing, as often as --repeats says:
a weight, the power of the curve over the buckets, how often copies are repeated, the buckets. The median of the whole
way of each is `reweight_seconds`, `recurve_seconds`, `rehydrate_seconds` and `rebucket_seconds`: reading the manifest,
identifying the inputs, planning, drawing, and the mixture's totals. `lock_seconds` is the way of another curve to the
lock of a new release, once, with evidence and shards written.

`share_error_points` is the largest difference between a share of a key that was asked for and the one that was drawn,
in percentage points. `unique_bytes` and `repeated_bytes` are those of the release. `peak_bytes_per_document` is the
memory that the sort of all documents takes at its peak, by `tracemalloc`, over a million documents in arrays.
"""

import argparse
import json
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import curate
from curate.engine.execute import Ended
from curate.engine.store import Store
from curate.manifest.manifest import load
from curate.mix.mixture import Mixture
from curate.mix.splits import Candidates, compose
from curate.release.make import prepare, run_events

SHARES = {"web": 0.6, "code": 0.3, "wiki": 0.1}
"""Of the documents, by source."""

COPIES = 0.2
"""Share of the documents that are copies of others, some of very many."""


def write(folder: Path, documents: int) -> None:
    chance = np.random.default_rng(0)
    for name, share in SHARES.items():
        number = np.arange(int(documents * share))
        copy = chance.random(len(number)) < COPIES
        number[copy] = chance.pareto(0.5, copy.sum()).astype(np.int64) % len(number)
        text = pa.array([f"{place} of {name} {'and so on ' * (place % 9)}" for place in number.tolist()])
        pq.write_table(pa.table({"text": text}), folder / f"{name}.parquet")


def manifest(
    folder: Path, documents: int, web: float = 0.5, power: float = 2.0, most: int = 5, buckets: int = 20
) -> Path:
    weights = {"web": web, "code": round(0.8 - web, 3), "wiki": 0.2}
    phases = [{"name": "main", "budget": documents * 12}, {"name": "long", "budget": documents * 3}]
    mixture = {"unit": "bytes", "weights": weights, "repeats": 9, "validation": 0.002, "phases": phases}
    mixture["curve"] = {"drop": 40, "power": power, "most": 7}
    mixture["rehydrate"] = {2: 2, 3: 3, 5: most, 100: 8, 1000: 1}
    stages = [
        {"exact_dedup": {"counts": "source"}},
        {"bucket": {"column": "position", "buckets": buckets, "within": "source", "name": "quality_bucket"}},
    ]
    document = {"name": "many", "version": "1.0.0", "license": "other", "stages": stages, "mixture": mixture}
    document["sources"] = {name: {"inputs": [f"{name}.parquet"]} for name in SHARES}
    path = folder / "many.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


CHANGES = {
    "reweight": lambda number: {"web": round(0.45 + number / 100, 3)},
    "recurve": lambda number: {"power": 1 + number / 8},
    "rehydrate": lambda number: {"most": 6 + number},
    "rebucket": lambda number: {"buckets": 21 + number},
}
"""{what is changed: parameters of `manifest`}"""


def draw(path: Path, work: Path) -> tuple[float, dict]:
    """Seconds until the mixture is drawn, and its totals."""
    start = time.perf_counter()
    for event in run_events(path, work, workers=0):
        if isinstance(event, Ended) and event.job.task == "mix":
            break
    totals = Store(work / "store").marker(prepare(load(path), work).mix)
    return time.perf_counter() - start, totals


def share_error(totals: dict) -> float:
    """The largest difference of a key's share, in percentage points."""
    keys = [key for split in totals["splits"] for key in split["keys"].values() if "asked" in key]
    return 100 * max(abs(key["share"] - key["asked"]) for key in keys)


def peak(count: int = 1_000_000) -> float:
    """Bytes a document that `compose` allocates at its peak, beside the documents themselves."""
    chance = np.random.default_rng(0)
    documents = Candidates(
        np.arange(count, dtype=np.uint64),
        chance.integers(0, 1 << 64, count, np.uint64),
        chance.integers(1, 9000, count).astype(np.uint32),
        None,
        chance.integers(0, 3, count).astype(np.int32),
        ["code", "web", "wiki"],
    )
    choice = Mixture(weights={"web": 0.4, "code": 0.3, "wiki": 0.3}).choice()
    tracemalloc.start()
    compose(documents, choice, "bytes", 256_000_000)
    return tracemalloc.get_traced_memory()[1] / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict = {"documents": options.documents}
    with tempfile.TemporaryDirectory() as folder:
        home, work, errors = Path(folder), Path(folder) / "work", []
        write(home, options.documents)
        first, _ = draw(manifest(home, options.documents), work)
        found["first_seconds"] = round(first, 2)
        for name, change in CHANGES.items():
            times = []
            for number in range(options.repeats):
                seconds, totals = draw(manifest(home, options.documents, **change(number)), work)
                times.append(seconds)
                errors.append(share_error(totals))
            found[f"{name}_seconds"] = round(statistics.median(times), 2)
        path, start = manifest(home, options.documents, power=3), time.perf_counter()
        made = curate.run(path, work, workers=0)
        found["lock_seconds"] = round(time.perf_counter() - start, 2)
        splits = [split for split in made.lock["mixture"]["splits"] if "asked" in split]
        errors.append(share_error(made.lock["mixture"]))
    found["share_error_points"] = round(max(errors), 4)
    found["unique_bytes"] = sum(split["unique_amount"] for split in splits)
    found["repeated_bytes"] = sum(split["amount"] for split in splits) - found["unique_bytes"]
    found["peak_bytes_per_document"] = round(peak(), 1)
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:>24}  {value:,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
