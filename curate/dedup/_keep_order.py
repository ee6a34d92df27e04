"""Keep order: which of several copies stays. Source priority, then the manifest's columns, then id."""


def columns(keep: list[str]) -> tuple[str, ...]:
    """The columns that `keep` names, without the `-` that asks for the highest first."""
    return tuple(name.removeprefix("-") for name in keep)


def directions(keep: list[str]) -> list[str]:
    """How Arrow sorts each column of `keep`; a document without a value comes after all that have one."""
    return ["descending" if name.startswith("-") else "ascending" for name in keep]


def sort_keys(keep: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow."""
    named = zip(columns(keep), directions(keep), strict=True)
    return [("priority", "ascending"), *named, ("id", "ascending")]
