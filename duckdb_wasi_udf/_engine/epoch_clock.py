"""Deadlines: the epochs of an engine advance while its guests run, and all at once to stop some of them.

wasmtime compiles into every loop and call of the guest a comparison of the engine's epoch with the store's deadline.
Each sandbox has an engine of its own. To stop calls is to advance that engine's epoch beyond all the deadlines that are
set, after those of the other calls were moved as far. Nothing of ours runs inside the guest's call, where an exception
(a signal handler's, say) would do harm.
"""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Protocol

from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.steady_clock import SteadyClock
from duckdb_wasi_udf._process.ticker import TICK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb_wasi_udf._native.gate import NativeGate
    from duckdb_wasi_udf._native.layouts import Running
    from duckdb_wasi_udf._process.ticker import Call

# The most ticks a deadline may be away, so that advancing beyond all of them takes 0.4 ms: a timeout of more than ten
# seconds has longer ticks.
_MAX_TICKS = 1000

# What `Clock.cancel` stops calls by, for errors.
CANCEL = "Sandbox.cancel()"

# The epochs by which a stop advances.
_STOP_TICKS = _MAX_TICKS + 2


class _Engine(Protocol):
    def increment_epoch(self) -> None: ...


class _Deadline(Protocol):
    """The deadline of a guest that is running: see `deadline.Deadline`."""

    def move(self, ticks: int) -> None: ...


class NativeCall:
    """A call of a guest that the native library makes by itself, for whoever looks for calls: see `ticker.Call`.

    Attributes:
        clock: The clock of its sandbox.
        entered_at: When it began, on `time.monotonic`.
        thread: The thread that makes it, as of `threading.get_ident`.
    """

    __slots__ = ("_gate", "_running", "clock", "entered_at", "thread")

    def __init__(self, clock: Clock, gate: NativeGate, running: Running) -> None:
        self.clock = clock
        self._gate = gate
        self._running = running
        self.entered_at = SteadyClock.now() - running.age
        self.thread = int(running.thread)

    @property
    def stopped_by(self) -> str:
        """What has stopped it."""
        return self.clock.reason(self._running.stopped)

    @stopped_by.setter
    def stopped_by(self, reason: str) -> None:
        self._running.stopped = self.clock.reason_number(reason)
        self._gate.stop(self._running, self._running.stopped)

    def move(self, ticks: int) -> None:
        """Put its deadline off by epochs that are about to pass at once."""
        self._gate.move(self._running, ticks + self.clock.ticks(max(self._running.left, 0.0)))


class Clock:
    """The epochs of one engine. They advance while a `CallContext` of it is entered.

    Attributes:
        deadlines: The deadlines that are set, each with the call it is for.
        changing: Held while a deadline is set or a call stopped. The handler of a signal may stop calls at any moment,
            so it is a lock that a thread can take twice.
        gate: The gate of the native library's calls; None if it makes none.
        cancelled: The number of the last `cancel`; 0 before the first.
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
        self.changing = threading.RLock()
        self.deadlines: dict[_Deadline, Call] = {}
        self.gate: NativeGate | None = None
        self.cancelled = 0
        self._reasons = [""]

    @property
    def tick_seconds(self) -> float:
        """The length of an epoch."""
        return self._tick_seconds

    def reason(self, number: int) -> str:
        """Return what has stopped a call, by its number; empty if nothing has."""
        return self._reasons[number]

    def reason_number(self, reason: str) -> int:
        """Return the number of what stops calls."""
        if reason not in self._reasons:
            self._reasons.append(reason)
        return self._reasons.index(reason)

    def native_calls(self) -> list[Call]:
        """Return the calls that the native library makes by itself."""
        gate = self.gate
        return [] if gate is None else [NativeCall(self, gate, running) for running in gate.running()]

    def ticks(self, seconds: float) -> int:
        """Return the epochs that last at least `seconds`, which are at most the clock's timeout."""
        return math.ceil(seconds / self._tick_seconds) + 1

    def tick(self, now: float) -> None:
        """End the epoch if it is time to."""
        if now >= self._next_tick:
            self._next_tick = now + self._tick_seconds - TICK_SECONDS / 2
            self._engine.increment_epoch()

    def cancel(self) -> None:
        """Stop all calls, and those to come of queries that have begun to call functions.

        A query has a number from `state.cancel_numbers`; on the native path, the number of the cancel before. Whoever
        takes a call of it compares that with `cancelled`, after `stop` can find the call.
        """
        native, gate = state.native, self.gate
        with state.cancelling:
            self.cancelled = next(state.cancel_numbers)
            if native is not None:
                native.cancel(gate.address if gate is not None and gate.usable else 0, self.cancelled)
        self.stop(CANCEL)

    def stop(self, reason: str, which: Callable[[Call], bool] = lambda _: True) -> None:
        """Stop calls: the guests that run for them trap, and no other guest begins to run for them.

        Args:
            reason: what stops them, for the errors.
            which: returns whether to stop a call; all of this clock's by default.
        """
        with self.changing, self._frozen():
            calls = state.ticker.calls()
            stopped = [call for call in calls if call.clock is self and not call.stopped_by]
            stopped = [call for call in stopped if which(call)]
            for call in stopped:
                call.stopped_by = reason  # first: whoever sets a deadline looks afterwards whether this is set
            if not stopped:
                return
            for deadline, call in list(self.deadlines.items()):
                if not call.stopped_by:
                    deadline.move(_STOP_TICKS)
            for call in calls:
                if isinstance(call, NativeCall) and call.clock is self and not call.stopped_by:
                    call.move(_STOP_TICKS)
            for _ in range(_STOP_TICKS):
                self._engine.increment_epoch()

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        """Let the native library begin no calls, whose deadlines the epochs would pass."""
        gate = self.gate
        if gate is None or not gate.usable:
            yield
            return
        gate.freeze()
        try:
            yield
        finally:
            gate.thaw()
