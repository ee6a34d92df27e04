"""Resolve a manifest: find and identify its inputs and earlier releases. The only step that touches disk or network.

What was found is remembered in `plans/` of the work folder, so that `status`, `explain` and `gc` need neither the
inputs nor the network again. `plan` and `run` always look anew.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import pydantic

from curate.errors import CurateError, ManifestError, Stopped
from curate.manifest import Manifest
from curate.plan import Shard
from curate.release.earlier import earlier
from curate.sources import inputs
from curate.sources.partitions import Partition, partitions

FORMAT = 1
SUFFIX = ".inputs.json"


@dataclass(frozen=True)
class Resolved:
    """What a manifest names, found.

    partitions  {source: the pieces of its inputs that one job reads each}
    not_taken   {source: files that were found and not read, see `curate.sources.inputs.Found.not_taken`}
    earlier     shards of the earlier releases
    """

    partitions: dict[str, list[Partition]]
    not_taken: dict[str, list[dict]]
    earlier: list[Shard]


def resolve(manifest: Manifest, work: Path) -> Resolved:
    """Find and identify all that a manifest names.

    Raises CurateError for an input that is not there or is not data, Stopped where a server is busy.
    """
    found, not_taken, problems = {}, {}, []
    for name, source in manifest.document.sources.items():
        given = [item if isinstance(item, str) else item.model_dump() for item in source.inputs]
        try:
            held = inputs.resolve(given, manifest.folder, work, source.format, source.follow_links)
        except Stopped:
            raise
        except CurateError as error:  # of all sources at once
            problems.append(error)
            continue
        options = {
            "layout": source.layout,
            "columns": source.columns,
            "max_bad_rows": source.max_bad_rows,
        }
        found[name] = partitions(name, source.format, options, held.files)
        not_taken[name] = held.not_taken
    if problems:
        raise problems[0] if len(problems) == 1 else ManifestError(problems)
    return Resolved(found, not_taken, earlier(manifest))


def memory_of(manifest: Manifest, work: Path) -> Path:
    """Where it is noted what a manifest of this text, in this folder, named."""
    key = json.dumps([FORMAT, manifest.name, manifest.text, str(manifest.folder)])
    return Path(work) / "plans" / f"{manifest.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}{SUFFIX}"


def remember(manifest: Manifest, work: Path, resolved: Resolved) -> None:
    """Note what was found. Nothing depends on it; addresses may hold secrets, so it is for its owner alone."""
    path = memory_of(manifest, work)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = json.dumps(asdict(resolved))
    draft = path.with_suffix(f".{uuid4().hex}.tmp")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            json.dump({"sha256": _sha256(body), "resolved": body}, file)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def recall(manifest: Manifest, work: Path) -> Resolved | None:
    """What was found when this manifest was planned last; None where it was not, or the note is damaged."""
    try:
        noted = json.loads(memory_of(manifest, work).read_bytes())
        if noted["sha256"] != _sha256(noted["resolved"]):
            return None
        found = pydantic.TypeAdapter(Resolved).validate_json(noted["resolved"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if list(found.partitions) == list(manifest.document.sources) else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
