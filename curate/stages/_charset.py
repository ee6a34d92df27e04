"""Decode the bytes of a page: which character encoding they are in.

Labels are those of https://encoding.spec.whatwg.org/ as Resiliparse knows them, and those that Python and Java write.
"""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from curate.stages._payload_kind import wide

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_UTF_16 = ("utf-16-le", "utf-16-be")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_DECLARED = re.compile(
    rb"<\?xml\s[^>]{0,200}?encoding\s*+=\s*+[\"']([\w.:-]{1,40})|<meta\s[^>]{0,500}?charset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})"
    rb"|@charset\s++\"([\w.:-]{1,40})\"",
    re.IGNORECASE,
)
PRESCAN = 64 << 10
"""Bytes looked through for a page's own declaration: more than a browser's 1,024, since all of the page is there."""

_OTHERS = {
    "ansi": "cp1252",
    "johab": "johab",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "macroman": "mac-roman",
    "maccyrillic": "mac-cyrillic",
    "unicode": "utf-16-le",
    "utf": "utf-8",
    "xeucjp": "euc_jp",
    "xeuccn": "gb18030",
    "xgbk": "gb18030",
}
"""Names no library knows, without what is not a letter or digit."""

_NO_TEXT = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}

_WIDER = {
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
    "iso8859-9": "cp1254",
    "iso8859-1": "cp1252",
    "latin_1": "cp1252",
    "ascii": "cp1252",
}
"""What a standard's name stands for on the web: the same, and the vendor's characters beside it."""


def encoding_of(label: str | None) -> str | None:
    """The codec that a label means, by a name that Python knows; None where it means none."""
    label = (label or "").strip(" \t\r\n\"'`;,").lower()
    if not label or len(label) > 60:
        return None
    found = map_encoding_to_html5(label, fallback_utf8=False) or _of_python(label)
    return _WIDER.get(found, found)


def _of_python(label: str) -> str | None:
    bare = re.sub(r"[^a-z0-9]", "", label)
    if code := re.fullmatch(r"x?(?:win|windows|cp|ms|ibm|microsoft)(\d{3,5})", bare):
        page = {"932": "cp932", "936": "gb18030", "949": "cp949", "950": "big5hkscs", "65001": "utf-8"}
        label = page.get(code[1], f"cp{code[1]}")
    elif bare.startswith("utf8"):  # utf8mb4 and mistakes
        label = "utf-8"
    label = _OTHERS.get(bare, _OTHERS.get(label, label))
    for name in (label, label.removeprefix("x-"), bare):
        try:
            b"x".decode(name, "replace")  # LookupError for codecs that make no text
            codec = codecs.lookup(name)
        except (LookupError, ValueError):
            continue
        if codec.name in _NO_TEXT:
            return None
        known = map_encoding_to_html5(codec.name, fallback_utf8=False)
        return known or ("utf-16-le" if codec.name == "utf-16" else codec.name)
    return None


def declared(payload: bytes) -> str | None:
    """The encoding that a page declares itself: in its XML declaration or a `<meta>`."""
    for found in _DECLARED.finditer(_without_comments(payload[:PRESCAN])):
        if encoding := encoding_of((found[1] or found[2] or found[3]).decode("ascii", "replace")):
            return None if encoding.startswith("utf-16") else encoding  # it could not be read here if it were
    return None


def _without_comments(head: bytes) -> bytes:
    first, *others = head.split(b"<!--")
    return first + b"".join(comment.partition(b"-->")[2] for comment in others)


def decode(payload: bytes, charset: str | None) -> str | None:
    """The text of a page, or None where too little of it is text: see `read`."""
    return read(payload, charset)[0]


def read(payload: bytes, charset: str | None) -> tuple[str | None, bytes]:
    """(text of a page, or None where too little of it is text; its UTF-8 bytes).

    A byte-order mark decides, then the zeros of UTF-16 without one. Else bytes that are valid UTF-8 are UTF-8, whatever
    the header says: no other text looks so by chance, and wrong headers are common. Else the header's `charset`, the
    page's own declaration and what its content looks like are tried in this order; but where the header says Latin-1,
    which servers say unasked, the page's own declaration goes first.
    """
    for mark, encoding in _MARKS:
        if payload.startswith(mark):
            return _with_bytes(payload[len(mark) :].decode(encoding, "replace"))
    header = encoding_of(charset)
    zeros = wide(payload)
    if zeros:
        header = zeros
    elif b"\x1b" in payload and b"\x1b$" in payload and detect_encoding(payload) == "iso2022_jp":
        header = "iso2022_jp"
    elif header in _UTF_16 and b"\0" not in payload[:1024]:
        header = None
    if header not in (*_UTF_16, "iso2022_jp"):
        try:
            return payload.decode(), payload
        except UnicodeDecodeError:
            pass
    return _with_bytes(_decode_legacy(payload, header))


def _with_bytes(text: str | None) -> tuple[str | None, bytes]:
    return text, (text or "").encode("utf-8", "replace")


def _decode_legacy(payload: bytes, header: str | None) -> str | None:
    if header not in _UTF_16 and len(_BINARY.findall(payload, 0, 1024)) * 50 > min(len(payload), 1024):
        return None
    best, fewest = "", len(payload) + 1
    named = declared(payload)
    first = (named, header) if header == "cp1252" else (header, "utf-8", named)
    for encoding in (*first, "utf-8", *_guesses(payload)):
        if encoding is None:
            continue
        text = payload.decode(encoding, "replace")
        flaws = text.count("\ufffd")
        if flaws * 20 <= len(payload) - len(text):  # none, or few among many characters of several bytes
            return text
        if encoding == "utf-8" and _is_utf8(text, flaws):
            return text
        if flaws < fewest:
            best, fewest = text, flaws
    return best if fewest * 20 <= len(best) else None


def _is_utf8(text: str, flaws: int) -> bool:
    """Whether twice as many characters of several bytes are sound as are not: by chance hardly any are."""
    return len(_WIDE.findall(text)) >= 3 * flaws  # U+FFFD is one of them


_WIDE = re.compile(r"[\x80-\U0010ffff]")


def _guesses(payload: bytes) -> list[str | None]:
    """What the content looks like: Korean by its syllables, which Resiliparse does not know, else as it says."""
    guess = detect_encoding(payload)
    return ["cp949" if _is_korean(payload) else None, _WIDER.get(guess, guess)]


_HANGUL = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
_PAIR = re.compile(rb"[\x81-\xfe][\x41-\xfe]")


def _is_korean(payload: bytes) -> bool:
    """Whether four in five pairs of bytes are Hangul syllables of KS X 1001, and one in four a frequent one; or all of
    twelve and more are syllables.

    Chinese in GB 18030 has its frequent characters in the same rows, so the syllables themselves must be Korean ones.
    """
    pairs = _PAIR.findall(payload[: 1 << 16])
    if len(pairs) < 4 or sum(_HANGUL.fullmatch(pair) is not None for pair in pairs) * 10 < len(pairs) * 8:
        return False
    frequent = sum(pair in _FREQUENT for pair in pairs)
    return frequent * 4 >= len(pairs) or (len(pairs) >= 12 and all(map(_HANGUL.fullmatch, pairs)))


_FREQUENT = {
    syllable.encode("cp949")
    for syllable in "이다는에의가을를은고하지한로어기리사자도시나정인대해서들일그수있것부아전제보라만니게주"
}
"""Syllables that make up two in five of Korean text."""
