"""One call into a sandbox: made where it comes in, and passed down to the guest that serves it."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Protocol

from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from duckdb_wasi_udf._engine.epoch_clock import Clock
    from duckdb_wasi_udf._errors import LimitExceeded
    from duckdb_wasi_udf._limits import ResourceLimits


class Meter(Protocol):
    """Time of the processor of a call."""

    @property
    def left(self) -> float:
        """Seconds that are left."""


class Account(Protocol):
    """Time of the processor of a sandbox that shares it with others."""

    def enter(self) -> Any:
        """Return the meter of a call that begins on this thread, or raise LimitExceeded if nothing is left."""

    def exit(self, meter: Any) -> None:
        """End a call."""

    def no_time(self) -> LimitExceeded:
        """Return the error for a call when nothing is left."""


class CallContext:
    """What everything below the edge has to know of the call it works for.

    A context manager. The clock runs between enter and exit, and only there: deadlines pass, and a stop reaches the
    guests of the call. No guest runs outside of one.

    Attributes:
        clock: The clock of the sandbox's engine.
        entered_at: When the call came in, on `time.monotonic`.
        thread: The thread that makes it, as of `threading.get_ident`.
        stopped_by: What has stopped the call, for the error; empty if nothing has. Set from any thread.
        budget_seconds: Time that the function has left which is running. Set by whoever keeps its budget.
        first_row: Number of the first row of the piece of a batch that runs, for errors. 0 if it runs as a whole.
        rows_before: Number of rows that a scan has returned before this call, for errors. None for other calls.
        account: What the call's time is charged to. None if nobody else shares it.
    """

    __slots__ = (
        "__weakref__",
        "_meter",
        "account",
        "budget_seconds",
        "clock",
        "entered_at",
        "first_row",
        "rows_before",
        "stopped_by",
        "thread",
    )

    def __init__(self, clock: Clock, account: Account | None = None) -> None:
        self.clock = clock
        self.account = account
        self._meter: Meter | None = None
        self.entered_at = 0.0
        self.thread = 0
        self.stopped_by = ""
        self.budget_seconds = math.inf
        self.rows_before: int | None = None
        self.first_row = 0

    def time_limit(self, limits: ResourceLimits) -> tuple[str, float]:
        """Return the limit that ends a guest which begins to run now, and the seconds until then."""
        name, seconds = "timeout_seconds", limits.timeout_seconds
        if self.budget_seconds < seconds:
            name, seconds = "budget_seconds", self.budget_seconds
        if self._meter is not None and self._meter.left < seconds:
            name, seconds = "shared_cpu_seconds", max(self._meter.left, 0.0)
        return name, seconds

    def __enter__(self) -> Self:
        if self.account is not None:
            self._meter = self.account.enter()
        self.entered_at = SteadyClock.now()
        self.thread = threading.get_ident()
        state.ticker.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.ticker.leave(self)
        if self.account is not None:
            self.account.exit(self._meter)
