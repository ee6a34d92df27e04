"""How fast near-duplicates are found, against the tools people use.

    python tests/bench/near_dedup.py [--json] [--wheels A B] [--planted N] [--megabytes M] [--corpus M] [--workers W]

Signatures: every tool gets the same texts in the same run, on one core, and does the whole work from text to
signatures: word 5-grams, 112 permutations. Figures are medians.

Whole deduplication: `dedup_with.py` on the sources of Python and the installed packages, from the start of a process to
its end, JSONL in and files out, with as many processes each.

Accuracy: of the default setting, against the true similarity of all pairs of a few thousand real documents: the .py
files of two versions of one project (`--wheels`, such as Django 4.2.16 and 5.0.9), or those of the standard library;
and of the latter with planted edits. Copies are left out, as they would flatter the figures.

Planted clusters: 20 million synthetic signatures, a fifth of them in clusters, ten of which hold 100,000 documents
each; what is timed is the way from signatures to components, by way of bins on disk, not the making of the signatures.
The peak of memory is that of a process of its own.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # rensa's threads: every tool has one core here

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planted import measure_planted

from curate.kernels.minhash import permutations, signatures
from curate.kernels.words import word_spans
from curate.stage_api import find_stage
from curate.testing import docs, run_group

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
N_GRAM, BUCKETS, ROWS = 5, 14, 8


def load_texts(megabytes: float) -> list[str]:
    """Real rows where they are at hand, else the sources of the standard library."""
    texts = []
    for path in sorted((SHARED / "rows").rglob("*.json*")):
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as lines:
            for line in lines if ".jsonl" in path.name or path.suffix == ".gz" else ():
                row = json.loads(line)
                texts.append(row.get("text") or row.get("content") or "")
    return up_to(megabytes, texts if any(texts) else sources("stdlib"))


def sources(scheme: str) -> Iterator[str]:
    """The texts of the .py files of the standard library (`stdlib`) or of all that is installed (`purelib`)."""
    for path in sorted(Path(sysconfig.get_path(scheme)).rglob("*.py")):
        if scheme != "stdlib" or "site-packages" not in path.parts:
            yield path.read_text(encoding="utf-8", errors="replace")


def up_to(megabytes: float, texts: Iterable[str]) -> list[str]:
    """As many texts, empty ones left out, as it takes to reach a size."""
    taken, size = [], 0
    for text in filter(None, texts):
        if size >= megabytes * 1e6:
            break
        taken.append(text)
        size += len(text.encode())
    return taken


def seconds(work, least: float = 0.5) -> float:
    """Time of one ``work()``, called as often as it takes to measure for ``least`` seconds."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < least:
        work()
        calls += 1
    return elapsed / calls


# --- signatures ---


def word_ngrams(text: str) -> list[str]:
    words = re.findall(r"[^\W_]+", text.lower())
    return [" ".join(words[i : i + N_GRAM]) for i in range(max(1, len(words) - N_GRAM + 1))]


def with_curate(texts: list[str]):
    encoded = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    drawn = permutations(BUCKETS * ROWS)
    return lambda: signatures(data, offsets, drawn, N_GRAM)


def with_datasketch(texts: list[str]):
    from datasketch import MinHash

    empty = MinHash(BUCKETS * ROWS, scheme="affine32")

    def work():
        for text in texts:
            empty.copy().update_batch([gram.encode() for gram in word_ngrams(text)])

    return work


def with_rensa(texts: list[str]):
    from rensa import RMinHash

    return lambda: RMinHash.digest_matrix_from_token_sets(map(word_ngrams, texts), BUCKETS * ROWS, 1)


def with_datatrove(texts: list[str]):
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from loguru import logger

    logger.remove()
    documents = [Document(text=text, id=str(i)) for i, text in enumerate(texts)]
    config = MinhashConfig(n_grams=N_GRAM, num_buckets=BUCKETS, hashes_per_bucket=ROWS)

    def work():
        with tempfile.TemporaryDirectory() as folder:
            MinhashDedupSignature(folder, config).run(documents)

    return work


def measure_signatures(megabytes: float, repeats: int) -> dict[str, float]:
    texts = load_texts(megabytes)
    size = sum(len(text.encode()) for text in texts) / 1e6
    tools = {
        "curate": with_curate,
        "datasketch": with_datasketch,
        "rensa": with_rensa,
        "datatrove": with_datatrove,
    }
    works = {name: tool(texts) for name, tool in tools.items()}
    works["curate"]()  # compiles
    # The tools take turns, so that other load on the machine falls on all of them.
    rounds = [{name: size / seconds(work) for name, work in works.items()} for _ in range(repeats)]
    speed = {name: statistics.median(figures[name] for figures in rounds) for name in works}
    print(f"signatures of {len(texts):,} texts, {size:.1f} MB, one core")
    for name, value in speed.items():
        print(f"  {name:<12}{value:>10.2f} MB/s{speed['curate'] / value:>10.1f} x")
    ratios = {f"signatures_x_{name}": speed["curate"] / value for name, value in speed.items() if name != "curate"}
    return {"signatures_mb_s": speed["curate"], **ratios}


# --- whole deduplication ---


def measure_dedup(megabytes: float, workers: int, repeats: int) -> dict[str, float]:
    texts = up_to(megabytes, chain(sources("purelib"), sources("stdlib")))
    spent, busy = {"curate": [], "datatrove": []}, {"curate": [], "datatrove": []}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        for part in range(4):
            rows = [json.dumps({"id": str(i), "text": texts[i]}) for i in range(part, len(texts), 4)]
            (Path(folder) / "in" / f"{part}.jsonl").write_text("\n".join(rows) + "\n")
        for tool in ["curate", "datatrove", *["curate"] * (repeats - 1)]:  # datatrove's minutes are timed once
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            script = Path(__file__).with_name("dedup_with.py")
            subprocess.run([sys.executable, script, tool, folder, str(workers)], check=True, stderr=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent[tool].append(time.perf_counter() - start)
            busy[tool].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            shutil.rmtree(Path(folder) / tool)
    medians = {tool: statistics.median(times) for tool, times in spent.items()}
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"whole deduplication of {len(texts):,} documents, {size:.1f} MB, in {workers} process(es)")
    for tool, median in medians.items():
        ratio, core = median / medians["curate"], statistics.median(busy[tool])
        print(f"  {tool:<12}{median:>10.2f} s{ratio:>10.1f} x   {core:.1f} s of a core; of {len(spent[tool])}")
    return {"dedup_x_datatrove": medians["datatrove"] / medians["curate"]}


# --- accuracy ---


def wheel_texts(wheels: list[str]) -> Iterator[str]:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as files:
            for name in sorted(files.namelist()):
                if name.endswith(".py"):
                    yield files.read(name).decode("utf-8", "replace")


def edited(text: str, share: float, rng: np.random.Generator) -> str:
    """The text with a share of its words replaced by others."""
    pieces = re.split(r"([^\W_]+)", text)  # every other one is a word
    for place in range(1, len(pieces), 2):
        if rng.random() < share:
            pieces[place] = f"edit{rng.integers(1 << 32)}"
    return "".join(pieces)


def planted_edits(texts: list[str]) -> list[str]:
    """Each text with two edited versions; 5-grams resemble the original by 0.5 to 1, most by 0.7 to 0.9."""
    rng = np.random.default_rng(0)
    return [version for text in texts for version in (text, *(edited(text, rng.beta(2, 60), rng) for _ in "ab"))]


def true_similarities(texts: list[str]) -> np.ndarray:
    """Jaccard similarity of the sets of word 5-grams, as strings, of all pairs of texts: float64[texts, texts]."""
    from scipy.sparse import csr_matrix

    numbers, indices, indptr = {}, [], [0]
    for text in texts:
        encoded = text.encode()
        starts, ends, _ = word_spans(np.frombuffer(encoded, np.uint8), np.array([0, len(encoded)]))
        words = [encoded[a:b].decode().lower() for a, b in zip(starts, ends, strict=True)]
        grams = {tuple(words[i : i + N_GRAM]) for i in range(max(1, len(words) - N_GRAM + 1))}
        indices += [numbers.setdefault(gram, len(numbers)) for gram in grams]
        indptr.append(len(indices))
    ones = np.ones(len(indices), np.int32)
    sets = csr_matrix((ones, indices, indptr), (len(texts), len(numbers)))
    shared = (sets @ sets.T).toarray()
    sizes = np.diff(indptr)
    return shared / (sizes[:, None] + sizes - shared)


def accuracy(texts: list[str]) -> tuple[int, int, int, int, int]:
    """(documents that all-pairs comparison removes, of these removed, all removed, of these rightly, pairs left)."""
    stage = find_stage("near_dedup")
    threshold = stage.configure({})["threshold"]
    (found,) = run_group(stage, [docs(*texts)], stage.configure({}))
    found = found.select(["id", "duplicate_of"]).to_pylist()
    row_of = {row["id"]: place for place, row in enumerate(found)}
    similar = true_similarities(texts)
    np.fill_diagonal(similar, 0)
    wanted, kept = set(), []
    for row in sorted(range(len(texts)), key=lambda row: found[row]["id"]):  # keep order
        if (similar[row, kept] >= threshold).any():
            wanted.add(row)
        else:
            kept.append(row)
    removed = {row: row_of[found[row]["duplicate_of"]] for row in range(len(texts)) if found[row]["duplicate_of"]}
    right = sum(similar[row, other] >= threshold for row, other in removed.items())
    left = np.setdiff1d(np.arange(len(texts)), list(removed))
    pairs = int((similar[np.ix_(left, left)] >= threshold).sum()) // 2
    return len(wanted), len(wanted & removed.keys()), len(removed), int(right), pairs


def measure_accuracy(wheels: list[str]) -> dict[str, float]:
    real = list(wheel_texts(wheels)) if wheels else up_to(12, sources("stdlib"))
    corpora = {
        "versions of a project" if wheels else "standard library": real,
        "planted edits": planted_edits([text for text in up_to(10, sources("stdlib")) if len(text) > 1000]),
    }
    total = np.zeros(5, int)
    print("accuracy of the default setting against all pairs, J >= 0.8")
    for name, texts in corpora.items():
        texts = list(dict.fromkeys(filter(None, texts)))
        wanted, met, removed, right, pairs = accuracy(texts)
        total += (wanted, met, removed, right, pairs)
        print(
            f"  {name}: {len(texts):,} documents, {wanted:,} to remove, recall {met / max(wanted, 1):.4f}; "
            f"{removed:,} removed, precision {right / max(removed, 1):.4f}; {pairs} pairs left above the threshold"
        )
    wanted, met, removed, right, pairs = total
    return {"recall_at_08": met / wanted, "precision_exact": right / removed, "pairs_left_above_threshold": int(pairs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--planted", type=int, default=20_000_000, metavar="N", help="planted signatures; 0: none")
    parser.add_argument("--megabytes", type=float, default=3, help="text for the comparison of signatures")
    parser.add_argument("--corpus", type=float, default=192, metavar="M", help="megabytes to deduplicate; 0: none")
    parser.add_argument("--workers", type=int, default=1, help="processes to deduplicate with")
    parser.add_argument("--wheels", nargs="+", default=[], metavar="FILE", help="versions of one project")
    parser.add_argument("--repeats", type=int, default=3, help="rounds in which each tool is timed")
    options = parser.parse_args()
    figures = {}
    if options.planted:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            figures |= pool.submit(measure_planted, options.planted).result()
    figures |= measure_signatures(options.megabytes, options.repeats)
    figures |= measure_accuracy(options.wheels)
    if options.corpus:
        figures |= measure_dedup(options.corpus, options.workers, options.repeats)
    if options.json:
        print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
