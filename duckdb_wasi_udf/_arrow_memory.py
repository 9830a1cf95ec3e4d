"""Arrow arrays in linear memory: arguments are laid out as the guest's nanoarrow reads them, results are checked and
copied out.

Nothing read here is trusted. Every pointer is compared with the memory's size before use, every length with what the
host asked for or the buffers hold, and the copy is validated by Arrow before anyone sees it.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow_types import INFERRED, MAX_DEPTH, known_layout, map_entries
from duckdb_wasi_udf._errors import LimitExceeded, ProtocolError
from duckdb_wasi_udf._value_checks import check_bytes, check_fixed, is_safe_as_variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._limits import DataLimits

_OFFSET_BYTES = 4


class LinearMemory(NamedTuple):
    """The guest's memory for the time between two calls, during which it neither moves nor changes.

    Attributes:
        address: where it starts in this process.
        size: in bytes.
    """

    address: int
    size: int

    def read(self, pointer: int, size: int) -> bytes:
        """Copy `size` bytes out.

        Raises:
            ProtocolError: they are not all inside the memory.
        """
        pointer &= 0xFFFF_FFFF
        if size < 0 or pointer + size > self.size:
            msg = f"the guest points at {size} bytes from {pointer:#x}, outside its {self.size} bytes of memory"
            raise ProtocolError(msg)
        return ctypes.string_at(self.address + pointer, size)

    def write(self, pointer: int, data: bytes) -> None:
        """Copy bytes to a place the guest has made room at."""
        ctypes.memmove(self._at(pointer, len(data)), data, len(data))

    def write_from(self, pointer: int, address: int, size: int) -> None:
        """Copy `size` bytes at an address of this process to such a place."""
        ctypes.memmove(self._at(pointer, size), address, size)

    def _at(self, pointer: int, size: int) -> int:
        if pointer + size > self.size:
            msg = f"the guest's room for {size} bytes at {pointer:#x} is not inside its {self.size} bytes of memory"
            raise ProtocolError(msg)
        return self.address + pointer


# ---- arguments ---------------------------------------------------------------------------------------------------

# Stands for a buffer that is not there where only sizes count.
_ABSENT = -1


class _Shape(NamedTuple):
    """An array as far as its place in memory depends on it.

    Attributes:
        length: its rows.
        sizes: the bytes of its buffers, `_ABSENT` for one that is not there.
        children: the arrays inside.
        dictionary: the array its values are codes of, in a tuple of one, or an empty one.
    """

    length: int
    sizes: tuple[int, ...]
    children: tuple[_Shape, ...] = ()
    dictionary: tuple[_Shape, ...] = ()


class Batch:
    """One batch of arguments, measured and ready to be written."""

    def __init__(self, columns: Sequence[pa.Array], length: int) -> None:
        """Measure the columns.

        Args:
            columns: the arguments, each of `length` values, of types that `supports` accepts.
            length: the number of rows.
        """
        self._owners: list[pa.Array] = []  # of the buffers, until the batch is written
        self._buffers: list[tuple[int, int]] = []  # address and size of each, in the order of the shape
        children = tuple([self._measure(column) for column in columns])
        # The struct's own validity isn't there: no row is NULL as a whole.
        self._shape = _Shape(length, (_ABSENT,), children)

    def size(self, base: int) -> int:
        """The bytes it takes in the arena: anywhere the same, but asked for `base`, it is laid out for `base` only."""
        return _arrange(base, self._shape).size

    def write(self, memory: LinearMemory, base: int) -> None:
        """Write the batch at `base` of the arena, which has room for `size` bytes from there."""
        arranged = _arrange(base, self._shape)
        memory.write(base, arranged.header)
        for position, (address, size) in zip(arranged.positions, self._buffers, strict=True):
            memory.write_from(position, address, size)

    def _measure(self, array: pa.Array) -> _Shape:
        """An array and those inside it, each from its first element and no longer than its values take."""
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if array.offset:
            array = pa.concat_arrays([array, array[:0]])
        self._owners.append(array)
        layout, length, buffers = known_layout(array.type), len(array), array.buffers()
        sizes: list[int] = []
        if layout.has_validity:
            sizes.append(_abi.bitmap_bytes(length) if buffers[0] and array.null_count else _ABSENT)
            if sizes[0] != _ABSENT:
                self._buffers.append((buffers[0].address, sizes[0]))
        if layout.has_offsets:
            self._add(sizes, buffers[1], _OFFSET_BYTES * (length + 1))
        if layout.has_bytes:
            end = ctypes.string_at(buffers[1].address + _OFFSET_BYTES * length, _OFFSET_BYTES)
            self._add(sizes, buffers[2], int.from_bytes(end, "little"))
        elif layout.width:
            self._add(sizes, buffers[1], _abi.bitmap_bytes(length * layout.width))
        if not layout.children and layout.dictionary is None:
            return _Shape(length, tuple(sizes))
        children = tuple([self._measure(child) for child in _children(array)])
        dictionary = () if layout.dictionary is None else (self._measure(array.dictionary),)
        return _Shape(length, tuple(sizes), children, dictionary)

    def _add(self, sizes: list[int], buffer: pa.Buffer | None, size: int) -> None:
        sizes.append(size)
        self._buffers.append((buffer.address if buffer is not None else 0, size))


def _children(array: pa.Array) -> list[pa.Array]:
    types = pa.types
    if types.is_list(array.type) or types.is_fixed_size_list(array.type):
        return [array.values]
    if types.is_map(array.type):
        return [pa.StructArray.from_arrays([array.keys, array.items], fields=list(map_entries(array.type)))]
    return [array.field(i) for i in range(array.type.num_fields)]


class _Arranged(NamedTuple):
    """Where a batch's parts go: the structs and pointers in one piece, and the place of each buffer that is there."""

    header: bytes
    positions: list[int]
    size: int


@functools.lru_cache(maxsize=256)  # full batches of numbers all look alike, and this is half of what writing them costs
def _arrange(base: int, root: _Shape) -> _Arranged:
    """Lay out a batch: all structs, the pointers of all, then every buffer on a 64-byte boundary.

    Args:
        base: where in memory the batch starts.
        root: the struct array that the batch is.
    """
    shapes: list[_Shape] = []
    links: list[tuple[list[int], list[int]]] = []  # of each: the numbers of its children, and of its dictionary

    def number(shape: _Shape) -> int:
        position = len(shapes)
        shapes.append(shape)
        links.append(([], []))
        links[position][0].extend([number(child) for child in shape.children])
        links[position][1].extend([number(child) for child in shape.dictionary])
        return position

    number(root)
    struct_size, pointer_size = _abi.ARROW_ARRAY.size, _abi.POINTER.size
    pointers_at = base + struct_size * len(shapes)
    n_pointers = sum(len(shape.sizes) + len(shape.children) for shape in shapes)
    data = base + _abi.align(pointers_at - base + pointer_size * n_pointers)
    pointers: list[int] = []
    structs: list[bytes] = []
    positions: list[int] = []
    for shape, (children, dictionary) in zip(shapes, links, strict=True):
        children_at = pointers_at + pointer_size * len(pointers) if children else 0
        pointers += [base + struct_size * child for child in children]
        buffers_at = pointers_at + pointer_size * len(pointers)
        for size in shape.sizes:
            if size == _ABSENT:
                pointers.append(0)
                continue
            pointers.append(data)
            positions.append(data)
            data += _abi.align(size)
        null_count = 0 if _ABSENT in shape.sizes[:1] else -1  # not counted: the guest looks at the bits
        dictionary_at = base + struct_size * dictionary[0] if dictionary else 0
        fields = (shape.length, null_count, 0, len(shape.sizes), len(children), buffers_at, children_at, dictionary_at)
        structs.append(_abi.ARROW_ARRAY.pack(*fields, _abi.NOT_RELEASED, 0))
    header = b"".join((*structs, struct.pack(f"<{len(pointers)}I", *pointers)))
    return _Arranged(header, positions, data - base)


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
        fields.append((layout.format, name, _extension_metadata(layout.extension), nullable))
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
def _extension_metadata(extension: str) -> bytes:
    """The metadata that names an extension type: one pair of key and value, each after its length."""
    if not extension:
        return b""
    parts = (b"ARROW:extension:name", extension.encode())
    return struct.pack("<i", 1) + b"".join(struct.pack("<i", len(part)) + part for part in parts)


# ---- results -----------------------------------------------------------------------------------------------------

# Types whose values need no look: there are no wrong ones.
_ANY_BITS_ARE_VALID = frozenset({pa.bool_(), pa.int64(), pa.uint64(), pa.float64(), pa.timestamp("us")})

# Bounds of an inferred type, well above what the guest's own bounds let through.
_LONGEST_FORMAT = 128
_LONGEST_NAME = 4096
_MOST_FIELDS = 10_000


def read_result(
    memory: LinearMemory, pointer: int, expected_rows: range, declared: pa.DataType | None, limits: DataLimits
) -> tuple[pa.Array, int]:
    """Copy a call's result out of linear memory.

    Args:
        memory: the guest's memory.
        pointer: where the guest says its `udf_result` is.
        expected_rows: how many rows it may have.
        declared: the result type the function was bound with, or None to take the one the guest inferred.
        limits: how large the result may be.

    Returns:
        (array, failed_rows): an array that owns its memory, and how many of its values are NULL because the function
        raised.

    Raises:
        ProtocolError: something in it is not what it claims to be.
        LimitExceeded: it is larger than `limits` allows.
    """
    data = memory.read(pointer, _abi.RESULT_STRUCT.size)
    rows = int.from_bytes(data[:8], "little", signed=True)
    failed_rows = int.from_bytes(data[-8:], "little", signed=True)
    if rows not in expected_rows:
        msg = f"the guest returned {rows} rows, not {expected_rows.start} to {expected_rows[-1]}"
        raise ProtocolError(msg)
    if not 0 <= failed_rows <= rows:
        msg = f"the guest reports {failed_rows} failed rows of {rows}"
        raise ProtocolError(msg)
    reader = _Reader(memory, limits)
    data_type = declared
    if data_type is None:
        data_type = reader.type(data[_abi.ARROW_ARRAY.size :][: _abi.ARROW_SCHEMA.size], 0)
        if not is_safe_as_variant(data_type):
            msg = f"the guest returned a {data_type}, which DuckDB can't make a VARIANT of"
            raise ProtocolError(msg)
    try:
        array = reader.array(data[: _abi.ARROW_ARRAY.size], data_type)
        if data_type not in _ANY_BITS_ARE_VALID:
            array.validate(full=True)  # offsets in order and inside the data, UTF-8, digits within the precision, ...
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = f"the guest returned a {data_type} that is not valid: {error}"
        raise ProtocolError(msg) from error
    return array, failed_rows


class _Reader:
    """Copies one result, counting its bytes."""

    def __init__(self, memory: LinearMemory, limits: DataLimits) -> None:
        self._memory = memory
        self._allowed = limits.result_bytes
        self._copied = 0
        self._fields = 0

    def array(self, data: bytes, data_type: pa.DataType) -> pa.Array:
        """The array that the struct `data` describes, of a type the host knows."""
        if isinstance(data_type, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(data_type, self._array(data, data_type.storage_type, data_type))
        return self._array(data, data_type, data_type)

    def _array(self, data: bytes, data_type: pa.DataType, meaning: pa.DataType) -> pa.Array:
        """The array of a storage type whose values are those of the type `meaning`."""
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
            self._count(length)  # NULLs take no bytes in the guest, but their rows do afterwards
            return pa.nulls(length)
        pointers = self._pointers(buffers_at, n_buffers)
        has_bitmap = layout.has_validity and pointers[0]
        validity = self._copy(pointers[0], _abi.bitmap_bytes(length)) if has_bitmap else None
        buffers = [None if validity is None else pa.py_buffer(validity)]
        if layout.has_offsets:
            offsets = self._copy(pointers[1], _OFFSET_BYTES * (length + 1))
            buffers.append(pa.py_buffer(offsets))
            if layout.has_bytes:
                end = int.from_bytes(offsets[-_OFFSET_BYTES:], "little", signed=True)
                content = self._copy(pointers[2], end) if end else b""
                check_bytes(meaning, offsets, content)
                buffers.append(pa.py_buffer(content))
        elif layout.width:
            values = self._copy(pointers[-1], _abi.bitmap_bytes(length * layout.width))
            check_fixed(meaning, values)
            buffers.append(pa.py_buffer(values))
        children = [
            self.array(self._memory.read(child, _abi.ARROW_ARRAY.size), field.type)
            for child, field in zip(self._pointers(children_at, n_children), layout.children, strict=True)
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
        """The type that the guest inferred, from its schema."""
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
        for child in self._pointers(children_at, n_children):
            schema = self._memory.read(child, _abi.ARROW_SCHEMA.size)
            name = self._text(_abi.ARROW_SCHEMA.unpack(schema)[1], _LONGEST_NAME)
            fields.append(pa.field(name, self.type(schema, depth + 1)))
        nested = self._nested_type(text, fields)
        if nested is None:
            msg = f"the guest returned an Arrow type the host doesn't know: {text!r} with {n_children} children"
            raise ProtocolError(msg)
        return nested

    def _nested_type(self, text: str, fields: list[pa.Field]) -> pa.DataType | None:
        """The type of a format with these fields, None when it is not one that is inferred."""
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
        """The extension type that metadata names; empty without any."""
        if not pointer:
            return ""
        for _, extension in INFERRED:
            metadata = _extension_metadata(extension)
            inside = self._memory.size - pointer >= len(metadata) > 0
            if inside and self._memory.read(pointer, len(metadata)) == metadata:
                return extension
        msg = f"the guest's metadata at {pointer:#x} names no extension type that is inferred"
        raise ProtocolError(msg)

    def _pointers(self, pointer: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._memory.read(pointer, _abi.POINTER.size * count))

    def _text(self, pointer: int, longest: int) -> str:
        """A C string of at most `longest` bytes."""
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

    def _copy(self, pointer: int, size: int) -> bytes:
        self._count(size)
        return self._memory.read(pointer, size)

    def _count(self, size: int) -> None:
        self._copied += max(size, 0)
        if self._copied > self._allowed:
            msg = (
                f"the result of one batch takes {self._copied:,} bytes or more, result_bytes allows {self._allowed:,}; "
                "return less, or raise DataLimits.result_bytes"
            )
            raise LimitExceeded(msg, limit="result_bytes", allowed=self._allowed, requested=self._copied)


def read_text(memory: LinearMemory, pointer: int, at_most: int) -> str:
    """Copy a `udf_text` out: UTF-8, with what isn't valid replaced.

    Raises:
        ProtocolError: it lies outside the memory or is longer than `at_most` bytes.
    """
    start, length = _abi.TEXT.unpack(memory.read(pointer, _abi.TEXT.size))
    if length > at_most:
        msg = f"the guest's text is {length} bytes long, more than {at_most}"
        raise ProtocolError(msg)
    return memory.read(start, length).decode(errors="replace")
