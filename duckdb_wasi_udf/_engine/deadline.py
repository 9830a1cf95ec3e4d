"""The time a guest has left. It doesn't run while the host works for the guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._engine.epoch_clock import Clock
    from duckdb_wasi_udf._engine.raw_instance import RawInstance


class Deadline:
    """The time an instance has left. Time spent in host functions doesn't count.

    wasmtime knows a deadline as a number of epochs only, which are longer than most calls of the host; setting it anew
    after each of them would give a guest that asks often enough time without end.

    Attributes:
        host_seconds: what the host has worked for the guest, all calls together.
    """

    def __init__(self, raw: RawInstance, clock: Clock) -> None:
        self._raw = raw
        self._clock = clock
        self._left = 0.0
        self._since = 0.0
        self.host_seconds = 0.0

    @property
    def clock(self) -> Clock:
        """The clock of the instance's engine."""
        return self._clock

    def start(self, seconds: float, context: CallContext) -> None:
        """Let the guest run for `seconds` from now. `end` has to follow.

        Args:
            seconds: the time.
            context: the call that the guest works for. A stop of it that isn't seen afterwards passes the deadline.
        """
        clock = self._clock
        with clock.changing:
            self._left = seconds
            self._since = SteadyClock.precise()
            clock.deadlines[self] = context
            self._raw.set_epoch_deadline(clock.ticks(seconds))

    def adopt(self, seconds: float, context: CallContext) -> None:
        """Take over the deadline of a call that the native library has begun. `end` has to follow.

        Args:
            seconds: the time that is left.
            context: the call, as Python knows it from now on.
        """
        with self._clock.changing:
            self._left = seconds
            self._since = SteadyClock.precise()
            self._clock.deadlines[self] = context

    def end(self) -> None:
        """Forget the deadline: the guest has returned."""
        clock = self._clock
        with clock.changing:  # a stop on another thread may be about to move it
            clock.deadlines.pop(self, None)

    def pause(self) -> None:
        """Stop the guest's time, because the host begins to work."""
        now = SteadyClock.precise()
        self._left -= now - self._since
        self._since = now

    def charge(self, seconds: float) -> None:
        """Count some of the host's work as the guest's time."""
        self._left -= seconds

    def resume(self, context: CallContext) -> None:
        """Let the guest go on after the host's work; it stops at once if its time is up.

        Args:
            context: the call that the guest works for. The guest stops too if that was stopped.
        """
        clock = self._clock
        with clock.changing:
            now = SteadyClock.precise()
            self.host_seconds += now - self._since
            self._since = now
            self._raw.set_epoch_deadline(clock.ticks(self._left) if self._left > 0 else 0)
            if context.stopped_by:
                self._raw.set_epoch_deadline(0)

    def move(self, ticks: int) -> None:
        """Put the deadline off by epochs that are about to pass at once, from the thread that makes them pass.

        The guest runs meanwhile. wasmtime writes one aligned word, which the guest reads again before it traps; a guest
        that waits for the host has its deadline set again by `resume`. The clock is locked, so the store isn't freed.

        Args:
            ticks: the number of epochs.
        """
        left = self._left - (SteadyClock.precise() - self._since)
        self._raw.set_epoch_deadline(ticks + self._clock.ticks(max(left, 0.0)))
