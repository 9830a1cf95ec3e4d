"""One scan of a table function: steps of a guest that it has to itself."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Protocol

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._guests.lent_instance import LentInstance
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.budget import Budget
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
    from duckdb_wasi_udf._guests.lending import Lent
    from duckdb_wasi_udf._guests.native_pool import NativePool
    from duckdb_wasi_udf._native.layouts import Call


class Scan(Protocol):
    """One pass over what a call of a table function returns."""

    @property
    def runner(self) -> ScanRunner | None:
        """What runs its steps; None if no guest does."""

    def next(self, context: CallContext) -> pa.Array | None:
        """Return the next rows, at most `_abi.VECTOR_ROWS`; None when there are no more.

        After an error, only `close` may follow.
        """

    def close(self) -> None:
        """End the pass, at whatever step it is."""


class ScanRunner:
    """Runs the steps of one scan, on an instance that it has to itself from its first step to its end.

    Between two steps the instance may be lent to the native library, which then runs steps by itself.

    Attributes:
        rows: The number of rows that its steps have returned. Whoever knows of steps of the library's sets it.
    """

    def __init__(
        self,
        instances: InstanceRegistry,
        budget: Budget,
        start: Callable[[CallContext], GuestInstance],
        native: Callable[[], NativePool | None] = lambda: None,
    ) -> None:
        """Prepare a scan.

        Args:
            instances: the sandbox's instances.
            budget: the time of the function.
            start: returns an instance, busy and bound, for the first step.
            native: makes the native library's part of it; None if the library runs no steps.
        """
        self.rows = 0
        self._instances = instances
        self._budget = budget
        self._start = start
        self._make_native = native
        self._native: NativePool | None = None
        self._instance: GuestInstance | None = None
        self._lock = threading.Lock()  # held while the guest runs
        self._abandoned = False

    @property
    def is_open(self) -> bool:
        """True while it has an instance."""
        return self._instance is not None

    def step(self, context: CallContext, run: Callable[[CallContext, GuestInstance], pa.Array]) -> pa.Array:
        """Run one step, and count what it took.

        Args:
            context: the call that wants the rows.
            run: returns the rows of the step.

        Raises:
            WasiUdfError: as `GuestInstance.call`.
        """
        with self._lock:
            began = SteadyClock.now()
            context.budget_seconds = self._budget.begin(began)
            rows = None
            guest_seconds, memory_bytes = 0.0, 0
            try:
                if self._instance is None:
                    self._instance = self._start(context)
                instance = self._instance
                if instance.lent is not None:
                    instance.lent.claim()  # the library runs nothing: this is the scan's only call
                before = instance.guest_seconds
                result = run(context, instance)
                rows = len(result)
                self.rows += rows
                guest_seconds, memory_bytes = instance.guest_seconds - before, instance.memory_bytes
            finally:
                context.budget_seconds = math.inf  # it was this function's
                self._budget.end(began, SteadyClock.now(), rows, guest_seconds, memory_bytes)
        if self._abandoned:
            self.abandon()
        return result

    def lend(self) -> int:
        """Let the native library run the steps to come; return the address of its pool, 0 if it may not."""
        address = 0
        with self._lock:
            instance = self._instance
            if instance is None or instance.broken or self._abandoned:
                return 0
            self._native = self._native or self._make_native()
            if self._native is not None:
                if instance.lent is None:
                    instance.lent = LentInstance(self, self._native, instance, _abi.NEXT)
                instance.lent.lend()
                address = self._native.address
        if self._abandoned:
            self.abandon()
        return address

    def finish(self, lent: Lent, call: Call) -> pa.Array | None:
        """Do what is left of a step that the native library has begun, and lend the instance again.

        Args:
            lent: the instance.
            call: the step.

        Returns:
            The rows if DuckDB doesn't have them yet.

        Raises:
            WasiUdfError: as `step` does.
        """
        with self._lock:
            lent.take_back()
            call.sound = False
            result = lent.finish(call)
            call.sound = True
            if result is not None:
                call.rows = len(result)
            if not self._abandoned:
                lent.lend()
        if self._abandoned:
            self.abandon()
        return result

    def end(self, close: Callable[[GuestInstance], bool]) -> None:
        """End the scan, at whatever step it is.

        Args:
            close: ends what runs on a sound instance, and returns whether it has released the instance for others;
                otherwise it is dropped.
        """
        with self._lock:
            instance, self._instance = self._instance, None
            if instance is None:
                return
            released = False
            self._take_back(instance)
            try:
                released = not instance.broken and close(instance)
            finally:
                if not released:
                    self._instances.drop(instance)

    def abandon(self) -> None:
        """Drop the instance; one that runs, at the end of its step, which is the last since the sandbox is closed."""
        self._abandoned = True
        if self._lock.acquire(blocking=False):
            try:
                instance = self._instance
                if instance is not None and self._take_back(instance):
                    self._instance = None
                    self._instances.drop(instance)
            finally:
                self._lock.release()

    def _take_back(self, instance: GuestInstance) -> bool:
        """Take the instance from the native library; return False if that runs it, and hands it over afterwards."""
        if instance.lent is None:
            return True
        if self._native is not None:
            self._native.recall()  # first: it hands over what it doesn't give back
        if not instance.lent.claim():
            return False
        instance.lent.free()
        return True
