"""`curate init`: write a starter manifest."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from curate.base.terminal import shown
from curate.errors import CurateError
from curate.inspect.first_look import Look, look
from curate.manifest.library import library
from curate.sources.format_api import find_format

SCHEMA = "manifest.schema.json"
DEFAULT_INPUT = "data/*.warc.gz"


def init(path: str | Path = "manifest.yaml", inputs: Sequence[str] = ()) -> list[Look]:
    """Write a commented manifest for some inputs, and next to it the schema that editors use to check it.

    inputs  files, globs, folders or URLs, as in a manifest. Local ones are inspected: each source gets the format and
            the layout or columns inferred from its first documents

    Returns what was found, one `Look` per source. Inputs that are read the same way become one source. Raises
    CurateError if the manifest already exists.

        curate.init("manifest.yaml", ["crawl/*.warc.gz", "books.jsonl"])
    """
    path = Path(path)
    if path.exists():
        raise CurateError(f"{path} already exists", fix="choose another name, or remove the file")
    looks = sorted((look(item, path.parent) for item in inputs), key=lambda one: str(one.way))
    found = [_together(list(alike)) for _, alike in groupby(looks, key=lambda one: one.way)]
    found = found or [Look([DEFAULT_INPUT])]
    names = _names(found)
    template = (library("manifests") / "template.yaml").read_text(encoding="utf-8")
    sources = "\n".join(line for name, one in zip(names, found, strict=True) for line in _source(name, one))
    path.parent.mkdir(parents=True, exist_ok=True)
    head, _, rest = template.partition("\nsources:\n")
    rest = rest.partition("\n\n")[2]  # what follows the sources of the template
    path.write_text(f"{head}\nsources:\n{sources}\n\n{rest}", encoding="utf-8")
    schema = path.parent / SCHEMA
    if not schema.exists():
        schema.write_bytes((library("manifests") / SCHEMA).read_bytes())
    return found


def _together(looks: list[Look]) -> Look:
    """Inputs that are read in one way, as one source: what the first shows, and the sizes of all."""
    first = looks[0]
    for other in looks[1:]:
        first.inputs += other.inputs
        first.files, first.bytes = first.files + other.files, first.bytes + other.bytes
        first.sampled += other.sampled
        for name, count in other.languages.items():
            first.languages[name] = first.languages.get(name, 0) + count
    return first


def _names(looks: list[Look]) -> list[str]:
    """What sources are called: after their layout, or after what they are."""
    names: list[str] = []
    for one in looks:
        if one.format and find_format(one.format).raw_rows:
            name = (one.layout or "rows").replace("-", "_")
        else:
            name = {"text": "texts", "html": "pages"}.get(one.format or "", "web")
        names.append(name if name not in names else f"{name}_{len(names) + 1}")
    return names


def _source(name: str, one: Look) -> Iterator[str]:
    """The lines of a source."""
    yield f"  {name}:"
    for line in one.lines():
        yield f"    # {' '.join(shown(line).split())}"
    yield "    inputs:"
    yield from (f"      - {json.dumps(item, ensure_ascii=False)}" for item in one.inputs)
    if one.format and not find_format(one.format).in_folders:
        yield f"    format: {one.format}"
    if one.layout:
        yield f"    layout: {one.layout}"
    if one.columns:
        yield "    columns:"
        yield from (f"      {column}: {json.dumps(place, ensure_ascii=False)}" for column, place in one.columns.items())
    extracts = one.format is None or find_format(one.format).payload
    yield f"    pipeline: {'quickstart' if extracts else '[normalize]'}"
    yield "    license: other # an SPDX identifier, such as cc-by-4.0"
