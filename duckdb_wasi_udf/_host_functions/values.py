"""What a host function is given of a column, and a column of what it returned."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa

from duckdb_wasi_udf._arrow.layouts import supports
from duckdb_wasi_udf._arrow.type_mapping import result_type
from duckdb_wasi_udf._arrow.types import rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._host_functions.annotations import HostValue


_INTEGERS = frozenset({int, type(None)})


def wire_type(data_type: pa.DataType) -> pa.DataType | None:
    """Return the type that guests build for values of a type; None when Arrow has no Python objects for them."""
    if _is_opaque(data_type) or not supports(data_type):
        return None
    return result_type(data_type)


def _is_opaque(data_type: pa.DataType) -> bool:
    if isinstance(data_type, pa.OpaqueType) or pa.types.is_union(data_type):
        return True
    return any(_is_opaque(data_type.field(i).type) for i in range(data_type.num_fields))


def _has_maps(data_type: pa.DataType) -> bool:
    return pa.types.is_map(data_type) or any(_has_maps(data_type.field(i).type) for i in range(data_type.num_fields))


def given(argument: HostValue, data_type: pa.DataType) -> Callable[[pa.Array], Any]:
    """Return a converter from the guest's column to the value the host function receives."""
    wire = wire_type(data_type)

    def column(array: pa.Array) -> pa.Array:
        return array if data_type == wire else array.cast(data_type)

    # The option makes it twenty times as slow, whatever the type.
    options = {"maps_as_pydicts": "lossy"} if _has_maps(data_type) else {}
    convert: Callable[[Any], Any] | None = json.loads if argument.parsed else argument.convert

    def values(array: pa.Array) -> list[Any]:
        return column(array).to_pylist(**options)  # type: ignore[no-any-return]

    if argument.as_array:
        return column
    if convert is not None:
        return lambda array: [value if value is None else convert(value) for value in values(array)]
    return values if data_type != wire or options else pa.Array.to_pylist


def returned(name: str, result: HostValue, data_type: pa.DataType) -> Callable[[Any], pa.Array]:
    """Return a converter from what a host function returned to a column.

    The converter raises ArrowException, TypeError or ValueError.
    """
    is_integer, is_float = pa.types.is_integer(data_type), pa.types.is_floating(data_type)
    storage = rebuilt(data_type, _storage)
    nests = result.convert is not None or _has_fields(data_type) or storage != _storage(data_type)
    built = data_type if data_type == pa.uuid() else storage  # Arrow makes no lists of UUIDs

    def column(values: Any) -> pa.Array:
        if type(values) is not list:
            array = _array(values)
            if array is not None:
                return array if array.type == data_type else array.cast(data_type)
            if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__len__"):
                what = type(values).__name__
                msg = f"{name} returned a {what}, not a list or Arrow array with a value for each row"
                raise TypeError(msg)
        if result.parsed:
            values = [value if value is None else json.dumps(value) for value in values]
        elif nests:
            values = [_plain(value) for value in values]
        if is_integer and not _INTEGERS.issuperset(map(type, values)):  # Arrow would cut 2.5 down to 2
            return pa.array(values).cast(data_type)
        try:
            return pa.array(values, built)
        except pa.ArrowInvalid:
            if is_float and Decimal in map(type, values):  # which Arrow takes only as what they are
                return pa.array(values).cast(data_type)
            raise

    return column


def _array(values: Any) -> pa.Array | None:
    """Return an Arrow column as one array; None for what is none."""
    if isinstance(values, pa.ChunkedArray):
        return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    return values if isinstance(values, pa.Array) else None


def _has_fields(data_type: pa.DataType) -> bool:
    return pa.types.is_struct(data_type) or any(
        _has_fields(data_type.field(i).type) for i in range(data_type.num_fields)
    )


def _storage(data_type: pa.DataType) -> pa.DataType:
    return data_type.storage_type if isinstance(data_type, pa.BaseExtensionType) else data_type


def _plain(value: Any) -> Any:
    """Return a value with dicts in place of dataclass instances and named tuples, and bytes in place of UUIDs."""
    if isinstance(value, UUID):
        return value.bytes
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
