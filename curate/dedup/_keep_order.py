"""Keep order: which of several copies stays. Source priority, then the manifest's columns, then id."""

import pyarrow as pa


def columns(keep: list[str]) -> tuple[str, ...]:
    """The columns that `keep` names, without the `-` that asks for the highest first."""
    return tuple(name.removeprefix("-") for name in keep)


def carried(docs: pa.Table, keep: list[str]) -> dict[str, pa.ChunkedArray]:
    """These columns for the step that sorts, each called by its place in `keep`: whatever a column is called, it is
    never taken for one of the stage's own."""
    return {str(place): docs[name] for place, name in enumerate(columns(keep))}


def directions(keep: list[str]) -> list[str]:
    """How Arrow sorts each column of `keep`; a document without a value comes after all that have one."""
    return ["descending" if name.startswith("-") else "ascending" for name in keep]


def keys(keep: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow, of columns that were carried."""
    return [(str(place), direction) for place, direction in enumerate(directions(keep))]


def sort_keys(keep: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow: the whole keep order."""
    return [("priority", "ascending"), *keys(keep), ("id", "ascending")]
