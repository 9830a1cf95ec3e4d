"""Rows of Arrow columns as keys and values of a dict."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_types = pa.types

# What Python takes for an entry of a dict, its key and the objects around it.
_ENTRY_BYTES = 300

_PLAIN = frozenset(
    {
        pa.bool_(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.time64("us"),
        pa.timestamp("us"),
        pa.null(),
    }
)


def keys_of(columns: Sequence[pa.Array]) -> list[Hashable]:
    """Return what distinguishes rows, for each row.

    Two rows have the same key if no function of the host can see a difference: `0.0` and `-0.0` are two.
    """
    return list(zip(*map(_hashable, columns), strict=True))


def values_of(column: pa.Array) -> list[Any]:
    """Return the values of a column as objects that `column_of` makes the same column of."""
    if isinstance(column, pa.ExtensionArray):
        return values_of(column.storage)
    integers = _integers(column.type)
    if integers is not None and not _types.is_floating(column.type):
        return column.view(integers).to_pylist()  # type: ignore[no-any-return]
    return column.to_pylist() if _is_plain(column.type) else _messages(column)


def column_of(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    """Return the column that values were of."""
    if isinstance(data_type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(data_type, column_of(values, data_type.storage_type))
    integers = _integers(data_type)
    if integers is not None and not _types.is_floating(data_type):
        return pa.array(values, integers).view(data_type)
    if _is_plain(data_type):
        return pa.array(values, data_type)
    schema, null = pa.schema([("value", data_type)]), pa.nulls(1, data_type)
    arrays = [
        null if value is None else pa.ipc.read_record_batch(pa.py_buffer(value), schema).column(0) for value in values
    ]
    return pa.concat_arrays([*arrays, null.slice(1)])


def size_of(value: Any) -> int:
    """Return about the bytes that a key or a value takes in memory."""
    if isinstance(value, dict):
        return _ENTRY_BYTES + sum(map(size_of, value.values()))
    if isinstance(value, (list, tuple)):
        return _ENTRY_BYTES + 8 * len(value) + sum(map(size_of, value))
    return sys.getsizeof(value)


def _hashable(column: pa.Array) -> list[Any]:
    if isinstance(column, pa.ExtensionArray):
        return _hashable(column.storage)
    integers = _integers(column.type)
    if integers is not None:
        return column.view(integers).to_pylist()  # type: ignore[no-any-return]
    if not _is_plain(column.type):
        return _messages(column)
    values: list[Any] = column.to_pylist()
    return [None if value is None else repr(value) for value in values] if _types.is_nested(column.type) else values


def _integers(data_type: pa.DataType) -> pa.DataType | None:
    """Return the type of the integers that the values of a type are in memory, where Python has nothing as exact."""
    if _types.is_timestamp(data_type) or _types.is_duration(data_type) or _types.is_time64(data_type):
        return pa.int64()
    if data_type == pa.float64():
        return pa.int64()
    return pa.int32() if data_type == pa.float32() or _types.is_time32(data_type) else None


def _is_plain(data_type: pa.DataType) -> bool:
    """Return whether Python objects of the values are exact, and an array of them is what it was."""
    if _types.is_map(data_type) or isinstance(data_type, pa.BaseExtensionType):
        return False
    if _types.is_nested(data_type):
        return all(_is_plain(data_type.field(i).type) for i in range(data_type.num_fields))
    if _types.is_integer(data_type) or _types.is_decimal(data_type) or _types.is_fixed_size_binary(data_type):
        return True
    return data_type in _PLAIN


def _messages(column: pa.Array) -> list[bytes | None]:
    """Return each value as an Arrow message: for types that are rare in keys and results."""
    messages: list[bytes | None] = []
    for i in range(len(column)):
        one = pa.concat_arrays([column.slice(i, 1), column.slice(0, 0)])  # a copy: a part's padding is what follows it
        batch = pa.record_batch([one], names=["value"])
        messages.append(None if one.null_count else batch.serialize().to_pybytes())
    return messages
