"""What a payload is, and which characters its bytes stand for."""

import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

HTML, TEXT = "html", "text"

_SIGNATURES = re.compile(
    rb"(?P<pdf>%PDF-)"
    rb"|(?P<image>\x89PNG\r\n|GIF8[79]a|\xff\xd8\xff|RIFF.{4}WEBP"
    rb"|BM.{4}\x00{4}|\x00\x00\x01\x00|II\*\x00|MM\x00\*)"
    rb"|(?P<audio_video>ID3[\x02-\x04]|OggS\x00|fLaC\x00|RIFF.{4}(?:WAVE|AVI )"
    rb"|.{4}ftyp|\x1aE\xdf\xa3|FLV\x01|\x00\x00\x01\xba)"
    rb"|(?P<not_html>PK\x03\x04|\x1f\x8b\x08|Rar!\x1a|7z\xbc\xaf|\xd0\xcf\x11\xe0"
    rb"|\x7fELF|MZ\x90\x00|[CF]WS[\x01-\x20]|wOF[F2])",
    re.DOTALL,
)
_START = rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,500}?-->\s*)*"
_HTML = re.compile(_START + rb"<(?:!doctype\s+html|html[\s>])", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(
    _START + rb"<(?:head|body|title|meta|link|script|style|table|div|p|a|b|br|font|h[1-6]|center)[\s/>]",
    re.DOTALL | re.IGNORECASE,
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_WIDE = re.compile(rb"(?:\xff\xfe|\xfe\xff)")

_TYPES = {
    "text/html": HTML,
    "application/xhtml+xml": HTML,
    "application/vnd.wap.xhtml+xml": HTML,
    "text/plain": TEXT,
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
}
_SCRIPT = re.compile(r"(?:text|application)/(?:[\w.-]*(?:javascript|ecmascript)|css|(?:[\w.-]+\+)?json)$")
_UNKNOWN = {
    "",
    "*/*",
    "unknown/unknown",
    "application/unknown",
    "application/octet-stream",
    "binary/octet-stream",
}

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_UTF_16 = ("utf-16-le", "utf-16-be")


def kind_of(payload: bytes, content_type: str | None) -> str:
    """`html`, `text`, or the reason why it is neither: pdf, image, audio_video, script, not_html.

    The payload's own signature goes before the media type that a server claims, which goes before a guess by
    the rules of https://mimesniff.spec.whatwg.org/ (sections 6 and 7, shortened).
    """
    signature = _SIGNATURES.match(payload)
    if signature:
        return signature.lastgroup
    claimed = content_type or ""
    kind = _TYPES.get(claimed)
    if kind == HTML or _HTML.match(payload):
        return HTML
    if claimed.startswith("image/"):
        return "image"
    if claimed.startswith(("audio/", "video/")):
        return "audio_video"
    if _SCRIPT.match(claimed):
        return "script"
    if kind is None and (claimed in _UNKNOWN or "/" not in claimed):
        kind = HTML if _MARKUP.match(payload) else TEXT
    if kind == TEXT and _BINARY.search(payload, 0, 1024) and not _WIDE.match(payload):
        return "not_html"
    return kind or "not_html"


def decode(payload: bytes, charset: str | None) -> str | None:
    """The text of a page, or None where too little of it is text.

    A byte-order mark decides. Else bytes that are valid UTF-8 are UTF-8, whatever the header says: no other
    text looks so by chance, and wrong headers are common. Else the header's `charset`, the page's own
    `<meta>` and what its content looks like are tried in this order.
    """
    for mark, encoding in _BOMS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(encoding, "replace")
    header = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    if b"\x1b$" in payload and detect_encoding(payload) == "iso2022_jp":
        header = "iso2022_jp"
    elif header in _UTF_16 and b"\0" not in payload[:1024]:
        header = None
    if header not in (*_UTF_16, "iso2022_jp"):
        try:
            return payload.decode()
        except UnicodeDecodeError:
            pass
    return _decode_legacy(payload, header)


def _decode_legacy(payload: bytes, header: str | None) -> str | None:
    if header not in _UTF_16 and len(_BINARY.findall(payload, 0, 1024)) * 50 > min(len(payload), 1024):
        return None
    meta, content = detect_encoding(payload, from_html_meta=True), detect_encoding(payload)
    best, fewest = "", len(payload) + 1
    for encoding in (header, "utf-8", None if meta in _UTF_16 else meta, content):
        if encoding is None:
            continue
        text = payload.decode(encoding, "replace")
        flaws = text.count("\ufffd")
        if flaws * 20 <= len(payload) - len(text):  # none, or few among many characters of several bytes
            return text
        if flaws < fewest:
            best, fewest = text, flaws
    return best if fewest * 20 <= len(best) else None
