"""What the archive formats share: from a record to a row."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from curate.documents import ARCHIVE_SCHEMA, document_id
from curate.sources import File, Origin, Rows, http
from curate.sources.http import Damaged

SCHEMA = ARCHIVE_SCHEMA.append(pa.field("reject", pa.string()))
DOCUMENTS = ("response", "resource", "conversion", "revisit")


@dataclass(slots=True)
class Record:
    """One record of an archive, or one place where it is damaged.

    kind      as WARC-Type names it.
    block     what follows the record's own header; None where it could not be read.
    http      whether the block is an HTTP response.
    digest    `algorithm:value` of the block, where the archive has one.
    meta      what else is known of it.
    damage    why it cannot be used.
    """

    kind: str
    position: int
    url: str | None = None
    date: str | None = None
    record_id: str | None = None
    content_type: str = ""
    block: bytes | None = None
    http: bool = False
    digest: str | None = None
    meta: dict = field(default_factory=dict)
    damage: Damaged | None = None


def tables(records: Iterable[Record], file: File, origin: Origin) -> Iterator[pa.Table]:
    """Document tables of the records, with the columns of ARCHIVE_SCHEMA and `reject`."""
    rows, before, repeats = Rows(SCHEMA, origin.block_bytes), None, 0
    for record in records:
        if record.kind not in DOCUMENTS and record.damage is None:
            origin.skipped[record.kind] += 1
            continue
        # An archive that is compressed as one piece gives all its records the same offset.
        repeats = repeats + 1 if record.position == before else 0
        before = record.position
        if rows.full(len(record.block or b"")):
            yield rows.take()
        content, damage = _content(record)
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
