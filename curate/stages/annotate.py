"""Add columns that your own function computes, without writing a stage."""

import ast
import importlib
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import CurateError, did_you_mean
from curate.models.resources import find_source, sha256
from curate.stage_api import arrow_type, set_column, stage


def _source(function: str, **_) -> dict[str, Path]:
    """The file of the function's module, found without importing it or a package around it."""
    module, colon, name = function.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise CurateError(f"`{function}` is not the name of a function", fix="write `package.module:function`")
    path = find_source(module)
    if path is None:
        fix = "install its package, or put its folder on PYTHONPATH"
        raise CurateError(f"cannot import `{module}`: there is no such file", fix=fix)
    defined = _defined(path)
    if defined is not None and name not in defined:
        raise CurateError(f"`{module}` has no function `{name}`", str(path), did_you_mean(name, defined))
    return {"source": path}


def _defined(path: Path) -> set[str] | None:
    """The names that a module defines or imports at its top; None where it cannot be told without running it."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CurateError(f"not a Python module: {error}", str(path), "correct it") from None
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif not isinstance(node, ast.Expr):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if not targets or not all(isinstance(target, ast.Name) for target in targets):
                return None
            found |= {target.id for target in targets}
    return None if "*" in found else found


def _reads(reads: list[str], adds: dict[str, str], **_) -> tuple[str, ...]:
    _types(adds)
    return tuple(reads)


@stage(
    version=1,
    reads_from=_reads,
    adds_from=lambda adds, **_: adds,
    resources_from=_source,
    code_from=lambda function, **_: (function,),
    notes_from=lambda function, **_: [
        f"runs `{function}`, if allowed with `--allow-code {function.partition(':')[0]}`"
    ],
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
    """Add columns that your own function computes from documents; `filter` can decide on them.

    The function is called with an Arrow table of the columns in `reads`, and with `params` as keyword arguments. It
    returns a table or a mapping of the columns that it adds, or a single column by itself. Row i of the result must
    depend only on row i: check this with `curate.testing.check("annotate", ...)`. The source file of the function's
    module is part of the identity of the result; other modules that it imports are not.

    A manifest is data, so the person who runs it must allow the module: `curate run --allow-code package.module`.
    Alternatively, a package can register the function as an entry point of the group `curate.functions`.

    function  `package.module:function`, importable on this machine and by the workers
    adds      {column: Arrow type}, such as {n_dashes: int32}
    reads     columns passed to the function
    params    keyword arguments of the function
    source    source file of the function; set automatically, to compare it with what a worker imports
    """
    called = _load(function)
    if source and sha256(Path(source)) != sha256(_source(function)["source"]):
        raise CurateError(
            f"`{function}` differs from the one in the plan", source, "install the same version everywhere"
        )
    types = _types(adds)
    try:
        found = called(docs.select(reads), **params)
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        what = f"`{function}` raised {type(error).__name__}: {error}"
        raise CurateError(what, f"{line.filename}:{line.lineno}", "fix the function") from error
    if isinstance(found, (pa.Array, pa.ChunkedArray)) and len(adds) == 1:
        found = {next(iter(adds)): found}
    columns = {name: found[name] for name in adds if name in _names(found, function)}
    if set(columns) != set(_names(found, function)) or len(columns) < len(adds):
        what = f"`{function}` returned {_listed(_names(found, function))}, but `adds` declares {_listed(adds)}"
        raise CurateError(what, fix="make them match")
    for name, values in columns.items():
        docs = set_column(docs, name, _typed(values, types[name], docs.num_rows, f"`{name}` of `{function}`"))
    return docs


def _load(function: str) -> Callable:
    module, colon, name = function.partition(":")
    if not colon:
        raise CurateError(f"`{function}` is not the name of a function", fix="write `package.module:function`")
    try:
        home = importlib.import_module(module)
    except Exception as error:  # an import runs the module, which may raise anything
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
        raise CurateError(
            f"`adds` contains an unknown Arrow type: {error}", fix="such as int32, float32, string, bool"
        ) from error


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
        raise CurateError(f"{what} is not a column of {kind}: {error}", fix="fix the function or `adds`") from error
    if len(values) != count:
        raise CurateError(f"{what} has {len(values)} values for {count} documents", fix="return one for each document")
    return values
