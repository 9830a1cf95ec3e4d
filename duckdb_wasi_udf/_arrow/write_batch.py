"""Arrow arrays into linear memory, laid out as the guest's nanoarrow reads them."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.layouts import known_layout, map_entries
from duckdb_wasi_udf._arrow.linear_memory import OFFSET_BYTES, LinearMemory
from duckdb_wasi_udf._arrow.struct_tree import Numbered, Pointers, number

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        self._base = -1
        self._arranged = _NOWHERE

    def size(self, base: int) -> int:
        """Return the size in bytes. It doesn't depend on `base`; passing the real one lets `write` reuse the layout."""
        self._base, self._arranged = base, _arrange(base, self._shape)
        return self._arranged.size

    def write(self, memory: LinearMemory, base: int) -> None:
        """Write the batch at `base` of the arena, which has room for `size` bytes from there."""
        arranged = self._arranged if base == self._base else _arrange(base, self._shape)
        memory.write(base, arranged.header)
        for position, (address, size) in zip(arranged.positions, self._buffers, strict=True):
            memory.write_from(position, address, size)

    def _measure(self, array: pa.Array) -> _Shape:
        """Return the shape of an array and those inside it, each cut to its own values."""
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
            self._add(sizes, buffers[1], OFFSET_BYTES * (length + 1))
        if layout.has_bytes:
            end = ctypes.string_at(buffers[1].address + OFFSET_BYTES * length, OFFSET_BYTES)
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


_NOWHERE = _Arranged(b"", [], 0)


@functools.lru_cache(maxsize=256)  # full batches of numbers all look alike, and this is half of what writing them costs
def _arrange(base: int, root: _Shape) -> _Arranged:
    """Lay out a batch: all structs, the pointers of all, then every buffer on a 64-byte boundary.

    Args:
        base: where in memory the batch starts.
        root: the struct array that the batch is.
    """
    numbered: list[Numbered[_Shape]] = []
    number(root, numbered)
    pointers = Pointers(base, _abi.ARROW_ARRAY.size, len(numbered))
    n_pointers = sum(len(shape.sizes) + len(shape.children) for shape, _, _ in numbered)
    data = base + _abi.align(pointers.at - base + _abi.POINTER.size * n_pointers)
    structs: list[bytes] = []
    positions: list[int] = []
    for shape, children, dictionary in numbered:
        children_at = pointers.add_structs(children)
        buffers_at = pointers.at
        for size in shape.sizes:
            if size == _ABSENT:
                pointers.add([0])
                continue
            pointers.add([data])
            positions.append(data)
            data += _abi.align(size)
        null_count = 0 if _ABSENT in shape.sizes[:1] else -1  # not counted: the guest looks at the bits
        dictionary_at = pointers.struct_at(dictionary)
        fields = (shape.length, null_count, 0, len(shape.sizes), len(children), buffers_at, children_at, dictionary_at)
        structs.append(_abi.ARROW_ARRAY.pack(*fields, _abi.NOT_RELEASED, 0))
    return _Arranged(b"".join((*structs, pointers.encode())), positions, data - base)
