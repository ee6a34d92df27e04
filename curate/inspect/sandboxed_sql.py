"""SQL of people over tables that are given, which reads nothing else and changes nothing."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from curate.errors import CurateError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection


def answer(sql: str, views: Callable[["Connection"], list[str]], folders: Sequence[str] = ()) -> pa.Table:
    """The result of one SELECT.

    views    makes the tables that the query may use, and returns their names
    folders  where files lie that these tables read

    Raises CurateError for a query that is invalid, that is no SELECT, or that asks for anything else.
    """
    import duckdb

    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    try:
        names = ", ".join(views(connection))
        connection.execute("set python_enable_replacements = false")
        if folders:
            connection.execute("set allowed_directories = ?", [list(folders)])
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise CurateError("a query must be one SELECT", fix=f"select from one of the tables {names}")
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            what = str(error).strip().splitlines()[0]
            raise CurateError(f"the query fails: {what}", fix=f"the tables are {names}") from None
    finally:
        connection.close()
