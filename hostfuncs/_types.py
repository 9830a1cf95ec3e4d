"""SQL types and identifiers, as DuckDB reads them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def sql_type(text: str) -> str:
    """Return DuckDB's own name of a type.

    Args:
        text: the type, such as "VARCHAR" or "STRUCT(a BIGINT)[]".

    Raises:
        ValueError: DuckDB knows no such type.
    """
    try:
        return str(DuckDBPyType(text))
    except duckdb.Error as error:
        msg = f"{text!r} is not a type DuckDB knows; names inside it that are keywords of SQL need double quotes"
        raise ValueError(msg) from error


@functools.cache
def arrow_type(text: str) -> pa.DataType:
    """Return the Arrow type DuckDB has for values of a SQL type.

    Raises:
        ValueError: DuckDB knows no such type.
    """
    name = sql_type(text)
    with connect() as con:
        return python_type(con.sql(f"SELECT NULL::{name} AS value").to_arrow_table().schema.field(0).type)


def connect() -> DuckDBPyConnection:
    """Return a database of its own, whose UUIDs are UUIDs in Arrow too; it has no tables."""
    return duckdb.connect(config={"arrow_lossless_conversion": True})


def python_type(data_type: pa.DataType) -> pa.DataType:
    """Return the type with Arrow's own booleans, which Python's become at any depth, in place of `arrow.bool8`."""
    types = pa.types
    if data_type == pa.bool8():
        return pa.bool_()
    if types.is_list(data_type):
        return pa.list_(python_type(data_type.value_type))
    if types.is_fixed_size_list(data_type):
        return pa.list_(python_type(data_type.value_type), data_type.list_size)
    if types.is_struct(data_type):
        return pa.struct([field.with_type(python_type(field.type)) for field in data_type])
    if types.is_map(data_type):
        return pa.map_(python_type(data_type.key_type), python_type(data_type.item_type))
    return data_type


def quoted(identifier: str) -> str:
    """Return an identifier as DuckDB takes it whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'
