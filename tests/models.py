"""Tiny fastText models, trained by the library in a moment."""

import atexit
import random
import tempfile
from functools import cache
from pathlib import Path

import fasttext

FOLDER = tempfile.TemporaryDirectory(prefix="curate-models-")
atexit.register(FOLDER.cleanup)

WORDS = {
    "hq": ["theorem", "proof", "lemma", "because", "therefore", "explain", "evidence", "chapter", "study", "result"],
    "cc": ["click", "buy", "cheap", "sale", "login", "cart", "shipping", "offer", "discount", "subscribe"],
    "fr": ["bonjour", "merci", "avec", "pour", "dans", "cette", "nous", "vous", "être", "très"],
}


def sentence(label: str, seed: int, words: int = 8) -> str:
    """Words of that label, the same for the same seed."""
    return " ".join(random.Random(f"{label} {seed}").choices(WORDS[label], k=words))


@cache
def model(labels: tuple[str, ...] = ("hq", "cc"), **options) -> Path:
    """A model that tells these labels apart, with options of fastText."""
    name = "-".join(labels) + "".join(f"-{key}={value}" for key, value in sorted(options.items()))
    path = Path(FOLDER.name) / f"{name}.bin"
    lines = [f"__label__{label} {sentence(label, seed)}\n" for seed in range(200) for label in labels]
    path.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
    defaults = {"dim": 8, "epoch": 5, "lr": 0.5, "wordNgrams": 2, "bucket": 1000, "thread": 1, "verbose": 0}
    fasttext.train_supervised(str(path.with_suffix(".txt")), **defaults | options).save_model(str(path))
    return path
