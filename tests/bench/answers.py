"""How long a person waits for an answer about a release of a million documents.

    python tests/bench/answers.py [--documents 1000000] [--json]

The release is made first, of rows of which a tenth is too short and a tenth repeats another. Each figure is the median
of five commands, from their start to their end, with the start of Python:

query_s    `curate query` counts rejected documents by stage and reason
sample_s   `curate sample` shows ten rejected documents, of one reason
explain_s  `curate explain` of a document by its id; explain_url_s: by its URL

sample_run_s is `sample_s` of the run, which has the texts of what is out.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from releases import WORDS, released_rows, write_manifest  # noqa: E402

from curate import run  # noqa: E402

FILES, TRIES = 8, 5


def write_corpus(folder: Path, documents: int) -> None:
    """FOLDER/*.jsonl with so many rows of some 20 words."""
    chance, texts = random.Random(1), [""]
    for place in range(FILES):
        with (folder / f"{place}.jsonl").open("w", encoding="utf-8") as file:
            for row in range(documents // FILES):
                kind = chance.random()
                text = (
                    chance.choice(texts) if kind < 0.1 else " ".join(chance.choices(WORDS, k=2 if kind < 0.2 else 20))
                )
                texts += [text] * (len(texts) < 1000)
                file.write(json.dumps({"text": text, "url": f"https://{place}.example/{row}"}) + "\n")


def seconds(*arguments: str | Path) -> float:
    """The median time of a command."""
    taken = []
    for _ in range(TRIES):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "curate", *map(str, arguments)], check=True, capture_output=True, cwd=ROOT
        )
        taken.append(time.perf_counter() - start)
    return round(statistics.median(taken), 2)


def measured(documents: int, folder: Path) -> dict:
    write_corpus(folder, documents)
    document = {
        "name": "asked",
        "version": "1.0.0",
        "license": "mit",
        "sources": {"rows": {"inputs": ["*.jsonl"], "columns": {"text": "text", "url": "url"}}},
        "stages": [{"length": {"min_words": 5}}, "exact_dedup"],
    }
    manifest, work = write_manifest(folder / "manifest.yaml", document), folder / "work"
    start = time.perf_counter()
    release = run(manifest, work, progress=False).path
    taken = time.perf_counter() - start
    row = released_rows(release)[documents // 3]
    by_reason = "select stage, reason, count(*) as n from rejected group by all"
    return {
        "documents": documents,
        "run_s": round(taken, 1),
        "query_s": seconds("query", by_reason, release),
        "sample_s": seconds("sample", release, "--reason", "too_few_words"),
        "sample_run_s": seconds("sample", manifest, "--work", work, "--reason", "too_few_words"),
        "explain_s": seconds("explain", release, row["id"]),
        "explain_url_s": seconds("explain", release, row["url"]),
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
