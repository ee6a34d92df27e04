"""Classify texts with a fastText model: fastText's results, several times as fast.

``Collapsed`` is for models with two labels (quality), ``Classifier`` for any number (language). Both take
texts as ``data`` (uint8[bytes], UTF-8, end to end) and ``offsets`` (int64[docs + 1]), and a newline as a
space, which is how fastText's ``predict`` is called. Probabilities are those fastText reports, 1e-5 above the
true ones, but never above 1. A text's result does not depend on the other texts of the call.
"""

import hashlib

import numpy as np

from curate.errors import CurateError
from curate.kernels import fasttext as kernels
from curate.models.fasttext_file import LONGEST_NGRAM, MOST_BUCKETS
from curate.models.npz import read_npz, write_npz

HUGE = 1e30  # beyond any weight, and its sums are finite
ROWS, BYTES, DOCS = 1 << 16, 1 << 21, 1 << 12  # worked on at a time


def can_collapse(model):
    return model.loss == "softmax" and len(model.labels) == 2


def collapse(model, label):
    """Make a ``Collapsed`` that scores ``label``, given with or without ``__label__``.

    Reads the input matrix once. Raises CurateError for a label that the model lacks, and for a model that
    ``can_collapse`` refuses.
    """
    if not can_collapse(model):
        what = f"a fastText model with loss {model.loss} and {len(model.labels)} labels cannot be collapsed"
        raise CurateError(what, str(model.path), "use a softmax model with two labels")
    index = find_label(model, label)
    direction = model.output[index].astype(np.float64) - model.output[1 - index]
    blocks = [slice(start, min(start + ROWS, model.n_rows)) for start in range(0, model.n_rows, ROWS)]
    rows = np.concatenate([kernels.project(model.input[block], direction) for block in blocks])
    _check_finite(model, rows)
    with model.path.open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()
    return Collapsed([model.labels[index], model.labels[1 - index]], source, _features(model, rows[:, None]))


class Collapsed:
    """A softmax over two labels, with one number for each row of the input matrix.

    P(label) = sigmoid(w . mean(rows)), where w is the label's row of the output matrix less the other's; and
    that is sigmoid(mean(rows . w)).
    """

    def __init__(self, labels, source, features):
        self.labels = labels  # the scored label, then the other
        self.source = source  # sha256 of the model file this was made from
        self.features = features

    @property
    def nbytes(self):
        return sum(part.nbytes for part in self.features if isinstance(part, np.ndarray))

    def score(self, data, offsets):
        """Probability of ``labels[0]``: float32[docs] in [0, 1]; 0 for a text without any known word."""
        return score_all([self], data, offsets)[0]

    def save(self, path):
        """Write a .npz file, the same bytes each time."""
        numbers = self.features._asdict()
        arrays = {name: numbers.pop(name) for name in ("keys", "rows", "prune")}
        del numbers["slots"], numbers["kept"]
        write_npz(path, {"labels": self.labels, "source": self.source, "numbers": numbers}, **arrays)

    @classmethod
    def load(cls, path):
        """Read what ``save`` wrote; raises CurateError for anything else."""
        try:
            about, arrays = read_npz(path, ("keys", "rows", "prune"))
            numbers = about["numbers"]
            _check_collapsed(about, arrays)
        except Exception as error:  # a file of any kind makes NumPy, zipfile and json raise nearly anything
            fix = "convert the fastText model again"
            what = f"cannot read the collapsed model: {str(error) or type(error).__name__}"
            raise CurateError(what, str(path), fix) from error
        slots, kept = _index(arrays["keys"], path), kernels.pack_kept(arrays["prune"], numbers["bucket"])
        return cls(about["labels"], about["source"], kernels.Features(**arrays, slots=slots, kept=kept, **numbers))


def _check_collapsed(about, arrays):
    """Raise ValueError, KeyError or TypeError unless the arrays fit each other: kernels check no index."""
    labels, numbers = about["labels"], about["numbers"]
    keys, rows, prune = arrays["keys"], arrays["rows"], arrays["prune"]
    named = isinstance(labels, list) and len(labels) == 2 and all(isinstance(label, str) for label in labels)
    if not named or not isinstance(about["source"], str):
        raise ValueError("it lacks two labels and their source")
    if set(numbers) != {"n_words", "bucket", "minn", "maxn", "word_ngrams"}:
        raise ValueError("its parameters are not those of a model")
    if not all(type(number) is int for number in numbers.values()):
        raise ValueError("its parameters are not integers")
    if keys.dtype != np.uint64 or keys.ndim != 1 or prune.dtype != np.int32 or prune.ndim != 1:
        raise ValueError("its dictionary has the wrong type")
    if rows.dtype not in (np.float32, np.float64) or rows.ndim != 2 or rows.shape[1] != 1:
        raise ValueError("its rows have the wrong type")
    n_words, bucket = numbers["n_words"], numbers["bucket"]
    ngrams = [numbers[name] for name in ("minn", "maxn", "word_ngrams")]
    if not (0 <= n_words <= len(keys) and 0 <= bucket <= MOST_BUCKETS):
        raise ValueError("its dictionary has the wrong size")
    if min(ngrams) < 0 or max(ngrams) > LONGEST_NGRAM:
        raise ValueError("its n-grams are out of range")
    if len(prune) not in (0, bucket) or (len(prune) and not (prune.min() >= -1 and prune.max() < len(rows))):
        raise ValueError("its n-grams have no rows")
    if len(rows) < max(1, n_words + (0 if len(prune) else bucket)):
        raise ValueError("it has too few rows")
    if not (np.abs(rows) < HUGE).all():
        raise ValueError("its weights are not finite")


def _index(keys, path):
    """Where each key is, for kernels. Raises CurateError for keys that are no dictionary's."""
    slots = kernels.index_keys(keys)
    if len(slots) == 0:
        what = "the dictionary of the model has keys that are equal or nearly so"
        raise CurateError(what, str(path), "fetch or train the model again")
    return slots


def score_all(models, data, offsets):
    """``score`` of several ``Collapsed`` models, with the texts cut into words once: a float32[docs] each."""
    scores = []
    for logits, counts in _embed(data, offsets, [model.features for model in models]):
        probability = 1 / (1 + np.exp(-logits[:, 0].clip(-700, 700))) + 1e-5
        scores.append(np.where(counts > 0, np.minimum(probability, 1), 0).astype(np.float32))
    return scores


class Classifier:
    """A softmax or hierarchical softmax over any number of labels, such as language identification."""

    def __init__(self, model):
        if not self.supports(model):
            what = f"a fastText model with loss {model.loss} is not supported"
            raise CurateError(what, str(model.path), "use a model with loss softmax or hs")
        _check_finite(model, model.output)
        self.model, self.labels = model, model.labels
        self._features = _features(model, model.input[: model.n_rows])
        self._output = model.output.T.astype(np.float64, order="C")
        self._tree = _huffman_tree(model.label_counts.tolist()) if model.loss == "hs" else None

    @staticmethod
    def supports(model):
        return model.loss in ("softmax", "hs")

    def predict(self, data, offsets):
        """Most probable label: (int32[docs] index into ``labels``, float32[docs] its probability in [0, 1]).

        -1 and 0 for a text without any known word or n-gram.
        """
        best = [(block.argmax(axis=1), block.max(axis=1)) for block in self._blocks(data, offsets)]
        label, probability = (np.concatenate(column) for column in zip(*best, strict=True))
        return np.where(probability > 0, label, -1).astype(np.int32), probability

    def probabilities(self, data, offsets, labels=None):
        """Probability of each of ``labels`` (names; default all): float32[docs, labels] in [0, 1].

        0 for a text without any known word or n-gram.
        """
        chosen = slice(None) if labels is None else [find_label(self.model, label) for label in labels]
        return np.concatenate([block[:, chosen] for block in self._blocks(data, offsets)])

    def _blocks(self, data, offsets):
        """The probabilities of all labels, for some of the texts at a time; at least one block."""
        means, counts = _embed(data, offsets, [self._features])[0]
        _check_finite(self.model, means)
        for first in range(0, max(len(counts), 1), DOCS):
            block = slice(first, first + DOCS)
            if self._tree is None:
                result = kernels.softmax(means[block], self._output)
            else:
                result = kernels.hierarchical_softmax(means[block], self._output, self._tree)
            yield result * (counts[block, None] > 0)


def find_label(model, label):
    """Position of a label, with or without ``__label__``; raises CurateError if the model lacks it."""
    for index, known in enumerate(model.labels):
        if label in (known, known.removeprefix("__label__")):
            return index
    fix = f"its labels are {', '.join(model.labels[:10])}{' ...' if len(model.labels) > 10 else ''}"
    raise CurateError(f"the fastText model has no label `{label}`", str(model.path), fix)


def _huffman_tree(counts):
    """The children of each node, as ``kernels.hierarchical_softmax`` takes them; ``counts`` are falling.

    Merges the two lightest nodes again and again, an inner node before a label of the same weight: as
    ``HierarchicalSoftmaxLoss::buildTree`` does in fastText's ``src/loss.cc``.
    """
    labels = len(counts)
    children, weights = [(-1, -1)] * labels, list(counts)
    leaf, inner = labels - 1, labels
    for _ in range(labels - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and (inner == len(weights) or weights[leaf] < weights[inner]):
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(inner)
                inner += 1
        children.append(tuple(pair))
        weights.append(weights[pair[0]] + weights[pair[1]])
    return np.array(children, np.int32)


def _check_finite(model, numbers):
    if not (np.abs(numbers) < HUGE).all():
        raise CurateError("the fastText model has weights that are not finite", str(model.path), "train it again")


def _features(model, rows):
    return kernels.Features(
        keys=model.keys,
        slots=_index(model.keys, model.path),
        n_words=model.n_words,
        rows=rows,
        prune=model.prune,
        kept=kernels.pack_kept(model.prune, model.bucket),
        bucket=model.bucket,
        minn=model.minn,
        maxn=model.maxn,
        word_ngrams=model.word_ngrams,
    )


def _embed(data, offsets, models):
    """(Mean input row of each text, number of rows) for each of some models' ``Features``.

    Goes through the texts in pieces that fit a processor's cache.
    """
    docs = len(offsets) - 1
    results = [(np.zeros((docs, features.rows.shape[1])), np.zeros(docs, np.int64)) for features in models]
    first = 0
    while first < docs:
        last = max(int(np.searchsorted(offsets, offsets[first] + BYTES, side="right")) - 1, first + 1)
        tokens = kernels.tokenize(data, offsets[first : last + 1])
        for features, (means, counts) in zip(models, results, strict=True):
            sums = kernels.sum_words(data, tokens, features)
            means[first:last], counts[first:last] = kernels.embed(tokens, *sums, features)
        first = last
    return results
