"""Calls with a timeout: each runs on a thread of its own, which is left behind when it takes too long."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, TypeVar

from duckdb_wasi_udf._process.steady_clock import SteadyClock
from duckdb_wasi_udf._process.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

# Maximum number of timed-out calls of a sandbox that still run. Beyond it, host functions with a timeout are refused.
MOST_ABANDONED = 16

_POLL_SECONDS = 0.01


class AbandonedError(Exception):
    """Too many abandoned calls are still running."""


class StoppedError(Exception):
    """The wait for a call was ended, by whoever stops the guest that made it."""


class AbandonableCalls:
    """Makes calls with a timeout, and counts those that timed out and still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = 0

    def call_with_timeout(
        self, function: Callable[[], _Result], timeout_seconds: float, stopped: Callable[[], bool]
    ) -> _Result:
        """Call a function on a thread of its own, and wait for it.

        Args:
            function: what to call.
            timeout_seconds: how long to wait; then the call is left to itself.
            stopped: returns whether to wait no longer.

        Raises:
            TimeoutError: it has not returned in time.
            StoppedError: the wait was stopped.
            AbandonedError: it was not called, because `MOST_ABANDONED` others are still running.
            BaseException: what it raised.
        """
        with self._lock:
            if self._abandoned >= MOST_ABANDONED:
                msg = f"{self._abandoned} calls that took too long are still running"
                raise AbandonedError(msg)
        context = contextvars.copy_context()  # with the current span, for example
        worker = _Abandonable(lambda: context.run(function), self)
        worker.start()
        give_up = SteadyClock.now() + timeout_seconds
        is_stopped = False
        try:
            while not worker.done.wait(min(_POLL_SECONDS, max(give_up - SteadyClock.now(), 0))):
                is_stopped = stopped()
                if is_stopped or SteadyClock.now() >= give_up:
                    break
        finally:  # a Ctrl-C, too
            self._leave(worker)
        if not worker.is_abandoned:
            return worker.result()
        if is_stopped:
            raise StoppedError
        msg = f"it has not returned after {timeout_seconds:g} seconds"
        raise TimeoutError(msg)

    def _leave(self, worker: _Abandonable[_Result]) -> None:
        """Wait no longer."""
        with self._lock:
            worker.is_abandoned = not worker.done.is_set()
            self._abandoned += worker.is_abandoned

    def ended(self, worker: _Abandonable[_Result]) -> None:
        """Count a call as done; from its thread."""
        with self._lock:
            worker.done.set()
            self._abandoned -= worker.is_abandoned


class _Abandonable(Worker[_Result]):
    """A call that may be left to itself."""

    def __init__(self, function: Callable[[], _Result], calls: AbandonableCalls) -> None:
        super().__init__(function, "duckdb-wasi-udf-host-function")
        self._calls = calls
        self.is_abandoned = False

    def ended(self) -> None:
        """Report the end to whoever counts."""
        self._calls.ended(self)
