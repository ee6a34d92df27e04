"""The fastText library: to train models, and for those that our kernels do not support.

The only file that imports it. The distribution is `fasttext-community`; others that install a module `fasttext` fail
on NumPy 2 or cannot train.
"""

from itertools import pairwise
from pathlib import Path

import fasttext
import numpy as np

from curate.errors import CurateError
from curate.models.fasttext_file import Model
from curate.models.fasttext_model import find_label

_AGAIN = "fetch or train the model again"


class LibraryClassifier:
    """A fastText model of any loss, such as one against all: the interface of `fasttext_model.Classifier`."""

    def __init__(self, model: Model):
        self.model, self.labels = model, model.labels
        try:
            self._library = fasttext.load_model(str(model.path))
        except Exception as error:  # pybind11 turns what C++ throws into several
            raise CurateError(f"fastText cannot load the model: {error}", str(model.path), _AGAIN) from error
        self._index = {label: index for index, label in enumerate(model.labels)}

    def predict(self, data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Most probable label: (int32[docs] index into `labels`, float32[docs] its probability in [0, 1])."""
        table = self.probabilities(data, offsets)
        probability = table.max(axis=1, initial=0)
        return np.where(probability > 0, table.argmax(axis=1), -1).astype(np.int32), probability

    def probabilities(self, data: np.ndarray, offsets: np.ndarray, labels: list[str] | None = None) -> np.ndarray:
        """Probability of each of `labels` (names; default all): float32[docs, labels] in [0, 1]."""
        result = np.zeros((len(offsets) - 1, len(self.labels)), np.float32)
        for row, (start, end) in enumerate(pairwise(offsets)):
            text = bytes(data[start:end]).decode(errors="replace").replace("\n", " ")
            # A list, since a single string fails on NumPy 2 with some versions.
            try:
                (names,), (values,) = self._library.predict([text], k=-1)
            except Exception as error:  # such as a model whose weights are NaN
                raise CurateError(f"the fastText model failed: {error}", str(self.model.path), _AGAIN) from error
            for name, value in zip(names, values, strict=True):
                result[row, self._index[name]] = min(value, 1)
        chosen = slice(None) if labels is None else [find_label(self.model, label) for label in labels]
        return result[:, chosen]


def train_model(lines: Path, model: Path, threads: int, **parameters) -> None:
    """Train a classifier on a file of `__label__NAME text` lines, and save it. One thread gives the same bytes again.

    parameters  of fastText: dim, epoch, lr, wordNgrams, bucket, minCount, minn, maxn, seed, ...
    """
    try:
        trained = fasttext.train_supervised(str(lines), thread=threads, verbose=0, **parameters)
        trained.save_model(str(model))
    except Exception as error:  # no word is frequent enough, or the weights became NaN
        fix = "change `fasttext:` in the recipe, such as lowering `lr` or `minCount`, or add documents"
        raise CurateError(f"fastText training failed: {str(error).strip()}", fix=fix) from error
