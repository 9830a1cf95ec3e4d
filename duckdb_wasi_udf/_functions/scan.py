"""One scan of a table function: steps of a guest that it has to itself."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Protocol

from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.budget import Budget
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry


class Scan(Protocol):
    """One pass over what a call of a table function returns."""

    def next(self, context: CallContext) -> pa.Array | None:
        """Return the next rows, at most `_abi.VECTOR_ROWS`; None when there are no more.

        After an error, only `close` may follow.
        """

    def close(self) -> None:
        """End the pass, at whatever step it is."""


class ScanRunner:
    """Runs the steps of one scan, on an instance that it has to itself from its first step to its end."""

    def __init__(
        self, instances: InstanceRegistry, budget: Budget, start: Callable[[CallContext], GuestInstance]
    ) -> None:
        """Prepare a scan.

        Args:
            instances: the sandbox's instances.
            budget: the time of the function.
            start: returns an instance, busy and bound, for the first step.
        """
        self._instances = instances
        self._budget = budget
        self._start = start
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
                before = instance.guest_seconds
                result = run(context, instance)
                rows = len(result)
                guest_seconds, memory_bytes = instance.guest_seconds - before, instance.memory_bytes
            finally:
                context.budget_seconds = math.inf  # it was this function's
                self._budget.end(began, SteadyClock.now(), rows, guest_seconds, memory_bytes)
        if self._abandoned:
            self.abandon()
        return result

    def finish(self, end: Callable[[GuestInstance], bool]) -> None:
        """End the scan, at whatever step it is.

        Args:
            end: ends what runs on a sound instance, and returns whether it has released the instance for others;
                otherwise it is dropped.
        """
        with self._lock:
            instance, self._instance = self._instance, None
            if instance is None:
                return
            released = False
            try:
                released = not instance.broken and end(instance)
            finally:
                if not released:
                    self._instances.drop(instance)

    def abandon(self) -> None:
        """Drop the instance; one that runs, at the end of its step, which is the last since the sandbox is closed."""
        self._abandoned = True
        if self._lock.acquire(blocking=False):
            try:
                instance, self._instance = self._instance, None
                if instance is not None:
                    self._instances.drop(instance)
            finally:
                self._lock.release()
