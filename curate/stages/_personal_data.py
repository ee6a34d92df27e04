"""Patterns for `pii`, and which matches are real."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from curate.stages._secrets import HINT, SECRET
from curate.stages._tlds import TLDS

BEFORE, AFTER = 40, 24
"""Characters around a match that are its context."""


@dataclass(frozen=True)
class Kind:
    """How one kind of personal data is found.

    hint     an RE2 pattern that every text with it matches: what it passes over costs nothing more
    pattern  what it looks like. No repeat in it can be cut in two ways, so that it takes linear time. Its borders are
             those of ASCII: a letter of Chinese, kana or Hangul beside an address is not part of it
    recall   how many characters of a match are one, 0 for none, by its shape alone
    precision  the same, where it must be valid and what stands around it must not speak against it
    """

    hint: str
    pattern: re.Pattern
    recall: Callable[[re.Match], int]
    precision: Callable[[re.Match], int]


def _around(match: re.Match, length: int) -> tuple[str, str]:
    """What stands before the match, and after its first `length` characters."""
    start, end = match.start(), match.start() + length
    return match.string[max(0, start - BEFORE) : start], match.string[end : end + AFTER]


def _whole(match: re.Match) -> int:
    return len(match[0])


# E-mail addresses

_EMAIL = (
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}+@[A-Za-z0-9-]{1,63}+(?:\.[A-Za-z0-9-]{1,63}+){1,8}(?![A-Za-z0-9])"
)
_USERINFO = re.compile(r"://[^\s/?#]{0,40}$")
_PATH = re.compile(r":(?!\s)[A-Za-z0-9_~./-]")
_SCALE = re.compile(r"\d+(?:\.\d+)?x\.")
_CALLED = ("(", "[")


def _mail(match: re.Match) -> int:
    """Up to the last label that may be a top-level domain: letters alone."""
    found = match[0]
    while (cut := found.rfind(".")) > found.find("@"):
        last = re.match(r"[A-Za-z]{2,24}", found[cut + 1 :])
        if last and found[cut + 1 + last.end() :][:1] in ("", "-"):
            return cut + 1 + last.end()
        found = found[:cut]
    return 0


def _valid_mail(match: re.Match) -> int:
    """An address under a top-level domain that exists, and neither a file name, a login of a URL or of a copy over SSH,
    nor an expression of a program."""
    length = _mail(match)
    user, _, host = match[0][:length].partition("@")
    before, after = _around(match, length)
    labels = host.split(".")
    if labels[-1].lower() not in TLDS or any(label[:1] == "-" or label[-1:] == "-" for label in labels):
        return 0
    if user.strip(".") != user or ".." in user or not any(map(str.isalnum, user)):
        return 0
    if _SCALE.match(host) or _USERINFO.search(before) or _PATH.match(after) or after.startswith(_CALLED):
        return 0
    return length


# IP addresses

_IPV4 = r"(?<![A-Za-z0-9_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9_]|\.[0-9])"
_IPV6 = r"(?<![A-Za-z0-9_:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![A-Za-z0-9_:])"
_NUMBERED = re.compile(
    r"(?:\b(?:version|ver|v|release|rel|rev|revision|section|sections|sect|sec|chapter|clause|article|paragraph|para"
    r"|appendix|annex|table|figure|fig|item|step|build|patch|update|driver|firmware|kernel|module|package|library|sdk"
    r"|api|rfc|iso|draft|oid|edition|rule|part|no)\b|[§№=<>~^]=?|[A-Za-z0-9)]/|[A-Za-z0-9_]-|@)"
    r"[\s.:=#\"'(\[v]{0,4}(?:[0-9.]{1,15}(?:,| and| or| to|[-–])\s?)?$",
    re.IGNORECASE,
)
_OR_LATER = re.compile(
    r"\s{0,2}(?:\+|-?(?:alpha|beta|rc|dev|final)|(?:or|and) (?:later|newer|above|higher|earlier|older|below|up)"
    r"|of the (?:spec|standard|document|specification))",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"\b(?:ips?|ipv4|addr|address|addresses|hosts?|server|ping|pinged|dns|nameserver|resolver|gateway|router|from|client|proxy"
    r"|inet|peer|remote|listen|bind|connect|connected|login|at)\b(?:[^.\n]|\.(?=[0-9])){0,24}$|//$|地址|адрес",
    re.IGNORECASE,
)
_PORT = re.compile(r":[0-9]{2,5}(?![0-9])")


def _public(match: re.Match) -> int:
    try:
        parsed = ipaddress.ip_address(match[0])
    except ValueError:
        return 0
    return _whole(match) if parsed.is_global and not parsed.is_multicast else 0


def _public_host(match: re.Match) -> int:
    """A public address that does not stand where versions and numbers of sections do. One that could be a version, all
    of small numbers or with zeros, needs a word of networks before it, or a port after it."""
    if not _public(match):
        return 0
    before, after = _around(match, _whole(match))
    if _NUMBERED.search(before) or _OR_LATER.match(after):
        return 0
    if ":" in match[0]:
        return _whole(match)
    numbers = [int(number) for number in match[0].split(".")]
    if max(numbers) < 32 or numbers[1] == 0 or numbers[3] == 0:
        return _whole(match) if _NETWORK.search(before) or _PORT.match(after) else 0
    return _whole(match)


# Telephone numbers

_ABROAD = r"(?<![A-Za-z0-9_+./-])\+[1-9](?:[ .()-]{0,2}[0-9]){7,17}(?![0-9A-Za-z_])"
_AREA = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])"
_NORTH_AMERICA = rf"(?<![A-Za-z0-9_+./-])(?:1[ .-])?{_AREA}[2-9][0-9]{{2}}[ .-][0-9]{{4}}(?![A-Za-z0-9_-])"
_CALL = re.compile(
    r"(?:\b(?:tel|phone|telephone|call|calls|fax|mobile|mob|cell|whatsapp|contact|hotline|dial|sms|text|ring|reach|telefon"
    r"|téléphone|telefono|teléfono|móvil|handy|celular|тел|телефон)\b|[☎📞📱✆]|电话|電話|手机|携帯|전화)[^\n]{0,24}$",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"\b(?:part|parts|no|number|serial|isbn|issn|order|model|sku|id|item|ref|reference|case|invoice|catalog|patent|doi|grant)\b"
    r"[\s.:#]{0,4}$",
    re.IGNORECASE,
)
_DATE = re.compile(r"\+?[0-9]{4}[-./ ][0-9]{2}[-./ ][0-9]{2}")
_CODE = re.compile(r"\s{0,2}[,\]})=*/%]\s{0,2}[-+]?[0-9]|:[0-9]{2}")
_GROUP = re.compile(r"[0-9]+")
_LISTED = re.compile(r"[\[({=,]\s{0,2}$")


def _digits(match: re.Match) -> int:
    return _whole(match) if 8 <= sum(map(str.isdigit, match[0])) <= 15 else 0


def _valid_number(match: re.Match) -> int:
    """A number that its country's numbering plan has (libphonenumber), in groups as people write it or after a word of
    telephony, and neither a date, an order number nor an element of a list. North American ones without `+` need
    brackets around the area code, or such a word."""
    text = match[0]
    length = 0 if _DATE.match(text) else _longest_valid(text)
    before, after = _around(match, length)
    called = bool(_CALL.search(before))
    if not length or (not called and (_ORDERED.search(before) or (_LISTED.search(before) and _CODE.match(after)))):
        return 0
    grouped = text.startswith("+") or text.lstrip("1 .-").startswith("(")
    return length if called or grouped else 0


def _longest_valid(text: str) -> int:
    """How much of it, from its start and in whole groups of digits, is a valid number; 0 where nothing is."""
    import phonenumbers

    for end in [group.end() for group in _GROUP.finditer(text)][:-7:-1]:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text[:end], "US")):
                return end
        except phonenumbers.NumberParseException:
            return 0
    return 0


KINDS = {
    "email": Kind(r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]{1,63}\.", re.compile(_EMAIL), _mail, _valid_mail),
    "ip": Kind(
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
        re.compile(f"{_IPV4}|{_IPV6}"),
        _public,
        _public_host,
    ),
    "phone": Kind(
        r"\+[1-9][0-9 .()-]{7}|[0-9]{3}[) .-] ?[0-9]{3}[ .-][0-9]{4}",
        re.compile(f"{_ABROAD}|{_NORTH_AMERICA}"),
        _digits,
        _valid_number,
    ),
    "secret": Kind(HINT, SECRET, _whole, _whole),
}
