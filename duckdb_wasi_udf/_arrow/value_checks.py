"""What Arrow takes as valid and DuckDB takes for granted: checked here before DuckDB sees it.

DuckDB's casts raise internal errors, which invalidate the whole database, for timestamps far outside of its calendar
("Date out of range in timestamp conversion", 2.0.0), and read what a BIT or BIGNUM says of its own length.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from duckdb_wasi_udf._arrow.types import BIGNUM, BIT, TIMETZ
from duckdb_wasi_udf._errors import ProtocolError

_DAY = 86_400 * 10**6  # microseconds

# Years 1 to 9999 of Python's calendar, and a day more at both ends for what an offset from UTC adds.
_DAYS = (-719_162 - 1, 2_932_896 + 1)
_RANGES: dict[pa.DataType, tuple[str, int, int]] = {
    pa.date32(): ("<i4", *_DAYS),
    pa.time64("us"): ("<i8", 0, _DAY - 1),
    pa.timestamp("us"): ("<i8", _DAYS[0] * _DAY, (_DAYS[1] + 1) * _DAY),
    pa.timestamp("us", "UTC"): ("<i8", _DAYS[0] * _DAY, (_DAYS[1] + 1) * _DAY),
}

# DuckDB's dtime_tz_t: microseconds, and in the lower 24 bits the offset, counted down from 15:59:59.
_OFFSET_BITS = 24
_MOST_OFFSET = 2 * 57_599

# A BIT starts with the number of its padding bits, then has a byte at least. A BIGNUM starts with its sign and length.
_MOST_PADDING = 7
_BIGNUM_HEADER = 3


def check_fixed(data_type: pa.DataType, values: pa.Buffer) -> None:
    """Check the values of a fixed-width type, those of NULLs included: the guest writes zeros there.

    Raises:
        ProtocolError: one is outside of what the type means.
    """
    if data_type in _RANGES:
        kind, least, most = _RANGES[data_type]
        numbers = np.frombuffer(values, kind)
        good = not len(numbers) or (numbers.min() >= least and numbers.max() <= most)
    elif data_type == TIMETZ:
        bits = np.frombuffer(values, "<u8")
        good = bool(np.all(bits >> _OFFSET_BITS < _DAY) and np.all(bits & ((1 << _OFFSET_BITS) - 1) <= _MOST_OFFSET))
    else:
        return
    if not good:
        msg = f"the guest returned a {data_type} outside of its range"
        raise ProtocolError(msg)


def check_bytes(data_type: pa.DataType, offsets: pa.Buffer, data: pa.Buffer) -> None:
    """Check the values of a type that lie between offsets; an empty one is NULL's.

    Raises:
        ProtocolError: one is not built as the type's are, or the offsets aren't in order.
    """
    if data_type not in (BIT, BIGNUM):
        return
    places = np.frombuffer(offsets, "<i4")
    content = np.frombuffer(data, np.uint8)
    sizes = np.diff(places.astype(np.int64))
    starts = places[:-1][sizes > 0]
    least = 1 if data_type == BIT else _BIGNUM_HEADER
    if places[0] != 0 or np.any(sizes < 0) or places[-1] > len(content) or np.any(sizes[sizes > 0] <= least):
        good = False
    elif data_type == BIT:
        good = bool(np.all(content[starts] <= _MOST_PADDING))
    else:
        first, second, third = (content[starts + i].astype(np.int64) for i in range(_BIGNUM_HEADER))
        header = first << 16 | second << 8 | third
        lengths = np.where(first & 0x80, header, ~header) & 0x7F_FFFF
        good = bool(np.all(lengths == sizes[sizes > 0] - _BIGNUM_HEADER))
    if not good:
        msg = f"the guest returned a {data_type} that is not built as DuckDB's are"
        raise ProtocolError(msg)


def is_safe_as_variant(data_type: pa.DataType, *, union: bool = True, in_struct: bool = False) -> bool:
    """Return whether DuckDB 2.0.0 makes a VARIANT of the type without crashing.

    It does not where a UNION is inside another, in a list inside a STRUCT, or in a MAP's key:
    tests/arrow/test_nested.py.

    Args:
        data_type: the type.
        union: a UNION is allowed here.
        in_struct: the type is inside a STRUCT.
    """
    types = pa.types
    if types.is_map(data_type):
        item_safe = is_safe_as_variant(data_type.item_type, union=union and not in_struct, in_struct=True)
        return item_safe and is_safe_as_variant(data_type.key_type, union=False)
    if types.is_list(data_type):
        return is_safe_as_variant(data_type.value_type, union=union and not in_struct, in_struct=in_struct)
    is_union, is_struct = types.is_union(data_type), types.is_struct(data_type)
    return (union or not is_union) and all(
        is_safe_as_variant(data_type.field(i).type, union=union and not is_union, in_struct=in_struct or is_struct)
        for i in range(data_type.num_fields)
    )
