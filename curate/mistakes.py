"""What pydantic finds wrong with a manifest, in the words of a manifest: places, ranges, and what to write instead."""

import re
from typing import Any

from pydantic import BaseModel

from curate.errors import shown
from curate.yaml_tree import Place

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
    given, key = detail["input"], loc[-1] if loc and isinstance(loc[-1], str) else ""
    quoted = 'write it as "1.0.0", in quotes' if key == "version" else f'put it in quotes: "{written}"'
    if detail["type"] in ("string_type", "literal_error") and written is not None and given is not None:
        what = _worded(detail["msg"])
        what = f"`{key}` {what}" if key and what.startswith("must ") else what
        kind = (
            "true or false" if isinstance(given, bool) else "a number" if isinstance(given, int | float) else "a date"
        )
        return f"{what}, and YAML reads `{written}` as {kind}", quoted
    limits = _limits(model, loc) if detail["type"] in _BOUNDS else ""
    fix = quoted if key == "version" else "write a number in that range" if limits else ""
    if detail["type"] == "list_type" and isinstance(given, str):
        fix = f"write `{key}: [{given}]`"
    elif detail["type"] == "string_pattern_mismatch" and key == "name":
        return f"`name` is a letter or digit, then letters, digits, `.`, `_` and `-`, not {shown(given)}", fix
    what = f"must be {limits}" if limits else _worded(detail["msg"])
    return f"{f'`{key}` {what}' if key and what.startswith('must ') else what}, not {shown(given)}", fix


def _worded(message: str) -> str:
    for pattern, words in _WORDS.items():
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return found.expand(words)
    return message


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
    return isinstance(part, str) and bool(re.search(r"[\[\]()]|^(str|CommonCrawlInput|PathsInput)$", part))


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
