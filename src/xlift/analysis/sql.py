"""SQL over results: DuckDB in memory, which reads no file and no network.

The query is the user's own, but names and texts in a bundle may be a stranger's. They are values of tables, never SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from xlift.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def run_query(query: str, tables: Mapping[str, tuple[pa.Schema, Callable[[], pa.Table]]]) -> pa.Table:
    """The result of a query.

    Args:
        tables: name -> schema, and a function that reads the table. It is called if the query has the name.

    Raises:
        UserError: DuckDB refuses the query, or it gives no rows.
    """
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": "",
        },
    )
    try:
        connection.execute("SET python_enable_replacements = false")  # no variable of a caller is a table
        for name, (schema, read) in tables.items():
            is_named = re.search(rf"\b{name}\b", query, re.IGNORECASE)
            connection.register(name, read() if is_named else schema.empty_table())
        connection.execute("SET lock_configuration = true")
        return _fetch(connection, query)
    except duckdb.Error as error:
        raise UserError(
            f"DuckDB refuses the query: {_describe(error)}",
            where="--sql",
            fix=f"The tables are {', '.join(tables)}; `describe scores` lists the columns of one.",
        ) from None
    finally:
        connection.close()


def _fetch(connection: Any, query: str) -> pa.Table:
    result = connection.sql(query)
    if result is None:
        raise UserError("the query gives no rows", where="--sql", fix="Write a query that ends in a `select`.")
    return result.to_arrow_table()


def _describe(error: Exception) -> str:
    """The message of DuckDB on one line, without the copy of the query below it."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())
