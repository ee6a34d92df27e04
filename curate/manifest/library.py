"""Find pipelines, classifiers and manifests by name: beside the manifest, then curate's own."""

import os
from pathlib import Path
from typing import Literal

from curate.errors import CurateError, did_you_mean


def library(kind: Literal["pipelines", "classifiers", "manifests"]) -> Path:
    """The folder of pipelines, classifiers or manifests that come with curate."""
    package = Path(__file__).parents[1]
    installed = package / "_library" / kind
    return installed if installed.exists() else package.parent / kind


def find(kind: Literal["pipelines", "classifiers", "manifests"], name: str, folder: Path) -> Path:
    """The file that `name` means: a path to a `.yaml` file, else `KIND/NAME.yaml` in the folder or beside it, else what
    comes with curate."""
    if name.endswith((".yaml", ".yml")):
        candidates = [folder / name]
    else:
        candidates = [home / f"{name}.yaml" for home in (folder / kind, folder.parent / kind, library(kind))]
    for path in candidates:
        if os.path.isfile(path):  # unlike that of Path also for a name too long for the disk
            return path
    known = {path.stem for path in library(kind).glob("*.yaml")}
    raise CurateError(f"no {kind[:-1]} `{name}`", fix=did_you_mean(name, known) if known else "")
