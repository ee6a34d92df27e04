"""How fast documents are measured and filtered, alone and together, against the tools people use.

    python tests/bench/signals.py [--json] [--megabytes M] [--repeats R]

Every tool has one core and the same documents in the same run: web pages in many languages, and rows of datasets.
What is measured together is every signal, language, quality, tokens and MinHash signatures, one after the other, which
is what a crawl's text costs before anything is decided. A filter judges every document, also those that another one
rejects. Speeds are a core's, the best of the repeats by processor time; ratios are of those. What the fastText
models do comes from ``classifiers.py``. Needs the ``bench`` extra and the documents in ``../shared/data``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = os.environ["TOKENIZERS_PARALLELISM"] = "1"  # every tool has one core

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import classifiers
from curate.dedup.near_dedup import Scheme
from curate.stage_api import find_stage, stage_homes

HERE = Path(__file__).resolve().parent
TOKENIZER = classifiers.DATA / "tokenizers" / "gpt-neox-dolma.json"
FILTERS = {
    "gopher_quality": "GopherQualityFilter",
    "gopher_repetition": "GopherRepetitionFilter",
    "c4": "C4QualityFilter",
    "fineweb": "FineWebQualityFilter",
}
DATATROVE_MEGABYTES = 0.5  # of each kind of document: it takes a while


def fastest(work: Callable, repeats: int) -> float:
    """Processor seconds of the fastest of some calls, after one that compiles."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def table_of(texts: list[str]) -> tuple[pa.Table, float]:
    """The texts as a document table, and their size in megabytes."""
    return pa.table({"text": texts}), sum(len(text.encode()) for text in texts) / 1e6


def measure_filters(texts: list[str], repeats: int) -> dict:
    """Ours and datatrove's filters, each alone and all of them, in MB/s."""
    from datatrove.data import Document
    from datatrove.pipeline import filters

    table, megabytes = table_of(texts)
    ours = {name: fastest(partial(find_stage(name), table), repeats) for name in FILTERS}
    theirs = {}
    for name, block in FILTERS.items():
        judge = getattr(filters, block)()
        documents = [Document(text=text, id="") for text in texts]
        judge.filter(Document(text=texts[0], id=""))  # loads its model
        start = time.process_time()
        for document in documents:
            judge.filter(document)
        theirs[name] = time.process_time() - start
    both = {f"{name}_x_datatrove": theirs[name] / ours[name] for name in FILTERS}
    return {
        **{f"{name}_mb_s": megabytes / ours[name] for name in FILTERS},
        **both,
        "filters_mb_s": megabytes / sum(ours.values()),
        "filters_x_datatrove": sum(theirs.values()) / sum(ours.values()),
    }


def measure_tokens(texts: list[str], repeats: int) -> dict:
    import tokenizers

    table, megabytes = table_of(texts)
    stage, library = find_stage("tokens"), tokenizers.Tokenizer.from_file(str(TOKENIZER))
    ours = fastest(lambda: stage(table, tokenizer=str(TOKENIZER)), repeats)
    theirs = fastest(lambda: [len(library.encode(text, add_special_tokens=False)) for text in texts], 1)
    return {"tokens_mb_s": megabytes / ours, "tokens_x_tokenizers": theirs / ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--megabytes", type=float, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not classifiers.DATA.is_dir():
        parser.error(f"no documents in {classifiers.DATA}")

    halves = classifiers.read_documents(options.megabytes)
    texts = [text for half in halves for text in half]
    table, megabytes = table_of(texts)
    result = {"megabytes": megabytes, "documents": len(texts)}

    signals, scheme = find_stage("signals"), Scheme.of(**find_stage("near_dedup").configure({"bands": 14, "rows": 8}))
    result["signals_mb_s"] = megabytes / fastest(lambda: signals(table), options.repeats)
    result["signatures_mb_s"] = megabytes / fastest(lambda: scheme.signatures(table["text"]), options.repeats)
    models = [sys.executable, str(HERE / "classifiers.py"), "--megabytes", str(options.megabytes)]
    models += ["--repeats", str(options.repeats)]
    result |= json.loads(subprocess.run(models, stdout=subprocess.PIPE, check=True, text=True).stdout)
    parts = ["signals", "signatures", "language", "quality"]
    if "tokens" in stage_homes():
        result |= measure_tokens(texts, options.repeats)
        parts.append("tokens")
    result["all_parts"] = parts
    result["all_mb_s"] = 1 / sum(1 / result[f"{part}_mb_s"] for part in parts)
    few = [text for half in halves for text in classifiers.take(half, DATATROVE_MEGABYTES)]
    result |= measure_filters(few, options.repeats)

    for name, value in result.items():
        print(f"{name:32}{value:12,.6g}" if isinstance(value, int | float) else f"{name:32}{', '.join(value):>12}")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
