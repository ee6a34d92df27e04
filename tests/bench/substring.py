"""How fast repeated passages are found, beside a suffix array, and whether they are the same.

    python tests/bench/substring.py [--json] [--megabytes M] [--large]

Both get the same texts in the same run, on one core: the ASCII .py files of what is installed, where 7% of the bytes
repeat. Ours is the whole stage, from texts to texts; the suffix array is that of `pydivsufsort`, one of the fastest
there is, with its common prefixes and the marks of repeated bytes; it cuts nothing. Figures are of processor time.

mb_s             text a second of ours
x_suffix_array   its processor time in terms of ours
equal_to_suffix_array  whether the bytes that repeat are the same
removed_share    of the bytes

With `--large`, also a run of the command on 2 GB of JSON Lines with two workers:

peak_worker_mb   the largest process of it
large_mb_s       text a second of processor time, of the whole run: reading, writing and hashing too
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from near_dedup import sources, up_to

from curate.stage_api import find_stage
from curate.testing import docs, run_group

LENGTH, PARTITION = 500, 500
MANIFEST = """name: passages
version: 1.0.0
license: mit
sources:
  files: {inputs: [files-*.jsonl]}
stages:
  - substring_dedup
"""


def timed(function, *args):
    """(what it returns, seconds of processor time)"""
    begin = time.process_time()
    result = function(*args)
    return result, time.process_time() - begin


def ours(texts: list[str]) -> list[str]:
    """The texts without repeats, cut at any character, none rejected unless nothing is left."""
    stage = find_stage("substring_dedup")
    params = stage.configure({"min_bytes": LENGTH, "boundary": "character", "max_share": 1.0, "bins": 4})
    table = docs(*texts, id=[f"{number:032x}" for number in range(len(texts))])
    partitions = [table.slice(at, PARTITION) for at in range(0, len(texts), PARTITION)]
    found = run_group(stage, partitions, params)
    out = [reason is not None for part in found for reason in part["reject"].to_pylist()]
    left = [text for part in found for text in part["text"].to_pylist()]
    return ["" if gone else text for gone, text in zip(out, left, strict=True)]


def marked(texts: list[str]) -> np.ndarray:
    """bool[bytes]: which bytes are of a passage that began before, by a suffix array. A zero follows each text."""
    import pydivsufsort

    data = np.frombuffer("".join(text + "\0" for text in texts).encode(), np.uint8).copy()
    order = pydivsufsort.divsufsort(data)
    common = pydivsufsort.kasai(data, order)[: len(order) - 1]
    group = np.concatenate([[0], np.cumsum(common < LENGTH)])  # neighbors that begin alike
    first = np.minimum.reduceat(order, np.flatnonzero(np.diff(group, prepend=-1)))
    ends = np.append(np.flatnonzero(data == 0), len(data))
    room = ends[np.searchsorted(ends, order)] - order
    again = order[(order != first[group]) & (room >= LENGTH)]
    edges = np.zeros(len(data) + 1, np.int32)
    np.add.at(edges, again, 1)
    np.add.at(edges, again + LENGTH, -1)
    return np.cumsum(edges[:-1]) > 0


def without(texts: list[str], gone: np.ndarray) -> list[str]:
    data = np.frombuffer("".join(text + "\0" for text in texts).encode(), np.uint8)
    return data[~gone].tobytes().decode().split("\0")[:-1]


def compare(megabytes: float) -> dict:
    plain = (text for text in sources("purelib") if text.isascii() and "\0" not in text)
    texts = up_to(megabytes, plain)
    ours(texts[:20])  # compiles
    size = sum(map(len, texts))
    left, seconds = timed(ours, texts)
    gone, theirs = timed(marked, texts)
    return {
        "megabytes": round(size / 1e6, 1),
        "mb_s": round(size / 1e6 / seconds, 1),
        "x_suffix_array": round(theirs / seconds, 1),
        "equal_to_suffix_array": left == without(texts, gone),
        "removed_share": round(1 - sum(map(len, left)) / size, 4),
    }


def large(megabytes: float) -> dict:
    """A whole run, on files whose lines are shuffled until there is enough of them."""
    chance, size, number = random.Random(0), 0, 0
    texts = [text for text in sources("purelib") if text]
    with tempfile.TemporaryDirectory() as folder:
        while size < megabytes * 1e6:
            with open(Path(folder, f"files-{number:03}.jsonl"), "w", encoding="utf-8") as file:
                for text in texts if not number else chance.sample(texts, len(texts)):
                    lines = text.splitlines(keepends=True)
                    passages = ["".join(lines[at : at + 12]) for at in range(0, len(lines), 12)]
                    if number:
                        chance.shuffle(lines)
                        lines[::50] = chance.choices(passages or [""], k=len(lines[::50]))
                    print(json.dumps({"text": "".join(lines)}), file=file)
                    size += sum(map(len, lines))
            number += 1
        Path(folder, "passages.yaml").write_text(MANIFEST)
        command = [sys.executable, "-m", "curate", "run", "passages.yaml", "--workers", "2"]
        path = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        subprocess.run(command, cwd=folder, check=True, env=os.environ | path, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "large_megabytes": round(size / 1e6),
        "large_mb_s": round(size / 1e6 / (used.ru_utime + used.ru_stime), 1),
        "peak_worker_mb": round(used.ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--large", action="store_true", help="also run the command on 2 GB")
    args = parser.parse_args()
    figures = compare(args.megabytes) | (large(2000) if args.large else {})
    print(json.dumps(figures) if args.json else "\n".join(f"{name:24}{value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
