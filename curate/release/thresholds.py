"""Which thresholds of stages are on which columns, for charts."""

import re
from dataclasses import dataclass

from curate.release.typed_lock import Lock, Stage
from curate.stages._bounds import bounds_of


@dataclass(frozen=True)
class Threshold:
    """A threshold on a column. below: whether documents below it are out; else those above. cut: the share of the
    documents in that the stage took for this reason."""

    stage: str
    reason: str
    value: float
    below: bool
    cut: float


RULE = re.compile(r"\s*(\w+)\s*(<=?|>=?)\s*(-?\d+(?:\.\d+)?)\s*")
"""A rule of `filter` that is one threshold."""


def bounds(lock: Lock) -> dict[str, list[Threshold]]:
    """{column: its thresholds} of the stages of a lock."""
    found: dict[str, list[Threshold]] = {}
    for stage in lock.stages:
        for reason, (column, value, below) in _limits(stage).items():
            arrived = sum(passed.in_ for passed in stage.sources.values())
            cut = sum(passed.reasons.get(reason, 0) for passed in stage.sources.values()) / max(arrived, 1)
            found.setdefault(column, []).append(Threshold(stage.title, reason, value, below, cut))
    return found


def _limits(stage: Stage) -> dict[str, tuple[str, float, bool]]:
    """{reason: (column, value, whether documents below it are out)}"""
    if stage.stage == "filter":
        rules = ((name, RULE.fullmatch(rule)) for name, rule in stage.params.items() if isinstance(rule, str))
        return {name: (found[1], float(found[3]), found[2][0] == "<") for name, found in rules if found}
    limits = [(bound, bound.limit(stage.params)) for bound in bounds_of(stage.stage, stage.params)]
    return {
        bound.reason: (bound.signal, float(value), bound.op == "<")
        for bound, value in limits
        if isinstance(value, int | float) and value  # 0 takes nothing
    }
