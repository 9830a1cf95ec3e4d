"""What users give when they register functions: names, SQL types and options, checked and made DuckDB's own."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.signature import SqlType

# Bounds of a type's name, far above what anyone writes.
_LONGEST_TYPE = 10_000
_MOST_BRACKETS = 500


def check_name(name: object) -> None:
    """Refuse what can't be a function's name.

    Raises:
        SignatureError: it isn't text, or has characters that can't be seen.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        msg = f"a function's name is text of printable characters, got {name!r:.200}"
        raise SignatureError(msg)


def choice(function: str, option: str, value: Any, allowed: tuple[str, str]) -> str:
    """The name of an option's value, given as str or as DuckDB's enum."""
    text = str(getattr(value, "name", value)).lower()
    if text not in allowed:
        msg = f"{function}: {option} must be {' or '.join(map(repr, allowed))}, got {value!r}"
        raise SignatureError(msg)
    return text


def quoted(name: str) -> str:
    """A name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'


# ---- types -------------------------------------------------------------------------------------------------------


def type_name(function: str, value: Any) -> str:
    """DuckDB's name of a type given as str, `DuckDBPyType` or Python type."""
    try:
        return str(DuckDBPyType(value))
    except (duckdb.Error, TypeError) as error:
        msg = f"{function}: {value!r} is not a type DuckDB knows: {error}"
        raise SignatureError(msg) from error


def type_names(function: str, parameters: Any) -> list[str] | None:
    """DuckDB's names of the types of parameters; None for None."""
    if parameters is None:
        return None
    if isinstance(parameters, str) or not isinstance(parameters, Iterable):
        msg = f"{function}: parameters are a list of types, such as ['BIGINT', 'VARCHAR'], got {parameters!r:.200}"
        raise SignatureError(msg)
    return [type_name(function, value) for value in parameters]


def row_type(label: str, schema: Any) -> str:
    """The SQL type of rows that are declared as a type, or as a dict of columns' names and types.

    Raises:
        SignatureError: DuckDB knows no such type.
    """
    try:
        if isinstance(schema, dict):
            return f"STRUCT({', '.join(f'{quoted(name)} {DuckDBPyType(item)}' for name, item in schema.items())})"
        return str(DuckDBPyType(schema))
    except (duckdb.Error, TypeError) as error:
        msg = (
            f"{label}: the schema is a type DuckDB knows, or the names and types of columns, as in {{'a': 'INTEGER'}}; "
            f"got {schema!r}: {error}"
        )
        raise SignatureError(msg) from error


@functools.cache
def sql_type_of(text: str) -> SqlType:
    """The SQL type of a name, which may come from a guest; KeyError when DuckDB knows none of that name."""
    if len(text) > _LONGEST_TYPE or max(text.count("("), text.count("[")) > _MOST_BRACKETS:
        raise KeyError(text[:_LONGEST_TYPE])
    try:
        name = str(DuckDBPyType(text))  # parsed as a type, never run; its own name for it is safe in a query
        with duckdb.connect() as con:
            con.execute("SET arrow_lossless_conversion = true")
            return SqlType(name, con.sql(f"SELECT NULL::{name} AS x").to_arrow_table().schema.field(0).type)
    except duckdb.Error as error:
        raise KeyError(text) from error
