"""What the archive formats share: from a file to rows."""

import base64
import hashlib
import json
import mmap
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from curate.documents import ARCHIVE_SCHEMA, document_id
from curate.sources import UNREADABLE, File, Origin, Rows, compression_of, http, inputs
from curate.sources.codecs import codec_of
from curate.sources.http import Damaged
from curate.sources.records import DOCUMENTS, Grammar, Losses, Record, records

SCHEMA = ARCHIVE_SCHEMA.append(pa.field("reject", pa.string()))
OWN = {"revisit", "too_large"}
"""Reasons that documents of a sound archive may have."""

_LOG = re.compile(r"metadata:|urn:x-wpull:|urn:x-wget|urn:pageinfo:", re.IGNORECASE)
"""Addresses under which crawlers keep their logs and arguments (GNU Wget, Wpull, Browsertrix)."""

_OTHERS = [
    (rb"version https://git-lfs", "a Git LFS pointer in place of the file: run `git lfs pull`"),
    (rb"(?i:<!doctype html|<html)", "an HTML page, such as servers send for errors and logins"),
    (rb"<\?xml|<[A-Za-z]+>", "an XML document, such as stores send for errors"),
    (rb"[{\[]", "JSON"),
    (rb"%PDF-", "a PDF"),
    (rb"PK\x03\x04", "a zip file"),
    (rb"PAR1", "a Parquet file"),
    (rb"(?s).{257}ustar", "a tar file: unpack it"),
]


def tables(grammar: Grammar, file: File, origin: Origin) -> Iterator[pa.Table]:
    """Document tables of an archive, with the columns of ARCHIVE_SCHEMA and `reject`.

    An archive in which there is no record is lost whole, and so is one all of whose documents fail for one reason that
    is not in OWN.
    """
    with inputs.opened(file) as stream:
        size = stream.seek(0, 2)
        if not size:
            origin.note(file.path, "the file is empty")
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            named = compression_of(file.path)
            if (other := _other(data)) and not codec_of(data, named) and not grammar.start.search(data):
                origin.lose(file.path, 0, size, f"not an archive, but {other}")
                return
            losses, found = Losses(origin, file.path, size), _Found()
            for table in _rows(records(data, named, grammar, losses), file, origin, found):
                origin.reached(table["position"][-1].as_py() / size)
                yield table
            losses.close()
            if losses.total < size and (problem := found.problem()):
                origin.lose(file.path, 0, size - losses.total, problem)


def _other(data: mmap.mmap) -> str | None:
    """What a file is that is called an archive and does not begin as one."""
    head = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for pattern, what in _OTHERS if re.match(pattern, head)), None)


class _Found:
    """What an archive came to: records, documents by reason, the first that failed."""

    def __init__(self):
        self.records, self.reasons, self.first = 0, Counter(), ""

    def problem(self) -> str | None:
        """Why the whole archive is lost, if it is."""
        if not self.records:
            return "it contains no records"
        reasons = {reason: count for reason, count in self.reasons.items() if reason not in OWN}
        if len(reasons) == 1 and None not in reasons:
            [(reason, count)] = reasons.items()
            return f"every document in it ({count:,}) is rejected as {reason}: {self.first}"
        return None


def _rows(records: Iterator[Record], file: File, origin: Origin, found: _Found) -> Iterator[pa.Table]:
    rows, before, repeats = Rows(SCHEMA, origin.block_bytes), None, 0
    for record in records:
        found.records += 1
        log = record.kind == "resource" and record.url and _LOG.match(record.url)
        if record.kind not in DOCUMENTS or log:
            origin.skipped["crawler_log" if log else record.kind] += 1
            continue
        # An archive that is compressed as one piece gives all its records the same offset.
        repeats = repeats + 1 if record.position == before else 0
        before = record.position
        if rows.full(len(record.block or b"")):
            yield rows.take()
        content, damage = _content(record)
        found.reasons[damage and damage.reason] += 1
        if damage and damage.reason not in OWN:
            found.first = found.first or damage.detail
        meta = record.meta | {"record_id": record.record_id, "error": damage.detail if damage else None}
        meta = {name: value for name, value in meta.items() if value}
        key = f"{record.record_id or ''}#{repeats}" if repeats else record.record_id
        row = (
            document_id(origin.source, file.path, record.position, record.url, key),
            origin.source,
            file.path,
            record.position,
            content.text,
            record.url,
            record.date,
            None,
            origin.license,
            json.dumps(meta, sort_keys=True, ensure_ascii=False) if meta else None,
            content.payload,
            content.status,
            content.kind,
            http.media_type(record.identified_type or "")[0],
            content.charset,
            content.robots,
            damage.reason if damage else None,
        )
        rows.add(row, len(content.payload or content.text or b""))
    if rows:
        yield rows.take()


class _Content(NamedTuple):
    text: str | None = None
    payload: bytes | None = None
    status: int | None = None
    kind: str | None = None
    charset: str | None = None
    robots: str | None = None


def _content(record: Record) -> tuple[_Content, Damaged | None]:
    """What the columns of a record hold beside where it comes from, and why it cannot be used, if so."""
    content = _Content()
    try:
        if record.damage:
            raise record.damage
        if record.unusable:
            raise record.unusable
        if record.kind == "revisit":
            raise Damaged("revisit", "")
        if record.digest:
            _check(record.digest, record.block)
        if record.http and record.kind != "conversion":
            response = http.parse(record.block)
            content = _Content(None, None, response.status, response.kind, response.charset, response.robots)
            content = content._replace(payload=http.decode(response.body, response.codings))
        else:
            kind, charset = http.media_type(record.content_type)
            content = _Content(kind=kind, charset=charset)
            if record.kind == "conversion" and kind == "text/plain":
                content = content._replace(text=record.block.decode())
            else:
                content = content._replace(payload=record.block)
    except UnicodeDecodeError as error:
        return content, Damaged("not_utf8", str(error))
    except Damaged as damage:
        return content._replace(payload=None), damage
    except MemoryError:
        raise
    except Exception as error:  # whatever it holds, no record stops a run
        return _Content(), Damaged(UNREADABLE, f"{type(error).__name__}: {error}")
    return content, None


def _check(digest: str, block: bytes) -> None:
    """Raise Damaged `digest_mismatch` where the block is not what the archive says. Unknown digests pass."""
    algorithm, _, value = digest.partition(":")
    algorithm = algorithm.strip().lower().replace("-", "")
    if algorithm not in ("sha1", "md5", "sha256", "sha512"):
        return
    found = hashlib.new(algorithm, block, usedforsecurity=False).digest()
    value = value.strip().rstrip("=")
    if len(value) not in (len(found) * 2, -(-len(found) * 8 // 5)):
        return
    if value.upper() not in (found.hex().upper(), base64.b32encode(found).decode().rstrip("=")):
        raise Damaged("digest_mismatch", f"the block's {algorithm} is {found.hex()}, not {value}")
