"""`mixture:` of a manifest: weights, amounts, repeats and phases of training."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, Field

from curate.base.names import DEFAULT
from curate.base.parameters import Column, NotTruth, Ratio
from curate.errors import did_you_mean
from curate.mix.curve import Curve, Times, exact
from curate.mix.keys import copies_labels

TOLERANCE = Fraction(1, 1000)
"""How far weights may be from adding up to 1: what thirds in three digits are."""

VALIDATION = "validation"
"""The split that is held out, which no phase may be called."""

AMOUNTS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def parse_amount(value: Any) -> int:
    """1500000 of `1.5M`, `1_500_000` or a plain number. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d[\d_]*(?:\.\d+)?)\s*([KMBT]?)\s*", str(value))
    if not match:
        raise ValueError("a budget must be a number, optionally with K, M, B or T, such as 1.5T")
    return int(Fraction(match[1].replace("_", "")) * AMOUNTS[match[2]])


LARGEST = 10**18
"""Tokens, bytes or documents that a budget may be."""


Amount = Annotated[
    int,
    pydantic.BeforeValidator(parse_amount),
    Field(ge=1, le=LARGEST),
    pydantic.WithJsonSchema({"type": ["string", "integer"]}),
]


def _named(given: Any) -> Any:
    """A mapping whose keys are text: YAML reads those of buckets as numbers."""
    if not isinstance(given, dict):
        return given
    return {str(key) if type(key) is int else key: value for key, value in given.items()}


Weights = Annotated[dict[str, Ratio], pydantic.BeforeValidator(_named)]
MostRepeats = Annotated[int, Field(ge=1, le=1000), NotTruth]
RepeatsByKey = Annotated[dict[str, MostRepeats], pydantic.BeforeValidator(_named)]


class Phase(BaseModel, extra="forbid"):
    """One phase of a training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96, description="name of the phase")]
    context: Annotated[int, Field(ge=1, le=1 << 28), NotTruth] | None = Field(
        None, description="sequence length in tokens, for the card"
    )
    budget: Amount | None = Field(None, description="how much to use; default: as much as its weights allow")
    weights: Weights = Field({}, description="overrides the mixture's")
    repeat_earlier: bool = Field(False, description="may repeat documents of earlier phases")
    experimental: bool = Field(False, description="mark the phase as experimental in the card")


class Mixture(BaseModel, extra="forbid"):
    """Which documents are released, how often, and in which phases."""

    by: str | Annotated[list[Column], Field(min_length=1, max_length=8)] = Field(
        "source",
        description="column whose values are weighted, or several: [source, language] has values like web/en",
    )
    unit: Literal["tokens", "bytes", "documents"] | None = Field(
        None, description="unit of budgets and weights; default: tokens if they were counted, otherwise bytes of text"
    )
    budget: Amount | None = Field(None, description="how much to use; default: as much as the weights allow")
    weights: Weights = Field({}, description="share of each value of `by`; default: as in the data")
    repeats: MostRepeats | RepeatsByKey | None = Field(
        None,
        description="maximum number of times a phase may use a document: one number, or one per value of `by`, where "
        "others are used once; default: once, or as `curve` and `rehydrate` say",
    )
    curve: Curve | None = Field(None, description="how often documents are used, by their bucket of quality")
    rehydrate: dict[int, Times] = Field(
        {}, description="how often documents are used, by how many copies they stand for (`n_duplicates`) or more"
    )
    validation: Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False), NotTruth] = Field(
        0, description="share of documents to hold out, chosen by hash"
    )
    phases: list[Phase] = Field([], description="phases of the training run; disjoint unless `repeat_earlier` is set")

    @property
    def columns(self) -> list[str]:
        """What weights are given by."""
        return [self.by] if isinstance(self.by, str) else self.by

    @property
    def told_apart_by(self) -> list[str]:
        """What the keys of the mixture are made of: `columns`, the buckets of the curve, the number of copies."""
        more = [self.curve.column] if self.curve else []
        return [*self.columns, *more, *(["n_duplicates"] if self.rehydrate else [])]

    @property
    def most_repeats(self) -> int | dict[str, int] | None:
        """How often a document may be used; None: as the curve and the copies say."""
        return self.repeats or (None if self.curve or self.rehydrate else 1)

    @property
    def takes_everything(self) -> bool:
        return not (self.budget or self.weights or self.phases) and self.most_repeats == 1

    def choice(self, edges: list[Fraction] | None = None) -> dict:
        """All that affects which documents are chosen beside the columns and the unit, as JSON values.

        edges  the percentiles at which the buckets of the curve's column begin and end
        """
        if not self.phases:
            wants = [{"name": None, "weights": self.weights, "budget": self.budget, "again": False}]
        else:
            given = sum(phase.budget or 0 for phase in self.phases)
            rest = self.budget - given if self.budget else None
            wants = [
                {
                    "name": phase.name,
                    "weights": phase.weights or self.weights,
                    "budget": phase.budget or rest,
                    "again": phase.repeat_earlier,
                }
                for phase in self.phases
            ]
        found: dict = {"wants": wants, "repeats": self.most_repeats, "validation": self.validation}
        if self.curve and edges:
            found["curve"] = {"column": self.curve.column, "repeats": self.curve.by_bucket(edges)}
        if self.rehydrate:
            found["rehydrate"] = [[*item] for item in sorted(({1: 1.0} | self.rehydrate).items())]
        return found


def mistakes(mixture: Mixture, sources: Iterable[str]) -> Iterator[tuple[tuple, str, str]]:
    """What types cannot tell: (place, what, fix) of each mistake."""
    given = [(("weights",), mixture.weights)]
    given += [(("phases", number, "weights"), phase.weights) for number, phase in enumerate(mixture.phases)]
    for place, weights in given:
        yield from (((*place, *at), what, fix) for at, what, fix in _weights(weights, mixture, sources))
    if isinstance(mixture.repeats, dict):
        for at, what, fix in _names(mixture.repeats, mixture, sources):
            yield ("repeats", *at), what, fix
    for copies in mixture.rehydrate:
        if not 1 <= copies <= LARGEST:
            yield ("rehydrate", str(copies)), f"no document stands for {copies:,} copies", "count copies from 1"
    if mixture.curve:
        for at, what, fix in mixture.curve.mistakes():
            yield ("curve", *at), what, fix
    names = [phase.name for phase in mixture.phases]
    for number, name in enumerate(names):
        if name.casefold() == VALIDATION:
            what = f"`{VALIDATION}` is reserved for the held-out split"
            yield ("phases", number, "name"), what, "give the phase another name"
        if name == DEFAULT and number:
            what = f"`{DEFAULT}` is the configuration that `datasets` loads by default"
            yield ("phases", number, "name"), what, "give the phase another name, or put it first"
        if name.endswith("."):
            yield (
                ("phases", number, "name"),
                f"`{name}` is not a valid folder name on every system",
                "leave out the last `.`",
            )
        if name.casefold() in (other.casefold() for other in names[:number]):
            yield ("phases", number, "name"), f"two phases are named `{name}`", "give each phase a unique name"
    budgets = [phase.budget for phase in mixture.phases]
    total = sum(budget for budget in budgets if budget)
    if mixture.budget and budgets:
        if None not in budgets and total != mixture.budget:
            what = f"the budgets of the phases add up to {total:,}, not {mixture.budget:,}"
            yield ("budget",), what, f"write `budget: {total}`, or leave it out"
        elif budgets.count(None) > 1:
            what = f"{budgets.count(None)} phases have no budget, but only one can take the rest of {mixture.budget:,}"
            yield ("phases",), what, "give each phase a budget, or all but one"
        elif None in budgets and total >= mixture.budget:
            what = f"the phases with a budget use {total:,}, which leaves nothing of {mixture.budget:,}"
            fix = f"raise `budget` above {total}, or lower the budgets of the phases"
            yield ("phases", budgets.index(None)), what, fix


def _names(given: Iterable[str], mixture: Mixture, sources: Iterable[str]) -> Iterator[tuple[tuple, str, str]]:
    """Names that no value of `by` can have."""
    columns = mixture.columns
    for name in given:
        values = name.split("/") if len(columns) > 1 else [name]
        if len(values) != len(columns):
            what = f"`{name}` is not a value of each of {', '.join(f'`{column}`' for column in columns)}"
            yield (name,), what, f"join the values with `/`, such as `{'/'.join(columns).upper()}`"
        elif "source" in columns and (source := values[columns.index("source")]) not in sources:
            yield (name,), f"no source `{source}` to weight", did_you_mean(source, sources)


def _weights(weights: Weights, mixture: Mixture, sources: Iterable[str]) -> Iterator[tuple[tuple, str, str]]:
    yield from _names(weights, mixture, sources)
    total = sum(map(exact, weights.values()), Fraction(0))
    if weights and abs(total - 1) > TOLERANCE:
        normal = ", ".join(f"{name}: {float(exact(w) / total):.6g}" for name, w in weights.items()) if total else ""
        fix = f"in the same proportions: {{{normal}}}" if total else "give one of them a weight above 0"
        yield (), f"weights add up to {float(total):g}, not 1", fix


def notes(mixture: Mixture, choice: dict, unit: str, deduplicated: list[str]) -> list[str]:
    """What the mixture means, for the plan and the card.

    choice        what it came to: `Mixture.choice`
    deduplicated  labels of the stages that take from the rest what resembles a document that is held out
    """
    lines = []
    if not mixture.takes_everything:
        columns = ", ".join(f"`{column}`" for column in mixture.columns)
        lines.append(f"measured in {unit}, weights by {columns}; a phase uses a document {times(mixture.most_repeats)}")
    if "curve" in choice:
        lines.append(f"repeats by `{choice['curve']['column']}`: {listed(choice['curve']['repeats'])}")
    if "rehydrate" in choice:
        repeats = dict(zip(copies_labels(choice["rehydrate"]), dict(choice["rehydrate"]).values(), strict=True))
        lines.append(f"repeats by number of copies (`n_duplicates`): {listed(repeats)}")
    if mixture.validation:
        lines.append(f"{mixture.validation:.3%} of documents are held out for validation, by hash of their id")
        how = "documents similar to them are removed from the rest by " + ", ".join(
            f"`{label}`" for label in deduplicated
        )
        if not deduplicated:
            how = "no stage removes near-copies of them from the rest: add `exact_dedup` and `near_dedup` to `stages`"
        lines.append(how)
    return lines


def times(repeats: int | dict[str, int] | None) -> str:
    if repeats is None:
        return "as often as its bucket and its copies say"
    if isinstance(repeats, dict):
        return f"once ({', '.join(f'`{name}`: {times(count)}' for name, count in repeats.items())})"
    return "once" if repeats == 1 else f"at most {repeats} times"


def listed(repeats: dict[str, float]) -> str:
    """`1 to 8: 0, 9: 0.5`: names of buckets or ranges with the same number of repeats together."""
    runs: list[tuple[str, str, float]] = []
    for name, count in repeats.items():
        if runs and runs[-1][2] == count:
            runs[-1] = runs[-1][0], name, count
        else:
            runs.append((name, name, count))
    return ", ".join(f"{first if first == last else f'{first} to {last}'}: {count:g}" for first, last, count in runs)
