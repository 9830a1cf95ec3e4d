"""The table macros that give table functions their names in FROM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._shared.identifiers import quote_identifier

if TYPE_CHECKING:
    import duckdb


def create_macro(con: duckdb.DuckDBPyConnection, name: str, forms: str) -> None:
    """Create a table macro in the current schema, for all connections; in a read-only database for this one.

    One that a database file has kept from an earlier time is replaced; what else has the name is left.

    Raises:
        duckdb.Error: the name is taken.
    """
    read_only, ours = _macro(con, name)
    if read_only:
        con.execute(f"CREATE OR REPLACE TEMP MACRO {quote_identifier(name)}{forms}")
    else:
        con.execute(f"CREATE {'OR REPLACE ' if ours else ''}MACRO {quote_identifier(name)}{forms}")


def drop_macro(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Drop what `create_macro` has created in the current schema, unless the database is read-only."""
    read_only, ours = _macro(con, name)
    if ours and not read_only:
        con.execute(f"DROP MACRO TABLE {quote_identifier(name)}")


def _macro(con: duckdb.DuckDBPyConnection, name: str) -> tuple[bool, bool]:
    """Return whether the current database is read-only, and has a macro of a table function's of that name."""
    read_only, kept = con.execute(
        """
        SELECT
            (SELECT readonly FROM duckdb_databases() WHERE database_name = current_database()),
            (
                SELECT max(macro_definition)
                FROM duckdb_functions()
                WHERE lower(function_name) = lower($1) AND function_type = 'table_macro'
                AND database_name = current_database() AND schema_name = current_schema()
            )
        """,
        [name],
    ).fetchall()[0]
    return bool(read_only), is_ours(kept)


def is_ours(definition: str | None) -> bool:
    """Return whether a macro is a table function's."""
    return definition is not None and definition.startswith("SELECT * FROM query(")
