"""Resolve a manifest: find and identify its inputs, on disk and over the network."""

from dataclasses import dataclass, replace
from pathlib import Path

from curate.errors import CurateError, ManifestError, Stopped
from curate.manifest.manifest import Manifest
from curate.manifest.models import Source
from curate.sources import File, inputs, picture_files
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
            pictures = _pictures(source, name, manifest.folder, work)
        except Stopped:
            raise
        except CurateError as error:  # of all sources at once
            problems.append(error)
            continue
        options = {"layout": source.layout, "columns": source.columns} | source.options
        found[name] = _with(pictures, partitions(name, source.format, options, held.files))
        not_taken[name] = held.not_taken
    if problems:
        raise problems[0] if len(problems) == 1 else ManifestError(problems)
    return Resolved(found, not_taken)


def _pictures(source: Source, name: str, folder: Path, work: Path) -> tuple[File, ...]:
    """The places of a source's pictures. Raises CurateError that names the place in the manifest."""
    try:
        return picture_files.find(source.images, folder, work, source.follow_links)
    except CurateError as error:
        where = f"sources.{name}.images: {error.where}"
        raise type(error)(error.what, where, error.fix) from error


def _with(pictures: tuple[File, ...], found: list[Partition]) -> list[Partition]:
    """The partitions with the places of their pictures. Raises CurateError where their rows name none."""
    if not pictures:
        return found
    if not any("images" in partition.more for partition in found):
        where = f"sources.{found[0].source}.images"
        raise CurateError("the rows of this source have no images", where, "set a `layout:` with images, or remove it")
    return [replace(partition, pictures=pictures) for partition in found]
