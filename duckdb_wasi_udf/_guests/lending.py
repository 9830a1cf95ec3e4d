"""What instances, pools and the registry know of each other where the native library uses instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from duckdb_wasi_udf._native.layouts import Call


class Finishing(Protocol):
    """What has an instance that is lent: see `pool.Pool` and `scan.ScanRunner`."""

    def finish(self, lent: Lent, call: Call) -> pa.Array | None:
        """Do what is left of a call of the library's."""


class Lent(Protocol):
    """An instance as the native library has it: see `lent_instance.LentInstance`.

    Attributes:
        pool: What does the rest of a call.
        instance: The `GuestInstance`.
    """

    pool: Finishing
    instance: Any

    @property
    def is_busy(self) -> bool:
        """True while it runs a call of the library's."""

    def lend(self) -> None:
        """Let the library use the instance."""

    def claim(self) -> bool:
        """Take the instance back; return False if it is busy."""

    def take_back(self) -> None:
        """Note that the instance is Python's, at the end of a call."""

    def finish(self, call: Call) -> pa.Array | None:
        """Do what is left of a call."""

    def free(self) -> None:
        """Have the library forget the instance."""
