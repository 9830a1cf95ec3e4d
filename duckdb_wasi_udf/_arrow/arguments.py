"""Arguments whose parameter says another type: which types become it, and how.

DuckDB casts the arguments of named functions. Those of inline code arrive as they are, so the same casts are made here:
the implicit ones, by which no value becomes another.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duckdb_wasi_udf._arrow.type_mapping import MismatchError
from duckdb_wasi_udf._arrow.types import ARROW_VARIANT, BIGNUM, BIT, HUGE_DECIMAL, HUGEINT, TIMETZ, UHUGEINT, EnumType
from duckdb_wasi_udf._arrow.variant import variant_as

_LARGE_INTEGERS = {HUGE_DECIMAL, HUGEINT, UHUGEINT, BIGNUM}

# Any integer of 64 bits as a decimal.
_ANY_INTEGER = pa.decimal128(20, 0)

# Integers that a double holds exactly, and the powers of ten.
_EXACT_INTEGER = 2**53
_EXACT_POWER = 22


def argument_type(arrived: pa.DataType, declared: pa.DataType | None, *, parse_json: bool) -> pa.DataType:
    """Return the type that an argument is converted to, which may still need a label (`type_mapping.labelled`).

    Args:
        arrived: the type of the column.
        declared: the type that DuckDB makes of the parameter's SQL type; None if it takes any.
        parse_json: the parameter is annotated with `dict` or `list`, without types inside.

    Raises:
        MismatchError: values of the one aren't values of the other.
    """
    if declared is None or arrived == declared or pa.types.is_null(arrived):
        return arrived
    if arrived == ARROW_VARIANT:
        return arrived if parse_json else _of_variant(declared)
    if parse_json and declared == pa.json_() and pa.types.is_nested(arrived):
        return arrived  # a dict or list without ado
    found = _plain(arrived, declared)
    if found is None:
        raise MismatchError
    return found


def convert(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Return an argument as the type that `argument_type` said.

    Raises:
        pyarrow.ArrowInvalid: a value doesn't fit.
        ValueError: likewise, in a VARIANT.
    """
    arrived = column.type
    if arrived == to:
        return column
    if arrived == ARROW_VARIANT:
        return variant_as(column, to)
    if pa.types.is_decimal(arrived) and pa.types.is_floating(to):
        return _decimal_as_double(column)
    if pa.types.is_decimal(arrived) and pa.types.is_decimal(to) and arrived.scale > to.scale:
        column = pc.round(column, ndigits=to.scale, round_mode="half_towards_infinity")  # as DuckDB does
    between = _between(arrived, to)
    if between != arrived:
        column = column.cast(between)
    return column.cast(to, safe=not _has_double(to))


def _decimal_as_double(column: pa.Array) -> pa.Array:
    """Return the nearest doubles; Arrow's own cast is off by a bit for one value in ten."""
    scale = column.type.scale
    words = np.frombuffer(column.buffers()[1], np.int64)[2 * column.offset : 2 * (column.offset + len(column))]
    low, high = words[::2], words[1::2]
    exact = (np.abs(low) <= _EXACT_INTEGER) & (high == np.where(low < 0, -1, 0))
    if scale <= _EXACT_POWER and bool((exact | column.is_null().to_numpy(zero_copy_only=False)).all()):
        mask = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
        return pa.array(low / np.float64(10**scale), mask=mask)
    return column.cast(pa.string()).cast(pa.float64())


def _plain(arrived: pa.DataType, declared: pa.DataType) -> pa.DataType | None:  # noqa: C901, PLR0912 - by kind
    types = pa.types
    integer = types.is_integer(arrived) or arrived in _LARGE_INTEGERS
    if types.is_integer(declared) or declared in (HUGEINT, UHUGEINT, BIGNUM, HUGE_DECIMAL):
        return arrived if integer else None
    if types.is_floating(declared):
        if types.is_floating(arrived) or arrived in (HUGEINT, UHUGEINT, BIGNUM):
            return arrived
        return pa.float64() if integer or types.is_decimal(arrived) else None
    if types.is_decimal(declared):
        return declared if types.is_integer(arrived) or types.is_decimal(arrived) else None
    if types.is_boolean(declared) or declared == pa.bool8():
        return arrived if types.is_boolean(arrived) or arrived == pa.bool8() else None
    text = types.is_string(arrived) or arrived == pa.json_() or types.is_dictionary(arrived)
    if types.is_string(declared) or declared == pa.json_() or isinstance(declared, EnumType):
        return arrived if text else None
    if declared == pa.uuid():
        return arrived if types.is_string(arrived) or arrived == pa.uuid() else None
    if types.is_binary(declared) or declared == BIT:
        return arrived if types.is_binary(arrived) or arrived == BIT else None
    if declared == TIMETZ or types.is_time(declared):
        return arrived if types.is_time(arrived) or arrived == TIMETZ else None
    if types.is_date(declared) or types.is_interval(declared):
        return arrived if arrived.id == declared.id else None
    if types.is_timestamp(declared):
        if types.is_date(arrived) and declared.tz is None:
            return pa.timestamp("us")
        same = types.is_timestamp(arrived) and (arrived.tz is None) == (declared.tz is None)
        return arrived if same else None
    if types.is_union(declared):
        return arrived
    return _nested(arrived, declared)


def _nested(arrived: pa.DataType, declared: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_list(declared) and (types.is_list(arrived) or types.is_fixed_size_list(arrived)):
        return pa.list_(_field(arrived.value_field, declared.value_type))
    if types.is_fixed_size_list(declared) and types.is_fixed_size_list(arrived):
        same = arrived.list_size == declared.list_size
        return pa.list_(_field(arrived.value_field, declared.value_type), arrived.list_size) if same else None
    if types.is_map(declared) and types.is_map(arrived):
        key = _field(pa.field("key", arrived.key_type), declared.key_type).type
        return pa.map_(key, _field(arrived.item_field, declared.item_type))
    if types.is_map(declared) and types.is_struct(arrived) and types.is_string(declared.key_type):
        return pa.struct([_field(field, declared.item_type) for field in arrived])
    if types.is_struct(declared) and types.is_struct(arrived):
        known = {field.name: field.type for field in declared}
        return pa.struct([_field(field, known.get(field.name)) for field in arrived])
    if types.is_struct(declared) and types.is_map(arrived) and types.is_string(arrived.key_type):
        return arrived
    return None


def _field(arrived: pa.Field, declared: pa.DataType | None) -> pa.Field:
    return arrived.with_type(argument_type(arrived.type, declared, parse_json=declared == pa.json_()))


def _of_variant(declared: pa.DataType) -> pa.DataType:
    """Return the type that the values of a VARIANT are made for a parameter; the VARIANT itself if that is too much."""
    types = pa.types
    if types.is_integer(declared):
        return pa.int64()
    if types.is_floating(declared):
        return pa.float64()
    simple = (types.is_boolean, types.is_string, types.is_decimal, types.is_date, types.is_binary)
    return declared if any(is_kind(declared) for is_kind in simple) else ARROW_VARIANT


def _between(arrived: pa.DataType, to: pa.DataType) -> pa.DataType:
    """Return the type to cast to first, where Arrow's own cast isn't DuckDB's."""
    types = pa.types
    if types.is_list(to) or types.is_fixed_size_list(to):
        return pa.list_(arrived.value_field.with_type(_between(arrived.value_type, to.value_type)))
    if types.is_struct(to):
        pairs = zip(arrived, to, strict=True)
        return pa.struct([field.with_type(_between(field.type, wanted.type)) for field, wanted in pairs])
    if types.is_map(to):
        return pa.map_(_between(arrived.key_type, to.key_type), _between(arrived.item_type, to.item_type))
    if types.is_decimal(arrived) and types.is_floating(to):
        return pa.string()  # parsed to the nearest double, where dividing is off by a bit
    if types.is_integer(arrived) and types.is_decimal(to):
        return _ANY_INTEGER  # checks the values, not the widths of the types
    return arrived


def _has_double(data_type: pa.DataType) -> bool:
    """Return whether there are floats in a type, to which large integers are rounded."""
    types = pa.types
    if types.is_nested(data_type) and not types.is_union(data_type):
        return any(_has_double(data_type.field(i).type) for i in range(data_type.num_fields))
    return bool(types.is_floating(data_type))


# ---- SQL names ---------------------------------------------------------------------------------------------------

_SQL_NAMES = {
    pa.null(): "NULL",
    pa.bool_(): "BOOLEAN",
    pa.bool8(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    HUGE_DECIMAL: "HUGEINT",
    HUGEINT: "HUGEINT",
    UHUGEINT: "UHUGEINT",
    BIGNUM: "BIGNUM",
    BIT: "BIT",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.time64("ns"): "TIME_NS",
    TIMETZ: "TIME WITH TIME ZONE",
    pa.timestamp("s"): "TIMESTAMP_S",
    pa.timestamp("ms"): "TIMESTAMP_MS",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("ns"): "TIMESTAMP_NS",
    pa.month_day_nano_interval(): "INTERVAL",
    pa.uuid(): "UUID",
    pa.json_(): "JSON",
    ARROW_VARIANT: "VARIANT",
}


def sql_name(data_type: pa.DataType) -> str:
    """Return what SQL calls the type that a column arrived as."""
    types = pa.types
    if data_type in _SQL_NAMES:
        return _SQL_NAMES[data_type]
    if types.is_decimal(data_type):
        return f"DECIMAL({data_type.precision},{data_type.scale})"
    if types.is_timestamp(data_type):
        return "TIMESTAMP WITH TIME ZONE"
    if types.is_dictionary(data_type):
        return "ENUM"
    if types.is_list(data_type):
        return f"{sql_name(data_type.value_type)}[]"
    if types.is_fixed_size_list(data_type):
        return f"{sql_name(data_type.value_type)}[{data_type.list_size}]"
    if types.is_struct(data_type):
        return f"STRUCT({', '.join(f'{field.name} {sql_name(field.type)}' for field in data_type)})"
    if types.is_map(data_type):
        return f"MAP({sql_name(data_type.key_type)}, {sql_name(data_type.item_type)})"
    return "UNION" if types.is_union(data_type) else str(data_type)
