"""A budget that the native library keeps, because calls that Python doesn't see count on it too."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, cast

from duckdb_wasi_udf._guests.budget import Budget, Usage
from duckdb_wasi_udf._limits import QUERY_GAP_SECONDS
from duckdb_wasi_udf._native.layouts import BudgetStruct

if TYPE_CHECKING:
    from duckdb_wasi_udf._native.gate import NativeGate
    from duckdb_wasi_udf._native.library import NativeLibrary


class _NativeUsage:
    """The counters as the library has them: the fields of `Usage`."""

    def __init__(self, library: NativeLibrary, address: int) -> None:
        self._struct = BudgetStruct.from_address(address)
        weakref.finalize(self, library.budget_release, address).atexit = False

    def __getattr__(self, name: str) -> Any:
        """Return a counter."""
        return getattr(self._struct, name)


class NativeBudget(Budget):
    """A budget whose seconds are those of the library's clock.

    Attributes:
        address: Where C has it.
    """

    def __init__(self, gate: NativeGate, label: str, allowed_seconds: float) -> None:
        """Make an unspent budget: see `Budget`."""
        super().__init__(label, allowed_seconds)
        self._library = gate.library
        self.address = int(self._library.budget_new(allowed_seconds, QUERY_GAP_SECONDS, float("-inf")))
        self._native = _NativeUsage(self._library, self.address)
        self.usage = cast("Usage", self._native)

    def begin(self, now: float) -> float:
        """Begin a call: see `Budget.begin`. The time is the library's."""
        del now
        left = float(self._library.budget_begin(self.address))
        if left <= 0:
            raise self.exceeded()
        return left

    def end(
        self, began: float, now: float, rows: int | None = 0, guest_seconds: float = 0.0, memory_bytes: int = 0
    ) -> None:
        """End a call: see `Budget.end`."""
        failed = -1 if rows is None else rows
        self._library.budget_end(self.address, now - began, failed, guest_seconds, memory_bytes)

    @property
    def running(self) -> int:
        """Calls under way."""
        return int(self._native.running)

    def count_failed(self, rows: int) -> None:
        """Count rows that are NULL because the function raised."""
        self._library.budget_failed(self.address, rows)

    @property
    def failed_rows(self) -> int:
        """Number of rows that are NULL because the function raised, in the library's calls."""
        return int(self._native.failed_rows)
