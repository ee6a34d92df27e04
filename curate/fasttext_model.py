"""Classify texts with a fastText model, as fastText does and several times as fast.

``collapse`` is for models with two labels (quality), ``Classifier`` for any number (language). Both take
texts as ``data`` (uint8, UTF-8 end to end) and ``offsets`` (int64, docs + 1) and treat a newline as a space,
as those who call fastText's ``predict`` do. Probabilities are what fastText reports: it adds 1e-5.
"""

import hashlib
import json
import zipfile

import numpy as np

from curate.errors import CurateError
from curate.kernels import fasttext as kernels

BLOCK = 1 << 16  # rows
PIECE = 1 << 21  # bytes
DOCS = 1 << 12


def _features(model, rows):
    return kernels.Features(
        keys=model.keys,
        slots=kernels.index_keys(model.keys),
        n_words=model.n_words,
        rows=rows,
        prune=model.prune,
        kept=kernels.pack_kept(model.prune, model.bucket),
        bucket=model.bucket,
        minn=model.minn,
        maxn=model.maxn,
        word_ngrams=model.word_ngrams,
    )


def _embed(data, offsets, features):
    """Mean input row of each text, and the number of rows: pieces of the data at a time, to stay in the cache."""
    docs = len(offsets) - 1
    means, counts = np.zeros((docs, features.rows.shape[1])), np.zeros(docs, np.int64)
    first = 0
    while first < docs:
        last = max(int(np.searchsorted(offsets, offsets[first] + PIECE, side="right")) - 1, first + 1)
        tokens = kernels.tokenize(data, offsets[first : last + 1])
        sums = kernels.sum_words(data, tokens, features)
        means[first:last], counts[first:last] = kernels.embed(tokens, *sums, features)
        first = last
    return means, counts


class Collapsed:
    """A softmax over two labels as one number a row.

    P(label) = sigmoid(w . mean(rows)), where w is the label's row of the output matrix less the other's. That is
    sigmoid(mean(rows . w)), so one float32 stands for each row of the input matrix.
    """

    def __init__(self, labels, source, features):
        self.labels = labels  # the scored label, then the other
        self.source = source  # sha256 of the model file this was made from
        self._features = features

    @property
    def nbytes(self):
        return sum(part.nbytes for part in self._features if isinstance(part, np.ndarray))

    def score(self, data, offsets):
        """Probability of ``labels[0]``: float32[docs] in [0, 1]; 0 for a text of which the model knows nothing."""
        logits, counts = _embed(data, offsets, self._features)
        scores = 1 / (1 + np.exp(-logits[:, 0].clip(-700, 700)))
        return np.where(counts > 0, np.minimum(scores + 1e-5, 1), 0).astype(np.float32)

    def save(self, path):
        """Write a .npz file: the same bytes each time."""
        features = self._features._asdict()
        arrays = {name: features.pop(name) for name in ("keys", "rows", "prune")}
        del features["slots"], features["kept"]
        meta = {"labels": self.labels, "source": self.source, "features": features}
        with open(path, "wb") as file:
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays)

    @classmethod
    def load(cls, path):
        """Read what ``save`` wrote; raises CurateError for anything else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                meta = json.loads(str(file["meta"]))
                arrays = {name: file[name] for name in ("keys", "rows", "prune")}
                slots, kept = kernels.index_keys(arrays["keys"]), kernels.pack_kept(arrays["prune"], meta["features"]["bucket"])
                features = kernels.Features(slots=slots, kept=kept, **arrays, **meta["features"])
                return cls(meta["labels"], meta["source"], features)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            fix = "make it again from the fastText model"
            raise CurateError(f"cannot read the collapsed model: {error}", str(path), fix) from error


def collapse(model, label):
    """Make a ``Collapsed`` that scores ``label`` (with or without fastText's ``__label__``).

    Reads the input matrix once, in blocks. Raises CurateError for a label the model lacks, and for a model
    that ``can_collapse`` refuses.
    """
    if not can_collapse(model):
        what = f"a {model.loss} model with {len(model.labels)} labels cannot be collapsed"
        raise CurateError(what, str(model.path), "give a softmax model with two labels")
    index = find_label(model, label)
    direction = model.output[index].astype(np.float64) - model.output[1 - index]
    blocks = [slice(start, min(start + BLOCK, model.n_rows)) for start in range(0, model.n_rows, BLOCK)]
    rows = np.concatenate([kernels.project(model.input[block], direction) for block in blocks])
    if not np.isfinite(rows).all():
        raise CurateError("the fastText model holds weights that are not finite", str(model.path), "train it again")
    with model.path.open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()
    labels = [model.labels[index], model.labels[1 - index]]
    return Collapsed(labels, source, _features(model, rows[:, None]))


def can_collapse(model):
    return model.loss == "softmax" and len(model.labels) == 2


def find_label(model, label):
    """Position of a label, given with or without fastText's ``__label__``; raises CurateError if there is none."""
    for index, known in enumerate(model.labels):
        if label in (known, known.removeprefix("__label__")):
            return index
    names = ", ".join(model.labels[:10]) + (" ..." if len(model.labels) > 10 else "")
    raise CurateError(f"the fastText model has no label `{label}`", str(model.path), f"its labels are {names}")


class Classifier:
    """A softmax or hierarchical softmax over any number of labels, such as language identification."""

    def __init__(self, model):
        if not self.supports(model):
            what = f"a fastText model with loss {model.loss} is not supported"
            raise CurateError(what, str(model.path), "give a softmax or hierarchical softmax (hs) model")
        self.model, self.labels = model, model.labels
        self._features = _features(model, model.input[: model.n_rows])
        self._output = model.output.T.astype(np.float64, order="C")
        self._tree = kernels.build_tree(model.label_counts) if model.loss == "hs" else None

    @staticmethod
    def supports(model):
        return model.loss in ("softmax", "hs")

    def probabilities(self, data, offsets, labels=None):
        """Probability of each of ``labels`` (names, default all): float32[docs, labels] in [0, 1].

        All are 0 for a text of which the model knows nothing.
        """
        chosen = slice(None) if labels is None else [find_label(self.model, label) for label in labels]
        return np.concatenate([block[:, chosen] for block in self._blocks(data, offsets)])

    def predict(self, data, offsets):
        """Most probable label: (int32[docs] index into ``labels`` or -1, float32[docs] its probability).

        -1, with probability 0, is the answer for a text of which the model knows nothing.
        """
        best = [(block.argmax(axis=1), block.max(axis=1)) for block in self._blocks(data, offsets)]
        label, probability = (np.concatenate(column) for column in zip(*best, strict=True))
        return np.where(probability > 0, label, -1).astype(np.int32), probability

    def _blocks(self, data, offsets):
        """The probabilities of some documents at a time."""
        means, counts = _embed(data, offsets, self._features)
        for first in range(0, max(len(counts), 1), DOCS):
            block = slice(first, first + DOCS)
            if self._tree is None:
                result = kernels.softmax(means[block], self._output)
            else:
                result = kernels.hierarchical_softmax(means[block], self._output, self._tree)
            yield result * (counts[block, None] > 0)
