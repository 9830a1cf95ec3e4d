"""Arrow arrays into linear memory, laid out as the guest's nanoarrow reads them."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import pyarrow as pa

from duckdb_wasi_udf._errors import ProtocolError

OFFSET_BYTES = 4  # of strings, blobs, lists and maps

# `ctypes.memmove` releases the GIL, for copies that take less time than getting it back from another thread.
_memmove = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(
    ctypes.cast(ctypes.memmove, ctypes.c_void_p).value or 0
)


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
        self._check(pointer, size)
        return ctypes.string_at(self.address + pointer, size)

    def copy(self, pointer: int, size: int) -> pa.Buffer:
        """Copy `size` bytes into a buffer of Arrow's own: one of Python's would take the GIL again when it is freed.

        Raises:
            ProtocolError: they are not all inside the memory.
        """
        self._check(pointer, size)
        buffer = pa.allocate_buffer(size)
        _memmove(buffer.address, self.address + pointer, size)
        return buffer

    def write(self, pointer: int, data: bytes) -> None:
        """Copy bytes to a place the guest has made room at."""
        _memmove(self._at(pointer, len(data)), data, len(data))

    def write_from(self, pointer: int, address: int, size: int) -> None:
        """Copy `size` bytes at an address of this process to such a place."""
        _memmove(self._at(pointer, size), address, size)

    def check_room(self, pointer: int, size: int) -> None:
        """Check that `size` bytes from `pointer` can be written.

        Raises:
            ProtocolError: they are not all inside the memory.
        """
        if pointer + size > self.size:
            msg = f"the guest's room for {size} bytes at {pointer:#x} is not inside its {self.size} bytes of memory"
            raise ProtocolError(msg)

    def _check(self, pointer: int, size: int) -> None:
        if pointer < 0 or size < 0 or pointer + size > self.size:
            msg = f"the guest points at {size} bytes from {pointer:#x}, outside its {self.size} bytes of memory"
            raise ProtocolError(msg)

    def _at(self, pointer: int, size: int) -> int:
        self.check_room(pointer, size)
        return self.address + pointer


# ---- arguments ---------------------------------------------------------------------------------------------------
