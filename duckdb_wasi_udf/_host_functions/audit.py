"""What guests have asked of the host's functions, kept for whoever wants to know."""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import NamedTuple

# Some megabytes: a record is a tuple of nine small objects.
RECORDS = 10_000


class HostCallRecord(NamedTuple):
    """One call of a host function by a guest.

    Attributes:
        called_at: when it began, in UTC.
        host_function: the function.
        called_by: the name of the sandboxed function, as errors have it.
        rows: how many calls it was for the function: the rows of a batch.
        bytes_in: of the arguments' buffers, each row counted as a byte more.
        bytes_out: of the result's buffers, likewise; 0 without one.
        seconds: what it took, with the check and the copy of what was passed.
        outcome: "ok", "refused", "failed", "timed out", "cancelled" (while a time-out ran) or "over quota".
        detail: the error, for the host's eyes only; None for "ok".
    """

    called_at: dt.datetime
    host_function: str
    called_by: str
    rows: int
    bytes_in: int
    bytes_out: int
    seconds: float
    outcome: str
    detail: str | None


class Audit:
    """The newest records of a sandbox; safe for use by many threads."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, tuple[str, str, int, int, int, float, str, str | None]]] = deque(maxlen=RECORDS)

    def add(self, at: float, *told: *tuple[str, str, int, int, int, float, str, str | None]) -> None:
        """Keep a record: `at` in seconds since 1970, then the fields of `HostCallRecord`."""
        self._kept.append((at, told))

    def records(self) -> list[HostCallRecord]:
        """What is kept, oldest first."""
        return [HostCallRecord(dt.datetime.fromtimestamp(at, dt.UTC), *told) for at, told in self._kept.copy()]
