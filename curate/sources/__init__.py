"""Sources: one file a format, each with a function `read`; `layouts` maps the columns of known datasets.

    read(file, *, origin, ...) -> Iterator[pa.Table]

yields tables of at most `origin.block_bytes` of text or payload (one document more where it alone is larger), in the order
of the file, with the columns of `curate.documents` and a `reject` column (string; null where the row is sound).
"""

from collections import Counter
from dataclasses import dataclass, field

BLOCK_BYTES = 64 << 20
"""Text or payload in one block: what a worker holds at a time."""


@dataclass(frozen=True)
class File:
    """An input file.

    path    its name under the root of the source's inputs: part of document ids, the same on every machine.
    url     where it lies now: an absolute local path, or an address with a scheme.
    size    bytes; -1 where a server does not tell.
    digest  `sha256:...` of a local file, else what the server gives that changes with the content (`etag:...`).
    """

    path: str
    url: str
    size: int = -1
    digest: str = ""


@dataclass
class Origin:
    """What a reader is told about the source it reads for, and where it counts what it passes over.

    skipped  records that are no documents (`request`, `warcinfo`, ...), counted by kind.
    """

    source: str
    license: str | None = None
    block_bytes: int = BLOCK_BYTES
    skipped: Counter = field(default_factory=Counter)
