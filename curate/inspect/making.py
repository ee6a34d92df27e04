"""`run` and `train` for programs and notebooks: show progress, return the result."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from curate.inspect.opened import Release
from curate.inspect.progress import follow
from curate.manifest.manifest import Manifest
from curate.models.train import Trained, train_events
from curate.release.make import WORK, run_events


def run(
    manifest: Manifest | str | Path,
    work: str | Path = WORK,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    replace: bool = False,
    allow_empty: bool = False,
    allow_code: Iterable[str] = (),
    profile: str | Path | None = None,
    progress: bool = True,
) -> Release:
    """Build the release of a manifest, and open it. Earlier results are reused.

    progress  whether to show progress on stderr. For the other parameters see `curate.run_events`, which yields events
              instead of waiting for the end.

    Raises CurateError if the manifest or the inputs are wrong, Stopped if running again resumes.

        release = curate.run("manifest.yaml")
        release.documents().head(3)
    """
    return Release(
        _last(run_events(manifest, work, workers, scheduler, replace, allow_empty, allow_code, profile), progress).path
    )


def train(
    recipe: str | Path,
    work: str | Path = WORK,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    allow_code: Iterable[str] = (),
    profile: str | Path | None = None,
    progress: bool = True,
) -> Trained:
    """Train the classifier or main-content model of a recipe. A model from the same recipe, inputs and versions is not
    trained again.

    recipe    path of a recipe, or the name of a built-in one
    profile   YAML file with the Dask cluster to use, see `curate.run_events`
    progress  whether to show progress on stderr

    Raises CurateError if the recipe or its inputs are wrong, Stopped if running again resumes.

        curate.train("quality.yaml").metrics["roc_auc"]
    """
    return _last(train_events(recipe, work, workers, scheduler, allow_code, profile), progress)


def _last(events: Iterator, progress: bool) -> Any:
    if progress:
        return follow(events)
    *_, last = events
    return last
