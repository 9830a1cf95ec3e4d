"""Deadlines: the epochs of an engine advance while its guests run, and all at once to stop them.

wasmtime compiles into every loop and call of the guest a comparison of the engine's epoch with the store's deadline.
Each sandbox has an engine of its own, so to stop all its guests is to advance that engine's epoch beyond the deadlines
that are set. Nothing of ours runs inside the guest's call, where an exception (a signal handler's, say) would do harm.
"""

from __future__ import annotations

import math
import os
import threading
import time
from typing import Protocol

from duckdb_wasi_udf._process.interrupts import InterruptWatch

# How often an epoch ends while a guest runs: the precision of a deadline.
TICK_SECONDS = 0.01

# The most ticks a deadline may be away, so that advancing beyond all of them takes 0.4 ms: a timeout of more than ten
# seconds has longer ticks.
_MAX_TICKS = 1000

# How long the thread waits for the next call before it ends.
_IDLE_TICKS = 100


class _Engine(Protocol):
    def increment_epoch(self) -> None: ...


class Clock:
    """The epochs of one engine; to be entered around every call into an instance of it.

    Attributes:
        stops: how often it was stopped; entering tells the count, with which `stopped_since` tells of the time after.
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
        """The epochs that last at least `seconds`, which are at most the clock's timeout."""
        return math.ceil(seconds / self._tick_seconds) + 1

    def tick(self, now: float) -> None:
        """End the epoch if it is time to."""
        if now >= self._next_tick:
            self._next_tick = now + self._tick_seconds - TICK_SECONDS / 2
            self._engine.increment_epoch()

    def stop(self) -> None:
        """Let the deadlines of all guests that are running pass."""
        with self._stopping:
            for _ in range(_MAX_TICKS + 2):
                self._engine.increment_epoch()
            self.stops += 1

    def stopped_since(self, stops: int) -> bool:
        """Whether `stop` was called since its count was `stops`; waits for a call that is under way."""
        with self._stopping:
            return self.stops != stops

    def __enter__(self) -> int:
        ticker.enter(self)
        return self.stops

    def __exit__(self, *exc_info: object) -> None:
        ticker.leave(self)


class Ticker:
    """The thread that ticks the clocks of running guests; it ends when nothing runs.

    Attributes:
        thread: the thread, or None while nothing runs.
    """

    def __init__(self) -> None:
        self.interrupts = InterruptWatch()
        self._lock = threading.Lock()
        self._running: dict[Clock, int] = {}
        self.thread: threading.Thread | None = None

    def enter(self, clock: Clock) -> None:
        """A call into a guest begins."""
        with self._lock:
            self._running[clock] = self._running.get(clock, 0) + 1
            if self.thread is None:
                self.interrupts.arrived()  # long ago, and no business of this call
                thread = threading.Thread(target=self._tick, name="duckdb-wasi-udf-epoch", daemon=True)
                thread.start()
                self.thread = thread

    def leave(self, clock: Clock) -> None:
        """A call into a guest has ended."""
        with self._lock:
            running = self._running.get(clock, 0)
            if running > 1:
                self._running[clock] = running - 1
            else:
                self._running.pop(clock, None)

    @property
    def running(self) -> bool:
        """Whether any call into a guest is under way."""
        return bool(self._running)

    @property
    def ran_lately(self) -> bool:
        """Whether a call into a guest is under way or ended less than a second ago."""
        return self.thread is not None

    def after_fork(self) -> None:
        """Start anew in a child process, where the thread doesn't exist and the lock may be held by nobody."""
        self.interrupts.after_fork()
        self._lock = threading.Lock()
        self._running = {}
        self.thread = None

    def _tick(self) -> None:
        idle = 0
        while True:
            time.sleep(TICK_SECONDS)
            interrupted = self.interrupts.arrived()
            with self._lock:
                clocks = list(self._running)
                idle = 0 if clocks else idle + 1
                if idle >= _IDLE_TICKS:
                    self.thread = None
                    return
            now = time.monotonic()
            for clock in clocks:
                clock.tick(now)
                if interrupted:
                    clock.stop()


ticker = Ticker()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ticker.after_fork)
