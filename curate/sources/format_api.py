"""What a source format is, how to write one, and how a file name or a manifest finds it.

A format is one `Format` object. Ours are each called FORMAT in a module of `curate.sources.formats`; other packages add
theirs by an entry point in the group `curate.formats`. Nothing else names a format: manifests, planning, estimates, the
checks of inputs and the reference all ask this object.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import entry_points, version
from typing import Any, Literal

import pyarrow as pa
import pydantic

from curate.errors import CurateError, did_you_mean
from curate.sources import COMPRESSIONS, File, Origin, compression_of

HOME = "curate.sources.formats"
ENTRY_POINTS = "curate.formats"
MAPPING = ("layout", "columns")
"""Options that a manifest sets beside `options:`, since all formats of rows have them."""


@dataclass(frozen=True)
class Format:
    """A source format.

    name        as `format:` calls it
    title       as people call it
    read        read(file, *, origin, ...) yields document tables, see `curate.sources`. Its other keyword-only
                parameters, but `rows`, are the options that a manifest may set for the format
    version     raised when the same file no longer gives the same documents
    endings     of its files, before that of a compression
    in_folders  whether a folder's files are taken by their endings alone. Not where such files lie beside data
                everywhere, as READMEs and tables of figures do: then `format:` says so
    compressed  whether its files may be compressed as a whole
    packages    distributions whose version affects the documents
    payload     whether documents come as payload, for `extract`, with the columns of `ARCHIVE_SCHEMA`
    holds       what its files may hold: `records` of its own; `text`, markup too; or `anything`, so that what a file
                is must be told document by document
    begins      how every file of it begins, and no other data does: finds files of it where others are expected
    recognizes  whether first bytes are those of this format, where another has the same ending
    may_be_empty  whether a file of no bytes is one without documents
    raw_rows    raw_rows(file, origin) yields the rows of a file as they are, for a first look, without those that
                cannot be read. Only of formats of rows, whose columns `layout` and `columns` map
    ranges      ranges(file, target_bytes) cuts a file into pieces that `read` takes as `rows`
    seen        seen(file): the layout `curate` with the columns of `curate.documents.MORE` that a release's file has
    text_share  bytes of text in a byte on disk, for estimates; of a compressed file, where they differ
    plain_share the same of a file that is not compressed
    reasons     {reason: meaning} of rows or records that cannot be used
    """

    name: str
    title: str
    read: Callable[..., Iterator[pa.Table]]
    version: int
    endings: tuple[str, ...]
    in_folders: bool = True
    compressed: bool = True
    packages: tuple[str, ...] = ()
    payload: bool = False
    holds: Literal["records", "text", "anything"] = "records"
    begins: re.Pattern[bytes] | None = None
    recognizes: Callable[[bytes], bool] | None = None
    may_be_empty: bool = False
    raw_rows: Callable[[File, Origin], Iterator[dict]] | None = None
    ranges: Callable[[File, int], list[tuple[int, int]]] | None = None
    seen: Callable[[File], str] | None = None
    text_share: float = 1.0
    plain_share: float | None = None
    reasons: dict[str, str] | None = None

    def has(self, path: str) -> bool:
        """Whether a file's name ends as those of this format do."""
        name = path.lower()
        packed = next((ending for ending in COMPRESSIONS if name.endswith(ending)), "")
        return (self.compressed or not packed) and name.removesuffix(packed).endswith(self.endings)

    @cached_property
    def options(self) -> type[pydantic.BaseModel]:
        """What a manifest may set for it, as a model; `layout` and `columns` among them for formats of rows."""
        fields = {
            name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in inspect.signature(self.read, eval_str=True).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and name not in ("origin", "rows")
        }
        config = pydantic.ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)
        return pydantic.create_model(f"{self.name}_options", __config__=config, **fields)

    @property
    def own_options(self) -> dict[str, Any]:
        """{option: its field} of those that `options:` of a manifest sets."""
        return {name: field for name, field in self.options.model_fields.items() if name not in MAPPING}

    def configure(self, given: dict[str, Any]) -> dict[str, Any]:
        """All its options, defaults filled in, as plain JSON values; of `given` those that it has.

        Raises pydantic.ValidationError.
        """
        mine = {name: given[name] for name in self.options.model_fields if name in given}
        return self.options.model_validate(mine).model_dump(mode="json")

    def identity(self) -> dict:
        """What of the format affects the documents of a file, beside its options."""
        versions = {name: version(name) for name in self.packages}
        return {"format": self.name, "version": self.version, "packages": versions}

    def text_bytes(self, path: str, size: int) -> float:
        """About how much text a file of so many bytes holds."""
        plain = self.plain_share is not None and compression_of(path) is None
        return size * (self.plain_share if plain else self.text_share)


def listed(doc: str | None) -> dict[str, str]:
    """{reason: meaning} of the list under `Reasons:` in a module's docstring."""
    below = (doc or "").partition("Reasons:")[2]
    found = re.findall(r"^  (\w+) {2,}(.+(?:\n {10,}.+)*)", below, re.MULTILINE)
    return {reason: " ".join(meaning.split()) for reason, meaning in found}


@cache
def formats() -> dict[str, Format]:
    """{name: format}: ours, and those that installed packages add. Raises CurateError where one cannot be loaded."""
    home = importlib.import_module(HOME)
    modules = sorted(module.name for module in pkgutil.iter_modules(home.__path__))
    found = [importlib.import_module(f"{HOME}.{name}").FORMAT for name in modules]
    known = {one.name: one for one in sorted(found, key=lambda one: one.recognizes is not None)}
    for point in entry_points(group=ENTRY_POINTS):
        if point.name not in known:
            known[point.name] = _loaded(point)
    return known


def _loaded(point) -> Format:
    fix = "fix or uninstall the package that declares it"
    try:
        found = point.load()
    except Exception as error:
        what = f"cannot load the source format `{point.name}`: {type(error).__name__}: {error}"
        raise CurateError(what, point.value, fix) from error
    if not isinstance(found, Format) or found.name != point.name:
        raise CurateError(f"`{point.value}` is not a source format called `{point.name}`", ENTRY_POINTS, fix)
    return found


def find_format(name: str) -> Format:
    """The format a manifest calls `name`. Raises CurateError that names the nearest one."""
    if name not in formats():
        raise CurateError(f"unknown format `{name}`", fix=did_you_mean(name, formats()))
    return formats()[name]


def format_of(path: str, head: bytes = b"") -> str | None:
    """The name of a file's format by its ending, or None where no format has it.

    head  its first bytes, without compression, where they are at hand: they decide where two formats have one ending.
    """
    named = [one for one in formats().values() if one.has(path)]
    told = [one for one in named if head and one.recognizes and one.recognizes(head)]
    return next((one.name for one in [*told, *named]), None)


def ambiguous(path: str) -> bool:
    """Whether the ending of a file leaves open what it is."""
    return sum(one.has(path) for one in formats().values()) > 1


def format_for(path: str, name: str | None = None) -> Format:
    """The format of a file: what the manifest names, else what its ending tells. Raises CurateError."""
    if name := name or format_of(path):
        return find_format(name)
    known = ", ".join(sorted(formats()))
    raise CurateError(
        f"cannot infer the format of `{path}` from its extension", path, f"set `format:` to one of {known}"
    )
