"""How large the report of a large release is, how long it takes to make, and to open in Chromium.

    python tests/bench/report_page.py [--documents 1000000] [--json]

Documents and near-duplicates are made up; the lock is that of a small run over six sources. Prints `report_mb` (1e6
bytes), `figures_s` (reading the shards and the evidence), `report_s` (that and the page), `read_s` (a bare loop that
reads the columns `source`, `url` and `text` of all shards), and `report_open_s`: the median time from address to the
load event of the page in a browser that runs already; null without Chromium.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import Browser, installed
from releases import WORDS, release, resembling, rows, write_jsonl, write_manifest

from curate.release.fetched import Held
from curate.release.figures import figures
from curate.release.report import render
from curate.release.typed_lock import File, Lock

SOURCES, SHARDS, NEAR = 6, 8, 5
"""Sources; shards; one in so many documents is in a cluster."""


def small_lock(folder: Path) -> Lock:
    """The lock of a run over six sources, with signals, thresholds and near-duplicates."""
    for place in range(SOURCES):
        first = rows(place, 40)
        write_jsonl(folder / f"{place}.jsonl", first + resembling(90 + place, first[:10]))
    stages = ["length", "signals", {"filter": {"upper": "mean_word_length > 12"}}, "near_dedup"]
    columns = ["n_words", "n_chars", "mean_word_length", "hash_ratio", "letter_word_share", "n_stop_words"]
    document = {
        "name": "large",
        "version": "1.0.0",
        "license": "mit",
        "sources": {f"source-{place}": {"inputs": [f"{place}.jsonl"]} for place in range(SOURCES)},
        "stages": stages,
        "shards": {"size": "1MB", "columns": columns},
    }
    return release(write_manifest(folder / "manifest.yaml", document), folder / "work").typed


def write_release(folder: Path, lock: Lock, documents: int) -> Lock:
    """Files of a release of so many documents, and the lock that names them."""
    random, files = np.random.default_rng(1), []
    texts = pa.array([" ".join(random.choice(WORDS, 20 * (n + 1))) for n in range(100)])
    for shard in range(SHARDS):
        count = documents // SHARDS
        source = random.integers(0, SOURCES, count)
        columns = {
            "id": pa.array([f"{shard:04x}{n:028x}" for n in range(count)]),
            "text": texts.take(pa.array((random.pareto(1.2, count) * 10).astype(int).clip(0, 99))),
            "source": pa.array([f"source-{n}" for n in range(SOURCES)]).take(pa.array(source)),
            "url": pa.array([f"https://host{n}.example/{n}" for n in (random.pareto(1, count) * 50).astype(int)]),
            "date": pa.array([f"{year}-01-01" for year in range(2000, 2026)]).take(
                pa.array(random.integers(0, 26, count))
            ),
        }
        columns |= {
            name: pa.array(
                (random.pareto(2, count) * 100).astype("i4") if kind.startswith("int") else random.random(count)
            )
            for name, kind in lock.columns.items()
            if kind.startswith(("int", "float", "double"))
        }
        files.append(_written(folder, f"data/train-{shard:05d}-of-{SHARDS:05d}.parquet", pa.table(columns)))
    count = documents // NEAR
    cluster = pa.array([f"{n:032x}" for n in (random.pareto(1, count) * documents / 50).astype(int)])
    similarity = pa.array(random.uniform(0.8, 1, count), mask=random.random(count) < 0.3)
    sources = pa.array([f"source-{n}" for n in random.integers(0, SOURCES, count)])
    near = {"source": sources, "cluster": cluster, "similarity": similarity, "kept": similarity.is_null()}
    files.append(_written(folder, "evidence/near_duplicates.parquet", pa.table(near)))
    return lock.model_copy(update={"files": files})


def _written(folder: Path, path: str, table: pa.Table) -> File:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / path, row_group_size=10_000, compression="zstd")
    size = (folder / path).stat().st_size
    return File(path=path, bytes=size, sha256="0" * 64, rows=table.num_rows, text_bytes=size)


def opened(page: Path, folder: Path) -> float | None:
    """Seconds that a browser takes to open a page, the median of five."""
    if not installed():
        return None
    browser, taken = Browser(folder), []
    browser.show(1280, "light")
    for _ in range(5):
        browser.open("about:blank")
        start = time.perf_counter()
        browser.open(page)
        taken.append(time.perf_counter() - start)
    browser.close()
    return statistics.median(taken)


def measured(documents: int, folder: Path) -> dict:
    lock = write_release(folder / "release", small_lock(folder / "small"), documents)
    start = time.perf_counter()
    found = figures(Held(folder / "release", lock, published=False))
    middle = time.perf_counter()
    (folder / "report.html").write_text(render(lock, "name: large\n", found), encoding="utf-8")
    end = time.perf_counter()
    for file in lock.shards:
        pq.read_table(folder / "release" / file.path, columns=["source", "url", "text"], use_threads=False)
    return {
        "documents": documents,
        "report_mb": round((folder / "report.html").stat().st_size / 1e6, 3),
        "figures_s": round(middle - start, 2),
        "report_s": round(end - start, 2),
        "read_s": round(time.perf_counter() - end, 2),
        "report_open_s": opened(folder / "report.html", folder / "browser"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(given.documents, Path(folder))
    print(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
