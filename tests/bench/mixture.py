"""How long a new weight takes over many documents: from the manifest to what is drawn, before shards are written.

    python tests/bench/mixture.py [--documents 1000000] [--json]

Makes Parquet files of documents of a few words in three sources, runs a manifest with two phases up to its mixture, and
then with other weights, as often as --repeats says. `reweight_seconds` is the median of the whole way: reading the
manifest, identifying the inputs, planning, drawing, and the mixture's totals. `peak_bytes_per_document` is the memory
that the sort of all documents takes at its peak, by `tracemalloc`, over a million documents in arrays.
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

from curate.engine.execute import Ended
from curate.engine.store import Store
from curate.manifest.manifest import load
from curate.mix.mixture import Mixture
from curate.mix.splits import Candidates, compose
from curate.release.lock import mixture_of
from curate.release.make import prepare, run_events

SHARES = {"web": 0.6, "code": 0.3, "wiki": 0.1}
"""Of the documents, by source."""


def write(folder: Path, documents: int) -> None:
    chance = np.random.default_rng(0)
    for name, share in SHARES.items():
        count = int(documents * share)
        words = chance.integers(0, 10_000, count).astype(str)
        text = pa.array([f"{word} of {name} {'and so on ' * (place % 9)}" for place, word in enumerate(words)])
        pq.write_table(pa.table({"text": text}), folder / f"{name}.parquet")


def manifest(folder: Path, web: float) -> Path:
    weights = {"web": web, "code": round(0.8 - web, 3), "wiki": 0.2}
    phases = [{"name": "main", "budget": "12M"}, {"name": "long", "budget": "3M"}]
    mixture = {"unit": "bytes", "weights": weights, "repeats": 3, "validation": 0.002, "phases": phases}
    sources = {name: {"inputs": [f"{name}.parquet"]} for name in SHARES}
    document = {"name": "many", "version": "1.0.0", "license": "other", "sources": sources, "mixture": mixture}
    path = folder / "many.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def draw(path: Path, work: Path) -> tuple[float, dict]:
    """Seconds until the mixture is drawn, and its totals."""
    start = time.perf_counter()
    for event in run_events(path, work, workers=0):
        if isinstance(event, Ended) and event.job.task == "mix":
            break
    totals = mixture_of(prepare(load(path), work), Store(work / "store"))
    return time.perf_counter() - start, totals


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
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write(home, options.documents)
        first, _ = draw(manifest(home, 0.5), home / "work")
        times = []
        for number in range(options.repeats):
            seconds, totals = draw(manifest(home, round(0.45 + number / 100, 3)), home / "work")
            times.append(seconds)
            for split in totals["splits"]:
                for key in split["keys"].values():
                    assert abs(key["share"] - key.get("asked", key["share"])) < 0.001
    found = {
        "documents": options.documents,
        "first_seconds": round(first, 2),
        "reweight_seconds": round(statistics.median(times), 2),
        "peak_bytes_per_document": round(peak(), 1),
    }
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:>24}  {value:,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
