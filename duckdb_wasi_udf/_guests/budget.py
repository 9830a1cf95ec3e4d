"""The time all batches of a function may take together, and a count of what they did."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from duckdb_wasi_udf._errors import LimitExceeded
from duckdb_wasi_udf._limits import QUERY_GAP_SECONDS


@dataclass(slots=True)
class Usage:
    """What a function has done since it was created.

    Attributes:
        calls: batches, those that failed included.
        rows: rows of the batches that didn't fail.
        errors: batches that failed.
        seconds: time its batches took, on all threads, from waiting for an instance to the copied result.
        guest_seconds: the part of it that was spent inside guests, in batches that left their instance sound.
        peak_memory_bytes: the most linear memory an instance had at the end of a batch.
        native_rows: the rows of those batches that went through DuckDB's C API, without Python.
    """

    calls: int = 0
    rows: int = 0
    errors: int = 0
    seconds: float = 0.0
    guest_seconds: float = 0.0
    peak_memory_bytes: int = 0
    native_rows: int = 0


class Budget:
    """Adds up the time in which any thread runs a function, for as long as it is kept busy.

    DuckDB doesn't say which query calls a function. Its batches follow each other closely, so calls with pauses of less
    than a second between them count as one query. It is the wall's time, so that a query that gets more threads isn't
    allowed less.
    """

    def __init__(self, label: str, allowed_seconds: float) -> None:
        """Make an unspent budget.

        Args:
            label: how errors name the function.
            allowed_seconds: `ResourceLimits.budget_seconds`.
        """
        self._label = label
        self._allowed = allowed_seconds
        self._lock = threading.Lock()
        self._running = 0
        self._spent = 0.0  # before `_busy_since`
        self._busy_since = 0.0
        self._last = float("-inf")
        self.usage = Usage()
        self._failed_rows = 0

    def begin(self, now: float) -> float:
        """Begin a call; return the seconds it may take. `end` has to follow.

        Args:
            now: a monotonic clock's seconds.

        Raises:
            LimitExceeded: nothing is left; what was spent is forgotten, for the next query.
        """
        with self._lock:
            if not self._running:
                self._busy_since = now
                if now - self._last >= QUERY_GAP_SECONDS:
                    self._spent = 0.0
            left = self._allowed - self._spent - (now - self._busy_since)
            if left <= 0:
                self._spent, self._busy_since = 0.0, now
                raise self.exceeded()
            self._running += 1
        return left

    def end(
        self, began: float, now: float, rows: int | None = 0, guest_seconds: float = 0.0, memory_bytes: int = 0
    ) -> None:
        """End a call. What it did is counted here because the lock is taken anyway.

        Args:
            began: when it began.
            now: when it ended.
            rows: the rows of its batch; None if it failed.
            guest_seconds: how long it was inside a guest.
            memory_bytes: the linear memory of its instance.
        """
        usage = self.usage
        with self._lock:
            self._running -= 1
            if not self._running:
                self._spent += now - self._busy_since
            self._last = now
            usage.calls += 1
            usage.seconds += now - began
            usage.guest_seconds += guest_seconds
            if rows is None:
                usage.errors += 1
            else:
                usage.rows += rows
            if memory_bytes > usage.peak_memory_bytes:  # noqa: PLR1730 - a call of max takes twice as long
                usage.peak_memory_bytes = memory_bytes

    @property
    def running(self) -> int:
        """Calls under way."""
        return self._running

    def count_failed(self, rows: int) -> None:
        """Count rows that are NULL because the function raised."""
        with self._lock:
            self._failed_rows += rows

    @property
    def failed_rows(self) -> int:
        """Number of rows that are NULL because the function raised."""
        return self._failed_rows

    def exceeded(self) -> LimitExceeded:
        """Return the error for a function whose budget is spent."""
        msg = (
            f"{self._label}: its batches together took more than budget_seconds={self._allowed:g}; make the function "
            "faster, or raise ResourceLimits.budget_seconds"
        )
        return LimitExceeded(msg, limit="budget_seconds", allowed=self._allowed)
