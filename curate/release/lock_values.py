"""Types of the parts of a lock: numbers, paths, digests, objects.

Each has the form that it must have; objects keep the order of their keys.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, WrapValidator, model_validator


def relative(path: str) -> str:
    """The path, which is of a file within a folder on any system. Raises ValueError for another one."""
    odd = re.search(r'[\x00-\x1f\x7f\ud800-\udfff\\:*?"<>|]', path)
    if odd or any(not part or part.strip(". ") != part for part in path.split("/")):
        raise ValueError("not a path within the release")
    return path


def _unchanged(value: Any, check: Callable) -> Any:
    """The value itself: a whole number stays one where fractions are allowed."""
    check(value)
    return value


Count = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]
Ratio = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False, strict=True), WrapValidator(_unchanged)]
Number = Annotated[float, Field(ge=0, lt=1 << 63, allow_inf_nan=False, strict=True), WrapValidator(_unchanged)]
RelativePath = Annotated[str, Field(max_length=1000), AfterValidator(relative)]
Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
Digest = Annotated[str, Field(pattern=r"\Asha256:[0-9a-f]{64}\z")]


class Open(BaseModel):
    """A part of a lock that may hold more than is checked. What is None by default may be absent."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _ordered(cls, held: Any, check: Callable) -> Self:
        made = check(held)
        if isinstance(held, dict):
            made._order = tuple(held)
        return made


def as_json(held: Any) -> Any:
    """A lock, or a part of one, as values of JSON: its keys in the order in which they were given, without those that
    were not."""
    if isinstance(held, Open):
        names = {field.alias or name: name for name, field in type(held).model_fields.items()}
        there = {key: getattr(held, name) for key, name in names.items() if name in held.model_fields_set}
        there |= held.__pydantic_extra__ or {}
        held = {key: there[key] for key in held._order if key in there} | there
    if isinstance(held, dict):
        return {key: as_json(value) for key, value in held.items()}
    return [as_json(value) for value in held] if isinstance(held, list) else held
