"""A stage as a list of stages calls it: configured, labeled, and with what a run holds it to."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, Field

from curate.stage import Stage


class Checks(BaseModel):
    """What a run holds any stage to. No parameter of the stage: nothing it does depends on this."""

    max_removed: float | None = Field(
        None, ge=0, le=1, description="share of a source that the stage may remove; more stops the run"
    )


@dataclass(frozen=True)
class Call:
    """A stage with its parameters, defaults filled in. label: its name; the second in its list is `name.2`."""

    stage: Stage
    params: dict[str, Any]
    label: str
    place: str
    max_removed: float | None = None

    # Asked of every partition, and some stages have to think about it.

    @cached_property
    def identity(self) -> dict:
        return self.stage.identity(self.params)

    @cached_property
    def reads(self) -> tuple[str, ...]:
        return self.stage.reads(self.params)

    @cached_property
    def adds(self) -> dict[str, str]:
        return self.stage.adds(self.params)
