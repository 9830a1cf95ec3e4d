"""Arrow types that other libraries have and guests don't know, since DuckDB never hands them over; and the reverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_DIGITS = 38  # of a DECIMAL

_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
_DAY_MICROSECONDS = 24 * 60 * 60 * 10**6
_MOST_DAYS = 2**62 // _DAY_MICROSECONDS  # of an INTERVAL, which may have as many nanoseconds beside

_SAME_VALUES = {
    pa.date64(): pa.date32(),
    pa.float16(): pa.float32(),
    pa.time32("s"): pa.time64("us"),
    pa.time32("ms"): pa.time64("us"),
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
}


def known(table: pa.Table) -> pa.Table:
    """Return a table whose columns have types that guests know, where there is one of the same values.

    Raises:
        SignatureError: a duration is too long for an INTERVAL.
    """
    return pa.table([_known_column(column) for column in table.columns], names=table.column_names)


def with_durations(array: pa.Array) -> pa.Array:
    """Return results with INTERVAL as durations of microseconds, which other libraries know.

    Raises:
        SignatureError: one has months, or is too long.
    """
    if pa.types.is_interval(array.type):
        return _durations(array)
    return _nested(array, with_durations) if _has_intervals(array.type) else array


def _has_intervals(data_type: pa.DataType) -> bool:
    if pa.types.is_nested(data_type):
        return any(_has_intervals(data_type.field(i).type) for i in range(data_type.num_fields))
    return bool(pa.types.is_interval(data_type))


def _known_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not _is_foreign(column.type):
        return column
    parts = [_known_array(part) for part in column.chunks or [pa.array([], column.type)]]
    return pa.chunked_array(parts)


def _is_foreign(data_type: pa.DataType) -> bool:
    types = pa.types
    if isinstance(data_type, pa.BaseExtensionType):
        return False
    if types.is_dictionary(data_type) or types.is_run_end_encoded(data_type) or types.is_duration(data_type):
        return True
    if _is_view(data_type) or _plain(data_type) is not None:
        return True
    return types.is_nested(data_type) and any(_is_foreign(data_type.field(i).type) for i in range(data_type.num_fields))


def _is_view(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(data_type) or pa.types.is_large_list_view(data_type))


def _plain(data_type: pa.DataType) -> pa.DataType | None:
    """Return the type that a type of plain values is cast to; None if it stays."""
    types = pa.types
    if types.is_fixed_size_binary(data_type):
        return pa.binary()
    if types.is_timestamp(data_type) and data_type.tz is not None and data_type.unit == "ns":
        return pa.timestamp("us", data_type.tz)  # TIMESTAMPTZ has no other unit, and neither has Python
    if types.is_decimal(data_type) and not types.is_decimal128(data_type) and data_type.precision <= _MOST_DIGITS:
        return pa.decimal128(data_type.precision, data_type.scale)
    return _SAME_VALUES.get(data_type)


def _known_array(array: pa.Array) -> pa.Array:
    types, data_type = pa.types, array.type
    if not _is_foreign(data_type):
        return array
    if types.is_dictionary(data_type):
        values = _known_array(array.dictionary)  # first: Arrow can't take rows of all types of values
        return pa.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()
    if types.is_run_end_encoded(data_type):
        return _known_array(pc.run_end_decode(array))
    if types.is_duration(data_type):
        return _intervals(array)
    if _is_view(data_type):
        return _list_of_view(array)
    if (plain := _plain(data_type)) is not None:
        return array.cast(plain, safe=False)  # no value is lost but nanoseconds
    return _nested(array, _known_array)


def _nested(array: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return an array with what is inside of it converted; Arrow's own casts don't know all types inside of others."""
    types, data_type = pa.types, array.type
    mask = array.is_null() if array.null_count else None
    if types.is_struct(data_type):
        children = [convert(child) for child in array.flatten()]  # not `field`: what is below NULL is of no use
        named = [data_type.field(i).with_type(child.type) for i, child in enumerate(children)]
        return pa.StructArray.from_arrays(children, fields=named, mask=mask)
    if types.is_fixed_size_list(data_type):
        size = data_type.list_size
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        places = ((np.cumsum(valid) - 1)[:, None] * size + np.arange(size)).ravel()
        values = convert(array.flatten()).take(pa.array(places, pa.int64(), mask=np.repeat(~valid, size)))
        return pa.FixedSizeListArray.from_arrays(values, size, mask=mask)
    if types.is_union(data_type):
        return array  # which guests have no codec for, of whatever it is
    offsets = array.offsets.to_numpy()
    first, length = int(offsets[0]), int(offsets[-1] - offsets[0])
    offsets = pa.array(offsets - first, array.offsets.type)
    if types.is_map(data_type):
        keys, items = (convert(part.slice(first, length)) for part in (array.keys, array.items))
        return pa.MapArray.from_arrays(offsets, keys, items, mask=mask)
    values = convert(array.values.slice(first, length))
    make: Any = pa.LargeListArray if types.is_large_list(data_type) else pa.ListArray
    return make.from_arrays(offsets, values, mask=mask)


def _list_of_view(array: pa.Array) -> pa.Array:
    """Return a list view as a list; Arrow 26's cast makes an offset too few."""
    sizes = pc.if_else(array.is_valid(), array.sizes, 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int64())
    values = _known_array(array.flatten())  # those that a list has, in order
    return pa.LargeListArray.from_arrays(offsets, values, mask=array.is_null() if array.null_count else None)


def _intervals(array: pa.Array) -> pa.Array:
    """Return durations as INTERVAL, for which Arrow has no cast: days, and nanoseconds of the last one."""
    per_day = 24 * 60 * 60 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    numbers = array.cast(pa.int64()).fill_null(0).to_numpy()
    days, rest = np.divmod(numbers, per_day)
    made = np.zeros(len(array), dtype=_INTERVAL)
    if len(days) and not np.array_equal(days.astype("<i4"), days):
        msg = "a duration of more than 2**31 days has no INTERVAL"
        raise SignatureError(msg)
    made["days"], made["nanoseconds"] = days, rest * (24 * 60 * 60 * 10**9 // per_day)
    valid = pa.array(array.is_valid()).buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(pa.month_day_nano_interval(), len(array), [valid, pa.py_buffer(made.tobytes())])


def _durations(array: pa.Array) -> pa.Array:
    """Return INTERVAL as durations, for which Arrow has no cast either."""
    if not len(array):
        return pa.array([], pa.duration("us"))
    words = np.frombuffer(array.buffers()[1], _INTERVAL, array.offset + len(array))[array.offset :]
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if (words["months"][valid] != 0).any():
        msg = "an INTERVAL with months has no fixed length; return days or seconds, or text as VARCHAR"
        raise SignatureError(msg)
    days = words["days"].astype(np.int64)
    if (np.abs(days[valid]) > _MOST_DAYS).any():
        msg = f"an INTERVAL of more than {_MOST_DAYS:,} days is no duration in microseconds; return text as VARCHAR"
        raise SignatureError(msg)
    microseconds = days * _DAY_MICROSECONDS + words["nanoseconds"] // 1000
    return pa.array(microseconds, pa.int64(), mask=~valid).cast(pa.duration("us"))
