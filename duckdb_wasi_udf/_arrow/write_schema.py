"""Arrow types into linear memory, as schemas of the C data interface."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, NamedTuple

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.layouts import known_layout
from duckdb_wasi_udf._arrow.struct_tree import Numbered, Pointers, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class _Schema(NamedTuple):
    """A type as a schema describes it.

    Attributes:
        format: the type in the notation of the C data interface.
        name: the field's name.
        metadata: the encoded metadata, empty for none.
        nullable: NULLs are possible; of an argument, the function sees them as None.
        children: the fields inside.
        dictionary: the type its values are codes of, in a tuple of one, or an empty one.
    """

    format: str
    name: str
    metadata: bytes
    nullable: bool
    children: tuple[_Schema, ...] = ()
    dictionary: tuple[_Schema, ...] = ()


def encode_schemas(
    base: int, arguments: Sequence[tuple[pa.DataType, bool]], result: pa.DataType | None
) -> tuple[bytes, int]:
    """Return the schema of a function's batches followed by that of its result.

    Args:
        base: where in memory the bytes will be; the schema of the batches starts there.
        arguments: each argument's type, and whether the function sees its NULLs as None.
        result: the result's type; None to have it inferred.

    Returns:
        The bytes, and the pointer to the result's schema (0 without one).
    """
    numbered: list[Numbered[_Schema]] = []
    children = tuple([_schema("", data_type, nullable=sees_null) for data_type, sees_null in arguments])
    number(_Schema("+s", "", b"", nullable=False, children=children), numbered)
    result_at = 0
    if result is not None:
        result_at = base + _abi.ARROW_SCHEMA.size * number(_schema("", result, nullable=True), numbered)
    pointers = Pointers(base, _abi.ARROW_SCHEMA.size, len(numbered))
    texts_at = pointers.at + _abi.POINTER.size * sum(len(schema.children) for schema, _, _ in numbered)
    texts = bytearray()
    structs: list[bytes] = []
    for schema, inside, dictionary in numbered:
        format_at = texts_at + len(texts)
        texts += schema.format.encode() + b"\0"
        name_at = texts_at + len(texts)
        texts += schema.name.encode() + b"\0"
        metadata_at = texts_at + len(texts) if schema.metadata else 0
        texts += schema.metadata
        flags = _abi.FLAG_NULLABLE if schema.nullable else 0
        children_at, dictionary_at = pointers.add_structs(inside), pointers.struct_at(dictionary)
        fields = (format_at, name_at, metadata_at, flags, len(inside), children_at, dictionary_at)
        structs.append(_abi.ARROW_SCHEMA.pack(*fields, _abi.NOT_RELEASED, 0))
    return b"".join((*structs, pointers.encode(), texts)), result_at


def _schema(name: str, data_type: pa.DataType, *, nullable: bool) -> _Schema:
    """Return a field with those inside it."""
    layout = known_layout(data_type)
    children = tuple([_schema(child.name, child.type, nullable=child.nullable) for child in layout.children])
    dictionary = () if layout.dictionary is None else (_schema("", layout.dictionary, nullable=True),)
    metadata = extension_metadata(layout.extension, layout.parameters)
    return _Schema(layout.format, name, metadata, nullable, children, dictionary)


@functools.lru_cache(maxsize=256)
def extension_metadata(extension: str, parameters: bytes = b"") -> bytes:
    """Return the metadata that names an extension type: pairs of key and value, each after its length."""
    if not extension:
        return b""
    parts = [b"ARROW:extension:name", extension.encode()]
    if parameters:
        parts += [b"ARROW:extension:metadata", parameters]
    return struct.pack("<i", len(parts) // 2) + b"".join(struct.pack("<i", len(part)) + part for part in parts)
