"""fastText models of every kind, trained on a few words."""

import random

import fasttext
import numpy as np
import pytest

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "över",
    "die",
    "Katze",
    "спит",
    "на",
    "日本語",
    "テキスト",
    "🙂",
    "a",
    "<x>",
]
PRUNED = {"qnorm": True, "cutoff": 300}
TWO = {
    "unigrams": {},
    "bigrams": {"wordNgrams": 2, "bucket": 500},
    "trigrams": {"wordNgrams": 3, "bucket": 5000},
    "characters": {"minn": 2, "maxn": 4, "bucket": 700},
    "letters": {"minn": 1, "maxn": 3, "wordNgrams": 2, "bucket": 900},
    "quantized": {"wordNgrams": 2, "bucket": 500, "quantize": {}},
    "normed": {"minn": 2, "maxn": 4, "bucket": 700, "quantize": {"qnorm": True}},
    "pruned": {"minn": 2, "maxn": 4, "wordNgrams": 2, "bucket": 700, "quantize": PRUNED},
    "pruned-words": {"wordNgrams": 2, "bucket": 500, "quantize": {"cutoff": 300, "dsub": 3}},
}
MANY = {
    "hs": {"loss": "hs", "minn": 2, "maxn": 4, "bucket": 700},
    "hs-bigrams": {"loss": "hs", "wordNgrams": 2, "bucket": 500},
    "hs-pruned": {"loss": "hs", "minn": 2, "maxn": 4, "bucket": 700, "quantize": PRUNED},
    "hs-qout": {"loss": "hs", "classes": 300, "bucket": 700, "quantize": {"qout": True}},
    "softmax": {"loss": "softmax", "minn": 3, "maxn": 3, "bucket": 700},
}


def train(path, classes=2, quantize=None, **options):
    """A model whose labels draw on different words, saved at ``path``; returns the library's own."""
    draw = random.Random(7)
    vocabulary = WORDS + ["".join(draw.choices("abcdeéжя語", k=draw.randint(1, 9))) for _ in range(300)]
    lines = []
    for i in range(600):
        label = min(int(draw.expovariate(4 / classes)), classes - 1) if i >= classes else i
        words = draw.choices(vocabulary, k=draw.randint(3, 12))
        lines.append(f"__label__{label} {vocabulary[label]} {' '.join(words)}")
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {"dim": 10, "epoch": 5, "lr": 0.5, "thread": 1, "verbose": 0, "bucket": 0} | options
    model = fasttext.train_supervised(str(path.with_suffix(".txt")), **options)
    if quantize is not None:
        model.quantize(**quantize)
    model.save_model(str(path))
    return model


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """(library's model, path) by name of configuration; each is trained once."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def get(name):
        if name not in made:
            options = TWO[name] if name in TWO else {"classes": 6} | MANY[name]
            path = folder / f"{name}.bin"
            made[name] = train(path, **options), path
        return made[name]

    return get


def pack(texts):
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)], dtype=np.int64)
