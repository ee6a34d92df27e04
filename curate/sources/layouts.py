"""Row layouts: where known datasets keep text, URL, date ...; a new one is an entry in `LAYOUTS`.

A place is a column, or `column.field` (and so on inward) inside a struct, a map, an object, or a string that holds
JSON; a column called `column.field` comes first. Of several places joined by `|` the first that is not null counts.
Columns are those of the SlimPajama, RedPajama, DCLM, The Stack, FineWeb, Dolma and C4 releases, as their cards have
them.
"""

import gc
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from curate.errors import CurateError, did_you_mean

MAX_DEPTH = 100
"""Levels of objects and lists in one row."""

_LONG = 1 << 16
_CONTAINERS = {dict, list}
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_PLAIN = ("text", "url", "date", "language", "license")
SETTABLE = (*_PLAIN, "meta")
"""What `columns:` may say the place of."""
_STACK = [f"max_{what}_{field}" for what in ("stars", "issues", "forks") for field in ("count", "repo_name")]

LAYOUTS: dict[str, dict[str, Any]] = {
    "slimpajama": {"text": "text", "meta": {"set": "meta.redpajama_set_name"}},
    "redpajama": {
        "text": "text",
        "url": "meta.url",
        "date": "meta.timestamp|meta.date",
        "language": "meta.language",
        "meta": {
            "set": "red_pajama_subset|meta.redpajama_set_name|meta.source",
            "id": "meta.arxiv_id|meta.id|meta.question_id",
            "title": "meta.title|meta.short_book_title",
        },
    },
    "dclm": {
        "text": "text",
        "url": "url|metadata.WARC-Target-URI",
        "date": "metadata.WARC-Date",
        "meta": {
            "record_id": "metadata.WARC-Record-ID",
            "payload_digest": "metadata.WARC-Payload-Digest",
            "english": "language_id_whole_page_fasttext.en",
            "quality": "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train_prob",
            "previous_word_count": "previous_word_count",
        },
    },
    "the-stack": {
        "text": "content",
        "language": "lang",
        "license": "max_stars_repo_licenses",
        "date": "max_stars_repo_stars_event_min_datetime",
        "meta": {
            "id": "hexsha",
            "path": "max_stars_repo_path",
            "commit": "max_stars_repo_head_hexsha",
            "extension": "ext",
            "size": "size",
            **{name.replace("_repo_name", "_repo"): name for name in _STACK},
            **{name: name for name in ("avg_line_length", "max_line_length", "alphanum_fraction")},
        },
    },
    "fineweb": {
        "text": "text",
        "url": "url",
        "date": "date",
        "language": "language",
        "meta": {name: name for name in ("id", "dump", "file_path", "language_score", "token_count")},
    },
    "dolma": {
        "text": "text",
        "url": "metadata.url",
        "date": "created",
        "language": "metadata.language",
        "license": "metadata.license",
        "meta": {"id": "id", "set": "source", "added": "added", "title": "metadata.title"},
    },
    "curate": {
        "text": "text",
        "url": "url",
        "date": "date",
        "language": "language",
        "license": "license",
        "meta": {"id": "id", "source": "source", "path": "path", "meta": "meta"},
    },
    "c4": {"text": "text", "url": "url", "date": "timestamp|date", "meta": {}},
}


class BadRow(Exception):
    """A row without a usable text: `reason`, and what was found."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Found(NamedTuple):
    """A document of a row.

    text    None where the columns in `more` hold it
    others  url, date, language, license and meta
    more    of `curate.documents.MORE`, in the mapping's order
    record  tells documents of one row apart
    """

    text: str | None
    others: tuple[str | None, ...]
    more: tuple = ()
    record: str | None = None


@dataclass(frozen=True)
class Mapping:
    """Where each column of the document table is in a row. rest: all that is not ours goes into meta; more: columns
    of `curate.documents.MORE` that rows have as they are."""

    places: dict[str, str]
    meta: dict[str, str]
    rest: bool = False
    more: tuple[str, ...] = ()

    @property
    def needed(self) -> dict[str, str]:
        """{what for: a place that a table must have}"""
        return {"text": self.places["text"]}

    def columns(self, there: Iterable[str]) -> list[str]:
        """Those of a table's columns that are used."""
        if self.rest:
            return list(there)
        named = (*self.places.values(), *self.meta.values(), *self.more)
        used = [option for place in named for option in options(place)]
        return [name for name in there if any(f"{option}.".startswith(f"{name}.") for option in used)]

    def read(self, row: dict) -> list[Found]:
        """The document of a row. Raises BadRow, see `text`."""
        return [Found(self.text(row), self.others(row), tuple(row.get(name) for name in self.more))]

    def text(self, row: dict) -> str:
        """Raises BadRow: no_text, text_not_string."""
        value = find(row, self.places["text"])
        if isinstance(value, str):
            return value
        if isinstance(value, bytes):
            return _utf8(value)
        if value is None:
            raise BadRow("no_text", f"`{self.places['text']}` is null or missing among {', '.join(list(row)[:20])}")
        raise BadRow("text_not_string", f"`{self.places['text']}` is {type(value).__name__}")

    def others(self, row: dict) -> tuple[str | None, str | None, str | None, str | None, str | None]:
        """url, date, language, license and meta of a row."""
        places = self.places
        found = [as_string(find(row, places[name])) if name in places else None for name in _PLAIN[1:]]
        if self.rest:
            meta = {key: value for key, value in row.items() if value is not None and key not in places}
        else:
            meta = {key: value for key, place in self.meta.items() if (value := find(row, place)) is not None}
            _object.cache_clear()
        return (*found, as_json(meta) if meta else None)


def text_mapping(layout: str | None, columns: dict | None, more: tuple[str, ...] = ()) -> Mapping:
    """The mapping of one of LAYOUTS, with what `columns` says in place of it: see `curate.sources.row_mapping`."""
    columns = columns or {}
    if unknown := sorted(set(columns) - {*SETTABLE}):
        fix = did_you_mean(unknown[0], SETTABLE)
        raise CurateError(f"`columns` cannot set `{unknown[0]}`", fix=fix)
    base = LAYOUTS.get(layout, {} if columns else {name: name for name in _PLAIN})
    chosen = {"text": "text"} | base | columns
    meta = chosen.pop("meta", {})
    rest = not layout and not columns
    return Mapping(chosen, meta if isinstance(meta, dict) else {name: name for name in meta}, rest, more)


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRow("not_utf8", str(error)) from None


@cache
def options(place: str) -> tuple[str, ...]:
    """The places that `|` joins; the whole first, as a column may be called so."""
    return tuple(dict.fromkeys([place, *place.split("|")]))


@cache
def _splits(place: str) -> tuple[tuple[str, str], ...]:
    """(column, field) at each dot."""
    return tuple((place[: dot.start()], place[dot.end() :]) for dot in re.finditer(r"\.", place))


def find(row: dict, place: str) -> Any:
    """The value at a place of a row, or None: a column of that very name, else a field inside one."""
    if (value := row.get(place)) is not None or place.isidentifier():
        return value
    for option in options(place):
        if (value := _at(row, option)) is not None:
            return value
    return None


def _at(row: dict, place: str) -> Any:
    if (value := row.get(place)) is not None:
        return value
    for root, field in _splits(place):
        value = row.get(root)
        if isinstance(value, str) and value[:64].lstrip().startswith("{"):
            value = _object(value)
        elif isinstance(value, list) and value and isinstance(value[0], tuple):  # a map of Arrow
            value = dict(value)
        if isinstance(value, dict) and (value := _at(value, field)) is not None:
            return value
    return None


@lru_cache(2)
def _object(text: str) -> Any:
    """What a string of JSON holds, read once for all places of a row; `Mapping.others`, the last to ask, forgets it."""
    try:
        return parsed(text)
    except BadRow:
        return None


def parsed(text: str) -> Any:
    """What JSON says. NaN and infinities are floats, integers of any length keep their digits.

    Raises BadRow: not_json; too_deep for more than MAX_DEPTH levels, however much the machine could take.
    """
    try:
        value = _decoded(text) if len(text) < _LONG else _without_collection(_decoded, text)
    except (ValueError, RecursionError) as error:
        if _depth(text) > MAX_DEPTH:
            raise BadRow("too_deep", _TOO_DEEP) from None
        raise BadRow("not_json", f"{error}: {text[:60]!r}") from None
    if _holds_more(value) and text.count("{") + text.count("[") > MAX_DEPTH and _deep(value):
        raise BadRow("too_deep", _TOO_DEEP)
    return value


def _holds_more(value: Any) -> bool:
    """Whether there are objects or lists within a value: of most rows there are none."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not _CONTAINERS.isdisjoint(map(type, inner))


def _decoded(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than Python turns into a number
        return _EXACT.decode(text)


def _without_collection(function: Callable, text: str) -> Any:
    """What a function makes of a long text. The garbage collector would look at millions of new objects many times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return function(text)
    finally:
        if enabled:
            gc.enable()


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 1000 else Decimal(digits)


_DECODER = json.JSONDecoder()
_EXACT = json.JSONDecoder(parse_int=_integer)


def _deep(value: Any) -> bool:
    """Whether a value has more than MAX_DEPTH levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for item in level if isinstance(item, dict | list)]
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return any(isinstance(item, dict | list) for item in level)


_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = np.zeros(256, np.int8)
_STEPS[[*b"[{"]], _STEPS[[*b"]}"]] = 1, -1


def _depth(text: str) -> int:
    """How deep the brackets of what may not be JSON go."""
    bare = _STRING.sub("", text).encode("utf-8", "replace")
    return int(np.cumsum(_STEPS[np.frombuffer(bare, np.uint8)], dtype=np.int64).max(initial=0))


def whole(text: str) -> str:
    """The text with U+FFFD in place of lone halves of characters, which JSON can spell and UTF-8 cannot."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def as_string(value: Any) -> str | None:
    """A value as a column of text holds it: lists joined by commas, times in ISO 8601, objects as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return ", ".join(whole(item) if isinstance(item, str) else as_json(item) for item in value) or None
    if isinstance(value, float) and not math.isfinite(value):
        return _spelled(value)
    return as_json(value) if isinstance(value, dict | bool | int | float | tuple) else _plain(value)


def as_json(value: Any, sort: bool = True) -> str:
    """JSON with sorted keys. What JSON has no word for is text: "NaN", "Infinity", "-Infinity", times, decimals.

    sort  false: keys stay in their order, which chat templates write out for tools
    """
    encoder = _JSON if sort else _UNSORTED
    try:
        return whole(encoder.encode(value))
    except ValueError:
        return whole(encoder.encode(_spelled(value)))


def _plain(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_JSON, _UNSORTED = (
    json.JSONEncoder(sort_keys=sort, ensure_ascii=False, allow_nan=False, default=_plain) for sort in (True, False)
)


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value
