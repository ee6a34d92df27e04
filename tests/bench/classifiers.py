"""fastText's library against our kernels on real documents, in one process and on one core.

    python tests/bench/classifiers.py [--repeats 5] [--megabytes 6]

The quality model has the shape of DCLM's (100 dimensions, word bigrams, 2M buckets); its labels are the two
halves of the documents. Prints one JSON object; each ratio is the median over repeats of the two times taken
one right after the other.
"""

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import fasttext
import numpy as np

from curate.models.fasttext_file import load_model
from curate.models.fasttext_model import Classifier, collapse

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


def read_documents(megabytes):
    """Texts of web pages in many languages (extracted) and of dataset rows, up to so much of each."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    pages, rows = [], []
    with (DATA / "crawl" / "web-a.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            body = record.reader.read()
            pages.append(extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True))
    for path in sorted((DATA / "rows").glob("*/*.json*")):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    break  # a JSON document of several lines, not JSON Lines
                if isinstance(row, dict) and isinstance(row.get("text"), str):
                    rows.append(row["text"])
    return [take(part, megabytes / 2) for part in (pages, rows)]


def take(texts, megabytes):
    sizes = np.cumsum([len(text.encode()) for text in texts])
    return texts[: int(np.searchsorted(sizes, megabytes * 1e6)) + 1]


def pack(texts):
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(ours, theirs, repeats):
    """Speed ratio (median of pairs) and our best time in seconds, after a first call that compiles."""
    ours()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return statistics.median(b / a for a, b in pairs), min(a for a, _ in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=6)
    options = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"no real documents at {DATA}")
    halves = [[text.replace("\n", " ") for text in half] for half in read_documents(options.megabytes)]
    lines = halves[0] + halves[1]
    data, offsets = pack(lines)
    result = {"megabytes": len(data) / 1e6, "documents": len(lines)}

    with tempfile.TemporaryDirectory() as folder:
        training, path = Path(folder, "train.txt"), Path(folder, "model.bin")
        rows = [f"__label__{name} {line}" for name, half in zip(("cc", "hq"), halves, strict=True) for line in half]
        training.write_text("\n".join(rows), encoding="utf-8")
        library = fasttext.train_supervised(
            str(training), dim=100, wordNgrams=2, bucket=2_000_000, lr=0.5, epoch=5, thread=1, verbose=0
        )
        library.save_model(str(path))
        collapsed = collapse(load_model(path), "hq")
        ours, theirs = lambda: collapsed.score(data, offsets), lambda: library.predict(lines, k=2)
        ratio, best = compare(ours, theirs, options.repeats)
        expected = [p[names.index("__label__hq")] for names, p in zip(*theirs(), strict=True)]
        result |= {
            "quality_x_fasttext": ratio,
            "quality_mb_s": len(data) / best / 1e6,
            "quality_max_abs_diff": float(np.abs(ours() - expected).max()),
            "quality_memory_ratio": path.stat().st_size / collapsed.nbytes,
        }
    del library

    path = DATA / "models" / "lid.176.ftz"
    library, classifier = fasttext.load_model(str(path)), Classifier(load_model(path))
    ours, theirs = lambda: classifier.predict(data, offsets), lambda: library.predict(lines)
    ratio, best = compare(ours, theirs, options.repeats)
    (found, probability), (labels, probabilities) = ours(), theirs()
    same = [[classifier.labels[index]] == label for index, label in zip(found, labels, strict=True)]
    result |= {
        "language_x_fasttext": ratio,
        "language_mb_s": len(data) / best / 1e6,
        "language_label_agreement": sum(same) / len(same),
        "language_max_abs_diff": float(np.abs(probability - np.concatenate(probabilities)).max()),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
