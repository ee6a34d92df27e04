"""Files that are not what they are called: pointers of Git LFS, error pages, sign-in pages in place of data."""

import re
import zlib
from contextlib import suppress
from typing import NamedTuple

HEAD = 1024
"""First bytes of a file that are looked at."""

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"/annex/objects/|\.git/annex/")
_LINK = re.compile(rb"(?:\.\./)+[^\0\n]{1,400}")
_CODE = re.compile(rb"<Code>([\w.-]{1,60})</Code>")
_PAGE = re.compile(rb"<(?:(?:!doctype\s+html|html|head|body|title|meta|script)\b|!--)", re.IGNORECASE)


class Impostor(NamedTuple):
    """What a file is in place of data, and what to do."""

    what: str
    fix: str


def impostor(head: bytes, kind: str | None = None) -> Impostor | None:
    """What a file is, if it cannot be one of rows or archives. Plain code on a few bytes.

    head  its first bytes, at least some hundred
    kind  the format that is expected of it, if one is known
    """
    if head.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            head = zlib.decompressobj(31).decompress(head, 1024)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(_LFS):
        return Impostor("a Git LFS pointer, not the data", "run `git lfs pull` where it was cloned")
    if len(head) < 512 and _ANNEX.search(head) and text.startswith((b"/annex", b"../", b".git")):
        return Impostor("a git-annex pointer, not the data", "run `git annex get` or `datalad get` where it was cloned")
    if len(head) < 512 and _LINK.fullmatch(head):
        return Impostor("the text of a link, not what it points to", "fetch or clone it where links can be made")
    if text.startswith(b"<"):
        if _PAGE.match(text):
            return Impostor("an HTML page, not data", "fetch it again: this is an error or a sign-in page")
        code = _CODE.search(text)
        what = f"an error of an object store ({code[1].decode()})" if code else "XML"
        return Impostor(f"{what}, not data", "fetch it again")
    if kind in ("warc", "wet", "arc", "parquet") and text[:1] in (b"{", b"["):
        return Impostor(f"JSON where {kind.upper()} was expected", "fetch it again, or set `format: jsonl`")
    return None
