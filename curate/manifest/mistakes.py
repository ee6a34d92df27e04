"""Turn pydantic's errors into the words of a manifest: place, range, what to write instead."""

import re
from typing import Any

from pydantic import BaseModel

from curate.errors import did_you_mean, shown
from curate.manifest.yaml_tree import Place

_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
_WORDS = {  # pydantic's, and ours
    r"Value error, (.*)": r"\1",
    r"Input should be a valid integer\b.*": "must be a whole number",
    r"Input should be a valid number\b.*": "must be a number",
    r"Input should be a valid boolean\b.*": "must be true or false",
    r"Input should be a valid string": "must be text",
    r"Input should be a valid (dictionary|mapping)\b.*": "must be a mapping of keys to values",
    r"Input should be a valid (.*)": r"must be a valid \1",
    r"Input should be (.*)": r"must be \1",
    r"(?:String|List) should have at least 1 .*": "must not be empty",
}


def dotted(place: Place) -> str:
    """`stages[0].near_dedup.band` of ("stages", 0, "near_dedup", "band")."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def mismatch(detail: dict, model: type[BaseModel], loc: Place, written: str | None) -> tuple[str, str]:
    """(what, fix) for a value that is not what it should be.

    detail   of pydantic's error
    model    that was validated, loc: the place in it
    written  the text of the value, where YAML takes it for something other than text
    """
    given, kind, key = detail["input"], detail["type"], _named(loc)
    quoted = 'write it as "1.0.0", in quotes' if loc[-1:] == ("version",) else f'put it in quotes: "{written}"'
    if kind in ("string_type", "literal_error") and written is not None and given is not None:
        taken = (
            "true or false" if isinstance(given, bool) else "a number" if isinstance(given, int | float) else "a date"
        )
        return f"{key} must be text, and YAML reads `{written}` as {taken}", quoted
    if limits := _limits(model, loc) if kind in _BOUNDS else "":
        return f"{key} must be {limits}, not {shown(given)}", "use a number in that range"
    if kind == "value_error":
        return _said(detail["msg"].removeprefix("Value error, "), given, key)
    if loc[-1:] == ("version",) and kind.startswith("string_"):
        return f"{key} must be three numbers, not {shown(given)}", quoted
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", detail["msg"])
        names = " or ".join(filter(None, [", ".join(map(repr, known[:-1])), *map(repr, known[-1:])]))
        return f"{key} must be {names}, not {shown(given)}", did_you_mean(str(given), known)
    if kind in ("too_short", "string_too_short") and not given:
        return f"{key} must not be empty", "list at least one" if kind == "too_short" else "set it, or leave it out"
    if kind == "string_too_long":
        return f"{key} may have at most {detail['ctx']['max_length']:,} characters, not {len(given):,}", "shorten it"
    if kind == "string_pattern_mismatch":
        what = f"{key} must begin with a letter or a digit, and contain only letters, digits, `.`, `_` and `-`"
        return f"{what}, not {shown(given)}", "use only these characters"
    known = (told for pattern, *told in _TYPES if re.match(pattern, kind))
    wanted, fix = next(known, (detail["msg"], f"correct {key}"))
    share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", given) if isinstance(given, str) else None
    if share and "number" in wanted:
        fix = f"write it as a share: {float(share[1]) / 100:g}"
    if wanted == "a list" and isinstance(given, str):
        fix = f"write `[{shown(given)}]`"
    return f"{key} must be {wanted}, not {'empty' if given is None else shown(given)}", fix


_TYPES = (
    (r"int_from_float", "a whole number", "write it without a fraction"),
    (r"int_", "a whole number", "write a number, such as 10"),
    (r"float_", "a number", "write a number, such as 0.5"),
    (r"bool_", "true or false", "write `true` or `false`"),
    (r"list_|tuple_|set_", "a list", "write one item per line, each after `- `"),
    (r"dict_|model_", "a mapping", "write `key: value` lines below it, indented"),
    (r"string_", "text", "write it as text, or leave it out"),
)
"""(kinds of pydantic's errors, what is wanted, how to write it)."""


def _named(loc: Place) -> str:
    if not loc:
        return "the file"
    return f"an item of `{loc[-2]}`" if isinstance(loc[-1], int) and len(loc) > 1 else f"`{loc[-1]}`"


def _said(message: str, given: Any, key: str) -> tuple[str, str]:
    """(what, fix) of what a check of ours says: `WHAT; FIX`, or `WHAT, such as EXAMPLE`."""
    what, _, fix = message.partition("; ")
    example = what.partition(", such as ")[2]
    fix = fix or (f"write one such as {example}" if example else f"correct {key}")
    return (what if shown(given, 1000) in what or f"`{given}`" in what else f"{what}, not {shown(given)}"), fix


def _limits(model: type[BaseModel], loc: Place) -> str:
    """`at least 0 and at most 1`: the range of the number at a place of a model; empty where it is not known."""
    schema = model.model_json_schema()
    options, definitions = [schema], schema.get("$defs", {})
    for part in (*loc, None):
        options = [definitions[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in options]
        options += [inner for one in options for inner in one.get("anyOf", ())]
        options = [definitions[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in options]
        if part is None:
            break
        options = [found for one in options for found in _inside(one, part)]
    bounds = next((one for one in options if _LIMITS.keys() & one.keys()), {})
    return " and ".join(
        f"{word} {f'{bounds[name]:,}'.removesuffix('.0')}" for name, word in _LIMITS.items() if name in bounds
    )


def _inside(schema: dict, part: str | int) -> list[dict]:
    """The schemas of a key of a mapping, or of an item of a list."""
    if isinstance(part, str) and part in schema.get("properties", {}):
        return [schema["properties"][part]]
    if isinstance(part, int) and part < len(schema.get("prefixItems", ())):
        return [schema["prefixItems"][part]]
    inner = schema.get("additionalProperties" if isinstance(part, str) else "items")
    return [inner] if isinstance(inner, dict) else list(schema.get("patternProperties", {}).values())


def is_tag(part: Any) -> bool:
    """Whether pydantic put this into a location to say which branch of a union it tried."""
    return isinstance(part, str) and bool(
        re.search(r"[\[\]()]|^(str|constrained-str|CommonCrawlInput|PathsInput)$", part)
    )


def fields_at(model: Any, loc: Place) -> list[str]:
    """The names that may stand at a place of a model."""
    for part in loc:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else None
        model = _model_in(annotation) if annotation else model
    return list(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The first model in a type such as dict[str, Source]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found:
            return found
    return None
