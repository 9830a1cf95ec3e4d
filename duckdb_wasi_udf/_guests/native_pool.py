"""The instances of a function that the native library may use, and its count of what they did."""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, NamedTuple

from duckdb_wasi_udf._native.layouts import PoolStruct, Verdict

if TYPE_CHECKING:
    from duckdb_wasi_udf._guests.native_budget import NativeBudget
    from duckdb_wasi_udf._guests.recent_errors import RecentErrors
    from duckdb_wasi_udf._native.gate import NativeGate


class CompiledCounts(NamedTuple):
    """What became of compiled rows since last time.

    Attributes:
        verdict: What is to be decided.
        compiled: Rows that compiled code finished.
        bailed: Rows that it left to the interpreter.
    """

    verdict: Verdict
    compiled: int
    bailed: int


class NativePool:
    """The instances of one function for arguments of certain types, as the library has them.

    Attributes:
        library: The library.
        address: Where C has the pool.
        errors: The errors of the sandbox.
        is_used: A function of C's uses the pool. Instances aren't lent before.
    """

    def __init__(
        self, gate: NativeGate, budget: NativeBudget, errors: RecentErrors, *, by_batch: bool, is_fixed: bool
    ) -> None:
        """Make an empty pool.

        Args:
            gate: the gate of the sandbox.
            budget: the time of the function.
            errors: the errors of the sandbox.
            by_batch: the function is called once a batch.
            is_fixed: it isn't decided anew whether the function is compiled.
        """
        self.library = gate.library
        self._gate = gate
        self.errors = errors
        self.is_used = False
        self.address = int(self.library.pool_new(gate.address, budget.address))
        struct = PoolStruct.from_address(self.address)
        struct.by_batch, struct.is_fixed = by_batch, is_fixed
        weakref.finalize(self, self.library.pool_release, self.address).atexit = False

    @property
    def usable(self) -> bool:
        """False in a child process that was forked."""
        return self._gate.usable

    def recall(self) -> None:
        """Take all instances back: those that are busy when their call is done."""
        if self.usable:
            self.library.pool_recall(self.address)

    def counts(self, *, is_compiled: bool) -> CompiledCounts:
        """Say whether the function is compiled, and return what became of its rows since last time."""
        if not self.usable:
            return CompiledCounts(Verdict.NONE, 0, 0)
        compiled, bailed = ctypes.c_int64(), ctypes.c_int64()
        verdict = self.library.pool_counts(self.address, is_compiled, compiled, bailed)
        return CompiledCounts(Verdict(verdict), compiled.value, bailed.value)
