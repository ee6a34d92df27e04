"""Keep order: which of several copies is kept.

Source priority, then the manifest's columns, then id.
"""

import json
from typing import Any

import pyarrow as pa

META = "meta."
"""What begins the name of a value in `meta`."""


def column(name: str) -> str:
    """The column that holds what a name stands for: `meta.NAME` is a value in `meta`."""
    return "meta" if name.startswith(META) else name


def columns(keep: list[str]) -> tuple[str, ...]:
    """The columns that `keep` looks at, without the `-` that asks for the highest first."""
    return tuple(dict.fromkeys(map(column, _names(keep))))


def carried(docs: pa.Table, keep: list[str]) -> dict[str, pa.ChunkedArray | pa.Array]:
    """These columns for the step that sorts, each called by its place in `keep`: whatever a column is called, it is
    never taken for one of the stage's own."""
    return {
        str(place): numbers(docs, name) if name.startswith(META) else docs[name]
        for place, name in enumerate(_names(keep))
    }


def directions(keep: list[str]) -> list[str]:
    """How Arrow sorts each column of `keep`; a document without a value comes after all that have one."""
    return ["descending" if name.startswith("-") else "ascending" for name in keep]


def keys(keep: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow, of columns that were carried."""
    return [(str(place), direction) for place, direction in enumerate(directions(keep))]


def sort_keys(keep: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow: the whole keep order."""
    return [("priority", "ascending"), *keys(keep), ("id", "ascending")]


def numbers(docs: pa.Table, name: str) -> pa.Array:
    """A number in `meta` of each document, float64[rows]: truth is 1 and 0, what is no number is null."""
    return pa.array([_number(value) for value in _in_meta(docs, name)], pa.float64())


def strings(docs: pa.Table, name: str) -> pa.ChunkedArray:
    """A column, or a text or whole number in `meta`, as text: string[rows]."""
    if not name.startswith(META):
        return docs[name].cast(pa.string())
    values = [str(value) if isinstance(value, str | int) else None for value in _in_meta(docs, name)]
    return pa.chunked_array([pa.array(values, pa.string())])


def _names(keep: list[str]) -> list[str]:
    return [name.removeprefix("-") for name in keep]


def _in_meta(docs: pa.Table, name: str) -> list:
    """The value that `meta` has of each document, None where it has none."""
    held = map(_object, docs["meta"].to_pylist())
    return [one.get(name.removeprefix(META)) for one in held]


def _object(text: str | None) -> dict:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, bool | int | float) and value == value else None
    except OverflowError:
        return None
