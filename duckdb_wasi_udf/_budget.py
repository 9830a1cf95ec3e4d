"""The time all batches of a function may take together."""

from __future__ import annotations

import threading

from duckdb_wasi_udf._errors import LimitExceeded

# A function that hasn't run for this long starts on another query.
REST_SECONDS = 1.0


class Budget:
    """Adds up the time a function spends in guests, on all threads, for as long as it is kept busy.

    DuckDB doesn't tell a function which query calls it. Its batches follow each other closely, so calls with pauses of
    less than a second between them count as one query.
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
        self._spent = 0.0
        self._last = float("-inf")

    def begin(self, now: float) -> float:
        """A call begins; the seconds it may take. `end` has to follow.

        Args:
            now: a monotonic clock's seconds.

        Raises:
            LimitExceeded: nothing is left; what was spent is forgotten, for the next query.
        """
        with self._lock:
            if not self._running and now - self._last >= REST_SECONDS:
                self._spent = 0.0
            left = self._allowed - self._spent
            if left <= 0:
                self._spent = 0.0
                raise self.exceeded()
            self._running += 1
        return left

    def end(self, began: float, now: float) -> None:
        """The call that began at `began` has ended."""
        with self._lock:
            self._running -= 1
            self._spent += now - began
            self._last = now

    def exceeded(self) -> LimitExceeded:
        """The error."""
        msg = (
            f"{self._label}: its batches together took more than budget_seconds={self._allowed:g}; make the function "
            "faster, or raise ResourceLimits.budget_seconds"
        )
        return LimitExceeded(msg, limit="budget_seconds", allowed=self._allowed)
