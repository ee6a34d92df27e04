"""Reject documents by rules written as SQL expressions over columns."""

import json
import re
from functools import cache

import duckdb
import pyarrow as pa

from curate.errors import CurateError, ManifestError, did_you_mean
from curate.stage import reject, stage

NAME = re.compile(r"\w+")


def columns_of(**rules: str) -> tuple[str, ...]:
    """The columns that rules read. Raises ManifestError for rules that are no expression, or not always the same."""
    found: dict[str, None] = {}
    problems = []
    for name, rule in rules.items():
        try:
            if not NAME.fullmatch(name):
                raise CurateError(
                    "the name of a rule is letters, digits and `_`", fix="it is the reason in the release"
                )
            found |= dict.fromkeys(_columns(rule))
        except CurateError as error:
            problems.append(CurateError(error.what, name, error.fix))
    if problems:
        raise ManifestError(problems)
    return tuple(found)


def _columns(rule: str) -> list[str]:
    if not isinstance(rule, str) or not rule.strip():
        raise CurateError(f"a rule is an SQL expression, not {rule!r}", fix="write it as text")
    with duckdb.connect() as connection:
        (tree,) = connection.execute("select json_serialize_sql(?)", [f"select ({rule})"]).fetchone()
    tree = json.loads(tree)
    if tree["error"]:
        raise CurateError(f"not an SQL expression: {tree['error_message'].splitlines()[0]}", fix=f"mend `{rule}`")
    columns = []
    for node in _nodes(tree):
        if node.get("class") == "COLUMN_REF":
            columns.append(node["column_names"][-1])
        elif node.get("class") == "FUNCTION" and node["function_name"] in _volatile():
            what = f"{node['function_name']}() is not the same on every run"
            raise CurateError(what, fix="use columns alone; `hash(id)` gives a fixed random number")
        elif node.get("class") in ("SUBQUERY", "WINDOW") or node.get("function_name") in ("unnest", "unlist"):
            raise CurateError("a rule looks at one document only", fix="compare columns of one row")
    return columns


@stage(
    version=1,
    packages=("duckdb",),
    alone=True,
    dry=True,
    reads_from=columns_of,
    reasons_from=lambda **rules: tuple(rules),
)
def filter(docs: pa.Table, /, **rules: str) -> pa.Table:
    """Reject documents by named rules: `name: SQL expression`, one a line. The first that is true is the reason.

    An expression sees the columns of its document, in DuckDB's dialect of SQL; one that is null rejects nothing. The
    stage always starts a job of its own, so that a new threshold costs seconds.
    """
    if not rules:
        return docs
    selected = ", ".join(f"cast(({rule}) as boolean) as r{place}" for place, rule in enumerate(rules.values()))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("docs", docs.append_column("_row", pa.array(range(docs.num_rows), pa.int64())))
        try:
            masks = connection.sql(f"select {selected} from docs order by _row").to_arrow_table()
        except duckdb.BinderException as error:
            hint = did_you_mean(str(error), docs.column_names) if "column" in str(error) else ""
            raise CurateError(f"a rule does not fit its columns: {str(error).splitlines()[0]}", fix=hint) from error
        except duckdb.Error as error:
            raise CurateError(f"a rule failed: {str(error).splitlines()[0]}") from error
    return reject(docs, **{name: masks[f"r{place}"] for place, name in enumerate(rules)})


@cache
def _volatile() -> frozenset[str]:
    with duckdb.connect() as connection:
        rows = connection.execute("select function_name from duckdb_functions() where stability <> 'CONSISTENT'")
        return frozenset({"current_localtime", "current_localtimestamp"}.union(*rows.fetchall()))


def _nodes(tree):
    """All dictionaries in a tree of lists and dictionaries."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)
