"""DuckDB's own types as Arrow has them, and types with parts replaced."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self


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
ARROW_VARIANT = pa.struct([pa.field("metadata", pa.binary(), nullable=False), pa.field("value", pa.binary())])

# HUGEINT and UHUGEINT without arrow_lossless_conversion: all their 128 bits, though the type says fewer.
HUGE_DECIMAL = pa.decimal128(38, 0)


class EnumType(pa.ExtensionType):  # type: ignore[misc]
    """An ENUM with its values, against which the guest checks results. Arrow's dictionary type doesn't have them."""

    def __init__(self, values: Iterable[str]) -> None:
        """Make the type of these values."""
        self._serialized = json.dumps(dict.fromkeys(values, 0), ensure_ascii=False).encode()
        super().__init__(pa.string(), "duckdb.enum")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EnumType) and other._serialized == self._serialized

    def __hash__(self) -> int:
        return hash(self._serialized)

    def __arrow_ext_serialize__(self) -> bytes:
        return self._serialized

    @classmethod
    def __arrow_ext_deserialize__(cls, _: pa.DataType, serialized: bytes) -> Self:
        return cls(json.loads(serialized))


# What DuckDB makes of the same types when arrow_large_buffer_size is set.
_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


@functools.cache
def with_small_offsets(data_type: pa.DataType) -> pa.DataType:
    """Return the type with 32-bit offsets where it has 64-bit ones; mostly the type itself."""
    return rebuilt(data_type, lambda part: _LARGE.get(part, part))


def rebuilt(data_type: pa.DataType, replace: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """Return the type, with 32-bit offsets, and each part of it that has no fields replaced."""
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
