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
    progress: bool = True,
) -> Release:
    """Make the release of a manifest, and open it. Whatever was made before is not made again.

    progress  whether to show how far the run is, on stderr. For the rest see `curate.run_events`, which yields what
              happens instead of waiting for the end.

    Raises CurateError for what is wrong with the manifest or the inputs, Stopped where running again resumes.

        release = curate.run("manifest.yaml")
        release.documents().head(3)
    """
    return Release(
        _last(run_events(manifest, work, workers, scheduler, replace, allow_empty, allow_code), progress).path
    )


def train(
    recipe: str | Path,
    work: str | Path = WORK,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    allow_code: Iterable[str] = (),
    progress: bool = True,
) -> Trained:
    """Train the classifier of a recipe, or a model of main content. One that already exists, of the same recipe, inputs
    and versions, is not trained again.

    recipe    path of a recipe, or the name of one that comes with curate
    progress  whether to show how far it is, on stderr

    Raises CurateError for what is wrong with the recipe or its inputs, Stopped where running again goes on.

        curate.train("quality.yaml").metrics["roc_auc"]
    """
    return _last(train_events(recipe, work, workers, scheduler, allow_code), progress)


def _last(events: Iterator, progress: bool) -> Any:
    if progress:
        return follow(events)
    *_, last = events
    return last
