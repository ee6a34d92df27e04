"""Reject documents by their URL: lists of domains, URLs and words."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.base import urls as forms
from curate.base.parameters import Positive
from curate.documents import hashes128
from curate.models.resources import Name, each, locate, sha256
from curate.stage_api import reject, stage
from curate.stages._lists import Odd, entries, numbered, raise_odd

Style = Literal["refinedweb", "dclm", "datatrove"]
LISTS = ("domains", "urls", "strict_words", "hard_words", "soft_words")


def _files(**params) -> dict:
    return {name: each(lambda file: locate(file, "list"), params[name]) for name in LISTS}


def _notes(**params) -> list[str]:
    found = _listed(**params)
    counts = [f"{name}: {count:,} entries" for name, count in found.counts.items() if params[name]]
    return [", ".join(counts), *found.notes] if counts else []


@stage(version=2, packages=("pyarrow", "idna"), resources_from=_files, notes_from=_notes, dry=True)
def url_filter(
    docs: pa.Table,
    *,
    domains: list[Name] = [],  # noqa: B006
    urls: list[Name] = [],  # noqa: B006
    strict_words: list[Name] = [],  # noqa: B006
    hard_words: list[Name] = [],  # noqa: B006
    soft_words: list[Name] = [],  # noqa: B006
    min_soft_words: Positive = 2,
    lists: Style = "refinedweb",
) -> pa.Table:
    """Reject documents whose URL is on a list, or contains words on a list.

    These are the rules of RefinedWeb (Penedo et al. 2023, G.1), which DCLM and FineWeb adopted. curate does not include
    any lists: the block lists of UT1 (Université Toulouse Capitole) are published under CC BY-SA, the word lists with
    these projects. The first five parameters accept any number of lists: files with one entry per line; `#` at the
    start of a line, or after white space, starts a comment. Lists of domains may be hosts files, or use Adblock's
    `||site.example^`. A line that cannot match anything is an error. A null URL is on no list.

    domains         hosts; each includes its subdomains
    urls            pages, in canonical form: the scheme, the fragment, the default port, a trailing `/`, and the
                    encoding of the host and path do not matter
    strict_words    reject if one occurs anywhere in the URL
    hard_words      reject if one is a whole word of the URL
    soft_words      reject if `min_soft_words` different ones are whole words of the URL
    min_soft_words  2 in all three projects
    lists           the project that the word lists come from, which determines how words are compared.
                    refinedweb: case is ignored, and words consist of letters and digits; for strict words, `-` and `.`
                    are removed from the entry and the URL.
                    dclm: as in its code: `_` counts as a letter, and an entry may contain `-` and the like; for strict
                    words, `-` and `.` are removed only from the URL, so `g-spot` is not in `blogspot.com`.
                    datatrove: as in its code: entries are converted to lowercase and reduced to ASCII letters and
                    digits; strict words are searched in the URL reduced the same way, the others among its original
                    words.

    Reads: url
    Reasons: domain, url, strict_word, hard_word, soft_words
    """
    params = {"domains": domains, "urls": urls, "strict_words": strict_words, "hard_words": hard_words}
    listed = _listed(**params, soft_words=soft_words, lists=lists)
    url = docs["url"].combine_chunks().cast(pa.string()).fill_null("")
    return reject(
        docs,
        domain=_any_parent(forms.hosts(url) if domains else url, listed.domains),
        url=_among(forms.pages(url) if urls else url, listed.urls),
        strict_word=listed.strict(url),
        hard_word=pc.greater(listed.hard(url), 0),
        soft_words=pc.greater_equal(listed.soft(url), max(min_soft_words, 1)),
    )


@dataclass(frozen=True)
class Listed:
    """What the lists say. Hosts and pages, of which there are millions, stand by their hashes (uint64, sorted).

    domains           {labels: hosts of so many labels}
    strict            addresses to whether each has one of the words
    hard, soft        addresses to how many different ones of the words each has
    counts            {list: entries}
    notes             sentences on what to know of them
    """

    domains: dict[int, np.ndarray]
    urls: np.ndarray
    strict: Callable[[pa.Array], pa.Array]
    hard: Callable[[pa.Array], pa.Array]
    soft: Callable[[pa.Array], pa.Array]
    counts: dict[str, int]
    notes: list[str]


def _listed(lists: Style, **params) -> Listed:
    paths = _files(**{name: params[name] for name in LISTS}).values()
    return _load(tuple(tuple((path, sha256(path)) for path in files) for files in paths), lists)


@lru_cache(maxsize=4)
def _load(files: tuple[tuple[tuple[Path, str], ...], ...], style: Style) -> Listed:
    paths = [[path for path, _ in some] for some in files]
    domains, urls = (
        [entry.key for path in some for entry in entries(path, (kind,), top=True)]
        for some, kind in zip(paths[:2], ("domain", "url"), strict=True)
    )
    by_labels: dict[int, list[str]] = {}
    for domain in domains:
        by_labels.setdefault(domain.count(".") + 1, []).append(domain)
    words = [_words(some, style, strict=place == 0) for place, some in enumerate(paths[2:])]
    strict, notes = words[0], []
    if style == "dclm" and (dead := [word for word in strict if re.search("[-.]", word)]):
        notes.append(f"{len(dead):,} strict words contain `-` or `.` and cannot match, as in DCLM")
        strict = [word for word in strict if word not in dead]
    return Listed(
        {labels: _hashed(some) for labels, some in sorted(by_labels.items())},
        _hashed(urls),
        _anywhere(strict, style),
        _whole(words[1], style),
        _whole(words[2], style),
        dict(zip(LISTS, map(len, (domains, urls, *words)), strict=True)),
        notes,
    )


def matched(url: str, reason: str, **params) -> list[str]:
    """What of a URL the lists have, for one of the stage's reasons: the host or its parent, or the words. Raises
    CurateError where a list is not at hand."""
    style = params["lists"]
    if reason == "domain":
        listed = _listed(**{name: params[name] for name in (*LISTS, "lists")})
        parents = list(forms.parents(forms.host(url)))
        return [name for name in parents if _any_parent(pa.array([name]), listed.domains)[0].as_py()][-1:]
    if reason == "url":
        return [url]
    name = reason if reason.endswith("words") else f"{reason}s"
    listed_words = _words(_files(**params)[name], style, strict=name == "strict_words")
    found = _anywhere if name == "strict_words" else _whole
    likely = [word for word in listed_words if word in url.lower() or name == "strict_words"]
    counts = ((word, found([word], style)(pa.array([url]))[0].as_py()) for word in likely)
    return [word for word, count in counts if count]


# Words


def _words(paths: list[Path], style: Style, strict: bool) -> list[str]:
    """The words of lists as their style compares them. Raises CurateError for those that can match nothing."""
    found: dict[str, None] = {}
    for path in paths:
        odd = []
        for number, line in numbered(path):
            try:
                found[_word(line, style, strict)] = None
            except Odd as error:
                odd.append((number, line, error))
        raise_odd(path, odd)
    return list(found)


def _word(line: str, style: Style, strict: bool) -> str:
    lower = line.lower()
    if style == "dclm":
        return lower
    if style == "datatrove":
        word = re.sub("[^a-z0-9]+", "", re.sub("[^a-zA-Z0-9]+", "", line).lower())
        if not word:
            raise Odd("it contains no ASCII letter or digit", "remove the line")
        return word
    word = re.sub("[-.]", "", lower) if strict else lower
    if strict and (not word or re.search(r"\s", word)):
        raise Odd(
            "no URL contains it once `-` and `.` are removed",
            "remove the line, or set `lists:` to the origin of the list",
        )
    if not strict and not all(map(str.isalnum, word)):
        fix = "use only letters and digits, or set `lists:` to the origin of the list"
        raise Odd("not one word: words contain only letters and digits", fix)
    return word


def _anywhere(words: list[str], style: Style) -> Callable[[pa.Array], pa.Array]:
    """Addresses to whether each has one of these words anywhere."""
    pattern = "|".join(map(re.escape, sorted(words)))
    dropped = "[^a-z0-9]+" if style == "datatrove" else "[-.]"

    def found(url: pa.Array) -> pa.Array:
        if not words:
            return pa.repeat(False, len(url))
        lower = pc.ascii_lower(url) if style == "datatrove" else pc.utf8_lower(url)
        return pc.match_substring_regex(pc.replace_substring_regex(lower, dropped, ""), pattern)

    return found


def _whole(words: list[str], style: Style) -> Callable[[pa.Array], pa.Array]:
    """Addresses to how many different ones of these words each has as whole words."""
    if not words:
        return lambda url: pa.repeat(0, len(url))
    if style == "dclm":
        return _bounded(words)
    wanted = pa.array(words, pa.string())
    between = "[^a-zA-Z0-9]+" if style == "datatrove" else r"[^\p{L}\p{N}]+"

    def count(url: pa.Array) -> pa.Array:
        cased = url if style == "datatrove" else pc.utf8_lower(url)
        return _distinct(pc.split_pattern_regex(cased, between), wanted)

    return count


def _bounded(words: list[str]) -> Callable[[pa.Array], pa.Array]:
    """The same for words that may hold anything and begin and end where `\\b` of Python's regular expressions is."""
    likely, by_lead = "|".join(map(re.escape, sorted(words))), {}
    for word in sorted(words, key=lambda word: (-len(word), word)):
        by_lead.setdefault(_RUN.match(word)[0], []).append(word)

    def count(url: pa.Array) -> pa.Array:
        lower = pc.utf8_lower(url)
        counts = np.zeros(len(url), np.int64)
        rows = np.flatnonzero(pc.match_substring_regex(lower, likely).to_numpy(zero_copy_only=False))
        counts[rows] = [len(_sought(text, by_lead)) for text in lower.take(pa.array(rows)).to_pylist()]
        return pa.array(counts)

    return count


_RUN = re.compile(r"\w*")


def _sought(text: str, by_lead: dict[str, list[str]]) -> set[str]:
    """The words that a search from the left finds, the longest first, none of which begins within another.

    by_lead  {the letters, digits and `_` that a word begins with: such words}
    """
    found, cursor = set(), 0
    for run in re.finditer(r"\w+", text):
        for start, lead in ((run.start(), run[0]), (run.end(), "")):
            if start >= cursor:
                word = next((word for word in by_lead.get(lead, ()) if _ends(text, start, word)), None)
                if word:
                    found.add(word)
                    cursor = start + len(word)
    return found


def _ends(text: str, start: int, word: str) -> bool:
    """Whether a word is there, and what comes after it is no letter where it ends in one, or else is one."""
    stop = start + len(word)
    return text.startswith(word, start) and bool(_RUN.match(word[-1])[0]) != bool(_RUN.match(text[stop : stop + 1])[0])


def _distinct(words: pa.ListArray, wanted: pa.Array) -> pa.Array:
    """How many different ones of the wanted words each row has."""
    rows = pa.table({"row": pc.list_parent_indices(words), "word": pc.list_flatten(words)})
    rows = rows.filter(pc.is_in(rows["word"], wanted)).group_by("row").aggregate([("word", "count_distinct")])
    counts = np.zeros(len(words), np.int64)
    counts[rows["row"].to_numpy()] = rows["word_count_distinct"].to_numpy()
    return pa.array(counts)


# Hosts and pages


def _hashed(values: list[str]) -> np.ndarray:
    return np.unique(hashes128(pa.array(values, pa.string()))[0])


def _among(values: pa.Array, hashes: np.ndarray) -> pa.Array:
    if not len(hashes):
        return pa.repeat(False, len(values))
    keys = hashes128(values)[0]
    place = np.minimum(np.searchsorted(hashes, keys), len(hashes) - 1)
    return pc.and_(pa.array(hashes[place] == keys), pc.not_equal(values, ""))


def _any_parent(host: pa.Array, listed: dict[int, np.ndarray]) -> pa.Array:
    """Whether a host, or the host without its first labels, is on the list."""
    found = pa.repeat(False, len(host))
    for labels, hashes in listed.items():
        tail = pc.extract_regex(host, rf"(?P<tail>(?:[^.]*\.){{{labels - 1}}}[^.]*)$")
        found = pc.or_(found, _among(pc.struct_field(tail, "tail").fill_null(""), hashes))
    return found
