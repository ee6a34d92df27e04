"""Arrow columns of any type as Python values, or as text where Python has none.

The same value always becomes the same thing, whatever stands beside it.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

MAX_TEXT = 16 << 20
"""Bytes of a text: more is never a document."""


def storage(kind: pa.DataType) -> pa.DataType:
    """A type without dictionary, run ends and extension."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif types.is_dictionary(kind) or types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type may be text: strings and binary of every kind, and the type of a column of nulls."""
    kind = storage(kind)
    return types.is_null(kind) or types.is_fixed_size_binary(kind) or _is_string(kind) or _is_binary(kind)


def _is_string(kind: pa.DataType) -> bool:
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def texts(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The column as valid strings, and why there is none: not_utf8, too_large; null where the value is null."""
    array = _unwrapped(array)
    if types.is_null(array.type):
        return pa.nulls(len(array), pa.string()), pa.nulls(len(array), pa.string())
    if types.is_string_view(array.type) or types.is_binary_view(array.type):
        array = array.cast(pa.large_string() if types.is_string_view(array.type) else pa.large_binary())
    large = pc.greater(pc.binary_length(array), MAX_TEXT)
    reasons = pc.if_else(pc.fill_null(large, False), pa.scalar("too_large"), pa.scalar(None, pa.string()))
    if reasons.null_count < len(array):
        array = pc.if_else(large, pa.scalar(None, array.type), array)
    if not _is_string(array.type):
        array = array.cast(pa.binary())
    try:
        strings = array.cast(pa.string())
        strings.validate(full=True)
        return strings, reasons
    except pa.ArrowInvalid:
        pass
    found, why = [], reasons.to_pylist()
    for row, value in enumerate(array.cast(pa.binary()).to_pylist()):
        try:
            found.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            found.append(None)
            why[row] = "not_utf8"
    return pa.array(found, pa.string()), pa.array(why, pa.string())


def _unwrapped(array: pa.Array) -> pa.Array:
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif types.is_dictionary(array.type):
            array = array.dictionary_decode()
        elif types.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        else:
            return array


def values(array: pa.Array) -> list:
    """The values of a column: never raises for what they are."""
    kind = array.type
    if _has_python(kind):
        try:
            return array.to_pylist()
        except (ValueError, OverflowError):  # invalid UTF-8, a struct with two fields of one name
            pass
    if isinstance(kind, pa.UuidType):
        return [None if value is None else str(value) for value in array.to_pylist()]
    if isinstance(array, pa.ExtensionArray):
        return values(array.storage)
    if types.is_dictionary(kind):
        known = values(array.dictionary)
        return [None if index is None else known[index] for index in array.indices.to_pylist()]
    if types.is_run_end_encoded(kind):
        return values(pc.run_end_decode(array))
    if _is_string(kind):
        return [None if text is None else text.decode("utf-8", "replace") for text in _bytes(array)]
    if types.is_struct(kind):
        names = distinct(field.name for field in kind)
        columns = [values(array.field(place)) for place in range(len(names))]
        rows = zip(*columns, strict=True) if columns else ((),) * len(array)
        valid = array.is_valid().to_pylist()
        return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, valid, strict=True)]
    if types.is_map(kind):
        pairs = [None if row.values is None else values(row.values) for row in array]
        return [None if row is None else [tuple(pair.values()) for pair in row] for row in pairs]
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        return [None if row.values is None else values(row.values) for row in array]
    return _times(array) if types.is_temporal(kind) else _each(array)


def distinct(names: Iterable[str]) -> list[str]:
    """Names of which none is there twice: the second `a` is `a_2`."""
    names = list(names)
    taken, given, numbers = set(names), set(), dict.fromkeys(names, 1)
    for place, name in enumerate(names):
        while names[place] in given or (names[place] in taken and names[place] != name):
            numbers[name] += 1
            names[place] = f"{name}_{numbers[name]}"
        given.add(names[place])
    return names


@cache
def _has_python(kind: pa.DataType) -> bool:
    """Whether Python has every value of a type, text that is no UTF-8 aside."""
    if isinstance(kind, pa.BaseExtensionType) or types.is_temporal(kind) or types.is_run_end_encoded(kind):
        return False
    if types.is_dictionary(kind):
        return False  # its values are made once, below
    if types.is_map(kind):
        return _has_python(kind.key_type) and _has_python(kind.item_type)
    if types.is_struct(kind):
        return all(_has_python(field.type) for field in kind)
    if types.is_nested(kind):
        return hasattr(kind, "value_type") and _has_python(kind.value_type)
    return True


def _bytes(array: pa.Array) -> list[bytes | None]:
    return array.cast(pa.large_binary()).to_pylist()


def _times(array: pa.Array) -> list:
    """Dates, times and durations: Python's own in its range, else text; nanoseconds keep all their digits."""
    kind = array.type
    if getattr(kind, "unit", None) != "ns":
        try:
            return array.to_pylist()
        except Exception:  # years and time zones that Python does not know; each library has its own kinds
            return _each(array)
    numbers = array.cast(pa.int64()).to_pylist()
    coarse = {
        "timestamp": lambda: pa.timestamp("us", kind.tz),
        "time64": lambda: pa.time64("us"),
        "duration": lambda: pa.duration("us"),
    }[str(kind).partition("[")[0]]()
    micro = pa.array([None if number is None else number // 1000 for number in numbers], pa.int64()).cast(coarse)
    return [
        value if number is None or number % 1000 == 0 else _finer(value, number % 1000)
        for value, number in zip(_times(micro), numbers, strict=True)
    ]


def _finer(value: Any, nanoseconds: int) -> str:
    """The text of a value in microseconds with three more digits."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    whole, dot, rest = text.partition(".")
    if dot:
        return f"{whole}.{rest[:6]}{nanoseconds:03d}{rest[6:]}"
    zone = len(text) - 6 if isinstance(value, datetime) and value.tzinfo else len(text)
    return f"{text[:zone]}.000000{nanoseconds:03d}{text[zone:]}"


def _each(array: pa.Array) -> list:
    """The values one by one, so that one that cannot be had is the only one that is text."""
    return [None if not scalar.is_valid else _one(scalar) for scalar in array]


def _one(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except Exception:
        pass
    kind, zone = scalar.type, ""
    try:
        if types.is_timestamp(kind) and kind.tz:
            scalar, zone = scalar.cast(pa.timestamp(kind.unit)), "+00:00"
        text = scalar.cast(pa.string()).as_py()
    except Exception:
        text = ""
    if types.is_duration(kind) or not text:
        return f"{getattr(scalar, 'value', scalar)} {getattr(kind, 'unit', '')}".strip()
    if "out of range" in text:  # Arrow prints years of five digits at most
        per_day = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}.get(getattr(kind, "unit", None))
        days, rest = divmod(scalar.value, per_day or (86_400_000 if types.is_date64(kind) else 1))
        text = _day(days)
        if per_day:
            clock = pa.scalar(rest * (86_400_000_000 // per_day), pa.time64("us")).as_py()
            text += f"T{clock.isoformat()}"
    return text.replace(" ", "T", 1) + zone


def _day(days: int) -> str:
    """A day of the Gregorian calendar, from its distance to 1970-01-01, in ISO 8601 with as many digits as it takes."""
    cycles, day = divmod(days + 719_468, 146_097)  # 400 years each, from a first of March
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year, month = 400 * cycles + year + (month > 9), (month + 2) % 12 + 1
    return f"{'-' if year < 0 else ''}{abs(year):04d}-{month:02d}-{day:02d}"
