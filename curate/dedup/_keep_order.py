"""Keep order: which of several copies stays. Source priority, then the manifest's columns, then id."""


def columns(keep: list[str]) -> tuple[str, ...]:
    """The columns that `keep` names, without the `-` that asks for the highest first."""
    return tuple(name.removeprefix("-") for name in keep)


def sort_keys(keep: list[str]) -> list[tuple[str, str]]:
    """Sort keys for Arrow; a document without a value comes after all that have one."""
    named = [(name.removeprefix("-"), "descending" if name.startswith("-") else "ascending") for name in keep]
    return [("priority", "ascending"), *named, ("id", "ascending")]
