"""Arrow types into linear memory, as schemas of the C data interface."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.layouts import known_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


def encode_schemas(
    base: int, arguments: Sequence[tuple[pa.DataType, bool]], result: pa.DataType | None
) -> tuple[bytes, int]:
    """The schema of a function's batches followed by that of its result.

    Args:
        base: where in memory the bytes will be; the schema of the batches starts there.
        arguments: each argument's type, and whether the function sees its NULLs as None.
        result: the result's type; None to have it inferred.

    Returns:
        The bytes, and the pointer to the result's schema (0 without one).
    """
    # Format, name, metadata, nullable: the batch first.
    fields: list[tuple[str, str, bytes, bool]] = [("+s", "", b"", False)]
    links: list[tuple[list[int], list[int]]] = [([], [])]  # of each: the numbers of its children, and of its dictionary

    def number(name: str, data_type: pa.DataType, *, nullable: bool) -> int:
        layout, position = known_layout(data_type), len(fields)
        fields.append((layout.format, name, extension_metadata(layout.extension), nullable))
        links.append(([], []))
        for child in layout.children:
            links[position][0].append(number(child.name, child.type, nullable=child.nullable))
        if layout.dictionary is not None:
            links[position][1].append(number("", layout.dictionary, nullable=True))
        return position

    for data_type, sees_null in arguments:
        links[0][0].append(number("", data_type, nullable=sees_null))
    result_at = 0
    if result is not None:
        result_at = base + _abi.ARROW_SCHEMA.size * number("", result, nullable=True)
    pointers_at = base + _abi.ARROW_SCHEMA.size * len(fields)
    texts_at = pointers_at + _abi.POINTER.size * sum(len(children) for children, _ in links)
    texts = b""
    pointers: list[int] = []
    structs: list[bytes] = []
    for (type_format, name, metadata, nullable), (children, dictionary) in zip(fields, links, strict=True):
        format_at = texts_at + len(texts)
        texts += type_format.encode() + b"\0"
        name_at = texts_at + len(texts)
        texts += name.encode() + b"\0"
        metadata_at = texts_at + len(texts) if metadata else 0
        texts += metadata
        children_at = pointers_at + _abi.POINTER.size * len(pointers)
        pointers += [base + _abi.ARROW_SCHEMA.size * child for child in children]
        dictionary_at = base + _abi.ARROW_SCHEMA.size * dictionary[0] if dictionary else 0
        flags = _abi.FLAG_NULLABLE if nullable else 0
        values = (
            format_at,
            name_at,
            metadata_at,
            flags,
            len(children),
            children_at,
            dictionary_at,
            _abi.NOT_RELEASED,
            0,
        )
        structs.append(_abi.ARROW_SCHEMA.pack(*values))
    return b"".join((*structs, struct.pack(f"<{len(pointers)}I", *pointers), texts)), result_at


@functools.cache
def extension_metadata(extension: str) -> bytes:
    """The metadata that names an extension type: one pair of key and value, each after its length."""
    if not extension:
        return b""
    parts = (b"ARROW:extension:name", extension.encode())
    return struct.pack("<i", 1) + b"".join(struct.pack("<i", len(part)) + part for part in parts)
