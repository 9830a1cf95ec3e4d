"""Between the types columns have in DuckDB and those the guest reads and builds.

DuckDB hands some types over as extension types when `arrow_lossless_conversion` is set, and as the storage of another
type otherwise (HUGEINT as DECIMAL(38,0), UUID as VARCHAR). `labelled` says what the values are in either case.
"""

from __future__ import annotations

import pyarrow as pa

from duckdb_wasi_udf._arrow.layouts import known_layout, layout, members
from duckdb_wasi_udf._arrow.types import (
    ARROW_VARIANT,
    BIT,
    HUGE_DECIMAL,
    HUGEINT,
    TIMETZ,
    UHUGEINT,
    UUID_TEXT,
    EnumType,
)


class MismatchError(Exception):
    """Values arrived as a type that isn't the declared one, or has lost what that needs, which the text says."""


def labelled(arrived: pa.DataType, declared: pa.DataType | None, *, parse_json: bool) -> pa.DataType:
    """Return what a column's values are; the type they arrive as doesn't always show it.

    Args:
        arrived: the type of the column.
        declared: the type DuckDB makes of the declared SQL type with `arrow_lossless_conversion`; None where none was
            declared.
        parse_json: values of the SQL type JSON are wanted parsed, not as text.

    Returns:
        A type whose values lie in memory as those of `arrived`.

    Raises:
        MismatchError: they are not all there.
    """
    if declared == TIMETZ and arrived != TIMETZ:
        msg = "TIME WITH TIME ZONE arrives without its offset"
        raise MismatchError(msg)
    if arrived == pa.json_() or (declared == pa.json_() and arrived == pa.string()):
        return pa.json_() if parse_json else pa.string()
    if arrived == HUGE_DECIMAL:
        return declared if declared in (HUGEINT, UHUGEINT, HUGE_DECIMAL) else HUGEINT
    if (arrived, declared) in _STORED_AS:
        return _STORED_AS[arrived, declared]
    return _labelled_inside(arrived, declared, parse_json=parse_json)


# What a declared type's values are when they arrive as those of another, without arrow_lossless_conversion.
_STORED_AS = {(pa.string(), pa.uuid()): UUID_TEXT, (pa.binary(), BIT): BIT}


def _labelled_inside(arrived: pa.DataType, declared: pa.DataType | None, *, parse_json: bool) -> pa.DataType:
    """Label what nests. The arguments of inline code aren't cast, so the declared type may nest otherwise."""
    types = pa.types
    if declared is not None and declared.id != arrived.id:
        declared = None

    def inner(child: pa.DataType, inside: pa.DataType | None) -> pa.DataType:
        return labelled(child, inside, parse_json=parse_json)

    def field(child: pa.Field, inside: pa.Field | None) -> pa.Field:
        return child.with_type(inner(child.type, None if inside is None else inside.type))

    if types.is_list(arrived):
        return pa.list_(field(arrived.value_field, None if declared is None else declared.value_field))
    if types.is_fixed_size_list(arrived):
        return pa.list_(
            field(arrived.value_field, None if declared is None else declared.value_field), arrived.list_size
        )
    if types.is_struct(arrived):
        known = {} if declared is None else {child.name: child for child in declared}
        return pa.struct([field(child, known.get(child.name)) for child in arrived])
    if types.is_map(arrived):
        key, item = (declared.key_type, declared.item_type) if declared is not None else (None, None)
        return pa.map_(inner(arrived.key_type, key), inner(arrived.item_type, item))
    if types.is_union(arrived):
        of_name = {} if declared is None else {member.name: member for member in members(declared)}
        inside = [field(child, of_name.get(child.name)) for child in members(arrived)]
        return pa.sparse_union(inside, arrived.type_codes)
    return arrived


def row_bytes(data_type: pa.DataType | None) -> int:
    """Return the bytes that each result of a type takes at least, whatever its value; 0 for None."""
    built = None if data_type is None else result_type(data_type)
    if built is None:
        return 0
    pending, bits = [built], 0
    while pending:
        known = known_layout(pending.pop())
        bits += known.width + 32 * known.has_offsets
        if not known.has_offsets:  # lists can be empty
            pending += [field.type for field in known.children]
    return bits // 8


def result_type(data_type: pa.DataType) -> pa.DataType | None:
    """Return the type the guest builds for results that DuckDB then casts to `data_type`; None when it can build none.

    Integers and floats are built wide, arrays as lists, and an ENUM's values as strings. The guest checks that they fit
    `data_type`, which `GuestInstance.bind` sends it.
    """
    types = pa.types
    if types.is_integer(data_type):
        return pa.uint64() if data_type == pa.uint64() else pa.int64()
    if types.is_floating(data_type):
        return pa.float64()
    if types.is_timestamp(data_type):
        return pa.timestamp("us", "UTC" if data_type.tz is not None else None)
    if types.is_time(data_type):
        return pa.time64("us")
    if isinstance(data_type, EnumType):
        return pa.string()
    if types.is_dictionary(data_type):
        return result_type(data_type.value_type)
    if types.is_list(data_type) or types.is_fixed_size_list(data_type):
        inside = result_type(data_type.value_type)
        return None if inside is None else pa.list_(inside)
    if types.is_map(data_type):
        key, item = result_type(data_type.key_type), result_type(data_type.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if types.is_struct(data_type) or types.is_union(data_type):
        fields = members(data_type) if types.is_union(data_type) else tuple(data_type)
        built = [(field.name, result_type(field.type)) for field in fields]
        if data_type == ARROW_VARIANT or any(built_type is None for _, built_type in built):
            return None
        return pa.struct(built) if types.is_struct(data_type) else pa.sparse_union([pa.field(*pair) for pair in built])
    if data_type == pa.bool8():
        return pa.bool_()
    return data_type if layout(data_type) is not None else None
