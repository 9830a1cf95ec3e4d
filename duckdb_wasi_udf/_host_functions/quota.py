"""How much of the host's functions has been used, against what may be."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import LimitExceeded
from duckdb_wasi_udf._limits import QUERY_GAP_SECONDS

if TYPE_CHECKING:
    from duckdb_wasi_udf._limits import HostQuota, ResourceLimits

# Of all functions, and of each.
_BATCH = ("host_batch", "host_function_batch")
_QUERY = ("host_query", "host_function_query")


class QuotaUsage:
    """What was used of one quota: the fields of `HostQuota`."""

    __slots__ = ("bytes", "calls", "seconds")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.calls = 0
        self.bytes = 0
        self.seconds = 0.0


class QueryUsage:
    """The usage of all batches of a sandbox that count as one query: see `budget.Budget`; by many threads."""

    def __init__(self, n_functions: int) -> None:
        """Begin with nothing used.

        Args:
            n_functions: the number of host functions.
        """
        self.lock = threading.Lock()
        self.usages = [QuotaUsage() for _ in range(n_functions + 1)]  # the last is that of all together
        self._running = 0
        self._last = float("-inf")

    def enter(self) -> None:
        """Count a guest that begins to run."""
        with self.lock:
            if not self._running and time.monotonic() - self._last >= QUERY_GAP_SECONDS:
                for usage in self.usages:
                    usage.clear()
            self._running += 1

    def leave(self) -> None:
        """Count a guest that has ended."""
        with self.lock:
            self._running -= 1
            self._last = time.monotonic()


class Meter:
    """The usage of one instance, batch by batch, and its part in that of its query."""

    def __init__(self, label: str, names: list[str], limits: ResourceLimits, query: QueryUsage) -> None:
        """Begin with nothing used.

        Args:
            label: how errors name the sandboxed function.
            names: of the host functions.
            limits: what may be used.
            query: what it counts for.
        """
        self.label = label
        self._names = names
        self._query = query
        self._usages = [QuotaUsage() for _ in query.usages]
        self._limits: list[list[tuple[QuotaUsage, HostQuota, str]]] = []
        for number in range(len(names)):
            pairs = [(self._usages, _BATCH), (query.usages, _QUERY)]
            quotas = [(usages[i], fields[0 if i < 0 else 1]) for usages, fields in pairs for i in (-1, number)]
            self._limits.append([(usage, getattr(limits, field), field) for usage, field in quotas])

    def begin(self) -> None:
        """Begin a batch."""
        for usage in self._usages:
            if usage.calls:
                usage.clear()
        self._query.enter()

    def end(self) -> None:
        """End a batch."""
        self._query.leave()

    def count_call(self, number: int) -> None:
        """Count one more call of a function, before it is made.

        Raises:
            LimitExceeded: there have been enough.
        """
        with self._query.lock:
            for usage, quota, field in self._limits[number]:
                usage.calls += 1
                if usage.calls > quota.calls:
                    raise self._exceeded(number, field, "calls", quota.calls, usage.calls)
                if usage.seconds > quota.seconds:
                    raise self._exceeded(number, field, "seconds", quota.seconds, usage.seconds)

    def bytes_left(self, number: int) -> int:
        """Return the bytes that the next call of a function may pass."""
        return min([quota.bytes - usage.bytes for usage, quota, _ in self._limits[number]])

    def too_many_bytes(self, number: int, size: int) -> LimitExceeded:
        """Return the error for a call of a function that would pass `size` bytes, more than are left."""
        usage, quota, field = min(self._limits[number], key=lambda limit: limit[1].bytes - limit[0].bytes)
        return self._exceeded(number, field, "bytes", quota.bytes, usage.bytes + size)

    def count(self, number: int, size: int, seconds: float) -> None:
        """Count what a call of a function, or part of one, has passed and taken.

        Raises:
            LimitExceeded: that is more than is allowed.
        """
        with self._query.lock:
            for usage, _, _ in self._limits[number]:
                usage.bytes += size
                usage.seconds += seconds
            for usage, quota, field in self._limits[number]:
                if usage.bytes > quota.bytes:
                    raise self._exceeded(number, field, "bytes", quota.bytes, usage.bytes)
                if usage.seconds > quota.seconds:
                    raise self._exceeded(number, field, "seconds", quota.seconds, usage.seconds)

    def _exceeded(self, number: int, field: str, what: str, allowed: float, requested: float) -> LimitExceeded:
        limit = f"{field}.{what}"
        of = f"host.{self._names[number]}" if "function" in field else "host functions"
        period = "in one batch" if field in _BATCH else "in one query"
        shown = f"{requested:,.6g}" if what == "seconds" else f"{requested:,}"
        msg = (
            f"{self.label}: asks too much of {of} {period}: {shown} {what}, {limit} allows {allowed:,}; ask for whole "
            f"batches, or raise ResourceLimits.{limit}"
        )
        return LimitExceeded(msg, limit=limit, allowed=allowed, requested=requested)
