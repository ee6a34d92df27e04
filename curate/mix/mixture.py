"""`mixture:` of a manifest: weights, amounts, repeats and phases of training."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, Field

from curate.base.names import DEFAULT
from curate.base.parameters import NotTruth, Ratio
from curate.errors import did_you_mean

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
Weights = dict[str, Ratio]


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

    by: str = Field("source", description="column whose values are weighted")
    unit: Literal["tokens", "bytes", "documents"] | None = Field(
        None, description="unit of budgets and weights; default: tokens if they were counted, otherwise bytes of text"
    )
    budget: Amount | None = Field(None, description="how much to use; default: as much as the weights allow")
    weights: Weights = Field({}, description="share of each value of `by`; default: as in the data")
    repeats: Annotated[int, Field(ge=1, le=1000), NotTruth] = Field(
        1, description="maximum number of times a phase may use a document"
    )
    validation: Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False), NotTruth] = Field(
        0, description="share of documents to hold out, chosen by hash"
    )
    phases: list[Phase] = Field([], description="phases of the training run; disjoint unless `repeat_earlier` is set")

    @property
    def takes_everything(self) -> bool:
        return not (self.budget or self.weights or self.phases) and self.repeats == 1

    def choice(self) -> dict:
        """All that affects which documents are chosen beside the column and the unit, as JSON values."""
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
        return {"wants": wants, "repeats": self.repeats, "validation": self.validation}


def exact(number: float) -> Fraction:
    """The fraction that a person wrote: 6/10 of 0.6."""
    return Fraction(str(number))


def mistakes(mixture: Mixture, sources: Iterable[str]) -> Iterator[tuple[tuple, str, str]]:
    """What types cannot tell: (place, what, fix) of each mistake."""
    given = [(("weights",), mixture.weights)]
    given += [(("phases", number, "weights"), phase.weights) for number, phase in enumerate(mixture.phases)]
    for place, weights in given:
        yield from (((*place, *at), what, fix) for at, what, fix in _weights(weights, mixture.by, sources))
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


def _weights(weights: Weights, by: str, sources: Iterable[str]) -> Iterator[tuple[tuple, str, str]]:
    if by == "source":
        for name in weights:
            if name not in sources:
                yield (name,), f"no source `{name}` to weight", did_you_mean(name, sources)
    total = sum(map(exact, weights.values()), Fraction(0))
    if weights and abs(total - 1) > TOLERANCE:
        normal = ", ".join(f"{name}: {float(exact(w) / total):.6g}" for name, w in weights.items()) if total else ""
        fix = f"in the same proportions: {{{normal}}}" if total else "give one of them a weight above 0"
        yield (), f"weights add up to {float(total):g}, not 1", fix


def notes(mixture: Mixture, unit: str, deduplicated: list[str]) -> list[str]:
    """What the mixture means, for the plan and the card.

    deduplicated  labels of the stages that take from the rest what resembles a document that is held out
    """
    lines = []
    if not mixture.takes_everything:
        lines.append(f"measured in {unit}, weights by `{mixture.by}`; a phase uses a document {times(mixture.repeats)}")
    if mixture.validation:
        lines.append(f"{mixture.validation:.3%} of documents are held out for validation, by hash of their id")
        how = "documents similar to them are removed from the rest by " + ", ".join(
            f"`{label}`" for label in deduplicated
        )
        if not deduplicated:
            how = "no stage removes near-copies of them from the rest: add `exact_dedup` and `near_dedup` to `stages`"
        lines.append(how)
    return lines


def times(repeats: int) -> str:
    return "once" if repeats == 1 else f"at most {repeats} times"
