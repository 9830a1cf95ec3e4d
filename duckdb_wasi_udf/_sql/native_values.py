"""Results as values for DuckDB's native functions, which it calls once a row with Python objects.

A function without parameters needs this form if it has side effects: DuckDB doesn't say the number of rows of a
function over Arrow columns when there is no column.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._arrow.types import BIGNUM, BIT, HUGEINT, TIMETZ, UHUGEINT
from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable

# DuckDB's own layouts, of which there is no Python value that it would take back.
_WITHOUT_VALUE = {BIGNUM: "BIGNUM", BIT: "BIT", TIMETZ: "TIME WITH TIME ZONE"}

_ADVICE = "give it a parameter, and pass it any column"


def check_type(label: str, data_type: pa.DataType | None) -> None:
    """Refuse a result type that has no native values.

    Raises:
        SignatureError: it has none; the message says what to do.
    """
    pending = [] if data_type is None else [data_type]
    while pending:
        found = pending.pop()
        kind = "a UNION" if pa.types.is_union(found) else _WITHOUT_VALUE.get(found)
        if kind is not None:
            msg = f"{label}: with side_effects=True and no parameters the result can't be {kind}; {_ADVICE}"
            raise SignatureError(msg)
        pending += [found.field(i).type for i in range(found.num_fields)]


def native_value(label: str, results: pa.Array, *, typed: bool) -> Any:
    """Return the one result as DuckDB's native functions return it.

    Args:
        label: how errors name the function.
        results: an array of one value.
        typed: the SQL type of the result is declared, and text is cast to it.

    Raises:
        SignatureError: the value can't be returned so.
    """

    def as_text(kind: str, text: str) -> str:
        if typed:
            return text
        msg = f"{label}: with side_effects=True and no parameters {kind} needs a declared result type, or {_ADVICE}"
        raise SignatureError(msg)

    return _value(results[0], as_text)


def _value(scalar: pa.Scalar, as_text: Callable[[str, str], str]) -> Any:
    data_type, types = scalar.type, pa.types
    if not scalar.is_valid:
        return None
    if types.is_union(data_type):
        return _value(scalar.value, as_text)
    if types.is_map(data_type):
        keys, items = scalar.values.field(0), scalar.values.field(1)
        return {
            "key": [_value(key, as_text) for key in keys],
            "value": [_value(item, as_text) for item in items],
        }
    if types.is_list(data_type):
        return [_value(item, as_text) for item in scalar.values]
    if types.is_struct(data_type):
        return {name: _value(item, as_text) for name, item in scalar.items()}
    if data_type in (HUGEINT, UHUGEINT):
        return int.from_bytes(scalar.value.as_py(), "little", signed=data_type == HUGEINT)
    if data_type == TIMETZ:
        return as_text("a time with an offset", "")
    value = scalar.as_py()
    if types.is_interval(data_type):
        months, days, nanoseconds = value
        return as_text("INTERVAL", f"{months} months {days} days {nanoseconds // 1000} microseconds")
    if isinstance(value, float) and math.isnan(value):  # which DuckDB takes for NULL
        return as_text("nan", "nan")
    if isinstance(value, dt.datetime) and value.tzinfo is None:  # which it doesn't take for every TIMESTAMP
        return as_text("a datetime", str(value))
    return value
