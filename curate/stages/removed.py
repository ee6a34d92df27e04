"""Keep out what was removed from an earlier version, or what someone asked to remove."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from curate.documents import hashed
from curate.errors import CurateError
from curate.resources import Name, lines, locate, sha256
from curate.stage import set_column, stage


@dataclass(frozen=True)
class Removals:
    """What is to be out: {key: (list, version)}. version: of the release that was the first without it, or None.

    ids      by the sha256 of the id
    urls     by what `address` makes of them
    domains  with all below them
    """

    ids: dict[str, tuple] = field(default_factory=dict)
    urls: dict[str, tuple] = field(default_factory=dict)
    domains: dict[str, tuple] = field(default_factory=dict)

    def find(self, id: str, url: str | None) -> tuple | None:
        """The (list, version) that a document is out by, if it is."""
        if found := self.ids and self.ids.get(hashed(id)):
            return found
        if not url or not (self.urls or self.domains):
            return None
        place = address(url)
        host = place.partition("/")[0].partition(":")[0].split(".")
        above = (".".join(host[level:]) for level in range(len(host)))
        return self.urls.get(place) or next((self.domains[name] for name in above if name in self.domains), None)


def address(url: str) -> str:
    """An address as removals compare it: without scheme, fragment and last slash, its host in lower case."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # not an address at all: it is equal to itself alone
        return url
    query = f"?{parts.query}" if parts.query else ""
    return (parts.netloc.rpartition("@")[2].lower() + parts.path).rstrip("/") + query


def read_list(path: Path, name: str, kind: str | None = None) -> Removals:
    """Read a list of removals: `evidence/removed.parquet` of a release, or text with one of these a line.

    An id (32 hexadecimal digits), its sha256 (64), a URL (with `://`) or a domain. Blank lines and `#` comments are
    skipped. Raises CurateError for a line that is none of these.

    name  of the list; what a release removed keeps the names it has
    kind  "ids", "urls" or "domains", where all must be of one
    """
    found = Removals()
    if path.suffix == ".parquet":
        for row in pq.read_table(path).to_pylist():
            found.ids[row["id_sha256"]] = (row["list"], row["version"])
        return found
    for text in lines(path):
        where, key = _key(text)
        if where is None or kind not in (None, where):
            raise CurateError(f"`{text}` is not one of {kind or 'ids, URLs or domains'}", str(path), "write one a line")
        getattr(found, where)[key] = (name, None)
    return found


def _key(text: str) -> tuple[str | None, str]:
    if re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", text):
        return "ids", text if len(text) == 64 else hashed(text)
    if "://" in text:
        return "urls", address(text)
    if re.fullmatch(r"[\w-]+(\.[\w-]+)+", text):
        return "domains", text.lower()
    return None, text


def list_name(path: str | Path) -> str:
    """What a list is called: its file's name, as a reason may be."""
    return re.sub(r"\W+", "_", Path(path).stem)


def _files(lists: dict[str, str]) -> dict:
    return {"lists": {name: locate(path, "list") for name, path in lists.items()}}


def _reasons(lists: dict[str, str]) -> tuple[str, ...]:
    found = _load(_files(lists)["lists"])
    return tuple(sorted({name for keys in (found.ids, found.urls, found.domains) for name, _ in keys.values()}))


def _load(lists: dict[str, str | Path]) -> Removals:
    return _read(tuple((name, Path(path), sha256(Path(path))) for name, path in lists.items()))


@lru_cache(maxsize=4)
def _read(files: tuple) -> Removals:
    whole = Removals()
    for name, path, _ in reversed(files):  # the first list that names a document counts
        found = read_list(path, name)
        for kind in ("ids", "urls", "domains"):
            getattr(whole, kind).update(getattr(found, kind))
    return whole


@stage(version=1, alone=True, resources_from=_files, reasons_from=_reasons)
def removed(docs: pa.Table, *, lists: dict[str, Name]) -> pa.Table:
    """Reject documents whose removal was asked for. A manifest's `removed:` runs it after all other stages.

    lists  by name, files with ids, sha256 of ids, URLs or domains, one a line, or `evidence/removed.parquet` of a
           release. The reason is the list's name.

    Reads: id, url
    Adds: removed_in (string, the version of the release that was the first without it, where the list says so)
    """
    removals = _load(lists)
    found = [
        removals.find(id, url) or (None, None)
        for id, url in zip(docs["id"].to_pylist(), docs["url"].to_pylist(), strict=True)
    ]
    docs = set_column(docs, "removed_in", pa.array([version for _, version in found], pa.string()))
    return docs.append_column("reject", pa.array([name for name, _ in found], pa.string()))
