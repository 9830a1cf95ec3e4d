"""Arrow arrays out of linear memory: what the guest hands over, checked and copied.

Nothing read here is trusted. Every pointer is compared with the memory's size before use, every length with what the
host asked for or the buffers hold, and the copy is validated by Arrow before anyone sees it.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.layouts import INFERRED, MAX_DEPTH, known_layout
from duckdb_wasi_udf._arrow.linear_memory import OFFSET_BYTES
from duckdb_wasi_udf._arrow.value_checks import check_bytes, check_fixed, is_safe_as_variant
from duckdb_wasi_udf._arrow.write_schema import extension_metadata
from duckdb_wasi_udf._errors import LimitExceeded, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb_wasi_udf._arrow.linear_memory import LinearMemory
    from duckdb_wasi_udf._limits import DataLimits

# Types whose values need no look: there are no wrong ones.
_ANY_BITS_ARE_VALID = frozenset({pa.bool_(), pa.int64(), pa.uint64(), pa.float64(), pa.timestamp("us")})

# Those of them with whole bytes: the bytes of a value.
_PLAIN_BYTES = {pa.int64(): 8, pa.uint64(): 8, pa.float64(): 8, pa.timestamp("us"): 8}

# Bounds of an inferred type, well above what the guest's own bounds let through.
_LONGEST_FORMAT = 128
_LONGEST_NAME = 4096
_MOST_FIELDS = 10_000

_EMPTY = pa.allocate_buffer(0)


class RowCounts(NamedTuple):
    """What the guest says of the rows of a batch.

    Attributes:
        failed: rows that are NULL because the function raised.
        compiled: rows that compiled code finished.
        bailed: rows that it left to the interpreter.
    """

    failed: int
    compiled: int
    bailed: int


def read_result(
    memory: LinearMemory, pointer: int, expected_rows: range, declared: pa.DataType | None, limits: DataLimits
) -> tuple[pa.Array, RowCounts]:
    """Copy a call's result out of linear memory.

    Args:
        memory: the guest's memory.
        pointer: where the guest says its `udf_result` is.
        expected_rows: the numbers of rows it may have.
        declared: the result type the function was bound with, or None to take the one the guest inferred.
        limits: how large the result may be.

    Returns:
        (array, counts): an array that owns its memory, and how its rows were computed.

    Raises:
        ProtocolError: something in it is not what it claims to be.
        LimitExceeded: it is larger than `limits` allows.
    """
    data = memory.read(pointer, _abi.RESULT_STRUCT.size)
    rows = int.from_bytes(data[:8], "little", signed=True)
    counts = RowCounts(*_abi.RESULT_COUNTS.unpack(data[-_abi.RESULT_COUNTS.size :]))
    if rows not in expected_rows:
        msg = f"the guest returned {rows} rows, not {expected_rows.start} to {expected_rows[-1]}"
        raise ProtocolError(msg)
    if min(counts) < 0 or counts.failed > rows or counts.compiled + counts.bailed > rows:
        msg = f"the guest reports {counts} of {rows} rows"
        raise ProtocolError(msg)
    allowed = limits.result_bytes
    width = _PLAIN_BYTES.get(declared)
    if width is not None and rows * (width + 1) <= allowed:
        return _plain_array(memory, data, declared, width), counts

    def exceeded(copied: int) -> LimitExceeded:
        msg = (
            f"the result of one batch takes {copied:,} bytes or more, result_bytes allows {allowed:,}; return less, or "
            "raise DataLimits.result_bytes"
        )
        return LimitExceeded(msg, limit="result_bytes", allowed=allowed, requested=copied)

    reader = _Reader(memory, allowed, exceeded)
    data_type = declared
    if data_type is None:
        data_type = reader.type(data[_abi.ARROW_ARRAY.size :][: _abi.ARROW_SCHEMA.size], 0)
        if not is_safe_as_variant(data_type):
            msg = f"the guest returned a {data_type}, which DuckDB can't make a VARIANT of"
            raise ProtocolError(msg)
    return reader.valid_array(data[: _abi.ARROW_ARRAY.size], data_type), counts


def _plain_array(memory: LinearMemory, data: bytes, data_type: pa.DataType, width: int) -> pa.Array:
    """Return an array of values of a fixed width of which none is wrong: as `_Reader` would, in a third of the time."""
    length, _, offset, n_buffers, n_children, buffers_at, _, dictionary, _, _ = _abi.ARROW_ARRAY.unpack_from(data)
    if n_buffers != 2 or n_children or dictionary or offset:
        msg = f"the guest returned a {data_type} with {n_buffers} buffers and {n_children} children from {offset}"
        raise ProtocolError(msg)
    validity_at, values_at = _pointers(2).unpack(memory.read(buffers_at, 2 * _abi.POINTER.size))
    validity = memory.copy(validity_at, _abi.bitmap_bytes(length)) if validity_at else None
    return pa.Array.from_buffers(data_type, length, [validity, memory.copy(values_at, length * width)])


def read_arguments(
    memory: LinearMemory,
    pointer: int,
    types: Sequence[pa.DataType],
    allowed_bytes: int,
    exceeded: Callable[[int], LimitExceeded],
) -> tuple[list[pa.Array], int, int]:
    """Copy the arguments of a call of the host out of linear memory.

    Args:
        memory: the guest's memory.
        pointer: where the guest says the struct array of the arguments is.
        types: the type of each argument.
        allowed_bytes: how large they may be; each row counts as a byte at least.
        exceeded: makes the error for more, of how much it was until then.

    Returns:
        (arguments, rows, bytes): arrays that own their memory, each of `rows` rows, and what they took of
        `allowed_bytes`.

    Raises:
        ProtocolError: something in them is not what it claims to be.
        LimitExceeded: what `exceeded` makes.
    """
    data = memory.read(pointer, _abi.ARROW_ARRAY.size)
    rows, _, offset, n_buffers, n_children, _, children_at, dictionary, _, _ = _abi.ARROW_ARRAY.unpack(data)
    if rows < 0 or offset or dictionary or n_buffers != 1 or n_children != len(types):
        msg = f"the guest hands over {n_children} arguments of {rows} rows from {offset}, not {len(types)}"
        raise ProtocolError(msg)
    reader = _Reader(memory, allowed_bytes, exceeded)
    reader.count(rows)
    arguments = []
    for child, data_type in zip(reader.pointers(children_at, n_children), types, strict=True):
        argument = reader.valid_array(memory.read(child, _abi.ARROW_ARRAY.size), data_type)
        if len(argument) != rows:
            msg = f"the guest hands over an argument of {len(argument)} rows among others of {rows}"
            raise ProtocolError(msg)
        arguments.append(argument)
    return arguments, rows, reader.copied


@functools.lru_cache(maxsize=64)
def _pointers(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")


class _Reader:
    """Copies what the guest hands over at once, counting its bytes."""

    def __init__(self, memory: LinearMemory, allowed_bytes: int, exceeded: Callable[[int], LimitExceeded]) -> None:
        """Prepare to copy.

        Args:
            memory: the guest's memory.
            allowed_bytes: the most that is copied.
            exceeded: makes the error for more, of how much it was until then.
        """
        self._memory = memory
        self._allowed = allowed_bytes
        self._exceeded = exceeded
        self.copied = 0
        self._fields = 0

    def valid_array(self, data: bytes, data_type: pa.DataType) -> pa.Array:
        """Return the array that the struct `data` describes, validated."""
        try:
            array = self.array(data, data_type)
            if data_type not in _ANY_BITS_ARE_VALID:
                array.validate(full=True)  # offsets in order and inside the data, UTF-8, digits within the precision
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            msg = f"the guest returned a {data_type} that is not valid: {error}"
            raise ProtocolError(msg) from error
        return array

    def array(self, data: bytes, data_type: pa.DataType) -> pa.Array:
        """Return the array that the struct `data` describes, of a type the host knows."""
        if isinstance(data_type, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(data_type, self._array(data, data_type.storage_type, data_type))
        return self._array(data, data_type, data_type)

    def _array(self, data: bytes, data_type: pa.DataType, meaning: pa.DataType) -> pa.Array:
        """Return the array of a storage type whose values are those of the type `meaning`."""
        length, _, offset, n_buffers, n_children, buffers_at, children_at, dictionary, _, _ = _abi.ARROW_ARRAY.unpack(
            data
        )
        layout = known_layout(data_type)
        if n_buffers != layout.n_buffers or n_children != len(layout.children) or dictionary or offset:
            msg = f"the guest returned a {data_type} with {n_buffers} buffers and {n_children} children from {offset}"
            raise ProtocolError(msg)
        if length < 0:
            msg = f"the guest returned a {data_type} of {length} values"
            raise ProtocolError(msg)
        if pa.types.is_null(data_type):
            self.count(length)  # NULLs take no bytes in the guest, but their rows do afterwards
            return pa.nulls(length)
        pointers = self.pointers(buffers_at, n_buffers)
        has_bitmap = layout.has_validity and pointers[0]
        buffers = [self._copy(pointers[0], _abi.bitmap_bytes(length)) if has_bitmap else None]
        if layout.has_offsets:
            offsets = self._copy(pointers[1], OFFSET_BYTES * (length + 1))
            buffers.append(offsets)
            if layout.has_bytes:
                end = int.from_bytes(offsets[-OFFSET_BYTES:], "little", signed=True)
                content = self._copy(pointers[2], end) if end else _EMPTY
                check_bytes(meaning, offsets, content)
                buffers.append(content)
        elif layout.width:
            values = self._copy(pointers[-1], _abi.bitmap_bytes(length * layout.width))
            check_fixed(meaning, values)
            buffers.append(values)
        if not layout.children:
            return pa.Array.from_buffers(data_type, length, buffers)
        children = [
            self.array(self._memory.read(child, _abi.ARROW_ARRAY.size), field.type)
            for child, field in zip(self.pointers(children_at, n_children), layout.children, strict=True)
        ]
        if layout.format.startswith(("+s", "+us")) and any(len(child) != length for child in children):
            msg = f"the guest returned a {data_type} of {length} rows whose fields have other lengths"
            raise ProtocolError(msg)
        # Arrow doesn't report these, it ends the process (MapArray::SetData in arrow/array/array_nested.cc).
        for child, field in zip(children, layout.children, strict=True):
            if not field.nullable and child.null_count:
                msg = f"the guest returned a {data_type} with NULL as {field.name}"
                raise ProtocolError(msg)
        if pa.types.is_union(data_type):  # from_buffers ends the process
            numbers = pa.Array.from_buffers(pa.int8(), length, buffers)
            names = [field.name for field in layout.children]
            return pa.UnionArray.from_sparse(numbers, children, names, data_type.type_codes)
        return pa.Array.from_buffers(data_type, length, buffers, children=children or None)

    def type(self, data: bytes, depth: int) -> pa.DataType:
        """Return the type that the guest inferred, from its schema."""
        format_at, _, metadata_at, _, n_children, children_at, dictionary, _, _ = _abi.ARROW_SCHEMA.unpack(data)
        text = self._text(format_at, _LONGEST_FORMAT)
        self._fields += max(n_children, 0)
        if depth > MAX_DEPTH or dictionary or n_children < 0 or self._fields > _MOST_FIELDS:
            msg = f"the guest returned an Arrow type {text!r} with {n_children} children at depth {depth}"
            raise ProtocolError(msg)
        known = INFERRED.get((text, self._extension(metadata_at)))
        if known is not None and n_children == 0:
            return known
        fields = []
        for child in self.pointers(children_at, n_children):
            schema = self._memory.read(child, _abi.ARROW_SCHEMA.size)
            name = self._text(_abi.ARROW_SCHEMA.unpack(schema)[1], _LONGEST_NAME)
            fields.append(pa.field(name, self.type(schema, depth + 1)))
        nested = self._nested_type(text, fields)
        if nested is None:
            msg = f"the guest returned an Arrow type the host doesn't know: {text!r} with {n_children} children"
            raise ProtocolError(msg)
        return nested

    def _nested_type(self, text: str, fields: list[pa.Field]) -> pa.DataType | None:
        """Return the type of a format with these fields, None when it is not one that is inferred."""
        types = [field.type for field in fields]
        match text, types:
            case "+s", _:
                return pa.struct(fields)
            case "+l", [item]:
                return pa.list_(item)
            case "+m", [pa.StructType() as entries] if entries.num_fields == 2:
                key, item = (field.type for field in entries)
                return None if pa.types.is_null(key) else pa.map_(key, item)
        if fields and text == "+us:" + ",".join(map(str, range(len(fields)))):
            return pa.sparse_union(fields)
        return None

    def _extension(self, pointer: int) -> str:
        """Return the extension type that metadata names; empty without any."""
        if not pointer:
            return ""
        for _, extension in INFERRED:
            metadata = extension_metadata(extension)
            inside = self._memory.size - pointer >= len(metadata) > 0
            if inside and self._memory.read(pointer, len(metadata)) == metadata:
                return extension
        msg = f"the guest's metadata at {pointer:#x} names no extension type that is inferred"
        raise ProtocolError(msg)

    def pointers(self, pointer: int, count: int) -> tuple[int, ...]:
        """Read pointers."""
        return _pointers(count).unpack(self._memory.read(pointer, _abi.POINTER.size * count))

    def _text(self, pointer: int, longest: int) -> str:
        """Return a C string of at most `longest` bytes."""
        pointer &= 0xFFFF_FFFF
        size = max(min(longest + 1, self._memory.size - pointer), 0)
        text, end, _ = self._memory.read(pointer, size).partition(b"\0")
        try:
            if end:
                return text.decode()
        except UnicodeDecodeError:
            pass
        msg = f"the guest's name at {pointer:#x} is not UTF-8 of at most {longest} bytes"
        raise ProtocolError(msg)

    def _copy(self, pointer: int, size: int) -> pa.Buffer:
        self.count(size)
        return self._memory.copy(pointer, size)

    def count(self, size: int) -> None:
        """Count bytes that are copied, or stand for something."""
        self.copied += max(size, 0)
        if self.copied > self._allowed:
            raise self._exceeded(self.copied)


def read_text(memory: LinearMemory, pointer: int, at_most: int) -> str:
    """Copy a `udf_text` out: UTF-8, with what isn't valid replaced.

    Raises:
        ProtocolError: it lies outside the memory or is longer than `at_most` bytes.
    """
    start, length = _abi.TEXT.unpack(memory.read(pointer, _abi.TEXT.size))
    return read_bytes(memory, start, length, at_most).decode(errors="replace")


def read_bytes(memory: LinearMemory, start: int, length: int, at_most: int) -> bytes:
    """Copy bytes out.

    Raises:
        ProtocolError: they lie outside the memory or are more than `at_most`.
    """
    if length > at_most:
        msg = f"the guest's text is {length} bytes long, more than {at_most}"
        raise ProtocolError(msg)
    return memory.read(start, length)
