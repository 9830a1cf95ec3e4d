"""The thread that ticks the clocks of running guests."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from duckdb_wasi_udf._process.interrupts import InterruptWatch

# How often a clock is ticked: the precision of a deadline.
TICK_SECONDS = 0.01

# How long the thread waits for the next call before it ends.
_IDLE_TICKS = 100


class _Clock(Protocol):
    """What is ticked: see `epoch_clock.Clock`."""

    def tick(self, now: float) -> None: ...

    def stop(self) -> None: ...


class Ticker:
    """The thread that ticks the clocks of running guests; it ends when nothing runs.

    Attributes:
        thread: the thread, or None while nothing runs.
    """

    def __init__(self) -> None:
        self.interrupts = InterruptWatch()
        self._lock = threading.Lock()
        self._running: dict[_Clock, int] = {}
        self.thread: threading.Thread | None = None

    def enter(self, clock: _Clock) -> None:
        """Tick a clock while a call into a guest runs."""
        with self._lock:
            self._running[clock] = self._running.get(clock, 0) + 1
            if self.thread is None:
                self.interrupts.arrived()  # long ago, and no business of this call
                thread = threading.Thread(target=self._tick, name="duckdb-wasi-udf-epoch", daemon=True)
                thread.start()
                self.thread = thread

    def leave(self, clock: _Clock) -> None:
        """Stop ticking a clock when its last call has ended."""
        with self._lock:
            running = self._running.get(clock, 0)
            if running > 1:
                self._running[clock] = running - 1
            else:
                self._running.pop(clock, None)

    @property
    def running(self) -> bool:
        """True while a call into a guest is under way."""
        return bool(self._running)

    @property
    def ran_lately(self) -> bool:
        """True if a call into a guest is under way or ended less than a second ago."""
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
