"""Reject documents by rules written as SQL expressions over columns."""

import json
import math
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache

import duckdb
import numpy as np
import pyarrow as pa

from curate.base import machine
from curate.errors import CurateError, ManifestError, did_you_mean, shown
from curate.stage_api import reject, stage

NAME = re.compile(r"\w+")
_MADE_NULL = "null rejects nothing"
_FIXES = {
    "ConversionException": f"use `try_cast`: values that do not convert become null, and {_MADE_NULL}",
    "OutOfRangeException": f"cast to a wider type first, or wrap it in `try(...)`: it becomes null, and {_MADE_NULL}",
    "OutOfMemoryException": "simplify the rule so it needs less memory",
}
_SETTINGS = (
    "temp_directory = ''",
    "TimeZone = 'UTC'",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "python_enable_replacements = false",
    "enable_external_access = false",
    "lock_configuration = true",
)
_GROWING = {
    *("range", "generate_series", "repeat", "lpad", "rpad", "list_resize", "array_resize", "bar", "to_base"),
    *("format", "printf", "reduce", "list_reduce", "array_reduce"),
}
"""Functions whose result is as large as a number says, outside of any limit that DuckDB keeps to."""
_REPLACING = ("replace", "regexp_replace")
_MULTIPLYING = (
    dict.fromkeys(_REPLACING, (0, 2))
    | dict.fromkeys(["list_transform", "list_apply", "array_transform", "array_apply", "apply"], (0, 1))
    | dict.fromkeys(["array_to_string", "array_to_string_comma_default"], (0, 1))
    | dict.fromkeys(["list_aggregate", "list_aggr", "array_aggregate", "array_aggr", "aggregate"], (0, 2))
    | dict.fromkeys(["list_string_agg"], (0, 1))
)
"""Functions whose result can be as large as the product of two of their arguments, and which these are."""
_MOST_GROWTH, _MOST_REPLACED = 10_000, 100
"""How many times as large as a document what a rule makes of it may become, and what it makes by replacing: DuckDB
holds the whole text then, beyond the memory it is given."""
_KEPT = threading.local()
_TRIED = f"correct it, or wrap what fails in `try(...)`: it becomes null, and {_MADE_NULL}"


def columns_of(**rules: str) -> tuple[str, ...]:
    """The columns that rules read. Raises ManifestError for rules that are no expression, or not always the same."""
    found: dict[str, None] = {}
    problems = []
    for name, rule in rules.items():
        try:
            if not NAME.fullmatch(name):
                what = "a rule name may contain only letters, digits and `_`"
                raise CurateError(what, fix="rename it; the name becomes the reason in the release")
            found |= dict.fromkeys(_columns(rule))
        except CurateError as error:
            problems.append(CurateError(error.what, name, error.fix))
    if problems:
        raise ManifestError(problems)
    return tuple(found)


def _columns(rule: str) -> tuple[str, ...]:
    if not isinstance(rule, str) or not rule.strip():
        raise CurateError(f"a rule must be an SQL expression, not {shown(rule)}", fix="write it as text")
    return _columns_of(rule)


@lru_cache(maxsize=1024)
def _columns_of(rule: str) -> tuple[str, ...]:
    try:
        tree = _parsed(rule)
    except (duckdb.Error, RecursionError) as error:
        raise CurateError(f"not an SQL expression: {shown(_said(error))}", fix="shorten it") from None
    if tree["error"]:
        raise CurateError(
            f"not an SQL expression: {tree['error_message'].splitlines()[0]}", fix=f"correct {shown(rule)}"
        )
    query = tree["statements"][0]["node"] if len(tree["statements"]) == 1 else {"type": "several"}
    apart = ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")
    plain = query["type"] == "SELECT_NODE" and query["from_table"]["type"] == "EMPTY" and len(query["select_list"]) == 1
    if not plain or any(query[key] for key in apart):
        raise CurateError(
            "a rule must be one expression, not a query", fix="write a condition that is true for documents to reject"
        )
    columns = []
    for node, bound in _nodes(query["select_list"], frozenset()):
        kind, function = node.get("class"), node.get("function_name")
        if kind == "FUNCTION" and node["schema"] not in ("", "main", *bound):  # `url.lower()`
            columns.append(node["schema"])
        if kind == "COLUMN_REF":
            names = node["column_names"]
            columns += [_column(names)] if _is_column(node, bound) else []
        elif kind == "FUNCTION" and (function in _varying() or (function == "age" and len(node["arguments"]) == 1)):
            what = f"{function}() does not return the same on every run"
            raise CurateError(what, fix="use only columns; `hash(id)` returns a fixed random number")
        elif kind == "FUNCTION" and function in _GROWING:
            what = f"{function}() can turn a few bytes into gigabytes"
            raise CurateError(what, fix="compare the values themselves; `||` joins texts")
        elif kind == "FUNCTION" and function in _MULTIPLYING and _growth(node) > _allowed(function):
            what = f"{function}() can turn a few bytes into gigabytes"
            raise CurateError(what, fix="use short constants, and combine columns outside of it")
        elif kind in ("SUBQUERY", "WINDOW", "STAR") or function in ("unnest", "unlist"):
            raise CurateError("a rule can use only one document", fix="compare columns of one row")
        elif kind == "PARAMETER":
            raise CurateError("a rule cannot have parameters", fix="write the value instead of `?` or `$`")
    return tuple(columns)


def _allowed(function: str) -> int:
    return _MOST_REPLACED if function in _REPLACING else _MOST_GROWTH


def _growth(node) -> float:
    """How many times as large as its document the value of a parsed expression can be, roughly; infinite where the size
    of one column may multiply that of another."""
    if isinstance(node, list):
        return sum(map(_growth, node))
    if not isinstance(node, dict):
        return 0
    if node.get("class") == "CONSTANT":
        return max(1, len(str(node["literal"].get("text", ""))))
    if node.get("class") == "COLUMN_REF":
        return 1
    if node.get("function_name") not in _MULTIPLYING:
        return _growth(list(node.values()))
    arguments = [argument["expression"] for argument in node["arguments"]]
    if node["schema"]:  # `text.replace(...)`, or that of a schema
        factors = [{"class": "COLUMN_REF", "column_names": [node["schema"]]}, *arguments]
    else:
        factors = [arguments[place] for place in _MULTIPLYING[node["function_name"]] if place < len(arguments)]
    if sum(any(_is_column(*found) for found in _nodes(factor, frozenset())) for factor in factors) > 1:
        return math.inf
    return math.prod(max(1, _growth(factor)) for factor in factors)


def _is_column(node: dict, bound: frozenset[str]) -> bool:
    return node.get("class") == "COLUMN_REF" and node["column_names"][0] not in bound


def _parsed(expression: str) -> dict:
    with _connected() as connection:
        query = "select json_serialize_sql(?)"
        ((tree,),) = connection.execute(query, [f"select ({expression}\n)"]).fetchall()
    return json.loads(tree)


def _column(names: list[str]) -> str:
    """The column of `url`, `docs.url`, `memory.main.docs.url`, or of `column.field`."""
    return names[names.index("docs") + 1] if "docs" in names[:-1] else names[0]


@stage(
    version=2,
    packages=("duckdb",),
    alone=True,
    dry=True,
    reads_from=lambda **rules: ("id", *(name for name in columns_of(**rules) if name != "id")),
    reasons_from=lambda **rules: tuple(rules),
)
def filter(docs: pa.Table, /, **rules: str) -> pa.Table:
    """Reject documents by named rules: `name: SQL expression`, one per line. The first that is true is the reason.

    An expression is written in DuckDB's dialect of SQL, can use the columns of its document, and is true, false or
    null; null rejects nothing. It has no access to files, extensions, settings, the current time, or other documents;
    times with a zone are in UTC. The stage always starts its own job, so changing a threshold takes seconds.
    """
    if not rules:
        return docs
    table = docs.append_column("_row", pa.array(np.arange(docs.num_rows)))
    with _looking_at(table) as connection:
        for name, rule in rules.items():
            _check(connection, name, rule, docs.column_names)
        selected = ", ".join(f"({rule}\n) as r{place}" for place, rule in enumerate(rules.values()))
        try:
            masks = connection.sql(f"select {selected} from docs order by _row").to_arrow_table()
        except duckdb.Error:
            raise _blame(connection, table, rules) from None
    return reject(docs, **{name: masks[f"r{place}"].cast(pa.bool_()) for place, name in enumerate(rules)})


def _check(connection: duckdb.DuckDBPyConnection, name: str, rule: str, columns: list[str]) -> None:
    """Raise CurateError for a rule that does not fit the columns, or is neither true nor false of a document."""
    try:
        kind = connection.execute(f"describe select ({rule}\n) as r from docs order by _row").fetchall()[0][1]
    except duckdb.Error as error:
        said = str(error)
        if "_row" in said:  # an aggregate, which is of many rows
            raise CurateError("a rule can use only one document", name, "compare columns of one row") from None
        fix = did_you_mean(said, columns) if isinstance(error, duckdb.BinderException) and "column" in said else ""
        raise CurateError(
            f"rule `{name}` does not fit its columns: {_said(error)}", name, fix or f"correct `{rule}`"
        ) from None
    if kind not in ("BOOLEAN", '"NULL"', "NULL"):
        what = f"rule `{name}` returns {kind}, not true or false"
        raise CurateError(what, name, f"compare it, such as `({rule}) > 0`, or `cast(... as boolean)`")


def _blame(connection: duckdb.DuckDBPyConnection, table: pa.Table, rules: dict[str, str]) -> CurateError:
    """The error of the first rule that fails, with the first document it fails on."""
    for name, rule in rules.items():
        query = f"select sum(cast(({rule}\n) as integer)) from docs where _row < ?"
        low, high = 0, table.num_rows  # no error below the one, an error below the other
        error = _error(connection, query, high)
        if error is None:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if found := _error(connection, query, middle):
                high, error = middle, found
            else:
                low = middle
        row = table.slice(high - 1, 1).to_pylist()[0] if high else {}  # a constant can fail on no document
        values = ", ".join(f"`{column}` is {shown(row[column])}" for column in _columns(rule) if column in row)
        where = f" on document {row['id']}" if row.get("id") else ""
        where += f", where {values}" if values else ""
        fix = _FIXES.get(type(error).__name__, _TRIED)
        return CurateError(f"rule `{name}` fails{where}: {_said(error)}", name, fix)
    what = "the rules fail when combined, although each one works by itself"
    return CurateError(what, fix="put them in separate `filter` stages")


def _error(connection: duckdb.DuckDBPyConnection, query: str, rows: int) -> duckdb.Error | None:
    try:
        connection.execute(query, [rows]).fetchall()
    except duckdb.Error as error:
        return error
    return None


def _said(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


@contextmanager
def _looking_at(table: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """The connection with a table as `docs`."""
    with _connected() as connection:
        connection.register("docs", table)
        yield connection
        connection.unregister("docs")


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """The connection of this thread, made when it is first asked for: that takes longer than most rules. It is given up
    after an error, some of which it does not survive."""
    # A copy of this process has its own; to close its parent's would hang it.
    mine, held = os.getpid(), _KEPT.__dict__.setdefault("connections", {})
    if mine not in held:
        held[mine] = _connect()
    try:
        yield held[mine]
    except BaseException:
        held.pop(mine, None)
        raise


def _connect() -> duckdb.DuckDBPyConnection:
    """A database in memory that reaches no file, network, extension or variable of this process, for good."""
    room = max(1 << 30, machine.memory() // (2 * machine.cores()))
    connection = duckdb.connect(config={"threads": 1, "memory_limit": f"{room >> 20}MiB"})
    for setting in _SETTINGS:
        connection.execute(f"set {setting}")
    return connection


@cache
def _varying() -> frozenset[str]:
    """Functions that give another value elsewhere or later, or that wait or write; and macros that call one."""
    query = """
        select function_name, macro_definition from duckdb_functions()
        where stability = 'VOLATILE' or stability = 'CONSISTENT_WITHIN_QUERY' and len(parameters) = 0
            or function_type = 'macro'
    """
    with _connected() as connection:
        rows = connection.execute(query).fetchall()
    found = {name for name, macro in rows if macro is None}
    found |= {"current_localtime", "current_localtimestamp", "current_setting", "getvariable", "in_search_path"}
    found |= {"ago", "current_schemas", "stats", "vector_type"}
    macros = {name: _calls(macro) for name, macro in rows if macro is not None}
    while more := {name for name, calls in macros.items() if calls & found} - found:
        found |= more
    return frozenset(found)


def _calls(macro: str) -> set[str]:
    """The functions that a macro calls; one that always varies where it looks at tables."""
    tree = _parsed(macro)
    nodes = [node for node, _ in _nodes(tree, frozenset())]
    if tree["error"] or any(node.get("class") == "SUBQUERY" for node in nodes):
        return {"now"}
    return {node["function_name"] for node in nodes if node.get("class") == "FUNCTION"}


def _nodes(tree, bound: frozenset[str]) -> Iterator[tuple[dict, frozenset[str]]]:
    """All dictionaries in a tree of lists and dictionaries, each with the names that lambdas around it bind."""
    if isinstance(tree, dict):
        yield tree, bound
        if tree.get("class") == "LAMBDA" and tree.get("syntax_type") == "LAMBDA_KEYWORD":  # `->` is of JSON too
            bound |= {one["column_names"][0] for one, _ in _nodes(tree["lhs"], bound) if "column_names" in one}
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child, bound)
