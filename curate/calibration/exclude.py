"""What not to draw: copies of held-out or already drawn documents, evaluation questions."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.dedup.near_dedup import Scheme
from curate.errors import CurateError
from curate.models.resources import locate, sha256
from curate.sources.small_rows import all_rows
from curate.stage_api import find_stage

SCHEME = Scheme(ngram=5, unit="words", bands=32, rows=8, permutations=256, seed=1, normalize=True)
"""Texts that share a band resemble each other: all that are equal but for case, punctuation and white space, 99.7% of
pairs of a similarity of 0.8, and some of less, which a small sample can spare."""


class Exclusion:
    """Tells which documents must not be drawn.

    held_out  texts of the validation split, block by block
    sets      evaluation sets as the stage `decontaminate` takes them
    """

    def __init__(self, held_out: Iterable[pa.ChunkedArray], sets: dict[str, dict]):
        keys = [(_keys(block), len(block)) for block in held_out]
        self.validation = np.unique(np.concatenate([np.empty(0, np.uint64), *(found.ravel() for found, _ in keys)]))
        self.compared = sum(count for _, count in keys)
        self.stage = find_stage("decontaminate")
        self.params = self.stage.configure({"sets": sets}) if sets else None
        self.drawn: set[int] = set()

    def look(self, docs: pa.Table) -> tuple[np.ndarray, list[str | None]]:
        """Band keys of documents (uint64[n, bands]), and why each is out, as far as that needs no other drawn one."""
        keys = _keys(docs["text"])
        found = np.where(np.isin(keys, self.validation).any(axis=1), "validation", None)
        if self.params:
            guilty = self.stage(docs.select(["id", "text"]), **self.params)["reject"]
            found = np.where(guilty.is_valid().to_numpy(), "evaluation", found)
        return keys, found.tolist()

    def repeats(self, keys: np.ndarray) -> bool:
        """Whether a document of these band keys (uint64[bands]) resembles one drawn before; else it is drawn now."""
        mine = keys.tolist()
        if not self.drawn.isdisjoint(mine):
            return True
        self.drawn.update(mine)
        return False


def evaluation_sets(files: Iterable[str | Path]) -> dict[str, dict]:
    """Files of questions (Parquet or JSONL) as sets for `decontaminate`, by their names: all columns are searched for.

    Raises CurateError for a file that cannot be read or holds nothing, and for two of one name.
    """
    sets: dict[str, dict] = {}
    for file in map(str, files):
        path = locate(file, "evaluation set")
        name = re.sub(r"[^\w-]", "_", path.name.partition(".")[0]) or "set"
        if name in sets:
            raise CurateError(f"two evaluation sets are named `{name}`", file, "rename one of the files")
        if not (columns := _columns(path)):
            raise CurateError("the evaluation set is empty", file, "use one that contains questions")
        sets[name] = {"path": str(path), "columns": columns}
    return sets


def described(sets: dict[str, dict]) -> dict[str, dict]:
    """Evaluation sets as a lock names them."""
    return {name: {"sha256": sha256(Path(one["path"])), "columns": one["columns"]} for name, one in sets.items()}


def _columns(path: Path) -> list[str]:
    """The columns of a file that hold anything."""
    try:
        rows = all_rows(path)
        return list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    except (pa.ArrowException, OSError, ValueError, AttributeError) as error:
        fix = "use Parquet, JSON Lines, or a JSON array of objects"
        raise CurateError(f"cannot read the evaluation set: {error}", str(path), fix) from error


def _keys(text: pa.ChunkedArray) -> np.ndarray:
    return SCHEME.keys(SCHEME.signatures(text))
