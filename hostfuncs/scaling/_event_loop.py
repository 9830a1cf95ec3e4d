"""Host functions that are `async def`: their coroutines run in one event loop, on a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from hostfuncs.scaling._waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_Result = TypeVar("_Result")


# Held while the event loop is opened: the first call may be made by many threads at once.
_opening = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process."""
    with _opening:
        return _open(os.getpid())


@functools.cache
def _open(process: int) -> asyncio.AbstractEventLoop:  # noqa: ARG001 - a forked process gets one of its own
    """Start an event loop, which runs as long as the process: clients that are opened in it stay open."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="hostfuncs-event-loop", daemon=True).start()
    return loop


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine in the event loop of this package, and wait for it.

    Raises:
        AbandonedError: nobody waits for the host function any more; the coroutine was cancelled.
        BaseException: the coroutine's own.
    """
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return result_of(future)
    finally:
        future.cancel()


def close_with(owner: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have something that was opened in the event loop closed in it, when its owner is gone."""
    loop = _loop()
    weakref.finalize(owner, _submit, loop, close).atexit = False


def _submit(loop: asyncio.AbstractEventLoop, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(close(), loop)


def waiting(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Return an `async def` as a function that waits for its result."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return run(function(*args))

    return call
