"""Read lists of domains, URLs and ids in the formats that people use.

Every line is understood, or named as one that is not.

A line holds one entry. Understood are also hosts files (`0.0.0.0 ads.example tracker.example`), Adblock lines
(`||ads.example^`, with options that limit nothing here), wildcards (`*.ads.example`), names in Unicode,
percent-encoding, remarks (a line that starts with `#` or `!`, and what follows whitespace and a `#`), CRLF and a
byte order mark.
"""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from curate.base.urls import name, page
from curate.documents import hashed
from curate.errors import CurateError

Kind = Literal["id", "url", "domain"]

LOCAL = {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"}
LOCAL |= {"ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0"}
"""Names that hosts files give the machine itself."""

OPTIONS = {"all", "doc", "document", "important", "popup", "third-party", "3p", "~first-party"}
"""Options of Adblock lines that leave a whole domain blocked."""

SHOWN = 5
"""Lines that an error names."""

_PLAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+").fullmatch
_ID = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64}").fullmatch
_LABEL = re.compile(r"[a-z0-9_-]{1,63}").fullmatch
_REMARK = re.compile(r"\s#")
_ADBLOCK = re.compile(r"\|\|([^/^$*|\s]+)\^?\|?(?:\$([^\s]*))?").fullmatch
_ADDRESS = re.compile(r"\|([a-z]+://[^\s|*^]+)\|").fullmatch
_UNWRITTEN = re.compile(r"[\x00-\x1f\x7f\"<>]")
_WRAPPED = re.compile(r"^['`(\[{]|[,;]$|[,;](?=[\"']|https?://)")
"""What URLs are written with, and what of CSV, JSON and Markdown stands around them."""

WORDS = {"id": "an id", "url": "a URL", "domain": "a domain"}


class Entry(NamedTuple):
    """kind: what is listed; key: the sha256 of an id, `urls.page` of a URL, `urls.name` of a domain."""

    line: int
    kind: Kind
    key: str


class Odd(ValueError):
    """A line that is not understood, and how to fix it."""

    def __init__(self, what: str, fix: str = ""):
        super().__init__(what)
        self.fix = fix


def entries(path: Path, kinds: tuple[Kind, ...], top: bool = False) -> list[Entry]:
    """The entries of a list. Raises CurateError that names the lines which are none.

    kinds  what its lines may be; a bare `site.example` is a domain where they may be one, else a URL
    top    whether a domain may be one label, such as `zip`
    """
    found, odd, only = [], [], "domain" if "domain" in kinds else "url"
    for number, line in numbered(path):
        if only == "domain" and _PLAIN(line) and len(line) <= 253:
            found.append(Entry(number, "domain", line))
            continue
        try:
            found += (Entry(number, kind, key) for kind, key in _understood(line, kinds, top))
        except Odd as error:
            odd.append((number, line, error))
    raise_odd(path, odd)
    return found


def raise_odd(path: Path, odd: list[tuple[int, str, Odd]]) -> None:
    """Raise CurateError that names these (line number, line, why), if there are any."""
    if not odd:
        return
    told = [f"line {number}, `{line[:80]}`: {error}" for number, line, error in odd[:SHOWN]]
    more = [f"and {len(odd) - SHOWN:,} more lines"] if len(odd) > SHOWN else []
    fix = odd[0][2].fix or "correct the line, or remove it"
    what = "\n".join([f"the list has lines that cannot match anything: {told[0]}", *told[1:], *more])
    raise CurateError(what, f"{path}:{odd[0][0]}", fix)


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines of a list, from 1: stripped, without remarks and empty ones. Raises CurateError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CurateError(f"the list is not UTF-8 text: {error}", str(path), "unpack or convert it") from error
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip().removeprefix("\ufeff")
        if "#" in line and (remark := _REMARK.search(line)):
            line = line[: remark.start()].rstrip()
        if line and line[0] not in "#!" and not (line[0] == "[" and line.lower().startswith("[adblock")):
            yield number, line


def _understood(line: str, kinds: tuple[Kind, ...], top: bool) -> Iterator[tuple[Kind, str]]:
    """What a line lists. Raises Odd."""
    if "id" in kinds and _ID(line):
        yield "id", line.lower() if len(line) == 64 else hashed(line.lower())
    elif kinds == ("id",):
        raise Odd("not an id", "an id must have 32 hexadecimal digits, or 64 for its sha256")
    elif line.startswith(("|", "@@", "/")) or "##" in line or "#@#" in line or "#?#" in line:
        yield _adblock(line, kinds, top)
    else:
        first, *rest = line.split()
        if rest and "domain" in kinds and _is_ip(first):
            for one in rest:
                if one.lower() not in LOCAL and not _is_ip(one):
                    yield "domain", _domain(one, top)
        elif rest:
            raise Odd("whitespace inside", "write one entry per line, and a space in a URL as %20")
        elif first.lower() not in LOCAL or "domain" not in kinds:
            yield _single(first, kinds, top)


def _single(text: str, kinds: tuple[Kind, ...], top: bool) -> tuple[Kind, str]:
    bare = text.partition("://")[2] if "://" in text else text.removeprefix("//")
    if "/" not in bare.rstrip("/") and not re.search(r"[?#]", bare) and "domain" in kinds:
        if "url" in kinds and (bare != text or "/" in bare):
            return "url", _url(text)
        return "domain", _domain(bare.rstrip("/"), top)
    if "url" in kinds:
        return "url", _url(text)
    raise Odd("the URL of a page, not a domain", "put it in a list of URLs, or write only its domain")


def _url(text: str) -> str:
    if "*" in text.partition("/")[0] or text.startswith("."):
        raise Odd("not a URL: it has a wildcard", "put it in a list of domains: a domain includes its subdomains")
    if sign := _UNWRITTEN.search(text) or _WRAPPED.search(text):
        what = f"{sign[0]!r} is not part of a URL"
        raise Odd(what, "write each URL on its own line: without quotes, brackets or other columns")
    if not re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//", text):
        host, _, port = re.split(r"[/?#]", text, maxsplit=1)[0].partition(":")
        if port and not (port.isascii() and port.isdigit() and ("." in host or "/" in text)):
            raise Odd("not the URL of a page", "write it as https://site.example/page, or site.example/page")
        _domain(host, True)
    elif page(text) == text:
        raise Odd("not a URL: its host or port cannot be read", "write it as https://site.example/page, or list the id")
    return page(text)


def _domain(text: str, top: bool) -> str:
    """A domain in canonical form. Raises Odd."""
    bare = re.sub(r"^(?:\*?\.)++", "", text)
    if _is_ip(bare.strip("[]")):
        return name(f"[{bare.strip('[]')}]" if ":" in bare else bare)
    if re.search(r":\d*$", bare):
        raise Odd("a domain with a port", "write only the domain: ports are ignored")
    if "@" in bare:
        raise Odd("an e-mail address, not a domain", "write the part after the @")
    known = name(bare)
    if known is None or len(known) > 253 or not all(map(_LABEL, known.split("."))):
        raise Odd("not a domain", "a domain consists of letters, digits, hyphens and dots, such as site.example")
    if not top and "." not in known:
        raise Odd("not a domain: it has one label", "write the full domain, such as site.example")
    return known


def _adblock(line: str, kinds: tuple[Kind, ...], top: bool) -> tuple[Kind, str]:
    fix = "write only the domain; of Adblock's syntax, ||site.example^ is supported"
    if (found := _ADBLOCK(line)) and "domain" in kinds:
        unknown = {option for option in (found[2] or "").split(",") if option} - OPTIONS
        if unknown:
            raise Odd(f"an Adblock line with an option that is not supported: {', '.join(sorted(unknown))}", fix)
        return "domain", _domain(found[1], top)
    if (found := _ADDRESS(line)) and "url" in kinds:
        return "url", _url(found[1])
    if line.startswith("//") and "url" in kinds:
        return "url", _url(line)
    raise Odd("an Adblock line that is not supported", fix)


def _is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
