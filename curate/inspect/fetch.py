"""`curate fetch`: download the models, lists and evaluation sets of a manifest ahead of a run."""

from pathlib import Path
from typing import Any

from curate.errors import CurateError, ManifestError, Stopped
from curate.manifest.manifest import Manifest, load
from curate.tokens import requested


def fetch(manifest: str | Path | Manifest) -> list[dict[str, Any]]:
    """Download the models, tokenizers, lists and evaluation sets of a manifest.

    Returns {"stage", "path", "bytes", "sha256"} of each, whether fetched now or before: a later run needs no network
    for them. On a machine without a network, copy these files to its CURATE_MODEL_DIR.

    Raises ManifestError with all files that cannot be found or do not have the expected content; Stopped if a server
    is busy.

        curate.fetch("manifest.yaml")
    """
    manifest = manifest if isinstance(manifest, Manifest) else load(manifest)
    found: dict[str, dict[str, Any]] = {}
    problems: list[CurateError] = []
    for _, call in manifest.calls:
        try:
            for digest, path in call.stage.resources(call.params).items():
                found.setdefault(path, _told(call.label, digest, Path(path)))
        except Stopped as error:
            raise call.blame(error) from error
        except CurateError as error:
            problems.append(call.blame(error))
    if manifest.spec.tokens:
        try:
            for digest, file in requested.encoding(manifest.spec.tokens)[1].items():
                found.setdefault(str(file), _told("tokens", digest, file))
        except CurateError as error:
            problems.append(error)
    if problems:
        raise ManifestError(problems)
    return list(found.values())


def _told(stage: str, digest: str, path: Path) -> dict[str, Any]:
    return {"stage": stage, "path": str(path), "bytes": path.stat().st_size, "sha256": digest.removeprefix("sha256:")}
