"""The Arrow types the guest has codecs for, and how their values lie in memory.

Layouts: https://arrow.apache.org/docs/format/Columnar.html; format strings and metadata:
https://arrow.apache.org/docs/format/CDataInterface.html; extension types:
https://arrow.apache.org/docs/format/CanonicalExtensions.html.

DuckDB hands some types over as extension types when `arrow_lossless_conversion` is set, and as the storage of another
type otherwise (HUGEINT as DECIMAL(38,0), UUID as VARCHAR). `labelled` says what the values are in either case.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

# How deep types may nest: also MAX_DEPTH of wasm/src/types.h.
MAX_DEPTH = 32


def _duckdb(storage: pa.DataType, name: str) -> pa.OpaqueType:
    return pa.opaque(storage, name, "DuckDB")


# As DuckDB exports and imports them.
HUGEINT = _duckdb(pa.binary(16), "hugeint")
UHUGEINT = _duckdb(pa.binary(16), "uhugeint")
BIGNUM = _duckdb(pa.binary(), "bignum")
BIT = _duckdb(pa.binary(), "bit")
TIMETZ = _duckdb(pa.binary(8), "time_tz")
# Ours: a UUID as its text, which is how one arrives without arrow_lossless_conversion.
UUID_TEXT = _duckdb(pa.string(), "uuid")

# What DuckDB makes of a VARIANT (it also names the extension type arrow.parquet.variant, which pyarrow doesn't know). A
# STRUCT's fields are all nullable, so no other type looks like it.
VARIANT = pa.struct([pa.field("metadata", pa.binary(), nullable=False), pa.field("value", pa.binary())])

# HUGEINT and UHUGEINT without arrow_lossless_conversion: all their 128 bits, though the type says fewer.
_HUGE_DECIMAL = pa.decimal128(38, 0)

_SCALARS: dict[pa.DataType, tuple[str, int]] = {
    pa.null(): ("n", 0),
    pa.bool_(): ("b", 1),
    pa.int8(): ("c", 8),
    pa.uint8(): ("C", 8),
    pa.int16(): ("s", 16),
    pa.uint16(): ("S", 16),
    pa.int32(): ("i", 32),
    pa.uint32(): ("I", 32),
    pa.int64(): ("l", 64),
    pa.uint64(): ("L", 64),
    pa.float32(): ("f", 32),
    pa.float64(): ("g", 64),
    pa.date32(): ("tdD", 32),
    pa.time64("us"): ("ttu", 64),
    pa.time64("ns"): ("ttn", 64),
    pa.timestamp("s"): ("tss:", 64),
    pa.timestamp("ms"): ("tsm:", 64),
    pa.timestamp("us"): ("tsu:", 64),
    pa.timestamp("ns"): ("tsn:", 64),
    pa.timestamp("us", "UTC"): ("tsu:UTC", 64),
    pa.month_day_nano_interval(): ("tin", 128),
    pa.binary(8): ("w:8", 64),
    pa.binary(16): ("w:16", 128),
}

_BYTES = {pa.string(): "u", pa.binary(): "z"}

# Extension types by the names the guest has for them (wasm/src/types.c).
_EXTENSIONS = {
    HUGEINT: "duckdb.hugeint",
    UHUGEINT: "duckdb.uhugeint",
    BIGNUM: "duckdb.bignum",
    BIT: "duckdb.bit",
    TIMETZ: "duckdb.time_tz",
    UUID_TEXT: "arrow.uuid",
    pa.uuid(): "arrow.uuid",
    pa.json_(): "arrow.json",
    pa.bool8(): "arrow.bool8",
    VARIANT: "arrow.parquet.variant",
}


class Layout(NamedTuple):
    """How the values of a type lie in memory.

    Attributes:
        format: the type in the notation of the C data interface.
        width: bits of a value; 0 when there is no buffer of values.
        has_validity: whether the first buffer is a validity bitmap.
        has_offsets: whether a buffer of 32-bit offsets says where each value starts.
        has_bytes: whether the values are the bytes between offsets.
        children: the fields inside.
        dictionary: the type of the values that the values are codes of.
        extension: the name of the extension type, empty for none.
    """

    format: str
    width: int = 0
    has_validity: bool = True
    has_offsets: bool = False
    has_bytes: bool = False
    children: tuple[pa.Field, ...] = ()
    dictionary: pa.DataType | None = None
    extension: str = ""

    @property
    def n_buffers(self) -> int:
        """How many buffers an array of the type has."""
        return self.has_validity + self.has_offsets + bool(self.width) + self.has_bytes


def map_entries(data_type: pa.MapType) -> pa.StructType:
    """The struct that a map's entries are."""
    return pa.struct([pa.field("key", data_type.key_type, nullable=False), pa.field("value", data_type.item_type)])


@functools.cache
def layout(data_type: pa.DataType) -> Layout | None:
    """The layout of a type; None when the guest has no codec for it (what is inside isn't looked at)."""
    if isinstance(data_type, pa.BaseExtensionType):
        storage = layout(data_type.storage_type)
        return None if storage is None else storage._replace(extension=_EXTENSIONS.get(data_type, ""))
    if data_type in _SCALARS:
        name, width = _SCALARS[data_type]
        return Layout(name, width, has_validity=width > 0)
    if data_type in _BYTES:
        return Layout(_BYTES[data_type], has_offsets=True, has_bytes=True)
    types = pa.types
    if types.is_decimal128(data_type):
        return Layout(f"d:{data_type.precision},{data_type.scale}", 128)
    if types.is_timestamp(data_type) and data_type.tz is not None and data_type.unit == "us":
        return Layout("tsu:UTC", 64)  # an instant is the same in every time zone; the guest shows it in UTC
    if types.is_list(data_type):
        return Layout("+l", has_offsets=True, children=(data_type.value_field,))
    if types.is_fixed_size_list(data_type):
        return Layout(f"+w:{data_type.list_size}", children=(data_type.value_field,))
    if types.is_struct(data_type):
        return Layout("+s", children=tuple(data_type), extension=_EXTENSIONS.get(data_type, ""))
    if types.is_map(data_type):
        return Layout("+m", has_offsets=True, children=(pa.field("entries", map_entries(data_type), nullable=False),))
    if types.is_union(data_type) and data_type.mode == "sparse":
        codes = ",".join(map(str, data_type.type_codes))
        return Layout(f"+us:{codes}", 8, has_validity=False, children=_members(data_type))
    if types.is_dictionary(data_type) and data_type.index_type in _SCALARS:
        name, width = _SCALARS[data_type.index_type]
        return Layout(name, width, dictionary=data_type.value_type)
    return None


def _members(data_type: pa.UnionType) -> tuple[pa.Field, ...]:
    return tuple(data_type.field(i) for i in range(data_type.num_fields))


def known_layout(data_type: pa.DataType) -> Layout:
    """The layout of a type that `supports` accepts."""
    known = layout(data_type)
    assert known is not None, f"{data_type} was not checked with `supports`"
    return known


# What the guest hands back when it infers a type that doesn't nest, by format and extension.
INFERRED = {
    (known_layout(data_type).format, known_layout(data_type).extension): data_type
    for data_type in (
        *(pa.null(), pa.bool_(), pa.int64(), HUGEINT, pa.float64(), pa.string(), pa.binary(), pa.uuid(), TIMETZ),
        *(pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.month_day_nano_interval()),
        *(pa.decimal128(38, scale) for scale in range(39)),
    )
}


@functools.cache
def supports(data_type: pa.DataType, depth: int = 0) -> bool:
    """Whether the guest can read a column of this type, with all that is inside."""
    known = layout(data_type)
    if known is None or depth > MAX_DEPTH:
        return False
    inside = [field.type for field in known.children] + ([known.dictionary] if known.dictionary is not None else [])
    return all(supports(child, depth + 1) for child in inside)


# What DuckDB makes of the same types when arrow_large_buffer_size is set.
_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


@functools.cache
def plain(data_type: pa.DataType) -> pa.DataType:
    """The type with 32-bit offsets where it has 64-bit ones; mostly the type itself."""
    return rebuilt(data_type, lambda part: _LARGE.get(part, part))


def rebuilt(data_type: pa.DataType, replace: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The type, with 32-bit offsets, and each part of it that has no fields replaced."""
    types = pa.types

    def field(old: pa.Field) -> pa.Field:
        return old.with_type(rebuilt(old.type, replace))

    if types.is_list(data_type) or types.is_large_list(data_type):
        return pa.list_(field(data_type.value_field))
    if types.is_fixed_size_list(data_type):
        return pa.list_(field(data_type.value_field), data_type.list_size)
    if types.is_struct(data_type):
        return pa.struct([field(old) for old in data_type])
    if types.is_map(data_type):
        return pa.map_(rebuilt(data_type.key_type, replace), rebuilt(data_type.item_type, replace))
    return replace(data_type)


class MismatchError(Exception):
    """Values arrived as a type that has lost what the declared one needs; the text says which."""


def labelled(arrived: pa.DataType, declared: pa.DataType | None, *, parse_json: bool) -> pa.DataType:
    """What a column's values are, which the type they arrive as doesn't always say.

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
    if arrived == _HUGE_DECIMAL:
        return declared if declared in (HUGEINT, UHUGEINT, _HUGE_DECIMAL) else HUGEINT
    if (arrived, declared) in _STORED_AS:
        return _STORED_AS[arrived, declared]
    return _labelled_inside(arrived, declared, parse_json=parse_json)


# What a declared type's values are when they arrive as those of another, without arrow_lossless_conversion.
_STORED_AS = {(pa.string(), pa.uuid()): UUID_TEXT, (pa.binary(), BIT): BIT}


def _labelled_inside(arrived: pa.DataType, declared: pa.DataType | None, *, parse_json: bool) -> pa.DataType:
    """`labelled` for what nests. The arguments of inline code aren't cast, so the declared type may nest otherwise."""
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
        of_name = {} if declared is None else {member.name: member for member in _members(declared)}
        members = [field(child, of_name.get(child.name)) for child in _members(arrived)]
        return pa.sparse_union(members, arrived.type_codes)
    return arrived


def result_type(data_type: pa.DataType) -> pa.DataType | None:
    """The type the guest builds for results that DuckDB then casts to `data_type`; None when it can build none.

    Integers and floats are built wide and narrowed by DuckDB, which says so when a value doesn't fit; arrays are built
    as lists, and an ENUM's values as strings.
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
    if types.is_dictionary(data_type):
        return result_type(data_type.value_type)
    if types.is_list(data_type) or types.is_fixed_size_list(data_type):
        inside = result_type(data_type.value_type)
        return None if inside is None else pa.list_(inside)
    if types.is_map(data_type):
        key, item = result_type(data_type.key_type), result_type(data_type.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if types.is_struct(data_type) or types.is_union(data_type):
        fields = _members(data_type) if types.is_union(data_type) else tuple(data_type)
        built = [(field.name, result_type(field.type)) for field in fields]
        if data_type == VARIANT or any(built_type is None for _, built_type in built):
            return None
        return pa.struct(built) if types.is_struct(data_type) else pa.sparse_union([pa.field(*pair) for pair in built])
    if data_type == pa.bool8():
        return pa.bool_()
    return data_type if layout(data_type) is not None else None
