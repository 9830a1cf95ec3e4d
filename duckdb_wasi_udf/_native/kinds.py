"""The SQL types whose values go through C, as DuckDB, Arrow and the library have them."""

from __future__ import annotations

import ctypes
import re
from typing import NamedTuple

import pyarrow as pa

from duckdb_wasi_udf._native.layouts import Argument, NativeType


class Kind(NamedTuple):
    """A SQL type.

    Attributes:
        id: DuckDB's number of it: `enum type_id` of wasm/native/api.h.
        arrow: what its values are in Arrow.
        built: what guests build for it, which the library then narrows; None if it can't be a result.
        width: the digits of a DECIMAL.
        scale: its digits after the point.
        json: it is called JSON.
    """

    id: int
    arrow: pa.DataType
    built: pa.DataType | None
    width: int = 0
    scale: int = 0
    json: bool = False

    def struct(self, *, sees_null: bool = False) -> NativeType:
        """Return it as C has it."""
        return NativeType(self.id, self.width, self.scale, self.json, sees_null)


_KINDS = {
    "BOOLEAN": Kind(1, pa.bool_(), pa.bool_()),
    "TINYINT": Kind(2, pa.int8(), pa.int64()),
    "SMALLINT": Kind(3, pa.int16(), pa.int64()),
    "INTEGER": Kind(4, pa.int32(), pa.int64()),
    "BIGINT": Kind(5, pa.int64(), pa.int64()),
    "UTINYINT": Kind(6, pa.uint8(), pa.int64()),
    "USMALLINT": Kind(7, pa.uint16(), pa.int64()),
    "UINTEGER": Kind(8, pa.uint32(), pa.int64()),
    "UBIGINT": Kind(9, pa.uint64(), pa.uint64()),
    "FLOAT": Kind(10, pa.float32(), pa.float64()),
    "DOUBLE": Kind(11, pa.float64(), pa.float64()),
    "TIMESTAMP": Kind(12, pa.timestamp("us"), pa.timestamp("us")),
    "DATE": Kind(13, pa.date32(), pa.date32()),
    "TIME": Kind(14, pa.time64("us"), pa.time64("us")),
    "VARCHAR": Kind(17, pa.string(), pa.string()),
    "BLOB": Kind(18, pa.binary(), pa.binary()),
    "TIMESTAMP_S": Kind(20, pa.timestamp("s"), None),
    "TIMESTAMP_MS": Kind(21, pa.timestamp("ms"), None),
    "TIMESTAMP_NS": Kind(22, pa.timestamp("ns"), None),
    "TIMESTAMP WITH TIME ZONE": Kind(31, pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC")),
    "JSON": Kind(17, pa.string(), pa.string(), json=True),
}
_BY_ID = {kind.id: kind for kind in reversed(_KINDS.values())}
_DECIMAL_ID = 19
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")

# Decimals whose values are 64 bits at most in DuckDB.
_MOST_DIGITS = 18


def kind_of(sql_name: str) -> Kind | None:
    """Return the kind of a SQL type by DuckDB's own name of it; None if its values don't go through C."""
    found = _DECIMAL.fullmatch(sql_name)
    if found is None:
        return _KINDS.get(sql_name)
    width, scale = int(found[1]), int(found[2])
    if width > _MOST_DIGITS:
        return None
    decimal = pa.decimal128(width, scale)
    return Kind(_DECIMAL_ID, decimal, decimal, width, scale)


def kind_of_built(arrow: pa.DataType) -> Kind | None:
    """Return the kind of the SQL type that DuckDB makes of what guests build; None if C doesn't know it."""
    if pa.types.is_decimal128(arrow):
        return kind_of(f"DECIMAL({arrow.precision},{arrow.scale})")
    return next((kind for kind in _BY_ID.values() if kind.arrow == kind.built == arrow), None)


def kind_of_struct(struct: NativeType) -> Kind:
    """Return the kind of a SQL type as C has it."""
    if struct.id == _DECIMAL_ID:
        decimal = pa.decimal128(struct.width, struct.scale)
        return Kind(_DECIMAL_ID, decimal, decimal, struct.width, struct.scale)
    return _BY_ID[struct.id]


def array_of(argument: Argument, rows: int) -> pa.Array:
    """Return a column that C describes, copied."""
    arrow = pa.decimal128(argument.width, argument.scale) if argument.id == _DECIMAL_ID else _BY_ID[argument.id].arrow
    validity = _copy(argument.validity, (rows + 7) // 8) if argument.validity else None
    values = _copy(argument.values, argument.bytes)
    if not argument.offsets:
        return pa.Array.from_buffers(arrow, rows, [validity, values])
    return pa.Array.from_buffers(arrow, rows, [validity, _copy(argument.offsets, 4 * (rows + 1)), values])


def _copy(address: int, size: int) -> pa.Buffer:
    return pa.py_buffer(ctypes.string_at(address, size))


def buffers_of(array: pa.Array, kind: Kind) -> tuple[pa.Array, int, int, int]:
    """Return results as C puts them into a vector.

    Args:
        array: the results.
        kind: their SQL type, which can be a result.

    Returns:
        The array that owns the buffers, and their addresses: the bits of what is valid (0 if all is), values, offsets.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type != kind.built:
        array = pa.nulls(len(array), kind.built) if pa.types.is_null(array.type) else array.cast(kind.built)
    if array.offset:
        array = pa.concat_arrays([array, array[:0]])
    buffers = [0 if buffer is None else buffer.address for buffer in array.buffers()]
    offsets, values = (buffers[1], buffers[2]) if len(buffers) > 2 else (0, buffers[1])
    return array, buffers[0] if array.null_count else 0, values, offsets
