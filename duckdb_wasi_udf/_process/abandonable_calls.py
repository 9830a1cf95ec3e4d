"""Calls that are given up after a time: they run on a thread of their own, which is left behind."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _Result = TypeVar("_Result")

# How many calls of a sandbox may still run that were given up: more, and host functions with a time-out are refused.
MOST_ABANDONED = 16

_POLL_SECONDS = 0.01


class AbandonedError(Exception):
    """Too many calls that were given up are still running."""


class StoppedError(Exception):
    """The wait for a call was ended, by whoever stops the guest that made it."""


class Threads:
    """Runs calls, and counts those that were given up and still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = 0

    def call(self, function: Callable[[], _Result], timeout_seconds: float, stopped: Callable[[], bool]) -> _Result:
        """Call a function and wait for it, for a time.

        Args:
            function: what to call.
            timeout_seconds: for how long; then it is left to itself.
            stopped: tells whether to wait no longer.

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
        results: list[_Result] = []
        errors: list[BaseException] = []
        done = threading.Event()
        given_up = False

        def work() -> None:
            try:
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again below, where it belongs
                errors.append(error)
            with self._lock:
                done.set()
                self._abandoned -= given_up

        threading.Thread(target=work, name="duckdb-wasi-udf-host-function", daemon=True).start()
        give_up = time.monotonic() + timeout_seconds
        is_stopped = False
        try:
            while not done.wait(min(_POLL_SECONDS, max(give_up - time.monotonic(), 0))):
                is_stopped = stopped()
                if is_stopped or time.monotonic() >= give_up:
                    break
        finally:  # a Ctrl-C, too
            with self._lock:
                given_up = not done.is_set()
                self._abandoned += given_up
        if given_up and is_stopped:
            raise StoppedError
        if given_up:
            msg = f"it has not returned after {timeout_seconds:g} seconds"
            raise TimeoutError(msg)
        if errors:
            raise errors.pop()
        return results.pop()
