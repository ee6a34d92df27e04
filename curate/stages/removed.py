"""Keep out documents that were removed from an earlier version, or that someone asked to remove."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.base import urls
from curate.documents import hashed, utf8
from curate.errors import CurateError
from curate.models.resources import Name, locate, sha256
from curate.stage_api import set_column, stage
from curate.stages._lists import Kind, entries

KEYS = ("id", "url", "text", "domain")
"""What a document is matched by, in this order; `KEY_sha256` in a record."""

_DIGESTS = (*(f"{key}_sha256" for key in KEYS), "rule_sha256")
RECORD = pa.schema([("document", pa.bool_()), *((name, pa.string()) for name in (*_DIGESTS, "list", "version"))])
"""Columns of `evidence/removed.parquet`, the record of removals that goes with every later version.

document     true: a row is a document that is out. false: it is an entry of a list, which holds for what comes later
id_sha256    of the id
url_sha256   of the page, as `curate.base.urls.page` writes it; null for a copy of a removed text at another URL
text_sha256  of the text in UTF-8; null for white space, which is nobody's
domain_sha256  of a domain that is out with all below it
rule_sha256  the entry that the document is out by; null in records of older versions
list         name of the list
version      of the release that was the first without it
"""


class Rule(NamedTuple):
    """What a document is out by. key: the sha256 of the entry; of: "rule", or "document" where it is like one."""

    list: str
    version: str | None
    key: str | None
    of: str


class Match(NamedTuple):
    """A document that is out. cause: "id", "url", "domain", or "same URL", "same text" as one that is out."""

    rule: Rule
    cause: str
    url_sha256: str | None
    text_sha256: str | None


@dataclass(frozen=True)
class Removals:
    """What is to be out: for each of `KEYS` {sha256: Rule}. Domains stand for all below them."""

    id: dict[str, Rule] = field(default_factory=dict)
    url: dict[str, Rule] = field(default_factory=dict)
    text: dict[str, Rule] = field(default_factory=dict)
    domain: dict[str, Rule] = field(default_factory=dict)

    def add(self, record: pa.Table) -> "Removals":
        """These and the rows of a record; the first that names a document counts."""
        for row in record.to_pylist():
            of = "document" if row["document"] else "rule"
            for key in KEYS:
                if digest := row[f"{key}_sha256"]:
                    rule = row["rule_sha256"] or (None if row["document"] else digest)
                    getattr(self, key).setdefault(digest, Rule(row["list"], row["version"], rule, of))
        return self

    def find(self, docs: pa.Table) -> list[Match | None]:
        """How each document is out, if it is. docs: with `id` and `text`, and `url` where there are URLs."""
        url = docs["url"] if "url" in docs.column_names else pa.nulls(docs.num_rows, pa.string())
        pages = urls.pages(url).to_pylist()
        domains = self._domains(url)
        text = list(_digests(docs["text"])) if self.text else [None] * docs.num_rows
        found: list[Match | None] = []
        for row, id in enumerate(docs["id"].to_pylist()):
            page = hashed(pages[row]) if pages[row] and (self.url or self.text) else None
            rule, cause = self.id.get(hashed(id)) if self.id else None, "id"
            if rule is None and page in self.url:
                rule = self.url[page]
                cause = "same URL" if rule.of == "document" else "url"
            if rule is None and domains:
                rule, cause = domains[row], "domain"
            if rule is None and text[row] in self.text:
                rule, cause = self.text[text[row]], "same text"
            if rule is None:
                found.append(None)
                continue
            copied = cause == "same text" or (cause == "id" and rule.of == "document" and rule.key)
            page = None if copied else page or (pages[row] and hashed(pages[row]))
            found.append(Match(rule, cause, page or None, text[row] or next(_digests(docs["text"].slice(row, 1)))))
        return found

    def _domains(self, url: pa.ChunkedArray | pa.Array) -> list[Rule | None]:
        """The rule on the domain of each URL; an empty list where there are no such rules."""
        if not self.domain:
            return []
        hosts = urls.hosts(url).dictionary_encode("encode")
        rules = [
            next((self.domain[key] for key in map(hashed, urls.parents(host or "")) if key in self.domain), None)
            for host in hosts.dictionary.to_pylist()
        ]
        return [rules[index] for index in hosts.indices.to_pylist()]


def _digests(text: pa.ChunkedArray | pa.Array) -> Iterator[str | None]:
    """The sha256 of each text; None for one of white space alone, which would be like any other."""
    data, offsets = utf8(text)
    view = memoryview(data)
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        some = view[start:stop]
        yield sha256_of(some).hexdigest() if bytes(some[:64]).strip() or bytes(some).strip() else None


def merged(record: pa.Table, more: pa.Table) -> pa.Table:
    """A record and the rows of another that say more: a document of the same id and text is there once."""
    known = {(row["id_sha256"], row["text_sha256"]) for row in record.to_pylist() if row["document"]}
    new = [(row["id_sha256"], row["text_sha256"]) not in known for row in more.to_pylist()]
    return pa.concat_tables([record, more.filter(pa.array(new, pa.bool_()))])


def documents(docs: pa.Table, found: Iterable[Match | None], version: str | None = None) -> pa.Table:
    """The record of the documents that are out. version: where their rules have none."""
    rows = [
        {
            "document": True,
            "id_sha256": hashed(id),
            "url_sha256": match.url_sha256,
            "text_sha256": match.text_sha256,
            "rule_sha256": match.rule.key,
            "list": match.rule.list,
            "version": match.rule.version or version,
        }
        for id, match in zip(docs["id"].to_pylist(), found, strict=True)
        if match
    ]
    return pa.Table.from_pylist(rows, RECORD)


def read_list(path: Path, name: str, kind: str | None = None) -> pa.Table:
    """Read a list of removals: `evidence/removed.parquet` of a release, or text with one of these a line.

    An id (32 hexadecimal digits), its sha256 (64), a URL or a domain, see `curate.stages._lists`. Returns a table as
    `RECORD`, a row an entry. Raises CurateError for lines that are none of these.

    name  of the list; what a release removed keeps the names it has
    kind  "ids", "urls" or "domains", where all must be of one
    """
    if path.suffix == ".parquet":
        return _read_record(path)
    kinds: tuple[Kind, ...] = (kind[:-1],) if kind else ("id", "url", "domain")
    listed = dict.fromkeys((entry.kind, entry.key) for entry in entries(path, kinds))
    digests = [(key, digest if key == "id" else hashed(digest)) for key, digest in listed]
    columns = {f"{key}_sha256": [digest if key == of else None for of, digest in digests] for key in KEYS}
    rest = {"document": [False] * len(digests), "rule_sha256": [digest for _, digest in digests]}
    rest |= {"list": [name] * len(digests), "version": [None] * len(digests)}
    return pa.table(columns | rest).select(RECORD.names).cast(RECORD)


def _read_record(path: Path) -> pa.Table:
    """The record of a release, with the columns that it lacks if it is of an older version of curate."""
    try:
        table = pq.read_table(path)
        count, known = table.num_rows, table.column_names
        if not {"id_sha256", "list", "version"} <= {*known}:
            raise pa.ArrowInvalid("it lacks the columns id_sha256, list and version")
        columns = {field.name: table[field.name] if field.name in known else pa.nulls(count) for field in RECORD}
        columns["document"] = pc.fill_null(columns["document"].cast(pa.bool_()), True)
        record = pa.table(columns).cast(RECORD)
        forms = dict.fromkeys(_DIGESTS, "^[0-9a-f]{64}$") | {"list": r"^\w+$", "version": r"^[\w.+-]+$"}
        for column, form in forms.items():
            if not pc.all(pc.match_substring_regex(record[column], form), min_count=0).as_py():
                raise pa.ArrowInvalid(f"`{column}` contains invalid values")
    except (pa.ArrowException, OSError, ValueError) as error:
        fix = "use evidence/removed.parquet of a release, or a list of ids, URLs or domains"
        raise CurateError(f"not a record of removals: {error}", str(path), fix) from None
    return record


def list_names(paths: Iterable[str | Path]) -> dict[str, str | Path]:
    """{what a list is called: its path}: its file's name, as a reason may be; with its folder's, or a number, where two
    lists have one name."""
    paths, found = list(dict.fromkeys(paths)), {}
    stems = [_word(Path(path).stem) for path in paths]
    for path, stem in zip(paths, stems, strict=True):
        twice = stems.count(stem) > 1 and Path(path).parent.name
        name = wanted = _word(f"{Path(path).parent.name}_{stem}") if twice else stem
        number = 2
        while name in found:
            name, number = f"{wanted}_{number}", number + 1
        found[name] = path
    return found


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text)


def record_of(lists: dict[str, str | Path]) -> pa.Table:
    """All that these lists say, a row each, as `RECORD`."""
    return _record(tuple((name, Path(path), sha256(Path(path))) for name, path in lists.items()))


@lru_cache(maxsize=4)
def _record(files: tuple) -> pa.Table:
    return pa.concat_tables([RECORD.empty_table(), *(read_list(path, name) for name, path, _ in files)])


def removals_of(lists: dict[str, str | Path]) -> Removals:
    """What these lists say. The first that names a document counts."""
    return _removals(tuple((name, Path(path), sha256(Path(path))) for name, path in lists.items()))


@lru_cache(maxsize=4)
def _removals(files: tuple) -> Removals:
    return Removals().add(_record(files))


def counted(record: pa.Table) -> list[dict]:
    """[{"version", "list", "documents", "entries", "matched"}] of a record: documents that are out, entries of the
    list, and how many of these a document is out by."""
    found: dict[tuple[str, str], dict[str, set]] = {}
    names = ["document", "id_sha256", "rule_sha256", "list", "version"]
    rows = record.select(names).to_pylist()
    asked = {row["rule_sha256"] for row in rows if not row["document"]}
    for row in rows:
        key = row["version"] or "", row["list"]
        sets = found.setdefault(key, {"documents": set(), "entries": set(), "by": set()})
        sets["documents" if row["document"] else "entries"].add(row["id_sha256" if row["document"] else "rule_sha256"])
        if row["document"] and row["rule_sha256"] in asked:
            sets["by"].add(row["rule_sha256"])
    return [
        {"version": version, "list": name, "documents": len(sets["documents"])}
        | {"entries": len(sets["entries"]), "matched": len(sets["by"])}
        for (version, name), sets in sorted(found.items(), key=lambda item: (_number(item[0][0]), item[0]))
    ]


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def located(lists: dict[str, str]) -> dict[str, Path]:
    """The files of lists, by name. Raises CurateError where one is not at hand."""
    return {name: locate(path, "list") for name, path in lists.items()}


def _files(lists: dict[str, str]) -> dict:
    return {"lists": located(lists)}


def _reasons(lists: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted(pc.unique(record_of(located(lists))["list"]).to_pylist()))


def _notes(lists: dict[str, str]) -> list[str]:
    record = record_of(located(lists))
    return [f"{record.num_rows:,} entries in {len(pc.unique(record['list'])):,} lists"]


@stage(
    version=2,
    alone=True,
    dry=True,
    packages=("idna",),
    resources_from=_files,
    reasons_from=_reasons,
    notes_from=_notes,
)
def removed(docs: pa.Table, *, lists: dict[str, Name]) -> pa.Table:
    """Reject documents whose removal was requested. A manifest's `removed:` runs it after all other stages.

    A document is rejected if its id, its page (its URL in canonical form, with any scheme), its domain or a parent
    domain is listed, or if its text is that of a removed document.

    lists  by name: files with ids, sha256 of ids, URLs or domains, one per line (also hosts files and Adblock lines),
           or `evidence/removed.parquet` of a release. The reason is the list's name.

    Reads: id, url, text
    Adds: removed_in (string, first version of the release without the document, if the list has it),
          removed_by (string, sha256 of the entry), removed_url (string, sha256 of the page), removed_text (string,
          sha256 of the text)
    """
    found = removals_of(located(lists)).find(docs)
    columns = {
        "removed_in": [match and match.rule.version for match in found],
        "removed_by": [match and match.rule.key for match in found],
        "removed_url": [match and match.url_sha256 for match in found],
        "removed_text": [match and match.text_sha256 for match in found],
    }
    for name, values in columns.items():
        docs = set_column(docs, name, pa.array(values, pa.string()))
    return docs.append_column("reject", pa.array([match and match.rule.list for match in found], pa.string()))
