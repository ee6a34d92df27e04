"""What a marker says of a part, and whether it is what was written."""

import json
from hashlib import blake2b

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a marker may raise that is not what was written."""


def said(raw: bytes) -> dict:
    """What a marker counts, as one that was checked says."""
    marker = json.loads(raw)
    del marker["checksum"]
    return marker


def checked(fp: str, raw: bytes) -> dict:
    """What a marker counts. Raises ValueError and others of `UNREADABLE` where it is not sound."""
    marker = json.loads(raw)
    if marker.pop("checksum") != checksum(fp, marker):
        raise ValueError(fp)
    return marker


def suffix_of(counts: dict) -> str:
    """How the name of a part ends. That of a binned part once ended as all do: such a part is made anew."""
    return ".arrows" if "bins" in counts else ".parquet"


def checksum(fp: str, counts: dict) -> str:
    """Of a marker: of what it counts, and of whose part."""
    return blake2b(_SORTED([fp, counts]).encode(), digest_size=8).hexdigest()


_SORTED = json.JSONEncoder(sort_keys=True).encode
