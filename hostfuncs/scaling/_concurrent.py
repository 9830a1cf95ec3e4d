"""Several calls of a host function at once."""

from __future__ import annotations

import contextvars
import inspect
import threading
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf import HostFunction
from hostfuncs.scaling._gathered import gathered
from hostfuncs.scaling._waiting import check_wanted, wait_for
from hostfuncs.scaling._wrapping import check_counts, columns_of, joined, pieces_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    import pyarrow as pa

    from duckdb_wasi_udf import ColumnFunction
    from hostfuncs._options import Options


def concurrent(
    function: HostFunction | Callable[..., Any],
    at_once: int = 8,
    *,
    rows: int = 1,
    **options: Unpack[Options],
) -> HostFunction:
    """Divide a batch into calls of few rows, and make several of them at once: for services that take a while.

    Each call runs on a thread, so the function has to be one that waits, not one that computes in Python. An `async
    def` is a task in an event loop that all share, which keeps its clients open from batch to batch.

    If a call fails, those that have not begun are not made, and the whole batch fails as that call did. When the query
    is stopped, no further call is made. An `async def` that runs is cancelled in both cases.

    Args:
        function: a host function, or an annotated def or `async def`.
        at_once: the number of calls at a time, of all queries together.
        rows: the number of rows of each call.
        **options: see `hostfuncs.Options`; those of the function by default.

    Returns:
        A batched host function with the function's parameters and result.

    Raises:
        SignatureError: the function isn't one, or its types can't be had.
        ValueError: a number isn't positive, or the function has no parameters.
    """
    check_counts(at_once=at_once, rows=rows)
    inner = function if isinstance(function, HostFunction) else HostFunction(function)
    if inspect.iscoroutinefunction(inner.function) and not inner.batched:
        call = columns_of(gathered(inner, at_once, rows))
        return wrapped(call, call, options, by_row=False)
    call = columns_of(inner)
    slots = threading.BoundedSemaphore(at_once)

    def outer(*columns: pa.Array) -> pa.Array:
        pieces = pieces_of(columns, rows)
        if len(pieces) == 0:
            return call(*columns)
        batch = _Batch(call, pieces, slots)
        return joined(batch.run(min(at_once, len(pieces))), call.result_type)

    return wrapped(call, outer, options, by_row=False)


class _Batch:
    """The calls of one batch, which threads take in turn."""

    def __init__(self, call: ColumnFunction, pieces: list[list[pa.Array]], slots: threading.BoundedSemaphore) -> None:
        self._call = call
        self._todo = iter(enumerate(pieces))
        self._results: list[Any] = [None] * len(pieces)
        self._slots = slots
        self._lock = threading.Lock()
        self._running = 0
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._given_up = False

    def run(self, threads: int) -> list[pa.Array]:
        """Make the calls; the threads are daemons, so that one that hangs doesn't keep the process alive."""
        self._running = threads
        for _ in range(threads):
            context = contextvars.copy_context()  # whether somebody still waits is known in it
            threading.Thread(target=context.run, args=(self._work,), name="hostfuncs-call", daemon=True).start()
        try:
            wait_for(self._done.wait)
        finally:
            self._given_up = True
        if self._error is not None:
            raise self._error
        return self._results

    def _work(self) -> None:
        try:
            while (piece := self._next()) is not None:
                number, columns = piece
                wait_for(lambda seconds: self._slots.acquire(timeout=seconds))
                try:
                    if self._given_up:
                        return
                    check_wanted()
                    self._results[number] = self._call(*columns)
                finally:
                    self._slots.release()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the batch fails with it
            with self._lock:
                self._error = self._error or error
                self._given_up = True
            self._done.set()
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._done.set()

    def _next(self) -> tuple[int, list[pa.Array]] | None:
        with self._lock:
            return None if self._given_up else next(self._todo, None)
