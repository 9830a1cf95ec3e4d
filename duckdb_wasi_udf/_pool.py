"""Instances of one function, each serving one call at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._instance import GuestInstance


class Pool:
    """A stack of idle instances: as many as calls have run at once, the last used first.

    Safe for use by many threads. DuckDB rebuilds thread-local storage between calls on its worker threads, so instances
    belong to calls, not to threads.
    """

    def __init__(self, start: Callable[[], GuestInstance]) -> None:
        """Create an empty pool.

        Args:
            start: makes an instance that is ready to be called.
        """
        self._start = start
        self._idle: deque[GuestInstance] = deque()  # append and pop are atomic
        self._closed = False

    def call(self, stops: int, columns: Sequence[pa.Array], length: int) -> tuple[pa.Array, int]:
        """Run one batch on an idle instance, or on a new one: see `GuestInstance.call`."""
        try:
            instance = self._idle.pop()
        except IndexError:
            instance = self._start()
        try:
            result = instance.call(columns, length, stops)
        except GuestError:
            # The user's code raised: the interpreter is as sound as after any exception. After anything else (a trap,
            # a limit, Ctrl-C between two steps) the instance is dropped.
            if not instance.broken:
                self._put_back(instance)
            raise
        self._put_back(instance)
        return result

    def close(self) -> None:
        """Drop the idle instances, and those that are running when their call is done."""
        self._closed = True
        self._idle.clear()

    def _put_back(self, instance: GuestInstance) -> None:
        if not self._closed:
            self._idle.append(instance)
