"""Layouts: where known datasets keep text, URL, date and the rest; `columns:` says it for others.

A place is a column, or `column.field` inside a struct, an object, or a string that holds JSON. Of several
places joined by `|` the first that is not null counts. Columns are those of the SlimPajama, RedPajama, DCLM,
The Stack, FineWeb, Dolma and C4 releases, as their cards have them.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from curate.errors import CurateError, did_you_mean

_PLAIN = ("text", "url", "date", "language", "license")
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


@dataclass(frozen=True)
class Mapping:
    """Where each column of the document table is in a row. rest: all that is not ours goes into meta."""

    places: dict[str, str]
    meta: dict[str, str]
    rest: bool = False

    def columns(self, there: Iterable[str]) -> list[str]:
        """Those of a table's columns that are used."""
        if self.rest:
            return list(there)
        roots = {root for place in [*self.places.values(), *self.meta.values()] for root, _ in _places(place)}
        return [name for name in there if name in roots]

    def text(self, row: dict) -> str:
        """Raises BadRow: no_text, text_not_string."""
        value = find(row, self.places["text"])
        if isinstance(value, str):
            return value
        if value is None:
            raise BadRow("no_text", f"`{self.places['text']}` is null or missing among {', '.join(list(row)[:20])}")
        raise BadRow("text_not_string", f"`{self.places['text']}` is {type(value).__name__}")

    def others(self, row: dict) -> tuple[str | None, str | None, str | None, str | None, str | None]:
        """url, date, language, license and meta of a row."""
        found = [as_string(find(row, self.places[name])) if name in self.places else None for name in _PLAIN[1:]]
        meta = {key: find(row, place) for key, place in self.meta.items()}
        if self.rest:
            meta |= {key: value for key, value in row.items() if key not in self.places}
        meta = {key: value for key, value in meta.items() if value is not None}
        return (*found, as_json(meta) if meta else None)


def mapping(layout: str | None = None, columns: dict | None = None) -> Mapping:
    """The mapping of a layout, with what `columns` says in place of it; without both, the columns' own names.

    columns  {text: place, url: place, ..., meta: [place, ...] or {key: place}}. Raises CurateError.
    """
    columns = columns or {}
    if layout is not None and layout not in LAYOUTS:
        raise CurateError(f"unknown layout `{layout}`", fix=did_you_mean(layout, LAYOUTS))
    if unknown := sorted(set(columns) - {*_PLAIN, "meta"}):
        fix = did_you_mean(unknown[0], [*_PLAIN, "meta"])
        raise CurateError(f"`columns` cannot set `{unknown[0]}`", fix=fix)
    base = LAYOUTS.get(layout, {} if columns else {name: name for name in _PLAIN})
    chosen = {"text": "text"} | base | columns
    meta = chosen.pop("meta", {})
    return Mapping(
        chosen, meta if isinstance(meta, dict) else {name: name for name in meta}, not layout and not columns
    )


@cache
def _places(place: str) -> list[tuple[str, str]]:
    return [option.partition(".")[::2] for option in place.split("|")]


def find(row: dict, place: str) -> Any:
    """The value at a place of a row, or None."""
    if place in row:
        return row[place]
    for root, field in _places(place):
        value = row.get(root)
        if field:
            if isinstance(value, str) and value.startswith("{"):
                value = _object(value)
            value = value.get(field) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def as_string(value: Any) -> str | None:
    """A value as a column of text holds it: lists joined by commas, times in ISO 8601, objects as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(item if isinstance(item, str) else as_json(item) for item in value) or None
    return _plain(value) if isinstance(value, date | datetime | bytes) else as_json(value)


def as_json(value: Any) -> str:
    """JSON with sorted keys. What JSON has no word for (NaN, infinities) is null."""
    try:
        return _JSON.encode(value)
    except ValueError:
        return _JSON.encode(_finite(value))


def _plain(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
