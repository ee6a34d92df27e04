"""fastText models, opened once per process."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from curate.errors import CurateError
from curate.models.fasttext_file import Model, load_model
from curate.models.fasttext_model import Classifier, Collapsed, can_collapse, collapse
from curate.models.resources import sha256

DECIMALS = 6
"""Scores are rounded before they are compared, so that the last bits of a machine's arithmetic decide nothing."""


def rounded(scores: np.ndarray) -> np.ndarray:
    """float32, as `DECIMALS` says."""
    return scores.astype(np.float64).round(DECIMALS).astype(np.float32)


def classifier(path: Path):
    """The model with all its labels: a `Classifier`, or the library's where our kernels do not support its loss."""
    return _classifier(path, sha256(path))


def scorer(path: Path, label: str):
    """What gives the probability of a label: `Collapsed` if the model allows it, else a classifier.

    path  a `.bin` or `.ftz` file, or what `Collapsed.save` wrote: `.npz`. Raises CurateError for anything else.
    """
    return _scorer(path, label, sha256(path))


def packages(*paths: Path) -> tuple[str, ...]:
    """What affects the scores of these models: the library, for those our kernels do not support."""
    models = [_model(path, sha256(path)) for path in paths if path.suffix != ".npz"]
    return () if all(map(Classifier.supports, models)) else ("fasttext-community",)


@lru_cache(maxsize=16)
def _model(path: Path, digest: str) -> Model:
    return load_model(path)


@lru_cache(maxsize=4)
def _classifier(path: Path, digest: str):
    if path.suffix == ".npz":
        fix = "use fastText's `.bin` file"
        raise CurateError("a collapsed model distinguishes two labels, not languages", str(path), fix)
    model = _model(path, digest)
    if Classifier.supports(model):
        return Classifier(model)
    from curate.models.fasttext_library import LibraryClassifier

    return LibraryClassifier(model)


@lru_cache(maxsize=16)
def _scorer(path: Path, label: str, digest: str):
    if path.suffix == ".npz":
        model = Collapsed.load(path)
        if model.labels[0].removeprefix("__label__") != label.removeprefix("__label__"):
            what = f"this collapsed model scores `{model.labels[0]}`, not `{label}`"
            raise CurateError(what, str(path), f"set `label: {model.labels[0]}`, or use the `.bin` file")
        return model
    model = _model(path, digest)
    return collapse(model, label) if can_collapse(model) else _classifier(path, digest)
