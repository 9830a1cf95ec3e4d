"""Instances of one function, each serving one call at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._guests.budget import Budget
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_registry import Roster, Shelf


class Pool:
    """As many instances as calls run at once, the last used first.

    Safe for use by many threads. DuckDB rebuilds thread-local storage between calls on its worker threads, so instances
    belong to calls, not to threads.
    """

    def __init__(
        self, start: Callable[[], GuestInstance], roster: Roster, budget: Budget, *, reuse: bool = True
    ) -> None:
        """Create an empty pool.

        Args:
            start: makes an instance that is ready to be called, and known to the roster.
            roster: the sandbox's instances.
            budget: the time of the function.
            reuse: an instance serves many calls; otherwise each call gets a fresh one.
        """
        self._start = start
        self._roster = roster
        self._budget = budget
        self._reuse = reuse
        self._shelf: Shelf = []

    def call(self, stops: int, columns: Sequence[pa.Array], length: int) -> tuple[pa.Array, int]:
        """Run one batch on an idle instance, or on a new one: see `GuestInstance.call`."""
        began = time.monotonic()
        budget = self._budget.begin(began)
        rows = None
        guest_seconds, memory_bytes = 0.0, 0
        try:
            instance = self._roster.take(self._shelf) or self._start()
            sound = False
            before = instance.guest_seconds
            try:
                result = instance.call(columns, length, stops, budget)
                sound = True
                rows = length
            except GuestError:
                # The user's code raised: the interpreter is as sound as after any exception. After anything else (a
                # trap, a limit, Ctrl-C between two steps) the instance is dropped.
                sound = not instance.broken
                raise
            finally:
                if sound:  # any other may be gone already, and its memory with it
                    guest_seconds, memory_bytes = instance.guest_seconds - before, instance.memory_bytes
                if sound and self._reuse:
                    self._roster.put_back(self._shelf, instance)
                else:
                    self._roster.drop(instance)
        finally:
            self._budget.end(began, time.monotonic(), rows, guest_seconds, memory_bytes)
        return result

    @property
    def idle(self) -> int:
        """The instances that wait for a call."""
        return len(self._shelf)

    def close(self) -> None:
        """Drop the idle instances, and those that are running when their call is done."""
        self._reuse = False
        self._roster.clear(self._shelf)
