"""Arrow arrays in linear memory: arguments are laid out as the guest's nanoarrow reads them, results are checked and
copied out.

Nothing read here is trusted. Every pointer is compared with the memory's size before use, every length follows from the
row count the host asked for, and the copy is validated by Arrow before anyone sees it.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import LimitExceeded, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._limits import DataLimits

# What the guest has codecs for: the format of the C data interface, and the width of a value (of variable-width types:
# of an offset) in bits. Decimals have parameters and are added in `_format_of`.
_FORMATS: dict[pa.DataType, tuple[bytes, int]] = {
    pa.null(): (b"n", 0),
    pa.bool_(): (b"b", 1),
    pa.int8(): (b"c", 8),
    pa.uint8(): (b"C", 8),
    pa.int16(): (b"s", 16),
    pa.uint16(): (b"S", 16),
    pa.int32(): (b"i", 32),
    pa.uint32(): (b"I", 32),
    pa.int64(): (b"l", 64),
    pa.uint64(): (b"L", 64),
    pa.float32(): (b"f", 32),
    pa.float64(): (b"g", 64),
    pa.string(): (b"u", 32),
    pa.binary(): (b"z", 32),
    pa.date32(): (b"tdD", 32),
    pa.time64("us"): (b"ttu", 64),
    pa.time64("ns"): (b"ttn", 64),
    pa.timestamp("s"): (b"tss:", 64),
    pa.timestamp("ms"): (b"tsm:", 64),
    pa.timestamp("us"): (b"tsu:", 64),
    pa.timestamp("ns"): (b"tsn:", 64),
    pa.timestamp("us", "UTC"): (b"tsu:UTC", 64),
}

# What it hands back when the result type is inferred.
_INFERRED_TYPES = (
    *(pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.binary()),
    *(pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "UTC")),
)
_INFERRED_FORMATS = {_FORMATS[data_type][0]: data_type for data_type in _INFERRED_TYPES}
_LONGEST_FORMAT = max(map(len, _INFERRED_FORMATS))

_OFFSET_BYTES = 4


@functools.cache
def _format_of(data_type: pa.DataType) -> tuple[bytes, int] | None:
    """Format and width of a type; None when the guest has no codec for it."""
    if pa.types.is_decimal128(data_type):
        return f"d:{data_type.precision},{data_type.scale}".encode(), 128
    if pa.types.is_timestamp(data_type) and data_type.tz is not None:
        # An instant is the same in every time zone; the guest shows it in UTC.
        return (b"tsu:UTC", 64) if data_type.unit == "us" else None
    return _FORMATS.get(data_type)


def _has_offsets(data_type: pa.DataType) -> bool:
    return data_type in (pa.string(), pa.binary())


def supports(data_type: pa.DataType) -> bool:
    """Whether the guest can read a column of this type."""
    return _format_of(data_type) is not None


def _known_format(data_type: pa.DataType) -> tuple[bytes, int]:
    known = _format_of(data_type)
    assert known is not None, f"{data_type} was not checked with `supports`"
    return known


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
        """Copy bytes to a place in the arena."""
        ctypes.memmove(self._at(pointer, len(data)), data, len(data))

    def write_from(self, pointer: int, address: int, size: int) -> None:
        """Copy `size` bytes at an address of this process to a place in the arena."""
        ctypes.memmove(self._at(pointer, size), address, size)

    def _at(self, pointer: int, size: int) -> int:
        if pointer + size > self.size:
            msg = f"the guest's arena at {pointer:#x} is not inside its {self.size} bytes of memory"
            raise ProtocolError(msg)
        return self.address + pointer


# ---- arguments ---------------------------------------------------------------------------------------------------


# A buffer of an argument: its address and its size in bytes; None for one that is not there.
_Buffer = tuple[int, int] | None

# Stands for a buffer that is not there where only sizes count.
_ABSENT = -1


class Batch:
    """One batch of arguments, measured and ready to be written."""

    def __init__(self, columns: Sequence[pa.Array], length: int) -> None:
        """Measure the columns.

        Args:
            columns: the arguments, each of `length` values, of types that `supports` accepts.
            length: the number of rows.
        """
        self._length = length
        # Kept until the batch is written: these arrays own the buffers.
        self._arrays = [_from_first_element(column) for column in columns]
        buffers = [_buffers(array) for array in self._arrays]
        self._sizes = tuple(
            [tuple([_ABSENT if buffer is None else buffer[1] for buffer in column]) for column in buffers]
        )
        self._present = [buffer for column in buffers for buffer in column if buffer is not None]

    @property
    def size(self) -> int:
        """The bytes it takes in the arena."""
        return _layout(0, self._length, self._sizes).size

    def write(self, memory: LinearMemory, base: int) -> None:
        """Write the batch at `base` of the arena, which has room for `size` bytes from there."""
        layout = _layout(base, self._length, self._sizes)
        memory.write(base, layout.header)
        for position, (address, size) in zip(layout.positions, self._present, strict=True):
            memory.write_from(position, address, size)


class _Layout(NamedTuple):
    """Where a batch's parts go: the structs and pointers in one piece, and the place of each buffer that is there."""

    header: bytes
    positions: list[int]
    size: int


@functools.lru_cache(maxsize=256)  # full batches of numbers all look alike, and this is half of what writing them costs
def _layout(base: int, length: int, columns: tuple[tuple[int, ...], ...]) -> _Layout:
    """Lay out a batch: the struct array, its children, the pointers of all, then every buffer on a 64-byte boundary.

    Args:
        base: where in memory the batch starts.
        length: the number of rows.
        columns: for each argument the sizes of its buffers, `_ABSENT` for one that is not there.
    """
    struct_size, pointer_size = _abi.ARROW_ARRAY.size, _abi.POINTER.size
    children = base + struct_size * (1 + len(columns))
    # Pointers to the children, to the struct's own validity (no row is NULL as a whole), to the children's buffers.
    pointers = [base + struct_size * (1 + i) for i in range(len(columns))] + [0]
    root_buffers = children + pointer_size * len(columns)
    data = base + _abi.align(children - base + pointer_size * (len(pointers) + sum(map(len, columns))))
    arrays = [_struct(length, 0, 1, len(columns), root_buffers, children)]
    positions = []
    for sizes in columns:
        null_count = 0 if _ABSENT in sizes[:1] else -1  # not counted: the guest looks at the bits
        arrays.append(_struct(length, null_count, len(sizes), 0, children + pointer_size * len(pointers), 0))
        for size in sizes:
            if size == _ABSENT:
                pointers.append(0)
                continue
            pointers.append(data)
            positions.append(data)
            data += _abi.align(size)
    header = b"".join((*arrays, struct.pack(f"<{len(pointers)}I", *pointers)))
    return _Layout(header, positions, data - base)


def _struct(length: int, null_count: int, n_buffers: int, n_children: int, buffers: int, children: int) -> bytes:
    """An ArrowArray without offset and dictionary."""
    fields = (length, null_count, 0, n_buffers, n_children, buffers, children, 0, _abi.NOT_RELEASED, 0)
    return _abi.ARROW_ARRAY.pack(*fields)


def _from_first_element(column: pa.Array) -> pa.Array:
    """The same values, in buffers that start with them."""
    return pa.concat_arrays([column, column[:0]]) if column.offset else column


def _buffers(column: pa.Array) -> list[_Buffer]:
    """The buffers of a column that starts with its first element, no longer than its values take."""
    length, buffers = len(column), column.buffers()
    width = _known_format(column.type)[1]
    if not width:
        return []
    validity = (buffers[0].address, _abi.bitmap_bytes(length)) if buffers[0] and column.null_count else None
    if not _has_offsets(column.type):
        return [validity, (buffers[1].address, _abi.bitmap_bytes(length * width))]
    offsets = buffers[1].address
    end = int.from_bytes(ctypes.string_at(offsets + _OFFSET_BYTES * length, _OFFSET_BYTES), "little")
    data = (buffers[2].address, end) if buffers[2] else (0, 0)
    return [validity, (offsets, _OFFSET_BYTES * (length + 1)), data]


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
    size = _abi.ARROW_SCHEMA.size
    children = base + size
    structs = children + _abi.POINTER.size * len(arguments)
    structs += -structs % 8
    result_at = structs + size * len(arguments)
    names = result_at + size
    formats = b"\0+s\0"  # an empty name, the struct's format, then each child's and the result's
    records = []
    for data_type, sees_null in (*arguments, (result or pa.null(), True)):
        flags = _abi.FLAG_NULLABLE if sees_null else 0
        records.append(_abi.ARROW_SCHEMA.pack(names + len(formats), names, 0, flags, 0, 0, 0, _abi.NOT_RELEASED, 0))
        formats += _known_format(data_type)[0] + b"\0"
    root = _abi.ARROW_SCHEMA.pack(names + 1, names, 0, 0, len(arguments), children, 0, _abi.NOT_RELEASED, 0)
    pointers = struct.pack(f"<{len(arguments)}I", *(structs + size * i for i in range(len(arguments))))
    padding = bytes(structs - children - len(pointers))
    return b"".join((root, pointers, padding, *records, formats)), result_at if result is not None else 0


# Types whose values need no look: there are no wrong ones.
_ANY_BITS_ARE_VALID = frozenset({pa.bool_(), pa.int64(), pa.uint64(), pa.float64(), pa.timestamp("us")})


# ---- results -----------------------------------------------------------------------------------------------------


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
    (rows, _, offset, n_buffers, n_children, buffers_at, _, dictionary, _, _, *schema, failed_rows) = (
        _abi.RESULT_STRUCT.unpack(memory.read(pointer, _abi.RESULT_STRUCT.size))
    )
    if rows not in expected_rows or offset != 0:
        msg = f"the guest returned {rows} rows from offset {offset}, not {expected_rows.start} to {expected_rows[-1]}"
        raise ProtocolError(msg)
    if not 0 <= failed_rows <= rows:
        msg = f"the guest reports {failed_rows} failed rows of {rows}"
        raise ProtocolError(msg)
    data_type = declared if declared is not None else _inferred_type(memory, schema[0])
    width = _known_format(data_type)[1]
    expected = 3 if _has_offsets(data_type) else 2 if width else 0
    if n_buffers != expected or n_children or dictionary:
        msg = f"the guest returned a {data_type} with {n_buffers} buffers and {n_children} children"
        raise ProtocolError(msg)
    if not width:
        return pa.nulls(rows), failed_rows

    pointers = struct.unpack(f"<{n_buffers}I", memory.read(buffers_at, _abi.POINTER.size * n_buffers))
    validity = memory.read(pointers[0], _abi.bitmap_bytes(rows)) if pointers[0] else None
    if _has_offsets(data_type):
        offsets = memory.read(pointers[1], _OFFSET_BYTES * (rows + 1))
        end = int.from_bytes(offsets[-_OFFSET_BYTES:], "little", signed=True)
        _check_size(len(offsets) + end, limits)
        values = [offsets, memory.read(pointers[2], end) if end else b""]
    else:
        size = _abi.bitmap_bytes(rows * width)
        _check_size(size, limits)
        values = [memory.read(pointers[1], size)]
    buffers = [validity and pa.py_buffer(validity), *map(pa.py_buffer, values)]
    try:
        array = pa.Array.from_buffers(data_type, rows, buffers)
        if data_type not in _ANY_BITS_ARE_VALID:
            array.validate(full=True)  # offsets in order and inside the data, UTF-8, digits within the precision
    except pa.ArrowInvalid as error:
        msg = f"the guest returned a {data_type} that is not valid: {error}"
        raise ProtocolError(msg) from error
    return array, failed_rows


def _inferred_type(memory: LinearMemory, format_at: int) -> pa.DataType:
    text = memory.read(format_at, _LONGEST_FORMAT + 1)
    name, end, _ = text.partition(b"\0")
    data_type = _INFERRED_FORMATS.get(name) if end else None
    if data_type is None:
        msg = f"the guest returned an Arrow type the host doesn't know: {text!r}"
        raise ProtocolError(msg)
    return data_type


def _check_size(size: int, limits: DataLimits) -> None:
    if size > limits.result_bytes:
        msg = (
            f"the result of one batch takes {size:,} bytes, result_bytes allows {limits.result_bytes:,}; return less, "
            "or raise DataLimits.result_bytes"
        )
        raise LimitExceeded(msg, limit="result_bytes", allowed=limits.result_bytes, requested=size)


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
