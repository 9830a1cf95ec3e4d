"""The types of the columns that a function adds to a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from duckdb_wasi_udf._arrow.sql_type import SqlType
from duckdb_wasi_udf._arrow.types import ARROW_VARIANT, EnumType
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.signature import reason, shown
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def sql_types(label: str, columns: Mapping[str, Any]) -> dict[str, SqlType]:
    """Return the SQL types of the columns that a function adds."""
    if isinstance(columns, str) or not hasattr(columns, "items") or not columns:
        msg = f"{label}: columns are names and SQL types, such as {{'gross': 'DOUBLE'}}, got {columns!r:.200}"
        raise SignatureError(msg)
    types = {}
    for name, given in columns.items():
        try:
            types[str(name)] = (
                given
                if isinstance(given, SqlType)
                else sql_type_of(given if isinstance(given, str) else str(DuckDBPyType(given)))
            )
        except (KeyError, TypeError) as error:
            why = reason(error) if isinstance(error, KeyError) else f": {error}"
            msg = f"{label}: {shown(repr(given))} of the column {name!r} is not a type DuckDB knows{why}"
            raise SignatureError(msg) from error
    return types


def plain_type(data_type: pa.DataType) -> pa.DataType | None:
    """Return the type of a column of results, which other libraries know; None if only DuckDB does."""
    types = pa.types
    known = {pa.bool8(): pa.bool_(), pa.json_(): pa.string()}
    if isinstance(data_type, EnumType):
        return pa.string()
    if isinstance(data_type, pa.BaseExtensionType):
        return known.get(data_type)
    if types.is_timestamp(data_type):
        return pa.timestamp(data_type.unit, None if data_type.tz is None else "UTC")
    if types.is_union(data_type) or data_type == ARROW_VARIANT:
        return None
    if types.is_interval(data_type):
        return pa.duration("us")
    inside = [plain_type(field.type) for field in _fields(data_type)]
    if None in inside:
        return None
    if types.is_struct(data_type):
        return pa.struct([field.with_type(part) for field, part in zip(data_type, inside, strict=True)])
    if types.is_map(data_type):
        return pa.map_(*inside)
    if types.is_fixed_size_list(data_type):
        return pa.list_(inside[0], data_type.list_size)
    return pa.list_(inside[0]) if types.is_list(data_type) else data_type


def _fields(data_type: pa.DataType) -> list[pa.Field]:
    """Return what is inside a type."""
    if pa.types.is_map(data_type):
        return [data_type.key_field, data_type.item_field]
    return [data_type.field(i) for i in range(data_type.num_fields)]
