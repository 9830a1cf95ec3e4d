"""The time a guest has left, which doesn't run while the host works for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb_wasi_udf._engine.epoch_clock import Clock
    from duckdb_wasi_udf._engine.raw_instance import RawInstance


class Deadline:
    """When the engine stops an instance: its own time counted exactly, by its host, between calls of each other.

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
        """Give the guest `seconds` from now."""
        self._left = seconds
        self._since = time.perf_counter()
        self._raw.set_epoch_deadline(self._clock.ticks(seconds))

    def pause(self) -> None:
        """The host begins to work."""
        now = time.perf_counter()
        self._left -= now - self._since
        self._since = now

    def charge(self, seconds: float) -> None:
        """Count some of the host's work as the guest's time."""
        self._left -= seconds

    def resume(self, stops: int) -> None:
        """The host has done its work; the guest is stopped at once if its time is up.

        Args:
            stops: the clock's count of stops when the guest's call began; it is stopped too if there was one since.
        """
        now = time.perf_counter()
        self.host_seconds += now - self._since
        self._since = now
        self._raw.set_epoch_deadline(self._clock.ticks(self._left) if self._left > 0 else 0)
        if self._clock.stopped_since(stops):
            self._raw.set_epoch_deadline(0)
