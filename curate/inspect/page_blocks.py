"""`curate explain --blocks`: which blocks of a page were kept, and why."""

from typing import Any

import numpy as np

from curate.engine.lane import Lane
from curate.engine.plan import Plan
from curate.kernels.block_names import COLUMN
from curate.models.main_content import MainContent, Read
from curate.sources import Origin, partitions
from curate.stages.extract import judged_page

_WEIGHTIEST = 3


def blocks_of(plan: Plan, lane: Lane, document: str) -> list[dict[str, Any]]:
    """Of a document whose text a model of main content has told: {"text", "likely", "kept", "because"} of each block.

    because  the features that weigh most: {"feature", "value", "weight"}, the weight in log-odds

    Empty for any other document, and for one that `extract` does not get that far with. Raises CurateError where the
    source cannot be read.
    """
    job, calls = plan.jobs[lane.parts[0]], [*plan.manifest.pipelines[lane.source], *plan.manifest.stages]
    params = next((call.params for call in calls if call.stage.name == "extract"), {})
    if params.get("extractor") != "curate" or lane.partition is None:
        return []
    files = {piece.file.path: piece.file for piece in lane.partition.pieces}
    for table in partitions.read(job.args["read"], files, Origin(job.args["source"])):
        ids = table["id"].to_pylist()
        if document in ids:
            judged = judged_page(table.slice(ids.index(document), 1), params)
            return _told(*judged) if judged else []
    return []


def _told(model: MainContent, page: Read) -> list[dict[str, Any]]:
    return [
        {"text": block.text, "likely": block.likely, "kept": block.kept, "because": _because(model, row)}
        for block, row in zip(page.blocks(), page.features, strict=True)
    ]


def _because(model: MainContent, row: np.ndarray) -> list[dict[str, Any]]:
    ranked = sorted(model.because(row).items(), key=lambda pair: (-abs(pair[1]), pair[0]))
    return [
        {"feature": name, "value": int(row[COLUMN[name]]), "weight": round(weight, 2)}
        for name, weight in ranked[:_WEIGHTIEST]
    ]
