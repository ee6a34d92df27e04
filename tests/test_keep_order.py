"""Columns that decide between documents: whatever they are called, and what they may not be called."""

import numpy as np
import pyarrow as pa
import pytest
from releases import one_source

from curate.documents import RESERVED
from curate.errors import ManifestError
from curate.manifest.manifest import load
from curate.release.make import prepare
from curate.stage_api import find_stage
from curate.testing import run_steps

STAGES = {
    "exact_dedup": {"bins": 2},
    "near_dedup": {"bins": 2},
    "line_dedup": {"bins": 2},
    "substring_dedup": {"bins": 2, "min_bytes": 32},
    "bloom_dedup": {"expected_ngrams": 1000},
    "select": {"count": 3, "bins": 2},
}


def decided(stage: str, column: str) -> tuple[list[dict], set[str]]:
    """What a stage decides if the column of this name says which documents are best, and all names in its steps."""
    function, params = find_stage(stage), STAGES[stage]
    asked = {"order" if stage == "select" else "keep": [f"-{column}"]}
    steps = [step for step in function.function(**function.configure(params | asked)) if step.over != "apply"]
    words = [f"{'same' if row % 3 else 'other'} words in all of these lines of text {row % 2}" for row in range(12)]
    table = {
        "id": [f"{row:032x}" for row in range(12)],
        "text": words,
        "url": [f"http://{row}.org" for row in range(12)],
    }
    table |= {column: pa.array([row * 7 % 12 for row in range(12)], pa.int64())}
    table |= {"doc": pa.array(np.arange(12, dtype=np.uint64)), "priority": pa.array(np.zeros(12, np.int32))}
    sent = run_steps(steps, [pa.table(table)])
    return sent[-1].to_pylist(), {name for rows in sent for name in rows.column_names}


@pytest.mark.parametrize("stage", STAGES)
def test_a_column_may_be_called_as_one_of_the_stage(stage):
    expected, names = decided(stage, "score")
    assert expected
    for name in names - RESERVED - {"text"}:
        assert decided(stage, name)[0] == expected, name


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_column_of_curate_is_not_added_by_a_stage(tmp_path, name):
    stages = [{"annotate": {"function": "annotations:lists", "adds": {name: "int32"}}}]
    path = one_source(tmp_path, [{"text": "a"}], stages)
    with pytest.raises(ManifestError, match=f"cannot add a column `{name}`") as caught:
        prepare(load(path), tmp_path / "work")
    assert f"{path}:" in str(caught.value)
