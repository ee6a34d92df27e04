"""Resolve a manifest: find and identify its inputs, on disk and over the network."""

from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, ManifestError, Stopped
from curate.manifest.manifest import Manifest
from curate.sources import inputs
from curate.sources.partitions import Partition, partitions


@dataclass(frozen=True)
class Resolved:
    """What a manifest names, found.

    partitions  {source: the pieces of its inputs that one job reads each}
    not_taken   {source: files that were found and not read, see `curate.sources.inputs.Found.not_taken`}
    """

    partitions: dict[str, list[Partition]]
    not_taken: dict[str, list[dict]]


def resolve(manifest: Manifest, work: Path) -> Resolved:
    """Find and identify the inputs of a manifest.

    Raises CurateError for an input that is not there or is not data, Stopped where a server is busy.
    """
    found, not_taken, problems = {}, {}, []
    for name, source in manifest.spec.sources.items():
        given = [item if isinstance(item, str) else item.model_dump() for item in source.inputs]
        try:
            held = inputs.resolve(given, manifest.folder, work, source.format, source.follow_links)
        except Stopped:
            raise
        except CurateError as error:  # of all sources at once
            problems.append(error)
            continue
        options = {"layout": source.layout, "columns": source.columns} | source.options
        found[name] = partitions(name, source.format, options, held.files)
        not_taken[name] = held.not_taken
    if problems:
        raise problems[0] if len(problems) == 1 else ManifestError(problems)
    return Resolved(found, not_taken)
