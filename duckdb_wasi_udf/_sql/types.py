"""SQL types as users write them, made DuckDB's own names."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from duckdb_wasi_udf._arrow.sql_type import SqlType, SqlTypeOf
from duckdb_wasi_udf._arrow.types import EnumType
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.signature import shown
from duckdb_wasi_udf._shared.identifiers import quote_identifier

# Bounds of a type, since its text may come from a guest. A STRUCT of 20,000 columns with long names is within them, and
# takes DuckDB some seconds.
_LONGEST_TYPE = 2_000_000

_MOST_COLUMNS = 20_000

_DEEPEST_TYPE = 100

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_NO_COLUMNS = re.compile(r",\s*\d+\s*\)|\([\s,]*\)")  # of a DECIMAL's scale, and between an ENUM's values
# Types that most functions have, as `sql_type_of` finds them: asking DuckDB takes a database, which costs a process
# without one, such as a worker of another engine, 50 ms and 11 MiB.
_PLAIN = {
    "BOOLEAN": pa.bool8(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}

_LISTS = re.compile(r"(?:\s*\[\s*\d*\s*\])+")


def type_name(con: duckdb.DuckDBPyConnection, function: str, value: Any) -> str:
    """Return DuckDB's name of a type given as str, `DuckDBPyType` or Python type.

    Args:
        con: knows the types that users have created.
        function: how errors name the function.
        value: the type.

    Raises:
        SignatureError: DuckDB knows no such type.
    """
    try:
        return str(_parsed(con, value))
    except (duckdb.Error, TypeError) as error:
        msg = f"{function}: {shown(repr(value))} is not a type DuckDB knows: {error}"
        raise SignatureError(msg) from error


def type_names(con: duckdb.DuckDBPyConnection, function: str, parameters: Any) -> list[str] | None:
    """Return DuckDB's names of the types of parameters; None for None: see `type_name`."""
    if parameters is None:
        return None
    if isinstance(parameters, str) or not isinstance(parameters, Iterable):
        msg = f"{function}: parameters are a list of types, such as ['BIGINT', 'VARCHAR'], got {parameters!r:.200}"
        raise SignatureError(msg)
    return [type_name(con, function, value) for value in parameters]


def row_type(con: duckdb.DuckDBPyConnection, label: str, schema: Any) -> str:
    """Return the SQL type of rows that are declared as a type, or as a dict of columns' names and types.

    Args:
        con: knows the types that users have created.
        label: how errors name the function.
        schema: the declaration.

    Raises:
        SignatureError: DuckDB knows no such type, or there are no columns.
    """
    if schema == {}:
        msg = f"{label}: the schema has no columns; name some, with their types, as in {{'a': 'INTEGER'}}"
        raise SignatureError(msg)
    try:
        if isinstance(schema, dict):
            fields = [f"{quote_identifier(name)} {_parsed(con, item)}" for name, item in schema.items()]
            return f"STRUCT({', '.join(fields)})"
        return str(_parsed(con, schema))
    except (duckdb.Error, TypeError) as error:
        msg = (
            f"{label}: the schema is a type DuckDB knows, or the names and types of columns, as in {{'a': 'INTEGER'}}; "
            f"got {shown(repr(schema))}: {error}"
        )
        raise SignatureError(msg) from error


def parsed_type(text: str) -> DuckDBPyType:
    """Return one of DuckDB's own types by its name, also while the default connection runs the query that needs it."""
    try:
        return DuckDBPyType(text)
    except duckdb.ResourceInUseException:
        with duckdb.connect() as con:
            return con.sqltype(text)


def column_types(declared: str) -> list[str]:
    """Return the SQL types of the columns of rows, of the SQL type of a row."""
    sql_type = parsed_type(declared)
    types = [inside for _, inside in sql_type.children] if sql_type.id == "struct" else [sql_type]
    return [str(column) for column in types]


def _parsed(con: duckdb.DuckDBPyConnection, value: Any) -> DuckDBPyType:
    """Return a type as DuckDB has it. The names that users have given are replaced by what they stand for."""
    return con.sqltype(value) if isinstance(value, str) else DuckDBPyType(value)


def types_of(con: duckdb.DuckDBPyConnection) -> SqlTypeOf:
    """Return what looks up SQL types on a connection that no query runs on, those in its transaction included."""

    def find(text: str) -> SqlType:
        _check_bounds(text)
        try:
            name = str(con.sqltype(text))
        except duckdb.Error as error:
            raise KeyError(text) from error
        return sql_type_of(name)

    return find


def types_through(cursor: Callable[[], duckdb.DuckDBPyConnection]) -> SqlTypeOf:
    """Return what looks up SQL types while a query runs: through a cursor, which sees what is committed.

    Args:
        cursor: makes one, or raises SignatureError; then only DuckDB's own types are known.
    """

    def find(text: str) -> SqlType:
        try:
            con = cursor()
        except SignatureError:
            return sql_type_of(text)
        with con:
            return types_of(con)(text)

    return find


@functools.cache
def sql_type_of(text: str) -> SqlType:
    """Return the SQL type of a name, which may come from a guest; KeyError when DuckDB knows none of that name.

    Types that users have created aren't known: see `types_of`.
    """
    if text in _PLAIN:
        return SqlType(text, _PLAIN[text])
    _check_bounds(text)
    try:
        parsed = parsed_type(text)  # never run; its own name for it is safe in a query
        with duckdb.connect() as con:
            con.execute("SET arrow_lossless_conversion = true")
            arrow_type = con.sql(f"SELECT NULL::{parsed} AS x").to_arrow_table().schema.field(0).type
    except duckdb.Error as error:
        raise KeyError(text) from error
    return SqlType(str(parsed), _with_values(parsed, arrow_type) if "ENUM(" in str(parsed) else arrow_type)


def _check_bounds(text: str) -> None:
    """Refuse a type that is too large.

    Raises:
        KeyError: it is; the cause says by which measure.
    """
    depth = most = 0
    plain = _QUOTED.sub("", text) if len(text) <= _LONGEST_TYPE else ""
    for bracket in re.findall(r"[()]", plain):
        depth += 1 if bracket == "(" else -1
        most = max(most, depth)
    lists = max((found.count("[") for found in _LISTS.findall(plain)), default=0)
    problem = None
    if len(text) > _LONGEST_TYPE:
        problem = f"it has more than {_LONGEST_TYPE:,} characters"
    elif _NO_COLUMNS.sub("", plain).count(",") >= _MOST_COLUMNS:
        problem = f"it has more than {_MOST_COLUMNS:,} columns"
    elif max(most, lists) > _DEEPEST_TYPE:
        problem = f"it nests deeper than {_DEEPEST_TYPE}"
    if problem is not None:
        raise KeyError(text[:_LONGEST_TYPE]) from ValueError(problem)


def _with_values(sql_type: DuckDBPyType, arrow_type: pa.DataType) -> pa.DataType:
    """Return the Arrow type with the values of each ENUM inside, which Arrow's own type of them doesn't have."""
    types = pa.types
    inside: dict[str, Any] = dict(sql_type.children) if types.is_nested(arrow_type) or sql_type.id == "enum" else {}
    if sql_type.id == "enum":
        return EnumType(inside["values"])
    if types.is_list(arrow_type) or types.is_fixed_size_list(arrow_type):
        field = arrow_type.value_field
        field = field.with_type(_with_values(inside["child"], field.type))
        return pa.list_(field) if types.is_list(arrow_type) else pa.list_(field, arrow_type.list_size)
    if types.is_map(arrow_type):
        key, item = (
            _with_values(inside["key"], arrow_type.key_type),
            _with_values(inside["value"], arrow_type.item_type),
        )
        return pa.map_(key, item)
    if types.is_struct(arrow_type) or types.is_union(arrow_type):
        known = list(inside.values())[-arrow_type.num_fields :]
        old = [arrow_type.field(i) for i in range(arrow_type.num_fields)]
        fields = [field.with_type(_with_values(kind, field.type)) for field, kind in zip(old, known, strict=True)]
        return pa.struct(fields) if types.is_struct(arrow_type) else pa.sparse_union(fields, arrow_type.type_codes)
    return arrow_type
