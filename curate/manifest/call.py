"""One call of a stage in a manifest: its parameters, its label, its `max_removed`."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel, Field

from curate.base.parameters import Share
from curate.errors import CurateError, Stopped
from curate.stage_api import Stage


class Checks(BaseModel):
    """What a run holds any stage to. No parameter of the stage: nothing it does depends on this."""

    max_removed: Share | None = Field(
        None, description="share of a source that the stage may remove; exceeding it stops the run"
    )


@dataclass(frozen=True)
class Call:
    """A stage with its parameters, defaults filled in. label: its name; the second in its list is `name.2`.

    place, places  where it stands in which file, and each parameter that is given
    """

    stage: Stage
    params: dict[str, Any]
    label: str
    place: str
    max_removed: float | None = None
    places: dict[str, str] = field(default_factory=dict, repr=False)

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

    def blame(self, error: CurateError) -> CurateError:
        """An error of the stage with its place in the manifest: that of the parameter it names, if it names one."""
        what = error.what if error.where in ("", *self.places) else f"{error.what}: {error.where}"
        return (Stopped if isinstance(error, Stopped) else CurateError)(
            what, self.places.get(error.where, self.place), error.fix
        )
