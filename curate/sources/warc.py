"""WARC archives."""

import json
from collections.abc import Iterator

import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecordType

from curate.documents import ARCHIVE_SCHEMA, document_id
from curate.sources import File, Origin, inputs

SCHEMA = ARCHIVE_SCHEMA.append(pa.field("reject", pa.string()))
KINDS = {
    int(getattr(WarcRecordType, name)): name
    for name in (
        "warcinfo",
        "response",
        "resource",
        "request",
        "metadata",
        "revisit",
        "conversion",
        "continuation",
        "unknown",
    )
}
DOCUMENTS = {"response", "resource", "conversion", "revisit"}


def read(file: File, *, origin: Origin) -> Iterator[pa.Table]:
    rows, size = [], 0
    with inputs.local(file) as path, open(path, "rb") as stream:
        for record in ArchiveIterator(stream, parse_http=False):
            kind = KINDS[int(record.record_type)]
            if kind not in DOCUMENTS:
                origin.skipped[kind] += 1
                continue
            headers, position = record.headers, record.stream_pos
            url = (headers.get("WARC-Target-URI") or "").strip("<> ") or None
            record_id = headers.get("WARC-Record-ID")
            identity = document_id(origin.source, file.path, position, url, record_id)
            record.parse_http(auto_decode="all")
            http = record.http_headers if record.is_http else None
            payload = record.reader.read()
            reject = "revisit" if kind == "revisit" else None
            text = payload.decode("utf-8", "replace") if kind == "conversion" else None
            meta = json.dumps({"record_id": record_id})
            kind = record.http_content_type or headers.get("Content-Type") or ""
            rows.append(
                (
                    identity,
                    origin.source,
                    file.path,
                    position,
                    text,
                    url,
                    headers.get("WARC-Date"),
                    None,
                    origin.license,
                    meta,
                    payload,
                    http.status_code if http else None,
                    kind.partition(";")[0].strip().lower(),
                    record.http_charset,
                    None,
                    reject,
                )
            )
            size += len(payload)
            if size >= origin.block_bytes:
                yield _table(rows)
                rows, size = [], 0
    if rows:
        yield _table(rows)


def _table(rows: list[tuple]) -> pa.Table:
    columns = [
        pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
