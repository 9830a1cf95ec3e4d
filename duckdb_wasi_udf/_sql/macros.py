"""The table macros that give table functions their names in FROM."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from duckdb_wasi_udf._shared.identifiers import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb


class Schema(NamedTuple):
    """Where macros are.

    Attributes:
        database: Name of the database, attached or opened.
        name: Name of the schema in it.
        read_only: The database is read-only.
    """

    database: str
    name: str
    read_only: bool = False


def current_schema(con: duckdb.DuckDBPyConnection) -> Schema:
    """Return the schema that unqualified names of a connection are in.

    Raises:
        duckdb.ResourceInUseException: the connection has a result that isn't fetched yet, which this would drop.
    """
    query = """
        SELECT current_database(), current_schema(), readonly
        FROM duckdb_databases() WHERE database_name = current_database()
    """
    return Schema(*con.sql(query).fetchall()[0])


def create_macros(con: duckdb.DuckDBPyConnection, forms: Mapping[str, str], schema: Schema) -> None:
    """Create table macros for all connections; in a read-only database temporary ones, for this connection.

    Those that a database file has kept from an earlier time are replaced; what else has a name is left.

    Args:
        con: where to create them.
        forms: parameters and bodies, by name.
        schema: where they go.

    Raises:
        duckdb.Error: a name is taken.
    """
    if schema.read_only:
        for name, form in forms.items():
            con.execute(f"CREATE OR REPLACE TEMP MACRO {quote_identifier(name)}{form}")
        return
    kept = _kept(con, schema, list(forms))
    for name, form in forms.items():
        create_macro(con, name, form, schema, replace=is_ours(kept.get(name.lower())))


def create_macro(con: duckdb.DuckDBPyConnection, name: str, form: str, schema: Schema, *, replace: bool) -> None:
    """Create one table macro for all connections.

    Raises:
        duckdb.Error: the name is taken, unless it is to be replaced, or the database is read-only.
    """
    con.execute(f"CREATE {'OR REPLACE ' if replace else ''}MACRO {qualified(schema, name)}{form}")


def kept_macros(con: duckdb.DuckDBPyConnection, schema: Schema, names: Iterable[str]) -> list[str]:
    """Return those of the names that are macros of table functions in a schema, kept from an earlier time."""
    kept = _kept(con, schema, list(names))
    return [name for name in names if is_ours(kept.get(name.lower()))]


def drop_macro(con: duckdb.DuckDBPyConnection, name: str, schema: Schema) -> None:
    """Drop what `create_macros` has created, unless the database is read-only."""
    if not schema.read_only and is_ours(_kept(con, schema, [name]).get(name.lower())):
        drop_ours(con, [name], schema)


def drop_ours(con: duckdb.DuckDBPyConnection, names: Iterable[str], schema: Schema) -> None:
    """Drop macros that are known to be table functions'."""
    for name in names:
        con.execute(f"DROP MACRO TABLE {qualified(schema, name)}")


def _kept(con: duckdb.DuckDBPyConnection, schema: Schema, names: list[str]) -> dict[str, str]:
    """Return the definitions of the table macros that there are, by name in lower case."""
    query = """
        SELECT lower(function_name), max(macro_definition)
        FROM duckdb_functions()
        WHERE lower(function_name) IN (SELECT lower(unnest($1::VARCHAR[]))) AND function_type = 'table_macro'
        AND database_name = $2 AND schema_name = $3
        GROUP BY ALL
    """
    return dict(con.execute(query, [names, schema.database, schema.name]).fetchall())


def is_ours(definition: str | None) -> bool:
    """Return whether a macro is a table function's."""
    return definition is not None and definition.startswith(("SELECT * FROM query(", "SELECT unnest(py_"))


def qualified(schema: Schema, name: str) -> str:
    """Return the whole name of a macro."""
    return ".".join(quote_identifier(part) for part in (schema.database, schema.name, name))
