"""Deadlines: the epochs of an engine advance while its guests run, and all at once to stop them.

wasmtime compiles into every loop and call of the guest a comparison of the engine's epoch with the store's deadline.
Each sandbox has an engine of its own, so to stop all its guests is to advance that engine's epoch beyond the deadlines
that are set. Nothing of ours runs inside the guest's call, where an exception (a signal handler's, say) would do harm.
"""

from __future__ import annotations

import math
import threading
from typing import Protocol

from duckdb_wasi_udf._process.ticker import TICK_SECONDS

# The most ticks a deadline may be away, so that advancing beyond all of them takes 0.4 ms: a timeout of more than ten
# seconds has longer ticks.
_MAX_TICKS = 1000


class _Engine(Protocol):
    def increment_epoch(self) -> None: ...


class Clock:
    """The epochs of one engine. They advance while a `CallContext` of it is entered.

    Attributes:
        stops: Number of `stop()` calls so far. Pass an earlier count to `stopped_since()`.
    """

    def __init__(self, engine: _Engine, timeout_seconds: float) -> None:
        """Make the clock of an engine.

        Args:
            engine: the wasmtime engine.
            timeout_seconds: the most any deadline of it is away.
        """
        self._engine = engine
        self._tick_seconds = max(TICK_SECONDS, timeout_seconds / _MAX_TICKS)
        self._next_tick = 0.0
        self._stopping = threading.Lock()
        self.stops = 0

    def ticks(self, seconds: float) -> int:
        """Return the epochs that last at least `seconds`, which are at most the clock's timeout."""
        return math.ceil(seconds / self._tick_seconds) + 1

    def tick(self, now: float) -> None:
        """End the epoch if it is time to."""
        if now >= self._next_tick:
            self._next_tick = now + self._tick_seconds - TICK_SECONDS / 2
            self._engine.increment_epoch()

    def stop(self) -> None:
        """Let the deadlines of all guests that are running pass."""
        with self._stopping:
            self.stops += 1  # first: whoever sets a deadline and then finds the old count has it passed by what follows
            for _ in range(_MAX_TICKS + 2):
                self._engine.increment_epoch()

    def settled_stops(self) -> int:
        """Return the number of stops; waits for one that is under way.

        Whose deadlines are set after this is not stopped by what was stopped before.
        """
        with self._stopping:
            return self.stops

    def stopped_since(self, stops: int) -> bool:
        """Return whether `stop` was called since its count was `stops`; waits for one that is under way."""
        return self.settled_stops() != stops
