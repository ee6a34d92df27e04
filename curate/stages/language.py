"""Identify the language of documents with a fastText model."""

import numpy as np
import pyarrow as pa

from curate.base.messages import SAID_BY, Of, of_role
from curate.base.parameters import Share
from curate.documents import utf8
from curate.models.fasttext_model import find_label
from curate.models.resources import Name, locate
from curate.stage_api import reject, set_column, stage
from curate.stages._models import classifier, packages, rounded

PREFIX = "__label__"


def _resources(model: str, **_) -> dict:
    return {"model": locate(model)}


def _packages(model: str, **_) -> tuple[str, ...]:
    return packages(locate(model))


def _adds(probabilities: list[str], **_) -> dict[str, str]:
    return dict.fromkeys(("language_score", *map(_column, probabilities)), "float")


def _reads(of: str, **_) -> tuple[str, ...]:
    return ("text",) if of == "all" else ("text", *SAID_BY)


@stage(version=1, dry=True, packages=_packages, reads_from=_reads, adds_from=_adds, resources_from=_resources)
def language(
    docs: pa.Table,
    *,
    keep: list[str] = [],  # noqa: B006
    min_score: Share = 0.0,
    model: Name = "lid.176.ftz",
    probabilities: list[str] = [],  # noqa: B006
    of: Of = "all",
) -> pa.Table:
    """Identify the language of each document from its whole text, and reject documents in languages not listed.

    keep           languages to keep, by the model's names (`en`); empty: all
    min_score      minimum probability of the most likely language. FineWeb and DCLM keep English from 0.65
    model          a fastText classifier: `lid.176.ftz` or `lid.176.bin` (Joulin et al. 2016), or any other
    probabilities  languages whose probability is also added, in columns such as `language_score_en`
    of             role whose messages are used: `user`, `assistant`, or `all`. If there are none, the
                   language is unknown

    Newlines count as spaces. A text in which the model recognizes nothing has a low score, or 0 and no `language`.

    Reads: text
    Changes: language
    Adds: language_score (float, probability in [0, 1])
    Reasons: language, low_score
    """
    found = classifier(locate(model))
    kept = [find_label(found.model, name) for name in keep]
    asked = {_column(name): find_label(found.model, name) for name in probabilities}
    table = found.probabilities(*utf8(of_role(docs, of)))
    best, score = table.argmax(axis=1), rounded(table.max(axis=1, initial=0))
    names = pa.array([label.removeprefix(PREFIX) for label in found.labels])
    docs = set_column(docs, "language", names.take(pa.array(best, mask=score == 0)))
    docs = set_column(docs, "language_score", pa.array(score))
    for column, index in asked.items():
        docs = set_column(docs, column, pa.array(rounded(table[:, index])))
    other = ~np.isin(best, kept) | (score == 0) if keep else np.zeros(len(best), bool)
    return reject(docs, language=other, low_score=score < np.float32(min_score))


def _column(name: str) -> str:
    return f"language_score_{name}"
