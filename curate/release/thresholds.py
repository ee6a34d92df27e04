"""Which thresholds of stages are on which columns, for charts."""

import re
from dataclasses import dataclass

from curate.release.typed_lock import Lock, Stage


@dataclass(frozen=True)
class Bound:
    """A threshold on a column. below: whether documents below it are out; else those above. cut: the share of the
    documents in that the stage took for this reason."""

    stage: str
    reason: str
    value: float
    below: bool
    cut: float


OF = {
    "length": {
        "too_short": ("n_chars", "min_chars", True),
        "too_long": ("n_chars", "max_chars", False),
        "too_few_words": ("n_words", "min_words", True),
        "too_many_words": ("n_words", "max_words", False),
    },
    "code": {
        "long_line": ("max_line_length", "max_line_length", False),
        "long_lines": ("mean_line_length", "max_mean_line_length", False),
        "few_alphanumeric": ("alphanumeric_share", "min_alphanumeric", True),
    },
    "language": {"low_score": ("language_score", "min_score", True)},
    "quality": {"low_quality": ("quality", "min_score", True)},
    "near_dedup": {"near_duplicate": ("similarity", "threshold", False)},
}
"""{stage: {reason: (column, parameter, whether documents below it are out)}}"""

RULE = re.compile(r"\s*(\w+)\s*(<=?|>=?)\s*(-?\d+(?:\.\d+)?)\s*")
"""A rule of `filter` that is one threshold."""


def bounds(lock: Lock) -> dict[str, list[Bound]]:
    """{column: its thresholds} of the stages of a lock."""
    found: dict[str, list[Bound]] = {}
    for stage in lock.stages:
        for reason, (column, value, below) in _limits(stage).items():
            arrived = sum(passed.in_ for passed in stage.sources.values())
            cut = sum(passed.reasons.get(reason, 0) for passed in stage.sources.values()) / max(arrived, 1)
            found.setdefault(column, []).append(Bound(stage.title, reason, value, below, cut))
    return found


def _limits(stage: Stage) -> dict[str, tuple[str, float, bool]]:
    """{reason: (column, value, whether documents below it are out)}"""
    if stage.stage == "filter":
        rules = ((name, RULE.fullmatch(rule)) for name, rule in stage.params.items() if isinstance(rule, str))
        return {name: (found[1], float(found[3]), found[2][0] == "<") for name, found in rules if found}
    values = {reason: (of[0], stage.params.get(of[1]), of[2]) for reason, of in OF.get(stage.stage, {}).items()}
    return {
        reason: (column, float(value), below)
        for reason, (column, value, below) in values.items()
        if isinstance(value, int | float) and value  # 0 takes nothing
    }
