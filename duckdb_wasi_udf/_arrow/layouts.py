"""How the values of each Arrow type the guest has a codec for lie in memory.

Layouts: https://arrow.apache.org/docs/format/Columnar.html; format strings and metadata:
https://arrow.apache.org/docs/format/CDataInterface.html; extension types:
https://arrow.apache.org/docs/format/CanonicalExtensions.html.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import pyarrow as pa

from duckdb_wasi_udf._arrow.types import ARROW_VARIANT, BIGNUM, BIT, HUGEINT, TIMETZ, UHUGEINT, UUID_TEXT, EnumType

# How deep types may nest: also MAX_DEPTH of wasm/c/codec/types.h.
MAX_DEPTH = 32


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


# Extension types by the names the guest has for them (wasm/c/codec/types.c).
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
    ARROW_VARIANT: "arrow.parquet.variant",
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
        parameters: those of the extension type, as its metadata has them; empty for none.
    """

    format: str
    width: int = 0
    has_validity: bool = True
    has_offsets: bool = False
    has_bytes: bool = False
    children: tuple[pa.Field, ...] = ()
    dictionary: pa.DataType | None = None
    extension: str = ""
    parameters: bytes = b""

    @property
    def n_buffers(self) -> int:
        """Number of buffers of an array of the type."""
        return self.has_validity + self.has_offsets + bool(self.width) + self.has_bytes


def map_entries(data_type: pa.MapType) -> pa.StructType:
    """Return the struct that a map's entries are."""
    return pa.struct([pa.field("key", data_type.key_type, nullable=False), pa.field("value", data_type.item_type)])


def _extended(storage: Layout, data_type: pa.BaseExtensionType) -> Layout:
    if isinstance(data_type, EnumType):
        return storage._replace(extension=data_type.extension_name, parameters=data_type.__arrow_ext_serialize__())
    return storage._replace(extension=_EXTENSIONS.get(data_type, ""))


@functools.cache
def layout(data_type: pa.DataType) -> Layout | None:
    """Return the layout of a type; None when the guest has no codec for it (what is inside isn't looked at)."""
    if isinstance(data_type, pa.BaseExtensionType):
        storage = layout(data_type.storage_type)
        return None if storage is None else _extended(storage, data_type)
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
        return Layout(f"+us:{codes}", 8, has_validity=False, children=members(data_type))
    if types.is_dictionary(data_type) and data_type.index_type in _SCALARS:
        name, width = _SCALARS[data_type.index_type]
        return Layout(name, width, dictionary=data_type.value_type)
    return None


def members(data_type: pa.UnionType) -> tuple[pa.Field, ...]:
    """Return the fields of a union."""
    return tuple(data_type.field(i) for i in range(data_type.num_fields))


def known_layout(data_type: pa.DataType) -> Layout:
    """Return the layout of a type that `supports` accepts."""
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
    """Return whether the guest can read a column of this type, with all that is inside."""
    known = layout(data_type)
    if known is None or depth > MAX_DEPTH:
        return False
    inside = [field.type for field in known.children] + ([known.dictionary] if known.dictionary is not None else [])
    return all(supports(child, depth + 1) for child in inside)
