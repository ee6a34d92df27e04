"""Guess the layout of rows, or what their columns mean, from names and values."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from curate.sources import layouts
from curate.sources.row_layouts import ROW_LAYOUTS

_LEAST_PLACES, _LEAST_SHARE = 3, 0.6
"""A layout is told by so many of its columns, and by this share of them."""

_LEAST_READ = 0.9
"""A layout of conversations is told by the share of the rows that it can read."""

ROW_COLUMNS = (
    ("finevision", {"images", "texts"}),
    ("openr1-math", {"problem", "generations"}),
    ("s1k-1.1", {"question", "deepseek_thinking_trajectory", "deepseek_attempt"}),
    ("s1k", {"question", "thinking_trajectories", "attempt"}),
    ("openthoughts", {"problem", "deepseek_reasoning", "deepseek_solution"}),
    ("infinity-instruct", {"conversations", "label", "langdetect", "source"}),
    ("tulu3-preference", {"id", "prompt", "source", "chosen", "rejected"}),
    ("preference", {"chosen", "rejected"}),
    ("preference", {"chosen_messages", "rejected_messages"}),
    ("llava", {"conversations", "image"}),
    ("messages-images", {"conversations", "images"}),
    ("messages-images", {"messages", "images"}),
    ("tulu3-sft", {"id", "messages", "source"}),
    ("messages", {"messages"}),
    ("sharegpt", {"conversations"}),
    ("alpaca", {"instruction", "output"}),
    ("prompt-completion", {"prompt", "completion"}),
    ("limo", {"question", "solution", "answer"}),
)
"""Columns that tell a layout of conversations, the most telling first."""

_TEXTS = "text content raw_content body document markdown article passage code completion output"
PLACES = {
    "text": _TEXTS.split(),
    "url": ["url", "uri", "link", "source_url", "canonical_url"],
    "date": ["date", "timestamp", "created", "created_at", "published", "crawled_at"],
    "language": ["language", "lang"],
    "license": ["license", "licence"],
}
"""What columns are called, the likeliest first."""


def layout_of(rows: Sequence[dict]) -> str | None:
    """The layout of a known dataset that rows have, if they have any: the one of which they have the largest share."""
    best = (0.0, 0, "")
    for name, places in layouts.LAYOUTS.items():
        wanted = [place for key, place in places.items() if key != "meta"] + list(places["meta"].values())
        there = sum(any(layouts.find(row, place) is not None for row in rows) for place in wanted)
        if _share(rows, lambda row, place=places["text"]: isinstance(layouts.find(row, place), str)) < 0.9:
            continue
        if there >= _LEAST_PLACES and there >= _LEAST_SHARE * len(wanted):
            best = max(best, (there / len(wanted), there, name))
        elif name == "slimpajama" and there == len(wanted):  # it has no more than two
            best = max(best, (1.0, there, name))
    return best[2] or None


def row_layout_of(rows: Sequence[dict]) -> str | None:
    """The layout of conversations, preferences or pictures that rows have, if they have any."""
    there = {name for row in rows for name, value in row.items() if value is not None}
    for name, wanted in ROW_COLUMNS:
        if wanted <= there and _share(rows, lambda row, name=name: _reads(name, row)) >= _LEAST_READ:
            return name
    return None


def _reads(layout: str, row: dict) -> bool:
    """Whether a layout makes documents of a row."""
    try:
        return bool(ROW_LAYOUTS[layout].read(row))
    except layouts.BadRow:
        return False


def columns_of(rows: Sequence[dict]) -> dict[str, str]:
    """{column of documents: place in the rows}: what a manifest must say where columns have names of their own. Empty
    where they are called as ours are, or where no text is found."""
    there = list(dict.fromkeys(name for row in rows for name in _leaves(row)))
    texts = [name for name in there if _share(rows, lambda row, name=name: _is_text(layouts.find(row, name))) > 0.5]
    if "text" in texts or not texts:
        return {}
    found = {}
    for name, likely in PLACES.items():
        options = texts if name == "text" else there
        named = [place for word in likely for place in options if place.rpartition(".")[2].lower() == word]
        if named:
            found[name] = named[0]
    if "text" not in found:
        found["text"] = max(texts, key=lambda place: sum(len(str(layouts.find(row, place) or "")) for row in rows))
    return {name: found[name] for name in PLACES if name in found}


def _leaves(row: dict, above: str = "", depth: int = 2) -> Iterator[str]:
    """The places of a row that hold no object."""
    for name, value in row.items():
        if isinstance(value, dict) and depth:
            yield from _leaves(value, f"{above}{name}.", depth - 1)
        else:
            yield f"{above}{name}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not value.startswith(("http://", "https://")) and bool(value.strip())


def _share(rows: Sequence[dict], holds: Callable[[dict], bool]) -> float:
    return sum(map(holds, rows)) / max(1, len(rows))
