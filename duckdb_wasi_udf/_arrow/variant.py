"""VARIANT columns, as DuckDB exports them, made plain values.

The encoding is Parquet's (https://github.com/apache/parquet-format/blob/master/VariantEncoding.md). Arrow tables have
it as a struct of two binaries. Their bytes may come from anywhere, so all are checked, and none is read twice, so that
the values are no larger than the bytes.
"""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
from typing import Any

import pyarrow as pa

# As deep as the guest reads.
_MOST_DEPTH = 200

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - of timestamps without a time zone
_DAY = 86_400_000_000  # microseconds
_MOST_DECIMAL_SCALE = 38

# The sizes of primitive values, by their number in the format; of others the length comes first.
_SIZES = {3: 1, 4: 2, 5: 4, 6: 8, 7: 8, 8: 5, 9: 9, 10: 17, 11: 4, 12: 8, 13: 8, 14: 4, 17: 8, 18: 8, 19: 8, 20: 16}
_SIZES |= {0: 0, 1: 0, 2: 0}


def variant_to_python(column: Any) -> list[Any]:
    """Return the values of a VARIANT column, such as `py_udf` gives, as Python values.

    Objects become dicts, arrays lists, NULL None. Numbers, text, dates and so on are as a function receives them
    (docs/reference/types.md).

    Args:
        column: a struct of the two binaries "metadata" and "value", as DuckDB exports a VARIANT: an Arrow array, a
            chunked array, a polars Series, or anything else that exports an Arrow array or stream.

    Returns:
        A list with a value for each row.

    Raises:
        TypeError: it is no such column.
        ValueError: its bytes are damaged, or hold a value that Python doesn't have, as a year beyond 9999.
    """
    values: list[Any] = []
    names = _Names(b"\x01\0\0")
    for chunk in _chunks(column):
        metadata, encoded = chunk.field("metadata"), chunk.field("value")
        for row in range(len(chunk)):
            if not chunk[row].is_valid:
                values.append(None)
                continue
            name_bytes, value_bytes = metadata[row].as_py(), encoded[row].as_py()
            if value_bytes is None:
                values.append(None)
                continue
            if name_bytes != names.data:
                names = _Names(name_bytes or b"")
            values.append(_Reader(names, value_bytes).read())
    return values


def variant_to_arrow(column: Any, type: pa.DataType | None = None) -> pa.Array:  # noqa: A002 - pyarrow's name
    """Return the values of a VARIANT column as an Arrow array.

    Args:
        column: as for `variant_to_python`.
        type: the type of the array; None to infer it, for which all values have to be alike.

    Raises:
        TypeError: it is no such column.
        ValueError: its bytes are damaged, or the values have no common type, or don't fit `type`.
    """
    values = variant_to_python(column)
    try:
        return pa.array(values, type)
    except (pa.ArrowException, OverflowError) as error:
        msg = f"the values of the VARIANT don't fit {type or 'one Arrow type'} ({error}); use variant_to_python"
        raise ValueError(msg) from None


def variant_as(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Return a VARIANT argument as the type of its parameter.

    Raises:
        ValueError: a value is of another type.
    """
    values = variant_to_python(column)
    types = pa.types
    taken: tuple[type, ...] = (object,)
    if types.is_floating(to):
        taken = (int, float, decimal.Decimal)
        values = [
            float(value) if isinstance(value, taken) and not isinstance(value, bool) else value for value in values
        ]
        taken = (float,)
    elif types.is_integer(to) or types.is_decimal(to):
        taken = (int,) if types.is_integer(to) else (int, decimal.Decimal)
    elif types.is_string(to):
        taken = (str,)
    wrong = next((v for v in values if v is not None and (not isinstance(v, taken) or _is_stray_bool(v, to))), None)
    if wrong is not None:
        msg = f"a VARIANT holds {wrong!r:.100}"
        raise ValueError(msg)
    try:
        return pa.array(values, to)
    except (pa.ArrowException, OverflowError) as error:
        msg = f"a VARIANT holds another value: {error}"
        raise ValueError(msg) from None


def _is_stray_bool(value: object, to: pa.DataType) -> bool:
    return isinstance(value, bool) and not pa.types.is_boolean(to)


def _chunks(column: Any) -> list[pa.StructArray]:
    """Return the struct arrays of a column."""
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        found = column
    elif hasattr(column, "__arrow_c_stream__"):
        found = pa.chunked_array(column)
    elif hasattr(column, "__arrow_c_array__"):
        found = pa.array(column)
    else:
        msg = f"a VARIANT column is an Arrow array, got {type(column).__name__}"
        raise TypeError(msg)
    chunks = found.chunks if isinstance(found, pa.ChunkedArray) else [found]
    plain = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in chunks]
    data_type = found.type.storage_type if isinstance(found.type, pa.BaseExtensionType) else found.type
    if not pa.types.is_struct(data_type) or {field.name for field in data_type} != {"metadata", "value"}:
        msg = f"a VARIANT column is a struct of metadata and value, got {data_type}"
        raise TypeError(msg)
    return plain


def _damaged() -> ValueError:
    return ValueError("a VARIANT that is not in Parquet's encoding")


def _unsigned(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise _damaged()
    return int.from_bytes(data[at : at + size], "little")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _damaged() from None


class _Names:
    """The names of objects' fields, which the rows of a column mostly share."""

    def __init__(self, data: bytes) -> None:
        if not data or data[0] & 0x0F != 1:
            raise _damaged()
        size = (data[0] >> 6) + 1
        count = _unsigned(data, 1, size)
        first = 1 + size + (count + 1) * size
        if first > len(data):
            raise _damaged()
        offsets = [_unsigned(data, 1 + size + i * size, size) for i in range(count + 1)]
        if first + offsets[-1] > len(data) or offsets != sorted(offsets):
            raise _damaged()
        self.data = data
        self._bounds = [first + offset for offset in offsets]
        self._known: dict[int, str] = {}

    def __getitem__(self, number: int) -> str:
        if number not in self._known:
            if number + 1 >= len(self._bounds):
                raise _damaged()
            self._known[number] = _text(self.data[self._bounds[number] : self._bounds[number + 1]])
        return self._known[number]


class _Reader:
    """Reads one value. Each byte is a part of one value at most, or the bytes are damaged."""

    def __init__(self, names: _Names, data: bytes) -> None:
        self._names = names
        self._data = data
        self._left = len(data)

    def read(self) -> Any:
        return self._value(0, 0)

    def _take(self, at: int, size: int) -> bytes:
        self._left -= size
        if self._left < 0 or at + size > len(self._data):
            raise _damaged()
        return self._data[at : at + size]

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._take(at, size), "little")

    def _value(self, at: int, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            msg = "a VARIANT that nests too deep"
            raise ValueError(msg)
        head = self._take(at, 1)[0]
        kind, header = head & 3, head >> 2
        at += 1
        if kind == 0:
            return self._primitive(header, at)
        if kind == 1:
            return _text(self._take(at, header))
        if kind == 2:
            return self._object(header, at, depth)
        return [self._value(item, depth + 1) for item in self._items(at, (header & 3) + 1, header >> 2 & 1, 0)[1]]

    def _object(self, header: int, at: int, depth: int) -> dict[str, Any]:
        names, values = self._items(at, (header & 3) + 1, header >> 4 & 1, (header >> 2 & 3) + 1)
        return {self._names[name]: self._value(value, depth + 1) for name, value in zip(names, values, strict=True)}

    def _items(self, at: int, offset_size: int, is_large: int, id_size: int) -> tuple[list[int], list[int]]:
        """Return the numbers of an object's names, and the places of the values of an object or array."""
        count_size = 4 if is_large else 1
        count = self._number(at, count_size)
        at += count_size
        if count * (id_size + offset_size) > self._left:
            raise _damaged()
        names = [self._number(at + i * id_size, id_size) for i in range(count)] if id_size else []
        at += count * id_size
        offsets = [self._number(at + i * offset_size, offset_size) for i in range(count + 1)]
        first = at + (count + 1) * offset_size
        return names, [first + offset for offset in offsets[:count]]

    def _primitive(self, number: int, at: int) -> Any:  # noqa: C901, PLR0912 - one case each
        if number in (15, 16):  # BLOB and VARCHAR
            data = self._take(at + 4, self._number(at, 4))
            return data if number == 15 else _text(data)
        if number not in _SIZES:
            raise _damaged()
        data = self._take(at, _SIZES[number])
        signed = int.from_bytes(data, "little", signed=True)
        try:
            match number:
                case 0:
                    return None
                case 1 | 2:
                    return number == 1
                case 3 | 4 | 5 | 6:
                    return signed
                case 7:
                    return struct.unpack("<d", data)[0]
                case 14:
                    return struct.unpack("<f", data)[0]
                case 8 | 9 | 10:
                    if data[0] > _MOST_DECIMAL_SCALE:
                        raise _damaged()
                    unscaled = int.from_bytes(data[1:], "little", signed=True)
                    digits = decimal.Decimal(unscaled).as_tuple()
                    return decimal.Decimal((digits.sign, digits.digits, -data[0]))
                case 11:
                    return dt.date(1970, 1, 1) + dt.timedelta(days=signed)
                case 12 | 13:
                    return _timestamp(signed, utc=number == 12)
                case 18 | 19:
                    if signed % 1000:
                        msg = "a VARIANT has a timestamp with nanoseconds, which Python's datetime can't hold"
                        raise ValueError(msg)
                    return _timestamp(signed // 1000, utc=number == 18)
                case 17:
                    return (_EPOCH + dt.timedelta(microseconds=signed)).time() if 0 <= signed < _DAY else _no_day()
                case _:
                    return uuid.UUID(bytes=data)
        except OverflowError:
            return _no_day()


def _no_day() -> Any:
    msg = "a VARIANT has a date or time that Python doesn't have, outside the years 1 to 9999 or the day"
    raise ValueError(msg)


def _timestamp(microseconds: int, *, utc: bool) -> dt.datetime:
    moment = _EPOCH + dt.timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=dt.UTC) if utc else moment
