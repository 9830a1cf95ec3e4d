"""SQL types as users write them, made DuckDB's own names."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from duckdb_wasi_udf._arrow.sql_type import SqlType
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._shared.identifiers import quote_identifier

# Bounds of a type's name, far above what anyone writes.
_LONGEST_TYPE = 10_000

_MOST_BRACKETS = 500


def parsed_type(value: Any) -> DuckDBPyType:
    """Return a type given as str, `DuckDBPyType` or Python type.

    Raises:
        duckdb.Error: it is none.
        TypeError: likewise.
    """
    try:
        return DuckDBPyType(value)
    except duckdb.ResourceInUseException:  # text is parsed by the default connection, which runs the user's query
        with duckdb.connect() as con:
            return con.sqltype(value)


def type_name(function: str, value: Any) -> str:
    """Return DuckDB's name of a type given as str, `DuckDBPyType` or Python type."""
    try:
        return str(parsed_type(value))
    except (duckdb.Error, TypeError) as error:
        msg = f"{function}: {value!r} is not a type DuckDB knows: {error}"
        raise SignatureError(msg) from error


def type_names(function: str, parameters: Any) -> list[str] | None:
    """Return DuckDB's names of the types of parameters; None for None."""
    if parameters is None:
        return None
    if isinstance(parameters, str) or not isinstance(parameters, Iterable):
        msg = f"{function}: parameters are a list of types, such as ['BIGINT', 'VARCHAR'], got {parameters!r:.200}"
        raise SignatureError(msg)
    return [type_name(function, value) for value in parameters]


def row_type(label: str, schema: Any) -> str:
    """Return the SQL type of rows that are declared as a type, or as a dict of columns' names and types.

    Raises:
        SignatureError: DuckDB knows no such type.
    """
    try:
        if isinstance(schema, dict):
            fields = [f"{quote_identifier(name)} {parsed_type(item)}" for name, item in schema.items()]
            return f"STRUCT({', '.join(fields)})"
        return str(parsed_type(schema))
    except (duckdb.Error, TypeError) as error:
        msg = (
            f"{label}: the schema is a type DuckDB knows, or the names and types of columns, as in {{'a': 'INTEGER'}}; "
            f"got {schema!r}: {error}"
        )
        raise SignatureError(msg) from error


@functools.cache
def sql_type_of(text: str) -> SqlType:
    """Return the SQL type of a name, which may come from a guest; KeyError when DuckDB knows none of that name."""
    if len(text) > _LONGEST_TYPE or max(text.count("("), text.count("[")) > _MOST_BRACKETS:
        raise KeyError(text[:_LONGEST_TYPE])
    try:
        name = str(parsed_type(text))  # parsed as a type, never run; its own name for it is safe in a query
        with duckdb.connect() as con:
            con.execute("SET arrow_lossless_conversion = true")
            return SqlType(name, con.sql(f"SELECT NULL::{name} AS x").to_arrow_table().schema.field(0).type)
    except duckdb.Error as error:
        raise KeyError(text) from error
