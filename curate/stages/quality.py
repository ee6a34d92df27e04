"""Score the quality of documents with fastText models."""

import numpy as np
import pyarrow as pa

from curate.base.parameters import Share
from curate.documents import utf8
from curate.models.fasttext_model import Collapsed, score_all
from curate.models.resources import Name, each, locate
from curate.stage_api import reject, set_column, stage
from curate.stages._models import packages, rounded, scorer

COLUMN = "quality"


def _models(model: str | dict[str, str]) -> dict[str, str]:
    return model if isinstance(model, dict) else {COLUMN: model}


def _resources(model: str | dict[str, str], **_) -> dict:
    return {"model": each(locate, model)}


@stage(
    version=1,
    dry=True,
    packages=lambda model, **_: packages(*map(locate, _models(model).values())),
    adds_from=lambda model, **_: dict.fromkeys(_models(model), "float"),
    resources_from=_resources,
)
def quality(
    docs: pa.Table, *, model: Name | dict[str, Name], label: str = "hq", min_score: Share | None = None
) -> pa.Table:
    """Score documents with fastText classifiers, and optionally reject those with a low score.

    model      a classifier (fastText's `.bin` or `.ftz`, or the `.npz` that `curate train` writes), whose score is in
               the column `quality`; or several, as `column: model`, which share one pass over the text
    label      the label whose probability is the score; `hq` in DCLM's classifiers
    min_score  reject documents with any lower score; null: none. To decide later, keep null, and add `filter` or
               `keep_top`

    The text is passed to the model as a single line, with newlines as spaces, as in DCLM. Softmax models with two
    labels are collapsed to one number per word or n-gram; the probability is the same within 2e-5. Scores have six
    decimals, and a text in which the model recognizes nothing scores 0.

    Reads: text
    Adds: quality (float, probability in [0, 1])
    Reasons: low_quality
    """
    scorers = {column: scorer(locate(name), label) for column, name in _models(model).items()}
    data, offsets = utf8(docs["text"])
    small = {column: found for column, found in scorers.items() if isinstance(found, Collapsed)}
    scores = dict(zip(small, score_all(list(small.values()), data, offsets), strict=True))
    low = np.zeros(docs.num_rows, bool)
    for column, found in scorers.items():
        if column not in scores:
            scores[column] = found.probabilities(data, offsets, [label])[:, 0]
        score = rounded(scores[column])
        docs = set_column(docs, column, pa.array(score))
        low |= score < np.float32(min_score or 0)
    return reject(docs, low_quality=low)
