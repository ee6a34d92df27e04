"""Reject documents for the address they come from."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents import hashes128
from curate.parameters import Positive
from curate.resources import each, lines, locate, sha256
from curate.stage import reject, stage

_SCHEME = r"^(?i:[a-z][a-z0-9+.-]*:)?//"
_HOST = r"^(?:[^/?#@]*@)?(?P<host>[^/?#:]*)"
_NOT_IN_WORDS = r"[^\p{L}\p{N}]+"


def _files(**params) -> dict:
    return {name: each(lambda file: locate(file, "list"), params[name]) for name in LISTS}


@stage(version=1, packages=("pyarrow",), resources_from=_files, dry=True)
def url_filter(
    docs: pa.Table,
    *,
    domains: list[str] = [],  # noqa: B006
    urls: list[str] = [],  # noqa: B006
    strict_words: list[str] = [],  # noqa: B006
    hard_words: list[str] = [],  # noqa: B006
    soft_words: list[str] = [],  # noqa: B006
    min_soft_words: Positive = 2,
) -> pa.Table:
    """Reject documents whose address is on a list, or has words of a list.

    The rules of RefinedWeb (Penedo et al. 2023, G.1), which DCLM and FineWeb took over. No list comes with curate:
    the block lists of UT1 (Université Toulouse Capitole) are published under CC BY-SA, word lists with the projects
    named. Each parameter but the last takes any number of lists: files of one entry a line, `#` starts a remark. An
    address that is null is on no list.

    domains         hosts; one stands for all hosts under it too
    urls            addresses; scheme, fragment, upper case in the host, and a `/` at the end do not matter
    strict_words    reject where one stands anywhere in the address, `-` and `.` left out of both
    hard_words      reject where one is a whole word of the address
    soft_words      reject where `min_soft_words` different ones are whole words of the address
    min_soft_words  2 in all three projects

    Reads: url
    Reasons: domain, url, strict_word, hard_word, soft_words
    """
    paths = _files(
        domains=domains, urls=urls, strict_words=strict_words, hard_words=hard_words, soft_words=soft_words
    ).values()
    lists = _load(tuple(tuple((path, sha256(path)) for path in files) for files in paths))
    url = docs["url"].combine_chunks().fill_null("")
    host, address = _split(url)
    lower = pc.utf8_lower(url)
    words = pc.split_pattern_regex(lower, _NOT_IN_WORDS)
    return reject(
        docs,
        domain=_any_parent(host, lists.domains),
        url=_among(address, lists.urls),
        strict_word=_match(pc.replace_substring_regex(lower, "[-.]", ""), lists.strict_words),
        hard_word=pc.greater(_distinct(words, lists.hard_words), 0),
        soft_words=pc.greater_equal(_distinct(words, lists.soft_words), max(min_soft_words, 1)),
    )


LISTS = ("domains", "urls", "strict_words", "hard_words", "soft_words")


@dataclass(frozen=True)
class Lists:
    """What the lists say. Hosts and addresses, of which there are millions, stand by their hashes (uint64, sorted)."""

    domains: np.ndarray
    urls: np.ndarray
    strict_words: str
    hard_words: pa.Array
    soft_words: pa.Array


@lru_cache(maxsize=4)
def _load(files: tuple[tuple[tuple[Path, str], ...], ...]) -> Lists:
    entries = [pa.array([line for path, _ in paths for line in lines(path)], pa.string()) for paths in files]
    domains, urls, strict, hard, soft = entries
    domains = pc.utf8_lower(pc.replace_substring_regex(domains, r"^(\*?\.)+", ""))
    strict = pc.unique(pc.replace_substring_regex(pc.utf8_lower(strict), "[-.]", "")).to_pylist()
    return Lists(
        np.unique(hashes128(domains)[0]),
        np.unique(hashes128(_split(urls)[1])[0]),
        "|".join(re.escape(word) for word in sorted(strict) if word),
        pc.unique(pc.utf8_lower(hard)),
        pc.unique(pc.utf8_lower(soft)),
    )


def _split(url: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Host in lower case; and the address as it is compared, without scheme, fragment and the last `/`."""
    rest = pc.replace_substring_regex(pc.utf8_trim_whitespace(url), _SCHEME, "")
    host = pc.struct_field(pc.extract_regex(rest, _HOST), "host")
    host = pc.utf8_rtrim(pc.utf8_lower(host.fill_null("")), ".")
    path = pc.replace_substring_regex(pc.replace_substring_regex(rest, r"^[^/?#]*", ""), r"#.*$", "")
    return host, pc.binary_join_element_wise(host, pc.replace_substring_regex(path, "/+$", ""), "")


def _among(values: pa.Array, hashes: np.ndarray) -> pa.Array:
    if not len(hashes):
        return pa.repeat(False, len(values))
    keys = hashes128(values)[0]
    place = np.minimum(np.searchsorted(hashes, keys), len(hashes) - 1)
    return pc.and_(pa.array(hashes[place] == keys), pc.not_equal(values, ""))


def _any_parent(host: pa.Array, hashes: np.ndarray) -> pa.Array:
    """Whether a host, or the host without its first labels, is on the list."""
    found = _among(host, hashes)
    while len(hashes) and pc.any(pc.match_substring(host, ".")).as_py():
        host = pc.replace_substring_regex(host, r"^[^.]*\.?", "")
        found = pc.or_(found, _among(host, hashes))
    return found


def _match(values: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(values, pattern) if pattern else pa.repeat(False, len(values))


def _distinct(words: pa.ListArray, wanted: pa.Array) -> pa.Array:
    """How many different ones of the wanted words each row has."""
    rows = pa.table({"row": pc.list_parent_indices(words), "word": pc.list_flatten(words)})
    rows = rows.filter(pc.is_in(rows["word"], wanted)).group_by("row").aggregate([("word", "count_distinct")])
    counts = np.zeros(len(words), np.int64)
    counts[rows["row"].to_numpy()] = rows["word_count_distinct"].to_numpy()
    return pa.array(counts)
