"""Arrow types as features of `datasets`, for the card's front matter and Croissant."""

import re

DTYPES = {
    "double": "float64",
    "float": "float32",
    "halffloat": "float16",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
"""What `datasets` calls Arrow's types where it does not as Arrow does."""

PLAINER = {
    "string_view": "string",
    "binary_view": "binary",
    "utf8_view": "string",
    "date64": "date32",
    "date64[ms]": "date32",
}
PLAINER |= {"time32[s]": "time32[ms]", "timestamp[s]": "timestamp[ms]"}
"""Types that Parquet does not keep, or readers of Parquet do not all know, and what is written in their place."""

IMAGE = "struct<bytes: binary, path: string>"
"""What `datasets` calls an image."""

_VALUE = re.compile(
    r"null|bool|u?int(8|16|32|64)|halffloat|float|double|(large_)?(string|binary)|(string|binary)_view|date(32\[day\]|64\[ms\])"
    r"|time(32\[m?s\]|64\[[un]s\])|(timestamp|duration)\[(s|ms|us|ns)\]|timestamp\[(s|ms|us|ns), tz=[A-Za-z0-9/_+:-]+\]"
    r"|decimal(128|256)\(\d+, -?\d+\)|fixed_size_binary\[\d+\]"
)


def plainer(alias: str) -> str:
    """The type that a shard has of a column, by the alias that a stage declares, `list[...]` too.

    Raises ValueError for a type that Parquet or `datasets` cannot hold.
    """
    if alias.startswith("list["):
        return f"list[{plainer(alias[5:-1])}]"
    if (element := element_type(alias)) and element[0] == "list":
        return f"list<element: {plainer(element[1])}>"
    if "interval" in alias:
        raise ValueError(f"`datasets` has no type for `{alias}`")
    return PLAINER.get(alias, alias)


def feature(name: str, kind: str) -> dict:
    """A column as `dataset_info` has it. kind: its Arrow type, as pyarrow prints it. Raises ValueError for another."""
    return {"name": name, **_described(kind)}


def value_type(kind: str) -> str:
    """The type of a column's values, or of the values in its lists: `int32` of `list<element: int32>`."""
    while (inner := element_type(kind)) is not None:
        kind = inner[1]
    return kind


def _described(kind: str) -> dict:
    if _VALUE.fullmatch(kind):
        return {"dtype": DTYPES.get(kind, kind)}
    if dictionary := re.fullmatch(r"dictionary<values=(.*), indices=\w+, ordered=\d>", kind):
        return _described(dictionary[1])
    if kind == IMAGE:
        return {"dtype": "image"}
    if (list_ := element_type(kind)) is not None:
        key, inner, length = list_
        described = _described(inner)
        inside = described["dtype"] if list(described) == ["dtype"] else described.get("struct", described)
        return {key: inside} | ({"length": length} if length else {})
    if kind.startswith("struct<") and kind.endswith(">"):
        return {"struct": [feature(name, inner) for name, inner in struct_fields(kind)]}
    raise ValueError(f"`datasets` has no type for `{kind}`")


def struct_fields(kind: str) -> list[tuple[str, str]]:
    """The names and types of the fields of `struct<a: int32, b: string>`."""
    fields = (field.partition(": ") for field in _parts(kind[7:-1]))
    return [(name, _bare(inner)) for name, _, inner in fields]


def element_type(kind: str) -> tuple[str, str, int] | None:
    """Of a list type: the word for it, the type of its elements, and its length where that is fixed."""
    found = re.fullmatch(r"(large_|fixed_size_)?list<\w+: (.*)>(?:\[(\d+)\])?", kind)
    if not found:
        return None
    return "large_list" if found[1] == "large_" else "list", _bare(found[2]), int(found[3] or 0)


def _bare(kind: str) -> str:
    return kind.removesuffix(" not null")


def _parts(text: str) -> list[str]:
    """Split `a: int32, b: list<element: string>` at the commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "<([") - (sign in ">)]")
        if sign == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()] if text[start:].strip() else parts
