"""Columns from a function of one's own, without writing a stage."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import CurateError, did_you_mean
from curate.resources import sha256
from curate.stage import arrow_type, set_column, stage


def _source(function: str, **_) -> dict[str, Path]:
    return {"source": Path(inspect.getsourcefile(_load(function)))}


@stage(
    version=1,
    reads_from=lambda reads, **_: tuple(reads),
    adds_from=lambda adds, **_: adds,
    resources_from=_source,
    dry=True,
)
def annotate(
    docs: pa.Table,
    *,
    function: str,
    adds: dict[str, str],
    reads: list[str] = ["text"],  # noqa: B006
    params: dict[str, Any] = {},  # noqa: B006
    source: str | None = None,
) -> pa.Table:
    """Add the columns that a function of yours makes of documents; `filter` can decide by them.

    The function is given an Arrow table of the columns it reads, and `params` as keywords. It returns a table or a
    mapping of the columns it adds, or the one column itself. Row i of the result must depend on row i alone: hold it to
    that with `curate.testing.check("annotate", ...)`. Its source file bears on the identity of the result; what that
    imports does not.

    function  `package.module:function`, importable here and by the workers
    adds      {column: Arrow type}, such as {n_dashes: int32}
    reads     columns that the function is given
    params    keyword arguments of the function
    source    its source file; found by itself, to be compared with what a worker imports
    """
    called = _load(function)
    if source and sha256(Path(source)) != sha256(_source(function)["source"]):
        raise CurateError(f"`{function}` is another one here than in the plan", source, "install the same everywhere")
    types = _types(adds)
    found = called(docs.select(reads), **params)
    if isinstance(found, (pa.Array, pa.ChunkedArray)) and len(adds) == 1:
        found = {next(iter(adds)): found}
    columns = {name: found[name] for name in adds if name in _names(found, function)}
    if set(columns) != set(_names(found, function)) or len(columns) < len(adds):
        what = f"`{function}` returned {_listed(_names(found, function))}, and `adds` says {_listed(adds)}"
        raise CurateError(what, fix="let both be the same")
    for name, values in columns.items():
        docs = set_column(docs, name, _typed(values, types[name], docs.num_rows, f"`{name}` of `{function}`"))
    return docs


def _load(function: str) -> Callable:
    module, colon, name = function.partition(":")
    if not colon:
        raise CurateError(f"`{function}` names no function", fix="write `package.module:function`")
    try:
        home = importlib.import_module(module)
    except ImportError as error:
        fix = "install its package, or put its folder on PYTHONPATH"
        raise CurateError(f"cannot import `{module}`: {error}", fix=fix) from error
    found = getattr(home, name, None)
    if not inspect.isfunction(found):
        functions = [known for known, value in vars(home).items() if inspect.isfunction(value)]
        fix = did_you_mean(name, functions) if functions else ""
        raise CurateError(f"`{module}` has no function `{name}`", str(home.__file__ or ""), fix)
    return found


def _types(adds: dict[str, str]) -> dict[str, pa.DataType]:
    try:
        return {name: arrow_type(alias) for name, alias in adds.items()}
    except ValueError as error:
        raise CurateError(f"`adds` names no Arrow type: {error}", fix="such as int32, float32, string, bool") from error


def _names(found: Any, function: str) -> list[str]:
    if isinstance(found, pa.Table):
        return found.column_names
    if isinstance(found, dict):
        return list(found)
    what = f"`{function}` returned {type(found).__name__}"
    raise CurateError(what, fix="return a table or a mapping of columns; or an Arrow array, if `adds` has one name")


def _listed(names) -> str:
    return ", ".join(f"`{name}`" for name in names) or "no column"


def _typed(values: Any, kind: pa.DataType, count: int, what: str) -> pa.Array | pa.ChunkedArray:
    try:
        arrow = isinstance(values, (pa.Array, pa.ChunkedArray))
        values = values.cast(kind) if arrow else pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise CurateError(f"{what} is no column of {kind}: {error}", fix="mend the function or `adds`") from error
    if len(values) != count:
        raise CurateError(f"{what} has {len(values)} values for {count} documents", fix="return one for each document")
    return values
