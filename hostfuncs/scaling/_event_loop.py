"""Host functions that are `async def`: their coroutines run in one event loop, on a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from hostfuncs.scaling._waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_Result = TypeVar("_Result")


@functools.cache
def _loop(process: int) -> asyncio.AbstractEventLoop:  # noqa: ARG001 - a forked process gets one of its own
    """Return the event loop, which runs as long as the process: clients that are opened in it stay open."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="hostfuncs-event-loop", daemon=True).start()
    return loop


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine in the event loop of this package, and wait for it.

    Raises:
        AbandonedError: nobody waits for the host function any more; the coroutine was cancelled.
        BaseException: the coroutine's own.
    """
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop(os.getpid()))
    try:
        return result_of(future)
    finally:
        future.cancel()


def waiting(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Return an `async def` as a function that waits for its result."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return run(function(*args))

    return call
