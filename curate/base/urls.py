"""One canonical form of URLs, for deduplication, lists and removals.

Three questions are asked of a URL, and all answers come from here:

    canonical   how it is written (`exact_dedup: url`): scheme and host in lower case, the host in Punycode, no default
                port, user, fragment or empty query, dot segments resolved, percent-encoding normalized
    page        what page it names (removals, `url_filter: urls`): the same without scheme and the `/` at the end
    host        who serves it (removals and lists by domain, `select: host`)

After RFC 3986, section 6, and for hosts UTS #46, nontransitional. A URL that cannot be read so (a port that is no
number, an address without its bracket, a control character, a backslash) equals itself alone; its host is still found,
since a rule on domains has to hold for it too. Nothing here raises, and time is linear in the length of a URL.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import idna
import pyarrow as pa
import pyarrow.compute as pc

PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

_WHOLE = re.compile(r"(?s)(?:([A-Za-z][A-Za-z0-9+.-]*+):)?//([^/?#\\]*+)([^?#]*+)(?:\?([^#]*+))?(?:#.*)?")
_BAD = re.compile(r"[\x00-\x1f\x7f\\]")
_NO_HOST = re.compile(r"[\x00-\x20\x7f#/:<>?@\[\\\]^|%]")  # the web's forbidden characters of a domain
_BARE = re.compile(r"[^/?#:@\\\s]++(?::\d++)?(?=[/?#]|$)")  # a line of a list: site.example/page
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})|(?:%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-])++")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_LONGEST_IDN = 1024  # characters; a name in DNS has 253 bytes, and Punycode takes more than linear time

_ESCAPED = r"%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[BCDF])"  # what stays escaped
_START, _CHARACTER = r"[A-Za-z0-9_~!$&'()*+,;=:@-]", r"[A-Za-z0-9._~!$&'()*+,;=:@-]"
PLAIN = (
    r"^(?:http|https)://[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
    rf"(?:/(?:(?:{_START}|{_ESCAPED})(?:{_CHARACTER}|{_ESCAPED})*)?)+"
    rf"(?:\?(?:{_CHARACTER}|[/?]|{_ESCAPED})+)?$"
)
"""URLs that are canonical as they stand, which are most: they go through Arrow's RE2 and not through Python."""


def canonical(url: str) -> str:
    """The form that all spellings of a URL have in common. What has no `//` is returned as it is."""
    found = _parts(url)
    if found is None:
        return url
    scheme, host, port, path, query = found
    prefix = f"{scheme}:" if scheme else ""
    port = f":{port}" if port and port != PORTS.get(scheme) else ""
    return f"{prefix}//{host}{port}{path}" + (f"?{query}" if query else "")


def page(url: str) -> str:
    """What a URL names, whatever the scheme: `host[:port]/path?query`, without `/` at the end of the path. A URL may
    lack its scheme, as lines of lists do: `site.example/page`."""
    text = url.strip()
    found = _parts("//" + text if _BARE.match(text) else text)
    if found is None:
        return url
    scheme, host, port, path, query = found
    port = f":{port}" if port and port not in ("80", "443", PORTS.get(scheme)) else ""
    return host + port + path.rstrip("/") + (f"?{query}" if query else "")


def host(url: str) -> str:
    """The host of a URL, as `name` makes it; "" where there is none. One without `//` begins with it."""
    text = url.strip()
    found = _WHOLE.fullmatch("//" + text if _BARE.match(text) else text)
    if found is None:
        return ""
    raw = _without_port(found[2].rpartition("@")[2])
    return name(raw) or raw.lower().rstrip(".")


def name(host: str) -> str | None:
    """A host as DNS has it: lower case, Punycode, no dot at the end; an IPv6 address in brackets, in its short form.
    None for what is no host."""
    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return None
    if "%" in host:
        host = _decoded(host)
    if not host.isascii():
        host = _punycode(host)
    host = (host or "").lower().rstrip(".")
    return None if not host or _NO_HOST.search(host) else host


def parents(host: str, most: int = 127) -> Iterator[str]:
    """A host, and what is left of it without its first label, its first two, and so on; of the last `most` labels."""
    labels = host.split(".")[-most:]
    return (".".join(labels[place:]) for place in range(len(labels)))


def _parts(url: str) -> tuple[str, str, str, str, str] | None:
    """(scheme, host, port, path, query) in canonical form; None for a URL that cannot be read."""
    text = url.strip()
    found = _WHOLE.fullmatch(text)
    if found is None or _BAD.search(text):
        return None
    scheme, authority, path, query = (found[1] or "").lower(), found[2].rpartition("@")[2], found[3], found[4] or ""
    raw = _without_port(authority)
    port, known = authority[len(raw) :].removeprefix(":"), name(raw)
    if known is None or (port and not (port.isascii() and port.isdigit())):
        return None
    port = port.lstrip("0") or ("0" if port else "")
    if len(port) > 5 or int(port or 0) > 65535:
        return None
    return scheme, known, port, _resolved(_encoded(path)), _encoded(query)


def _without_port(authority: str) -> str:
    if authority.startswith("["):
        return authority[: authority.find("]") + 1] or authority
    return authority.partition(":")[0]


def _decoded(host: str) -> str:
    """Percent-encoded UTF-8 of a host as characters."""
    octets = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), host.encode("utf-8", "surrogatepass"))
    return octets.decode("utf-8", "replace") if b"%" not in octets else host


def _punycode(host: str) -> str | None:
    """The labels of a name in Unicode as UTS #46 maps them. Unlike IDNA 2008 it takes symbols, as browsers do."""
    if len(host) > _LONGEST_IDN:
        return None
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        labels = (
            label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in mapped.split(".")
        )
        return ".".join(labels)
    except (idna.IDNAError, UnicodeError):
        return None


def _encoded(text: str) -> str:
    """Percent-encoding normalized: what needs none has none, what needs one has it in upper case. A `%` that begins no
    code stands for itself."""

    def one(match: re.Match) -> str:
        if match[1]:
            character = chr(int(match[1], 16))
            return character if character in _UNRESERVED else match[0].upper()
        return quote(match[0].encode("utf-8", "surrogatepass"), safe="")

    return _ESCAPE.sub(one, text)


def _resolved(path: str) -> str:
    """A path without `.` and `..` segments (RFC 3986, 5.2.4), and `/` for none."""
    if "/." not in path:
        return path or "/"
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


# Columns


def canonicals(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`canonical` of each URL of a column; null for null."""
    return _mapped(urls, lambda plain: plain, canonical)


def pages(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`page` of each URL of a column; null for null."""

    def of(plain: pa.Array) -> pa.Array:
        rest = pc.replace_substring_regex(plain, "^https?://", "")
        return pc.replace_substring_regex(rest, r"^([^?]*[^?/])/+(\?.*)?$", r"\1\2")

    return _mapped(urls, of, page)


def hosts(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`host` of each URL of a column; null for null."""
    return _mapped(urls, lambda plain: pc.struct_field(pc.extract_regex(plain, "^[a-z]+://(?P<h>[^/]*)"), "h"), host)


def _mapped(urls: pa.Array | pa.ChunkedArray, plain: Callable, each: Callable[[str], str]) -> pa.Array:
    """A column of URLs, the plain ones through Arrow, the others through Python."""
    if isinstance(urls, pa.ChunkedArray):
        urls = urls.combine_chunks()
    if isinstance(urls, pa.ChunkedArray):  # more than 2 GiB
        urls = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in urls.chunks])
    urls = urls.cast(pa.string()) if pa.types.is_null(urls.type) else urls
    without = pc.replace_substring_regex(urls, r"(?s)#.*$", "")
    easy = pc.fill_null(pc.match_substring_regex(without, PLAIN), True)
    if not len(urls) or pc.all(easy).as_py():
        return plain(without)
    others = pa.array([each(url) for url in urls.filter(pc.invert(easy)).to_pylist()], urls.type)
    return pc.replace_with_mask(plain(without), pc.invert(easy), others)
