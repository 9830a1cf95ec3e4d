"""Waiting that ends when nobody waits for the result any more."""

from __future__ import annotations

import concurrent.futures
import time
from typing import TYPE_CHECKING, TypeVar

from duckdb_wasi_udf import host_call_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

# How often a wait looks whether it is still wanted. Of futures less often: many threads wait for them at once.
POLL_SECONDS = 0.02
_FUTURE_POLL_SECONDS = 0.1


class AbandonedError(Exception):
    """The query was stopped, or the timeout of the host function has passed."""


def check_wanted() -> None:
    """Return if somebody waits for the host function that runs.

    Raises:
        AbandonedError: nobody does.
    """
    if host_call_abandoned():
        msg = "nobody waits for the host function any more"
        raise AbandonedError(msg)


def pause(seconds: float) -> None:
    """Wait for a time.

    Raises:
        AbandonedError: nobody waits for the host function any more.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check_wanted()
        time.sleep(min(left, POLL_SECONDS))
    check_wanted()


def wait_for(try_wait: Callable[[float], bool], poll_seconds: float = POLL_SECONDS) -> None:
    """Wait until something has happened.

    Args:
        try_wait: waits for it for at most some seconds, and returns whether it has happened.
        poll_seconds: that number of seconds.

    Raises:
        AbandonedError: nobody waits for the host function any more.
    """
    while not try_wait(poll_seconds):
        check_wanted()


def result_of(future: concurrent.futures.Future[_Result]) -> _Result:
    """Wait for a future.

    Returns:
        Its result.

    Raises:
        AbandonedError: nobody waits for the host function any more.
        BaseException: the future's own.
    """
    wait_for(lambda seconds: bool(concurrent.futures.wait([future], seconds).done), _FUTURE_POLL_SECONDS)
    return future.result()
