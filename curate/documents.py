"""The document table: its columns, and how a document gets its id.

Every source yields these columns (null where it has no such thing), every stage reads and adds to them, and a
release is made of them. Stages may add columns of other names, but for a few (see `RESERVED`).
"""

from dataclasses import dataclass
from hashlib import blake2b, sha256
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base.messages import IMAGES, MESSAGES


@dataclass(frozen=True)
class Column:
    type: pa.DataType
    meaning: str


COLUMNS = {
    "id": Column(pa.string(), "128 bits in 32 hexadecimal digits, derived from where the document comes from"),
    "source": Column(pa.string(), "name of the source in the manifest"),
    "path": Column(pa.string(), "path of the file below the root of the source's inputs"),
    "position": Column(pa.int64(), "byte offset of the record in an archive, or row number in a table, from 0"),
    "text": Column(pa.string(), "the document"),
    "n_bytes": Column(pa.int64(), "bytes of the text in UTF-8; maintained by the engine"),
    "url": Column(pa.string(), "URL that the document was fetched from"),
    "date": Column(pa.string(), "when it was fetched or created; ISO 8601 if the source uses it"),
    "language": Column(pa.string(), "natural or programming language, as given by the source or a stage"),
    "license": Column(pa.string(), "license of the document, otherwise that of its source"),
    "meta": Column(pa.string(), "other fields of the source: a JSON object with sorted keys"),
}
"""What a source yields and the first part of a partition keeps."""

MORE = {
    "messages": Column(MESSAGES, "a conversation: the messages of each role"),
    "prompt": Column(pa.string(), "the prompt that both answers respond to"),
    "chosen": Column(MESSAGES, "the conversation with the better answer"),
    "rejected": Column(MESSAGES, "the conversation with the worse answer"),
    "tools": Column(pa.string(), "tools that the assistant may call: JSON"),
    "extras": Column(
        pa.string(), "other fields of messages: a JSON object {column: [fields or null, one per message]}"
    ),
    "images": Column(IMAGES, "images, in the order of their marks in the text"),
    "group": Column(pa.string(), "identifier shared by all rows of one question"),
}
"""What a source yields besides where its rows are more than text, as far as its layout has it."""

TRANSIENT = {
    "payload": Column(pa.binary(), "body of the record, decoded from its transfer and content encodings"),
    "http_status": Column(pa.int16(), "HTTP status; null where the record has no HTTP header"),
    "content_type": Column(pa.string(), "media type of the payload, in lowercase, without parameters"),
    "identified_type": Column(
        pa.string(), "media type that the crawler detected from the payload's bytes, in the same form"
    ),
    "charset": Column(pa.string(), "character encoding stated in the HTTP header"),
    "robots": Column(pa.string(), "X-Robots-Tag and TDM-Reservation headers, one per line"),
}
"""What an archive also yields to the stages of the same job. Never stored."""

COUNTED = ("n_duplicates", "duplicate_sources")
"""What a stage that counts copies reads of documents, as far as an earlier one has counted them."""

TALLY = "tally"
"""A struct of int64 that a map stage may give beside its documents. Never stored: the lock has the sums of its fields,
by source, over the documents that the stage keeps."""

RESERVED = frozenset(
    {"id", "source", "path", "position", "n_bytes", "reject", TALLY}  # which document a row is, and whether it is in
    | {"doc", "bin", "order", "priority", "text_bytes", "band_keys"}  # what the engine sends along with documents
)
"""Columns that no stage may add."""

REJECT = pa.field("reject", pa.dictionary(pa.int32(), pa.string()))
"""`stage.reason` of a document that is out; null for one that is in."""

SCHEMA = pa.schema([pa.field(name, column.type) for name, column in COLUMNS.items() if name != "n_bytes"])
ARCHIVE_SCHEMA = pa.schema([*SCHEMA, *(pa.field(name, column.type) for name, column in TRANSIENT.items())])


def document_id(source: str, path: str, position: int, url: str | None = None, record: str | None = None) -> str:
    """The id of a document: blake2b-128 of its provenance. The same place gives the same id for good."""
    key = "\x1f".join((source, path, str(position), url or "", record or ""))
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def hashed(id: str) -> str:
    """How the record of removals names a document: the sha256 of its id, in hexadecimal digits."""
    return sha256(id.encode()).hexdigest()


def coded(column: pa.ChunkedArray, known: dict) -> np.ndarray:
    """Values as numbers, int32[rows], null too; `known` has the number of each value, and gets those that are new."""
    values = column.combine_chunks().dictionary_encode("encode")
    codes = [known.setdefault(value, len(known)) for value in values.dictionary.to_pylist()]
    return np.array(codes, np.int32)[values.indices.to_numpy()]


def flat(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array. Arrow's `combine_chunks` copies even what is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def utf8(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """A string column as kernels take it: `data` (uint8) and `offsets` (int64, rows + 1). Null is empty text.

    No byte is copied when the column is one chunk without nulls.
    """
    array = flat(column) if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # no chunk at all, or more than 2 GiB
        array = pa.chunked_array(array.chunks, array.type).cast(pa.large_string()).combine_chunks()
    if array.null_count:
        array = array.fill_null("" if pa.types.is_string(array.type) else b"")
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    count = len(array)
    if offsets is None or count == 0:
        return np.frombuffer(b"", np.uint8), np.zeros(count + 1, np.int64)
    offsets = np.frombuffer(offsets, np.int64 if wide else np.int32)
    offsets = offsets[array.offset : array.offset + count + 1].astype(np.int64)
    data = np.frombuffer(data, np.uint8) if data is not None else np.frombuffer(b"", np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def hashes128(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """blake2b-128 of each value of a string column, as two arrays of uint64[n]. Null hashes as empty text."""
    data, offsets = utf8(column)
    view = memoryview(data)
    digests = b"".join(blake2b(view[start:stop], digest_size=16).digest() for start, stop in pairwise(offsets))
    words = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return words[:, 0].copy(), words[:, 1].copy()


def comparable(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """What SlimPajama compares of texts: lower case, no ASCII punctuation, every run of white space one space, none at
    the ends."""
    text = pc.replace_substring_regex(pc.utf8_lower(text), r"[!-/:-@\[-`{-~]+", "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"[\s\p{Z}]+", " "))
