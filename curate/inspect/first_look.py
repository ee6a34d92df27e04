"""What `curate init` finds in inputs: format, layout, columns, languages, first documents."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from curate.base.phrases import counted, size
from curate.documents import REJECT
from curate.engine.apply import Configured, apply
from curate.errors import CurateError
from curate.inspect.row_guess import PLACES, columns_of, layout_of, row_layout_of
from curate.inspect.trying import apply_stages
from curate.models.resources import at_hand
from curate.sources import File, Origin, inputs, is_remote, partitions
from curate.sources.format_api import Format, ambiguous, format_for, format_of, formats
from curate.sources.row_tables import Content
from curate.sources.stores import local_path
from curate.stage_api import find_stage

SAMPLED_DOCUMENTS = 100
"""Of a file."""
_EXCERPT = 72


@dataclass
class Look:
    """What some inputs hold that are read in one way.

    inputs     as they were given
    format     None where no file is there to tell it
    layout     that of a known dataset
    columns    where text, url and so on are, if neither a layout nor the columns' own names say so
    fields     columns of the rows
    documents  the first: {"text", "url", "date", "language", "license"}, shortened
    languages  {language: documents} of the sample; empty without a model
    problem    why nothing more is known
    """

    inputs: list[str]
    format: str | None = None
    files: int = 0
    bytes: int = 0
    layout: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    documents: list[dict[str, str]] = field(default_factory=list)
    sampled: int = 0
    languages: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def way(self) -> tuple:
        """What must be equal for inputs to be one source."""
        return (self.format, self.layout, tuple(self.columns.items()), bool(self.problem))

    def lines(self) -> Iterator[str]:
        """For people, and for the manifest: nothing of a document is in them, since manifests are published."""
        if self.files:
            yield f"{counted(self.files, 'file')}, {size(self.bytes)}, format {self.format}"
        if self.problem:
            yield self.problem
        if self.fields:
            yield f"columns: {', '.join(self.fields[:20])}{' ...' if len(self.fields) > 20 else ''}"
        if self.layout:
            yield f"layout: {self.layout}"
        for name, place in self.columns.items():
            yield f"{name}: {place}"
        if self.languages:
            shares = (f"{name} {count}" for name, count in self.languages.items())
            yield f"languages of {counted(self.sampled, 'document')}: {', '.join(islice(shares, 8))}"


def look(item: str, base: Path) -> Look:
    """What an input of a manifest in the folder `base` holds. Nothing is fetched from elsewhere."""
    found = Look([item], format_of(item.partition("?")[0]))
    if is_remote(item):
        found.problem = "not inspected: it is not on this machine"
        return found
    try:
        files = _files(item, base)
        if not files:
            found.problem = "no file matches yet"
            return found
        kinds = Counter(_format(file).name for file in files)
        found.format, found.files, found.bytes = (
            kinds.most_common(1)[0][0],
            len(files),
            sum(os.path.getsize(local_path(file.url)) for file in files),
        )
        if len(kinds) > 1:
            found.problem = f"files of several formats: {', '.join(kinds)}; pass each kind with a separate --input"
            return found
        _sample(found, [files[place] for place in sorted({0, len(files) // 2, len(files) - 1})])
    except CurateError as error:
        found.problem = error.what.partition("\n")[0]
    except (OSError, ValueError, pa.ArrowException) as error:
        found.problem = "cannot be read: " + str(error).partition("\n")[0]
    return found


def _files(item: str, base: Path) -> list[File]:
    """The files of an input; of a folder of none that are taken by their endings, those of a format to be set."""
    try:
        return inputs.discover([item], base).files
    except CurateError:
        found: list[File] = []
        for kind in formats().values():
            with suppress(CurateError):
                files = [file for file in inputs.discover([item], base, kind.name).files if kind.has(file.path)]
                found = max(found, [replace(file, format=kind.name) for file in files], key=len)
        if not found:
            raise
        return found


def _format(file: File) -> Format:
    """The format of a file, by its first bytes where its ending leaves it open."""
    if not file.format and ambiguous(file.path):
        head = next(iter(Content(file, Origin("sample"))), None) or b""
        return format_for(file.path, format_of(file.path, head[:1024]))
    return format_for(file.path, file.format)


def _sample(found: Look, files: list[File]) -> None:
    """Look into some files."""
    kind = _format(files[0])
    if rows := _first_rows(files[0], kind):
        found.fields = list(dict.fromkeys(name for row in rows for name in row))
        found.layout = layout_of(rows) or row_layout_of(rows)
        found.columns = {} if found.layout else columns_of(rows)
    options = {name: value for name, value in (("layout", found.layout), ("columns", found.columns)) if value}
    tables = [_documents(file, kind, options) for file in files]
    documents = pa.concat_tables(tables, promote_options="permissive")
    found.sampled = documents.num_rows
    if not found.sampled:
        found.problem = "none of the first documents has text"
    found.languages = _languages(documents)
    found.documents = [_excerpt(row) for row in documents.slice(0, 2).to_pylist()]


def _documents(file: File, kind: Format, options: dict) -> pa.Table:
    """The first documents of a file that have a text: of archives, once it is extracted."""
    (partition, *_) = partitions.partitions("sample", kind.name, options, [file])
    blocks = partitions.read(partition.identity, {file.path: file}, Origin("sample", block_bytes=4 << 20))
    block = next(blocks, None)
    if block is None:
        return pa.table({"text": pa.array([], pa.string())})
    block = block.slice(0, SAMPLED_DOCUMENTS)
    if kind.payload:
        extract = find_stage("extract")
        call = Configured("extract", extract, extract.configure({"extractor": "curate"}))
        block, _ = apply(block, [call])
    return block.filter(block[REJECT.name].is_null()).select(PLACES)


def _languages(documents: pa.Table) -> dict[str, int]:
    """{language: documents}, the most frequent first, where a model of languages is on this machine."""
    model = at_hand("lid.176.ftz")
    if model is None or not documents.num_rows:
        return {}
    told = apply_stages(documents.select(["text"]), [{"language": {"model": str(model)}}])["language"].to_pylist()
    return dict(Counter(name or "unknown" for name in told).most_common())


def _excerpt(row: dict) -> dict[str, str]:
    shown = {name: " ".join(str(value).split()) for name, value in row.items() if value is not None}
    return {name: text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…" for name, text in shown.items()}


def _first_rows(file: File, kind: Format) -> list[dict]:
    """The first rows of a file as they are; none of a format that has no rows, or where none can be read."""
    return [] if kind.raw_rows is None else list(islice(kind.raw_rows(file, Origin("sample")), SAMPLED_DOCUMENTS))
