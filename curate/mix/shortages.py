"""Explain why a mixture cannot be drawn: what was asked, what there is, what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from curate.errors import CurateError, did_you_mean
from curate.mix.mixture import times
from curate.mix.quotas import Short, Want

WHERE = "mixture"


@dataclass(frozen=True)
class Shortage:
    """There is too little of a group for a mixture.

    short   which group, and who wants how much of it
    choice  `Mixture.choice()`
    wants   what each phase asks for
    names   of the groups
    unit    tokens, bytes or documents
    """

    short: Short
    choice: dict
    wants: list[Want]
    names: list[str]
    unit: str

    @property
    def error(self) -> CurateError:
        """What to tell the person who asked."""
        if not self.short.there:
            return self._nothing_left()
        if self.short.asked is None:
            return self._taken_by_others()
        short, of = self.short, "" if self.short.group is None else f" of `{self.name}`"
        what = f"{self._asking} {short.asked:,} {self.unit}{of}, but only {floor(short.most):,} are available: "
        what += f"there are {short.there:,}, used {self._used}"
        return CurateError(what, WHERE, ", or ".join(self._fixes()))

    @property
    def name(self) -> str:
        return "" if self.short.group is None else self.names[self.short.group]

    @property
    def repeats(self) -> int | None:
        """How often documents of the group may be used; None: as a curve or the number of copies says."""
        most = self.choice["repeats"]
        return most.get(self.name, 1) if isinstance(most, dict) else most

    @property
    def _used(self) -> str:
        says = [f"`{name}`" for name in ("curve", "rehydrate") if name in self.choice]
        return times(self.repeats) if self.repeats else f"as often as {' and '.join(says)} allow"

    @property
    def _one_phase(self) -> bool:
        """Whether the mixture has no phases of its own."""
        return self.choice["wants"][0]["name"] is None

    def _phase(self, number: int) -> str:
        return f"`{self.choice['wants'][number]['name']}`"

    @property
    def _asking(self) -> str:
        if self._one_phase:
            return "the mixture asks for"
        named = [self._phase(number) for number in self.short.phases]
        return f"phase {named[0]} asks for" if len(named) == 1 else f"phases {' and '.join(named)} ask for"

    def _nothing_left(self) -> CurateError:
        weighed = {name for want in self.choice["wants"] for name in want["weights"]}
        fix = f"remove `{self.name}` from the weights, or add documents to it"
        if others := [name for name in self.names if name not in weighed]:
            fix = f"{did_you_mean(self.name, others)} Or {fix}"
        return CurateError(f"{self._asking} a share of `{self.name}`, but no document of it is left", WHERE, fix)

    def _taken_by_others(self) -> CurateError:
        there = f"{self.short.there:,} {self.unit}"
        what = f"{self._asking} a share of `{self.name}`, but the other phases use all {there} of it"
        more = f"raise `repeats` above {self.repeats}" if self.repeats else "set `repeats`"
        fix = f"lower their budgets, {more}, or set `repeat_earlier: true` for this phase"
        return CurateError(what, WHERE, fix)

    def _fixes(self) -> Iterator[str]:
        if self.short.scale:
            lower = {number: int(budget * self.short.scale) for number, budget in self._budgets().items()}
            if self._one_phase:
                yield f"lower `budget` to {lower[0]}"
            else:
                told = ", ".join(f"{self._phase(number)} to {budget}" for number, budget in lower.items())
                yield f"lower the budget of {told}"
        if self.short.repeats:
            of = f" of `{self.name}`" if isinstance(self.choice["repeats"], dict) and self.name else ""
            yield f"{'raise' if self.repeats else 'set'} `repeats`{of} to {self.short.repeats}"
        if len(self.wants) == 1 and self.wants[0].weights and self.wants[0].budget:
            most = int(Fraction(self.short.most, self.wants[0].budget) * 10_000) / 10_000
            yield f"give `{self.name}` a weight of at most {most:g}"

    def _budgets(self) -> dict[int, int]:
        """{phase: its budget} of those that a lower one would help: all that take no documents of earlier phases, or
        where the group is short for one that does, those that it is short for."""
        fresh = {number: want.budget for number, want in enumerate(self.wants) if want.budget and not want.again}
        if {*self.short.phases} <= fresh.keys():
            return fresh
        return {number: self.wants[number].budget for number in self.short.phases}


def no_document(given: dict, budget: int, unit: str) -> CurateError:
    """The first document of a phase, or of the mixture, is larger than its budget."""
    what = f"phase `{given['name']}` gets no document" if given["name"] else "the mixture gets no document"
    what += f": the first one alone exceeds its budget of {budget:,} {unit}"
    return CurateError(what, WHERE, "raise its budget, or leave it out")
