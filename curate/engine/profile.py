"""A profile: the cluster that jobs run on, as a file of its operator says.

It names a class to import and its arguments, so whoever writes it can run code: it is never part of a manifest.
"""

import importlib
from pathlib import Path
from typing import Any, Self

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field

from curate.engine.job import Job
from curate.errors import CurateError, ManifestError


class Adaptive(BaseModel):
    """Bounds of a number of workers that follows the work."""

    model_config = ConfigDict(extra="forbid")

    minimum: int = Field(0, ge=0, description="least number of workers")
    maximum: int = Field(ge=1, description="largest number of workers")

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum ({self.minimum}) is more than maximum ({self.maximum})")
        return self


class Profile(BaseModel):
    """A cluster of Dask: one to start, or the address of one that runs."""

    model_config = ConfigDict(extra="forbid")

    cluster: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$",
        description="class of the cluster to start, with its module, such as dask_jobqueue.SLURMCluster",
    )
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the class")
    scheduler: str | None = Field(None, description="address of a running scheduler to use instead")
    workers: int | None = Field(None, ge=1, description="number of workers to start")
    adaptive: Adaptive | None = Field(None, description="start and stop workers as the work needs")
    resources: dict[str, float] = Field(
        {}, description="resources of Dask workers that jobs over all documents need, such as {LARGE: 1}"
    )

    @pydantic.model_validator(mode="after")
    def _one_cluster(self) -> Self:
        if (self.cluster is None) == (self.scheduler is None):
            raise ValueError("set either `cluster` or `scheduler`")
        if self.scheduler and (self.arguments or self.workers or self.adaptive):
            raise ValueError("`arguments`, `workers` and `adaptive` are of a cluster to start, not of a `scheduler`")
        if self.workers and self.adaptive:
            raise ValueError("set either `workers` or `adaptive`")
        return self

    def needs(self, job: Job) -> dict[str, float] | None:
        """The resources of a worker that a job needs: of those that hold something of all documents in memory."""
        large = job.task == "mix" or (job.task == "step" and job.args["over"] == "all")
        return self.resources or None if large else None

    def start(self) -> Any:
        """Start the cluster. Raises CurateError where its class is not there or cannot be made of the arguments."""
        module, _, name = (self.cluster or "").rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            fix = f"install the package that has it, or correct `cluster`; {error}"
            raise CurateError(f"no class `{self.cluster}`", "cluster", fix) from error
        try:
            cluster = kind(**self.arguments)
            if self.adaptive:
                cluster.adapt(minimum=self.adaptive.minimum, maximum=self.adaptive.maximum)
            elif self.workers:
                cluster.scale(self.workers)
        except Exception as error:  # whatever a class of somebody else raises
            what = f"`{self.cluster}` could not be started: {type(error).__name__}: {error}"
            raise CurateError(what, "arguments", "check the arguments against the class's documentation") from error
        return cluster


def profile_of(scheduler: str | None, path: str | Path | None) -> Profile | None:
    """The cluster that was asked for: a scheduler by its address, or what a profile says; None for this machine."""
    if scheduler and path:
        raise CurateError("both a scheduler and a profile are given", str(path), "remove --scheduler, or --profile")
    if scheduler:
        return Profile(scheduler=scheduler)
    return load_profile(path) if path else None


def load_profile(path: str | Path) -> Profile:
    """Read a profile. Raises ManifestError with every mistake in it, CurateError where it is no file of YAML."""
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CurateError(f"no profile: {error.strerror}", str(path), "check --profile and CURATE_PROFILE") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise CurateError(f"the profile is not YAML: {error}", str(path), "correct the file") from error
    try:
        return Profile.model_validate(found)
    except pydantic.ValidationError as error:
        problems = []
        for one in error.errors():
            where = ".".join(map(str, one["loc"]))
            fix = f"the keys are {', '.join(Profile.model_fields)}" if one["type"] == "extra_forbidden" else ""
            problems.append(CurateError(one["msg"].removeprefix("Value error, "), f"{path}  {where}".rstrip(), fix))
        raise problems[0] if len(problems) == 1 else ManifestError(problems) from None
