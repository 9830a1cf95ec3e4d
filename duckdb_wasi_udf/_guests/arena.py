"""The part of a guest's memory that its host writes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from duckdb_wasi_udf._arrow.write_batch import Batch
from duckdb_wasi_udf._arrow.write_schema import encode_schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._arrow.linear_memory import LinearMemory

# One batch of a few BIGINT columns: asked for at once, so that most functions never grow it.
_MIN_BYTES = 64 * 2**10


class Arena:
    """Arguments of one call of an export, each written over those of the call before.

    Attributes:
        address: where it is; 0 before the first use.
        size: its bytes.
    """

    def __init__(self, memory: Callable[[], LinearMemory], grow: Callable[[int], int]) -> None:
        """Make an arena of no size.

        Args:
            memory: returns the guest's memory as it is now.
            grow: asks the guest for an arena of a number of bytes, and returns its address.
        """
        self._memory = memory
        self._grow = grow
        self.address = 0
        self.size = 0

    def close(self) -> None:
        """Let go of the instance, which has this arena: the cycle would keep its engine for a while."""
        self._memory = self._grow = _closed

    def write(self, data: bytes) -> int:
        """Write bytes; return their address."""
        address = self._reserve(len(data))
        self._memory().write(address, data)
        return address

    def write_batch(self, columns: Sequence[pa.Array], length: int) -> int:
        """Write a batch of `length` rows; return the address of its `ArrowArray`."""
        batch = Batch(columns, length)
        address = self._reserve(batch.size(self.address))
        batch.write(self._memory(), address)
        return address

    def write_schemas(
        self, arguments: Sequence[tuple[pa.DataType, bool]], result_type: pa.DataType | None
    ) -> tuple[int, int]:
        """Write the types of arguments and result; return the addresses of their `ArrowSchema`, 0 for no type."""
        address = self._reserve(_MIN_BYTES)
        schemas, result_at = encode_schemas(address, arguments, result_type)
        if len(schemas) > self.size:
            address = self._reserve(len(schemas))
            schemas, result_at = encode_schemas(address, arguments, result_type)
        self._memory().write(address, schemas)
        return address, result_at

    def _reserve(self, size: int) -> int:
        """Return where `size` bytes may be written."""
        if size > self.size:
            wanted = max(size, _MIN_BYTES)
            self.address = self._grow(wanted)
            self.size = wanted
        return self.address


def _closed(_: int = 0) -> NoReturn:
    msg = "the instance was closed"
    raise RuntimeError(msg)
