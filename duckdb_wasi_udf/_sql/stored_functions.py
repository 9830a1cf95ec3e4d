"""The table in which a database keeps the functions that last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._shared.identifiers import quote_identifier

if TYPE_CHECKING:
    import duckdb

SCHEMA = "wasi_udf"
TABLE = "functions"
COLUMNS = {
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "source": "VARCHAR",
    "signature": "VARCHAR",
    "options": "VARCHAR",  # a JSON object
    "language": "VARCHAR",
}


def _table(cursor: duckdb.DuckDBPyConnection) -> str:
    """Return the name of the table, whatever the search path.

    `USE` is of one connection, so the current database of a new one is the database as opened.
    """
    (database,) = cursor.execute("SELECT current_database()").fetchall()[0]
    return f"{quote_identifier(database)}.{SCHEMA}.{TABLE}"


def exists(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Return whether there is the table: not a view, which would run a query of whoever made the file."""
    query = f"""
        SELECT 1 FROM duckdb_tables()
        WHERE database_name = current_database() AND schema_name = '{SCHEMA}' AND table_name = '{TABLE}'
    """  # noqa: S608 - names of our own
    return bool(cursor.execute(query).fetchall())


def read(cursor: duckdb.DuckDBPyConnection) -> list[tuple[str | None, ...]]:
    """Return the rows of the table; none without one.

    Raises:
        duckdb.BinderException: it has other columns.
    """
    if not exists(cursor):
        return []
    columns = ", ".join(f"{name}::VARCHAR" for name in COLUMNS)
    return cursor.execute(f"SELECT {columns} FROM {_table(cursor)} ORDER BY ALL").fetchall()  # noqa: S608


def write(cursor: duckdb.DuckDBPyConnection, row: list[str]) -> None:
    """Write or overwrite a row of the table."""
    table = _table(cursor)
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {table.removesuffix(f'.{TABLE}')}")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
    delete(cursor, row[0])
    names, values = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
    cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608 - names of our own


def delete(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Delete a row of the table, if there is one: a database that is read-only refuses even to delete nothing."""
    if exists(cursor):
        where = f"FROM {_table(cursor)} WHERE lower(name) = lower(?)"
        if cursor.execute(f"SELECT 1 {where} LIMIT 1", [name]).fetchone() is not None:
            cursor.execute(f"DELETE {where}", [name])
