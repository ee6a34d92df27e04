"""What a payload is (HTML, text, PDF, image ...), by its bytes, the crawler and the server.

The first of these that tells decides:

1. a signature at its beginning, after white space, a byte-order mark or Ctrl-D, or `%PDF-` on a line of its own in the
   first KiB before any tag: pdf, image, audio_video, not_html
2. an XML vocabulary at its beginning, after comments and processing instructions: feeds, sitemaps and other data are
   not_html, an SVG document is an image
3. likewise `<!doctype html>`, or an element of HTML or with a hyphen: html
4. all of it is JSON, or it begins with JavaScript or CSS and nobody says that it is plain text: script
5. WARC-Identified-Payload-Type, where it names a type that is neither HTML nor text: that
6. text, then `<!doctype html>`, `html`, `head` or `body`; or text with any tag, and called HTML: html
7. the claimed Content-Type, where it names a type that is neither HTML nor text: that
8. control characters in the first KiB: not_html
9. else: text

So a page is one whatever it is called, and text without a tag is text though a server calls it a page. Only
`text/plain` is believed more: a README that begins with `<div>` and goes on in Markdown is text, as in a browser.

Signatures: https://mimesniff.spec.whatwg.org/ (sections 6 and 7) and the formats' own descriptions. Each pattern
looks at a bounded number of bytes or cannot go back: time is linear.
"""

import json
import re

HTML, TEXT = "html", "text"

_SIGNATURES = re.compile(
    rb"(?P<pdf>%PDF-)"
    rb"|(?P<image>\x89PNG\r\n|GIF8[79]a|\xff\xd8\xff|RIFF.{4}WEBP|BM.{4}\x00{4}|\x00\x00[\x01\x02]\x00[^\x00]\x00"
    rb"|II\*\x00|MM\x00\*|8BPS\x00|\x00\x00\x00\x0cjP|.{4}ftyp(?:avi[fs]|hei[cx]|mif1))"
    rb"|(?P<audio_video>ID3[\x02-\x04]|OggS\x00|fLaC\x00|RIFF.{4}(?:WAVE|AVI )|FORM.{4}AIF|MThd\x00|#!AMR"
    rb"|.{4}ftyp|\x1aE\xdf\xa3|FLV\x01|\x00\x00\x01[\xba\xb3]|0&\xb2u\x8ef\xcf\x11)"
    rb"|(?P<not_html>PK\x03\x04|\x1f\x8b\x08|Rar!\x1a|7z\xbc\xaf|\xd0\xcf\x11\xe0|BZh[1-9]1AY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd"
    rb"|\x7fELF|MZ[\x90\x00]\x00|[CFZ]WS[\x01-\x20]|\xca\xfe\xba\xbe|\x00asm|SQLite format 3\x00|.{257}ustar"
    rb"|wOF[F2]|OTTO\x00|ttcf\x00|\x00\x01\x00\x00\x00|.{34}LP\x00"
    rb"|\xc5\xd0\xd3\xc6|%!PS|%!FontType|\{\\rtf|#EXTM3U|WEBVTT|BEGIN:V(?:CARD|CALENDAR)"
    rb"|From: <Saved by |MIME-Version: 1\.0\r?\nContent-Type: multipart/|-----BEGIN [A-Z ]{1,40}-----)",
    re.DOTALL,
)
_INSIDE = re.compile(rb"%PDF-\d\.\d[ \t]*+[\r\n]")
_TAG = re.compile(rb"<[!/?]?[A-Za-z]")
_NAME = re.compile(rb"<([A-Za-z][A-Za-z0-9:._-]{0,60})(?=[\s/>]|$)")
_DOCTYPE = re.compile(rb"<!doctype\s++([A-Za-z:]{1,20})", re.IGNORECASE)
_PAGE = re.compile(rb"<(?:!doctype\s++html|html|head|body)(?=[\s/>]|$)", re.IGNORECASE)
_ELEMENT = re.compile(
    rb"</?(?:a|abbr|address|article|aside|b|base|blockquote|body|br|button|canvas|center|code|dd|details|dialog|div|dl|dt|em"
    rb"|embed|fieldset|figcaption|figure|font|footer|form|frameset|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|label"
    rb"|legend|li|link|main|map|mark|menu|meta|nav|noscript|object|ol|option|p|picture|pre|q|s|samp|script|section|select|small"
    rb"|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|tt|u"
    rb"|ul|var|video|audio|wbr|marquee|nobr|math|del|cite|kbd|dfn|col|colgroup|caption|area|param|ruby|rt|rp|hgroup|search"
    rb"|[a-z][a-z0-9]*+(?:-[a-z0-9]++)++)(?=[\s/>]|$)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(rb"&(?:[a-z]{2,8}|#\d{1,6});", re.IGNORECASE)
_XHTML = re.compile(rb"<[^>]{1,2000}\sxmlns\s*+=\s*+[\"']http://www\.w3\.org/1999/xhtml[\"']")
_DATA = set(
    b"rss feed rdf:rdf urlset sitemapindex opml kml gpx plist xsl:stylesheet xsl:transform xs:schema xsd:schema "
    b"soap:envelope soapenv:envelope wsdl:definitions opensearchdescription browserconfig tei tt ncx oai-pmh "
    b"d:multistatus channel".split()
)
"""Root elements of XML that is no page, in lower case."""

_SVG = re.compile(rb"<(/?)svg(?=[\s/>])([^<>]*+)>", re.IGNORECASE)
_SPACE = re.compile(rb"\s*+")
_COMMENTS = re.compile(rb"(?:\s++|/\*[^*]*+\*++(?:[^/*][^*]*+\*++)*+/|//[^\n]*+\n|<!--[^\n]*+\n)*+")
_JAVASCRIPT = re.compile(
    rb"['\"]use strict['\"]"
    rb"|[;!+(\s]{0,4}(?:async\s++)?function\b\s*+\*?\s*+[\w$]{0,60}\s*+\("
    rb"|(?:var|let|const)\s++[\w$]{1,60}\s*+[=;,]|(?:var|let|const)\s*+[{\[]"
    rb"|\)\]\}'|class\s++[\w$]{1,60}\s++(?:extends\s++[\w$.]{1,80}\s*+)?\{\s*+[\w$#]{1,60}\s*+[\w$(=;]"
    rb"|[;!(]{0,3}(?:window|document|self|this|globalThis|module|exports|jQuery|angular|\$)"
    rb"(?:\.[\w$]{1,60}|\[['\"][\w$-]{1,60}['\"]\])*+\s*+[=(]"
    rb"|(?:define|require|webpackJsonp)\s*+\(|[;(!]{1,3}\s*+\([\w$, ]{0,60}\)\s*+=>"
    rb"|import\s*+(?:[\w$ {},*]{1,200}?\bfrom\s*+)?['\"]|export\s++(?:default|const|function|class|\{)"
    rb"|(?:if|try|switch|while|for)\s*+[({][^<]|[\w$.]{1,60}\s*+\(\s*+[{\[]\s*+[\"'}\]]"
)
_CSS = re.compile(
    rb"@(?:charset|import|namespace)\s*+[\"'u]|@(?:media|font-face|keyframes|-webkit-|supports|page|layer)\b"
    rb"|[.#*:\[a-zA-Z][^{}<;]{0,300}\{\s*+(?:/\*[^*]{0,200}\*/\s*+)?[a-zA-Z-]{2,40}\s*+:"
)
_OBJECT = re.compile(rb"(?:\[\s*+)?\{\s*+\"[^\"\n]{0,200}\"\s*+:")
MAX_JSON = 1 << 20
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_BOMS = (
    (b"\xef\xbb\xbf", None),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)

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
    "application/x-unknown",
    "application/x-empty",
    "content/unknown",
    "unk",
    "no-type",
}


def kind_of(payload: bytes, content_type: str | None, identified: str | None = None) -> str:
    """`html`, `text`, or the reason why it is neither: pdf, image, audio_video, script, not_html.

    content_type  media type that the server claims
    identified    media type that the crawler found in the bytes (WARC-Identified-Payload-Type)
    """
    body = _narrow(payload)
    start = body[:2048].lstrip(b" \t\r\n\x0b\x0c\x04")
    if signature := _SIGNATURES.match(payload) or _SIGNATURES.match(start):
        return signature.lastgroup
    inside = _INSIDE.search(body, 0, 1024)
    if inside and not _TAG.search(body, 0, inside.start()):
        return "pdf"
    claimed, found = _named(content_type), _named(identified)
    plain = claimed == TEXT and found in (TEXT, None)
    kind = _markup(body, plain, claimed)
    if kind is None:
        kind = _script(body, plain)
    if kind is None and found not in (HTML, TEXT, None):
        kind = found
    if kind is None and claimed in (HTML, TEXT, None) and _has_markup(body, plain, HTML in (claimed, found)):
        kind = HTML
    if kind is None and claimed not in (HTML, TEXT, None):
        kind = claimed
    if kind is None:
        kind = "not_html" if _BINARY.search(body, 0, 1024) else TEXT
    return kind


def wide(payload: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` where bytes are UTF-16, by their mark, or without one by where their zeros are."""
    for mark, encoding in _BOMS:
        if payload.startswith(mark):
            return encoding
    head = payload[:1024]
    even, odd = head[::2].count(0), head[1::2].count(0)
    little = odd > 4 * even and (odd * 8 > len(head) or payload[1:4:2] == b"\x00\x00")
    big = even > 4 * odd and (even * 8 > len(head) or payload[0:3:2] == b"\x00\x00")
    if not little and not big:
        return None
    encoding = "utf-16-le" if little else "utf-16-be"
    return None if _BINARY.search(head.decode(encoding, "replace").encode("utf-8", "replace")) else encoding


def _narrow(payload: bytes) -> bytes:
    """The payload as bytes of which ASCII is ASCII, without a byte-order mark."""
    if encoding := wide(payload):
        return payload[:65536].decode(encoding, "replace").lstrip("\ufeff").encode("utf-8", "replace")
    return payload.removeprefix(b"\xef\xbb\xbf")


def _named(media_type: str | None) -> str | None:
    """What a media type says: html, text, a reason, or None where it says nothing."""
    name = (media_type or "").strip().lower()
    if name in _UNKNOWN or "/" not in name:
        return None
    if name in _TYPES:
        return _TYPES[name]
    if name.startswith("image/"):
        return "image"
    if name.startswith(("audio/", "video/")):
        return "audio_video"
    return "script" if _SCRIPT.match(name) else "not_html"


def _markup(body: bytes, plain: bool, claimed: str | None) -> str | None:
    """What markup at the beginning says, if there is any."""
    at, xml = _SPACE.match(body).end(), False
    while body.startswith(b"<", at):
        if body.startswith(b"<!--", at):
            at = _over(body, b"-->", at + 2)
        elif doctype := _DOCTYPE.match(body, at):
            if doctype[1].lower() in (b"html", b"xhtml"):
                return HTML
            xml = xml or doctype[1].lower() != b"wml"
            end = _over(body, b">", at)
            at = _over(body, b">", _over(body, b"]", at)) if b"[" in body[at:end] and b"]" in body[at:] else end
        elif body.startswith((b"<?", b"<!["), at):
            xml = xml or body[at + 2 : at + 5].lower() == b"xml"
            at = _over(body, b">", at)
        else:
            break
        if at < 0:  # it goes on to the end, for a browser too
            at = len(body)
        at = _SPACE.match(body, at).end()
    root = _NAME.match(body, at)
    if root:
        return _root(body, at, root[1].lower(), xml, plain, claimed)
    if xml and claimed != HTML:
        return "not_html"
    return HTML if body[: at + 1].lstrip().startswith(b"<!") and not plain and claimed in (HTML, None) else None


def _root(body: bytes, at: int, name: bytes, xml: bool, plain: bool, claimed: str | None) -> str | None:
    """What the first element says. xml: after an XML declaration or document type."""
    if name in (b"html", b"head", b"body") or name.endswith(b":html") or _XHTML.match(body, at):
        return HTML
    if name == b"svg" or name.endswith(b":svg"):
        return "image" if claimed == "image" or _is_svg(body, at, xml) else HTML
    if name in _DATA:
        return "not_html"
    known = _ELEMENT.match(body, at) is not None
    if xml:
        return HTML if known and claimed in ((HTML,) if b"-" in name else (HTML, None)) else "not_html"
    if plain:  # Markdown may begin with an element, and does not end with one
        return HTML if known and _ends_in_tag(body) else None
    return HTML if known or claimed == HTML else None


def _ends_in_tag(body: bytes) -> bool:
    return body[-200:].rstrip().endswith(b">")


def _over(body: bytes, end: bytes, at: int) -> int:
    """Where what goes to `end` is over; -1 where it never is."""
    found = body.find(end, at)
    return found + len(end) if found >= 0 else -1


def _is_svg(body: bytes, at: int, xml: bool) -> bool:
    """Whether a first element `svg` is all that there is, and not one picture of a page."""
    depth = 0
    for tag in _SVG.finditer(body, at):
        depth += -1 if tag[1] else 0 if tag[2].endswith(b"/") else 1
        if depth <= 0:
            return not _ELEMENT.search(body, tag.end())
    return xml


def _script(body: bytes, plain: bool) -> str | None:
    """`script` where the bytes are JSON, JavaScript or CSS."""
    start = body[:65536].lstrip()[:4096]
    if start[:1] in (b"{", b"[") and _is_json(body, start):
        return "script"
    if plain:
        return None
    code = _COMMENTS.match(start)
    at = code.end()
    if start[at : at + 1] != b"<" and (_JAVASCRIPT.match(start, at) or _CSS.match(start, at)):
        return "script"
    return "script" if start.startswith((b"/*!", b"/**")) and at > 2 and not _ELEMENT.match(start, at) else None


def _is_json(body: bytes, start: bytes) -> bool:
    if _OBJECT.match(start):
        return True
    try:
        return len(body) <= MAX_JSON and isinstance(json.loads(body), dict | list)
    except RecursionError:
        return True
    except ValueError:
        return False


def _has_markup(body: bytes, plain: bool, called: bool) -> bool:
    """Whether text that does not begin with markup is a page: what is called HTML is one by any tag or reference."""
    if _PAGE.search(body, 0, 8192):
        return not plain or _ends_in_tag(body)
    tags = _ELEMENT.finditer(body, 0, 1 << 20)
    if called and not plain:
        return next(tags, None) is not None or _REFERENCE.search(body, 0, 1 << 16) is not None
    return not plain and sum(1 for _ in zip(tags, range(3), strict=False)) == 3 and _ends_in_tag(body)
