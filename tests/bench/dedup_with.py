"""Near-deduplication of a folder from JSONL to files, with one tool: what `near_dedup.py` times as a whole process.

    python tests/bench/dedup_with.py curate|datatrove FOLDER WORKERS

Reads FOLDER/in/*.jsonl (`text`, `id`) and writes FOLDER/TOOL. Both compare word 5-grams by 14 bands of 8 rows, which
are datatrove's defaults. What curate does beyond that is what it always does: it verifies each removal by the true
Jaccard similarity, and writes a release with evidence, index, card and lock.
"""

import os
import sys
from pathlib import Path

MANIFEST = """
name: bench
version: 0.1.0
license: other
sources:
  docs: {inputs: [in], format: jsonl, columns: {text: text, meta: [id]}}
stages:
  - near_dedup: {ngram: 5, bands: 14, rows: 8, max_removed: 1}
"""


def curate(folder: Path, workers: int) -> None:
    """One worker is this process itself, as with datatrove."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from curate import run

    manifest = folder / "manifest.yaml"
    manifest.write_text(MANIFEST)
    for _ in run(manifest, folder / "curate", workers=workers if workers > 1 else 0):
        pass


def datatrove(folder: Path, workers: int) -> None:
    """Its four steps, with a task a file and, in the second, a task a bucket; kept documents are not compressed."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    files = len(list((folder / "in").iterdir()))
    out = folder / "datatrove"
    reader = JsonlReader(str(folder / "in"))
    signatures, pairs, clusters = (str(out / name) for name in ("signatures", "pairs", "clusters"))
    writer = JsonlWriter(str(out / "kept"), compression=None)
    for tasks, steps in (
        (files, [reader, MinhashDedupSignature(signatures, config)]),
        (config.num_buckets, [MinhashDedupBuckets(signatures, pairs, config=config)]),
        (1, [MinhashDedupCluster(pairs, clusters, config=config)]),
        (files, [reader, MinhashDedupFilter(clusters), writer]),
    ):
        logs = str(out / "logs" / type(steps[-1]).__name__)
        LocalPipelineExecutor(steps, tasks=tasks, workers=min(workers, tasks), logging_dir=logs).run()


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    {"curate": curate, "datatrove": datatrove}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
