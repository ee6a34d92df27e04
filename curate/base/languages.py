"""Languages: from what data calls them to the Hub's codes (ISO 639) and to BCP 47.

A value may be a BCP 47 tag (`zh-CN`, `pt_BR`), a tag of FLORES or GlotLID (`eng_Latn`), a code of ISO 639 in any case,
an English name, or the name of a programming language as code datasets have it (Linguist's names and aliases).
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

CODE, MULTILINGUAL = "code", "multilingual"

RETIRED = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "bh": "bih"}
"""Codes that were withdrawn, and still stand in data."""

OLD_TAGS = {"zh-min-nan": "nan", "zh-guoyu": "zh", "i-klingon": "tlh", "no-bok": "nb", "no-nyn": "nn"}
OLD_TAGS |= {"bat-smg": "sgs", "cbk-zam": "cbk", "fiu-vro": "vro", "map-bms": "jv", "roa-rup": "rup", "roa-tara": "nap"}
OLD_TAGS |= {"zh-classical": "lzh", "be-x-old": "be-tarask", "simple": "en"}
"""Whole tags of before BCP 47, and those of Wikipedias that say another language."""

EXTENDED = frozenset(["ar", "kok", "lv", "ms", "sgn", "sw", "uz", "zh"])
"""Languages that a second one of three letters may follow, as in `zh-yue` (IANA's registry of subtags)."""

COLLECTIVE = frozenset(
    [
        "afa",
        "alg",
        "apa",
        "art",
        "ath",
        "aus",
        "bad",
        "bai",
        "bat",
        "ber",
        "bih",
        "bnt",
        "btk",
        "cai",
        "cau",
        "cel",
        "cmc",
        "cpe",
        "cpf",
        "cpp",
        "crp",
        "cus",
        "day",
        "dra",
        "fiu",
        "gem",
        "inc",
        "ine",
        "ira",
        "iro",
        "kar",
        "khi",
        "kro",
        "map",
        "mkh",
        "mno",
        "mun",
        "myn",
        "nah",
        "nai",
        "nic",
        "nub",
        "oto",
        "paa",
        "phi",
        "pra",
        "roa",
        "sai",
        "sal",
        "sem",
        "sgn",
        "sio",
        "sit",
        "sla",
        "smi",
        "son",
        "ssa",
        "tai",
        "tup",
        "tut",
        "wak",
        "wen",
        "ypk",
        "znd",
    ]
)
"""Groups of languages with a code of ISO 639-2."""

NO_LANGUAGE = frozenset(["und", "zxx", "mis", "eml", "unknown", "none", "null", ""])
"""Not a language, not known, or (`eml` of lid.176) withdrawn without a code in its place."""

NAMES = {
    "chinese": "zh",
    "farsi": "fa",
    "flemish": "nl",
    "greek": "el",
    "mandarin": "zh",
    "norwegian bokmal": "nb",
    "persian": "fa",
    "punjabi": "pa",
    "simplified chinese": "zh-Hans",
    "traditional chinese": "zh-Hant",
    "brazilian portuguese": "pt-BR",
}
"""Names in use that ISO 639 has otherwise."""

_SUBTAG = re.compile(r"[a-z0-9]{1,8}")
_ENCODING = re.compile(r"(?<=[a-z][-_][a-z]{2})[.@][a-z0-9-]*$")  # of a POSIX locale
_LONGEST = 60


class Language(NamedTuple):
    """A natural language. code: the Hub's; tag: all that was said, in BCP 47."""

    code: str
    tag: str


def listed(values: Iterable[str], identified: bool = False, source_files: bool = False) -> tuple[list[str], list[str]]:
    """Of the values of a column `language`: the Hub's codes, and the BCP 47 tags that say more than their code.

    identified    a stage found out which natural language each document is in
    source_files  a stage took documents for source files

    Some names of programming languages are codes of ISO 639 too (`lua`, `css`, `xml`). They are code unless the release
    has natural languages and no other programming language; codes of two letters (`ts`, `cs`) are natural languages
    unless the documents are source files and nothing else. What is neither is left out.
    """
    said = [text for value in values for text in _split(value)]
    readings = [(natural(text), is_code(text), len(text.strip()) == 2) for text in said]
    programs = source_files or any(code and not language for language, code, _ in readings)
    people = identified or any(language and not code for language, code, _ in readings)
    codes: set[str] = set()
    tags: set[str] = set()
    for language, code, short in readings:
        if code and (not language or (source_files and not people) or (not short and (programs or not people))):
            codes.add(CODE)
        elif language:
            codes.add(language.code)
            tags |= {language.tag} - {language.code}
    special = [name for name in (CODE, MULTILINGUAL) if name in codes]
    return sorted(codes - {CODE, MULTILINGUAL}) + special, sorted(tags - {CODE, MULTILINGUAL})


@cache
def natural(text: str) -> Language | None:
    """The natural language that a tag, a code or an English name means, or None."""
    text = text.strip().removeprefix("__label__")
    if len(text) > _LONGEST or text.casefold() in NO_LANGUAGE:
        return None
    if text.casefold() in (MULTILINGUAL, "mul"):
        return Language(MULTILINGUAL, MULTILINGUAL)
    if tagged := _tagged(text):
        return tagged
    name = " ".join(text.casefold().split())
    named = NAMES.get(name) or _named().get(name) or _named().get(re.sub(r" \([^()]*\)$", "", name))
    return _tagged(named) if named else None


def is_code(text: str) -> bool:
    """Whether this is what a code dataset calls a language of source files, in any case."""
    return text.strip().casefold() in _programming() - NO_LANGUAGE


def _tagged(text: str) -> Language | None:
    """The language of a BCP 47 tag, whose parts may be joined by underscores; None where it is not one."""
    plain = _ENCODING.sub("", text.casefold()).replace("_", "-")
    first, *rest = OLD_TAGS.get(plain, plain).split("-")
    if first in EXTENDED and rest and len(rest[0]) == 3 and rest[0].isalpha() and _code(rest[0]):
        first, *rest = rest
    code = _code(first)
    if code is None or not all(_SUBTAG.fullmatch(part) for part in rest):
        return None
    if rest and len(rest[0]) == 4 and rest[0].isalpha() and not _is_script(rest[0]):
        return None
    return Language(code, "-".join([code, *_cased(rest)]))


def _cased(parts: list[str]) -> Iterable[str]:
    """Subtags in the case that BCP 47 recommends."""
    private = False
    for part in parts:
        private |= len(part) == 1
        if not private and len(part) == 4 and part.isalpha():
            yield part.title()
        else:
            yield part.upper() if not private and len(part) == 2 and part.isalpha() else part


@cache
def _code(code: str) -> str | None:
    """The code that the Hub lists of one of ISO 639-1, -2 or -3: of two letters where there is such."""
    import pycountry

    code = RETIRED.get(code, code)
    if not code.isascii() or len(code) not in (2, 3):
        return None
    if len(code) == 2:
        return code if pycountry.languages.get(alpha_2=code) else None
    found = pycountry.languages.get(alpha_3=code) or pycountry.languages.get(bibliographic=code)
    if found is None:
        return code if code in COLLECTIVE else None
    if found.alpha_3 in NO_LANGUAGE:
        return None
    return getattr(found, "alpha_2", found.alpha_3)


@cache
def _is_script(name: str) -> bool:
    import pycountry

    return pycountry.scripts.get(alpha_4=name.title()) is not None


@cache
def _named() -> dict[str, str]:
    """{English name in lower case: code}."""
    import pycountry

    found: dict[str, str] = {}
    for language in sorted(pycountry.languages, key=lambda one: not hasattr(one, "alpha_2")):  # the well-known first
        names = {language.name, getattr(language, "inverted_name", ""), getattr(language, "common_name", "")}
        names |= {re.sub(r" \([^()]*\)$", "", name) for name in names}
        for name in filter(lambda name: len(name) > 3, names):
            found.setdefault(name.casefold(), language.alpha_3)
    return found


@cache
def _programming() -> frozenset[str]:
    text = files("curate.base").joinpath("programming_languages.txt").read_text(encoding="utf-8")
    return frozenset([CODE, *(name.strip() for name in text.replace("\n", " ").split(","))])


def _split(value: str) -> list[str]:
    """The values in a value: `en, fr` of a column that has several."""
    return [value] if is_code(value) else [part for part in re.split(r"[,;|]", value) if part.strip()]
