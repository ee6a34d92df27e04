"""Licenses: from what people and SPDX write to the Hub's identifiers.

The Hub's list: huggingface.co/docs/hub/repositories-licenses
"""

import re
import unicodedata
from difflib import get_close_matches
from urllib.parse import urlsplit

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_HUB = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
    afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
    lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
    openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
    deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4
    grok2-community gemma unknown other
"""
HUB = frozenset(_HUB.split())
"""The Hub's identifiers; a card's `license` is one of them."""

FAMILIES = {"gfdl": "gfdl", "odc-by": "odc-by", "odbl": "odbl", "pddl": "pddl", "lgpllr": "lgpl-lr"}
"""What the Hub lists without the versions that SPDX has."""

LONGEST, NEAR = 100, 0.8

NONE = frozenset(["none", "no", "n/a", "na", "null", "nil", "todo", "tbd", "-", "?"])
"""What stands for no license at all."""

_PAGES = (
    (r"creativecommons\.org/licenses/([a-z-]+)/([0-9.]+)(?:/[a-z-]+)?", r"cc-\1-\2"),
    (r"creativecommons\.org/publicdomain/zero/1\.0(?:/[a-z-]+)?", "cc0-1.0"),
    (r"(?:spdx\.org|opensource\.org)/licenses?/([a-z0-9.+-]+)", r"\1"),
    (r"apache\.org/licenses/license-2\.0", "apache-2.0"),
    (r"unlicense\.org/?", "unlicense"),
    (r"opendatacommons\.org/licenses/by(?:/.*)?", "odc-by"),
    (r"opendatacommons\.org/licenses/(odbl|pddl)(?:/.*)?", r"\1"),
)
"""(host and path of a license's page, its name)."""


_WORDS = (
    (r"creative[ -]commons", "cc"),
    (r"attribution", "by"),
    (r"share[ -]?alike", "sa"),
    (r"non-?commercial", "nc"),
    (r"no-?deriv(?:ative)?s?", "nd"),
    (r"mozilla public", "mpl"),
    (r"affero general public", "agpl"),
    (r"lesser general public", "lgpl"),
    (r"general public", "gpl"),
    (r"3-clause bsd|bsd3|new bsd|modified bsd", "bsd-3-clause"),
    (r"2-clause bsd|bsd2|simplified bsd", "bsd-2-clause"),
    (r"asl", "apache"),
)
"""(words of full names, what short names have)."""


def _squeezed(name: str) -> str:
    """`apache20` of `the Apache License, version 2.0`: what is left of a name that people write in many ways."""
    for words, short in _WORDS:
        name = re.sub(rf"\b{words}\b", short, name)
    name = re.sub(r"\b(the|licen[sc]e|version|international|unported|gnu)\b|\([^()]*\)|[^a-z0-9+]", "", name)
    return re.sub(r"v(?=\d)", "", name)


SPOKEN = {_squeezed(name.removesuffix(".0")): name for name in sorted(HUB)} | {"cc0": "cc0-1.0"}
SPOKEN |= {_squeezed(name): name for name in sorted(HUB)}


def canonical(text: str) -> str:
    """The license that a person wrote: the Hub's identifier, SPDX's where the Hub has none, else their own words.

    `MIT` is `mit`, ` CC BY 4.0` is `cc-by-4.0`, `MIT OR Apache-2.0` stays. Raises ValueError, with the fix, for
    nothing, for what is nearly a known name, and for what cannot be a name.
    """
    said = " ".join(text.split())
    if not said:
        raise ValueError("no license; use one such as `cc-by-4.0`, or `unknown`")
    if len(said) > LONGEST or any(unicodedata.category(sign)[0] == "C" for sign in said):
        raise ValueError(f"a license must be a name of at most {LONGEST} characters, without control characters")
    plain = said.casefold()
    if plain in HUB:
        return plain
    if spdx := _spdx(said):
        return spdx
    if spoken := SPOKEN.get(_squeezed(plain)):
        return spoken
    if said.casefold().startswith(("http://", "https://")):
        return _of_address(said) or said
    if plain in NONE:
        raise ValueError(f"`{said}` is not a license; use one such as `cc-by-4.0`, or `unknown`")
    if near := get_close_matches(plain, HUB, 1, NEAR):
        raise ValueError(
            f"unknown license `{said}`; did you mean `{near[0]}`? For a custom license, write `LicenseRef-NAME`"
        )
    if not slug(said):
        raise ValueError("a custom license needs a name with letters or digits, or a URL")
    return said


def fields(license: str) -> dict[str, str]:
    """A license as the front matter of a card has it: the Hub's identifier, else `other` with its name and its text.

    Takes any text, as locks of earlier versions hold it.
    """
    try:
        license = canonical(license)
    except ValueError:
        license = " ".join(license.split())
    listed = hub(license)
    if listed and listed != "other":
        return {"license": listed}
    name = {"license": "other", "license_name": slug(license)[:LONGEST] or "custom"}
    if license.casefold().startswith(("http://", "https://")):
        try:
            parts = urlsplit(license)
        except ValueError:  # of a lock that is older
            return name
        last = [piece for piece in parts.path.split("/") if piece][-1:] or [parts.netloc.rpartition("@")[2]]
        return name | {"license_name": slug(last[0]) or "custom", "license_link": license}
    if re.fullmatch(r"[A-Za-z0-9.+-]+", license) and _spdx(license) and not license.startswith("LicenseRef-"):
        return name | {"license_link": f"https://spdx.org/licenses/{license.rstrip('+')}.html"}
    return name


def hub(license: str) -> str | None:
    """The Hub's identifier of a license, `gpl-3.0` of `GPL-3.0-only`, or None where its list has none."""
    plain = license.casefold()
    for suffix in ("", "-only", "-or-later", "+"):
        if plain.endswith(suffix) and (name := plain.removesuffix(suffix)) in HUB:
            return name
    family = re.match(r"([a-z-]+?)(-?\d|$)", plain)
    return FAMILIES.get(family[1]) if family and _spdx(license) else None


def slug(text: str) -> str:
    """`my-own-license-1.0` of `My own license, 1.0`: what the Hub takes as `license_name`."""
    text = text.removeprefix("LicenseRef-")[:200]
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.")


def _of_address(url: str) -> str | None:
    """The license that a well-known page is of. Raises ValueError for a URL that cannot be read."""
    try:
        parts = urlsplit(url)
        host, path = (parts.hostname or "").removeprefix("www."), parts.path.casefold().strip("/")
    except ValueError as error:
        raise ValueError(f"invalid license URL: {error}") from None
    if not host:
        raise ValueError("the license URL has no host; write the full URL")
    path = re.sub(r"(/(deed|legalcode)(\.[a-z-]+)?|\.(html?|txt|json|php))$", "", path)
    for pattern, name in _PAGES:
        if found := re.fullmatch(pattern, f"{host}/{path}"):
            spoken = found.expand(name)
            return spoken if spoken in HUB else _spdx(spoken)
    return None


def _spdx(text: str) -> str | None:
    """An SPDX expression as SPDX spells it."""
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return None
