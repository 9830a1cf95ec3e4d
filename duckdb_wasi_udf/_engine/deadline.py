"""The time a guest has left. It doesn't run while the host works for the guest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

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

    def start(self, seconds: float) -> None:
        """Let the guest run for `seconds` from now."""
        self._left = seconds
        self._since = time.perf_counter()
        self._raw.set_epoch_deadline(self._clock.ticks(seconds))

    def pause(self) -> None:
        """Stop the guest's time, because the host begins to work."""
        now = time.perf_counter()
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
        now = time.perf_counter()
        self.host_seconds += now - self._since
        self._since = now
        self._raw.set_epoch_deadline(self._clock.ticks(self._left) if self._left > 0 else 0)
        if context.stopped:
            self._raw.set_epoch_deadline(0)
