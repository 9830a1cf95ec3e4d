"""What documents hold, made into what Arrow takes for a SQL type: exactly, or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

Converter = Callable[[Any], Any]


def converter(data_type: pa.DataType) -> Converter:
    """Return a function that makes a document's value one that `pyarrow.array` takes for a type without loss.

    Integers stand for numbers of every type, and text, as in JSON, for dates, times and decimals. A struct takes
    the fields it has of a mapping.

    Args:
        data_type: the type.

    Returns:
        The function; it raises TypeError or ValueError for what doesn't fit.

    Raises:
        ValueError: documents hold nothing that fits the type.
    """
    types = pa.types
    if types.is_struct(data_type):
        fields = [(field.name, converter(field.type)) for field in data_type]
        return _unless_none(
            lambda value: {name: inside(value.get(name)) for name, inside in fields}, Mapping, data_type
        )
    if types.is_list(data_type) or types.is_fixed_size_list(data_type):
        item = converter(data_type.value_type)
        return _unless_none(lambda value: [item(one) for one in value], (list, tuple), data_type)
    if types.is_map(data_type):
        key, item = converter(data_type.key_type), converter(data_type.item_type)
        return _unless_none(lambda value: [(key(one), item(other)) for one, other in value.items()], Mapping, data_type)
    for holds, accepted, read in _SCALARS:
        if holds(data_type):
            return _unless_none(read, accepted, data_type)
    msg = f"documents hold nothing that becomes {data_type}"
    raise ValueError(msg)


def _unless_none(read: Converter, accepted: Any, data_type: pa.DataType) -> Converter:
    """Return `read` for values of the accepted classes; None stays None."""
    allows_bool = accepted is bool

    def convert(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, accepted) or (isinstance(value, bool) and not allows_bool):
            msg = f"{_shown(value)} is no {data_type}"
            raise TypeError(msg)
        return read(value)

    return convert


def _shown(value: Any) -> str:
    """Return a value of a hostile document, in an error."""
    return f"{str(value)[:40]!r}" if isinstance(value, (str, float, bool)) else type(value).__name__


def _same(value: Any) -> Any:
    return value


def _decimal(value: float | str | Decimal) -> Decimal:
    """Return the decimal that a float is written as."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _text_or(cls: Any) -> Converter:
    return lambda value: cls.fromisoformat(value) if isinstance(value, str) else value


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        msg = "a timestamp is no date"
        raise TypeError(msg)
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


_SCALARS: list[tuple[Callable[[pa.DataType], bool], Any, Converter]] = [
    (pa.types.is_boolean, bool, _same),
    (pa.types.is_integer, int, _same),
    (pa.types.is_floating, (int, float), float),
    (pa.types.is_decimal, (int, float, str, Decimal), _decimal),
    (pa.types.is_string, str, _same),
    (pa.types.is_binary, bytes, _same),
    (pa.types.is_date, (str, dt.date), _date),
    (pa.types.is_time, (str, dt.time), _text_or(dt.time)),
    (pa.types.is_timestamp, (str, dt.datetime), _text_or(dt.datetime)),
]
