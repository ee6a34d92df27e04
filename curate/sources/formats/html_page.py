"""Web pages, one per file, as `wget` or a browser saves them.

Plain or compressed. The stage `extract` takes their text, as it does that of archived pages, and says what files that
are no pages are: scripts, pictures, PDFs.

Reasons:
  too_large           more than 64 MiB
  truncated           damage to the compressed file cuts off the page
"""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

import pyarrow as pa
from pydantic import AfterValidator, Field

from curate.documents import document_id
from curate.sources import COMPRESSIONS, File, Origin, Rows
from curate.sources.archive import SCHEMA
from curate.sources.format_api import Format, listed
from curate.sources.http import MAX_PAYLOAD
from curate.sources.row_tables import Content

ENDINGS = (".html", ".htm", ".xhtml")


def _address(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^\s?#@]+", value):
        raise ValueError("a URL such as https://site.example/, without user and query")
    return value


Base = Annotated[
    str | None,
    AfterValidator(_address),
    Field(description="URL of the folder, such as https://site.example/; a page's URL is this plus its path"),
]


def read(file: File, *, origin: Origin, base_url: Base = None) -> Iterator[pa.Table]:
    """One document table with the columns of ARCHIVE_SCHEMA, and a row: the page."""
    data, reason = _page(Content(file, origin))
    rows, path = Rows(SCHEMA, origin.block_bytes), _bare(file.path)
    row = dict.fromkeys(SCHEMA.names) | {
        "id": document_id(origin.source, file.path, 0),
        "source": origin.source,
        "path": file.path,
        "position": 0,
        "url": f"{base_url.rstrip('/')}/{quote(path)}" if base_url else None,
        "license": origin.license,
        "payload": data,
        "content_type": "text/html" if path.lower().endswith(ENDINGS) else None,
        "reject": reason,
    }
    rows.add(tuple(row.values()), len(data or b""))
    yield rows.take()


def _page(content: Content) -> tuple[bytes | None, str | None]:
    """What a file holds, and why it cannot be used, if so."""
    held, size = [], 0
    for piece in content:
        if piece is None:
            return None, "truncated"
        size += len(piece)
        if size > MAX_PAYLOAD:
            return None, "too_large"
        held.append(piece)
    return b"".join(held), None


def _bare(path: str) -> str:
    """A path without the ending of a compression."""
    packed = next((ending for ending in COMPRESSIONS if path.lower().endswith(ending)), "")
    return path[: len(path) - len(packed)]


FORMAT = Format(
    "html",
    "HTML",
    read,
    version=1,
    endings=ENDINGS,
    in_folders=False,
    payload=True,
    holds="anything",
    text_share=0.15,
    reasons=listed(__doc__),
)
