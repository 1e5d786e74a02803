"""SQL over results: DuckDB in memory, which reads no file and no network.

The query is the user's own, but names and texts in a bundle may be a stranger's. They are values of tables, never SQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from xlift.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


Reader = Callable[[set[str] | None], "pa.Table"]
"""Reads a table, with the columns of these names at least; None for all."""


def run_query(query: str, tables: Mapping[str, tuple[pa.Schema, Reader]]) -> pa.Table:
    """The result of a query.

    Args:
        tables: name -> schema, and a function that reads the table. It is called if the query has the name, with the columns that
            the query reads.

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
        named = [name for name in tables if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
        for name, (schema, _) in tables.items():
            connection.register(name, schema.empty_table())
        connection.execute("SET lock_configuration = true")
        columns = _find_columns(connection, query, {name for schema, _ in tables.values() for name in schema.names})
        for name in named:
            connection.register(name, tables[name][1](columns))
        try:
            return _fetch(connection, query)
        except duckdb.BinderException:
            if columns is None:
                raise
        for name in named:
            connection.register(name, tables[name][1](None))
        return _fetch(connection, query)
    except duckdb.Error as error:
        raise UserError(
            f"DuckDB refuses the query: {_describe(error)}",
            where="--sql",
            fix=f"The tables are {', '.join(tables)}; `describe scores` lists the columns of one.",
        ) from None
    finally:
        connection.close()


def _find_columns(connection: Any, query: str, known: set[str]) -> set[str] | None:
    """The columns that a query reads, by DuckDB's own plan of it on tables without rows. None if the plan does not say: for anything
    but a single `select`."""
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            return None
        plan = json.loads(connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchall()[0][1])
    except (duckdb.Error, ValueError, LookupError):
        return None  # the error comes when the query runs
    found: set[str] = set()
    nodes = list(plan)
    while nodes:
        node = nodes.pop()
        nodes += node.get("children", [])
        if "ARROW_SCAN" not in node.get("name", ""):
            continue
        projected = node.get("extra_info", {}).get("Projections")
        if not projected:
            return None
        found |= {projected} if isinstance(projected, str) else set(projected)
        filters = str(node["extra_info"].get("Filters", ""))
        found |= {name for name in known if name in filters}
    return found if found and found <= known else None  # `describe` scans no table, and needs all columns


def _fetch(connection: Any, query: str) -> pa.Table:
    result = connection.sql(query)
    if result is None:
        raise UserError("the query gives no rows", where="--sql", fix="Write a query that ends in a `select`.")
    return result.to_arrow_table()


def _describe(error: Exception) -> str:
    """The message of DuckDB on one line, without the copy of the query below it."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())
