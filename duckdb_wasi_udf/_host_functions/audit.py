"""The record of the calls that guests make of host functions."""

from __future__ import annotations

import datetime as dt
import time
from collections import deque
from typing import Any, NamedTuple

from duckdb_wasi_udf._display import html, plain
from duckdb_wasi_udf._text import printable

# Some megabytes: a record is an object of ten small ones.
RECORDS = 10_000

# Of what a host function raised, as much as is recorded.
_RECORDED_CHARACTERS = 500

# Of the records, the last ones are shown.
_SHOWN = 50


class HostCallRecord(NamedTuple):
    """One call of a host function by a guest.

    Attributes:
        called_at: when it began, in UTC.
        host_function: the function.
        called_by: the name of the sandboxed function, as errors have it.
        rows: the number of calls for the function: the rows of a batch.
        bytes_in: of the arguments' buffers, each row counted as a byte more.
        bytes_out: of the result's buffers, likewise; 0 without one.
        seconds: what it took, with the check and the copy of what was passed.
        outcome: "ok", "refused", "failed", "timed out", "cancelled" (while a timeout ran) or "over quota".
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


class HostCallRecords(list[HostCallRecord]):
    """A list of records, the last of which a shell or notebook shows as a table."""

    def __repr__(self) -> str:
        """Return a table in lines."""
        if not self:
            return "no calls of host functions"
        return "\n".join([*self._before(), plain.table(HostCallRecord._fields, self._rows())])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's protocol
        """Print the table in IPython, which has another way to print lists."""
        printer.text(repr(self))

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        if not self:
            return str(html.element("div", repr(self)))
        return html.joined(
            [*(html.element("div", line) for line in self._before()), html.table(HostCallRecord._fields, self._rows())]
        )

    def _before(self) -> list[str]:
        return [f"{len(self) - _SHOWN:,} earlier calls"] if len(self) > _SHOWN else []

    def _rows(self) -> list[tuple[object, ...]]:
        return [(record.called_at.isoformat(" ", "milliseconds"), *record[1:]) for record in self[-_SHOWN:]]


class PendingRecord:
    """A call that is under way: what `HostCallRecord` says, filled in as it becomes known."""

    __slots__ = (
        "_began",
        "bytes_in",
        "bytes_out",
        "called_at",
        "called_by",
        "detail",
        "error_type",
        "host_function",
        "outcome",
        "rows",
        "seconds",
    )

    def __init__(self, host_function: str, called_by: str) -> None:
        """Begin the record of a call.

        Args:
            host_function: the name of the function.
            called_by: the name of the sandboxed function.
        """
        self.host_function = host_function
        self.called_by = called_by
        self.called_at = time.time()  # seconds since 1970
        self._began = time.perf_counter()
        self.rows = self.bytes_in = self.bytes_out = 0
        self.seconds = 0.0
        self.outcome = "over quota"
        self.detail: str | None = None
        self.error_type: str | None = None

    def fail(self, error: BaseException) -> None:
        """Record what the call failed with."""
        self.error_type = type(error).__name__
        self.detail = printable(f"{self.error_type}: {error}"[:_RECORDED_CHARACTERS])

    def elapsed(self) -> float:
        """Return the seconds since the call began."""
        return time.perf_counter() - self._began

    def finished(self) -> HostCallRecord:
        """Return the record as users see it."""
        return HostCallRecord(
            called_at=dt.datetime.fromtimestamp(self.called_at, dt.UTC),
            host_function=self.host_function,
            called_by=self.called_by,
            rows=self.rows,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            seconds=self.seconds,
            outcome=self.outcome,
            detail=self.detail,
        )


class Audit:
    """The newest records of a sandbox; safe for use by many threads."""

    def __init__(self) -> None:
        self._kept: deque[PendingRecord] = deque(maxlen=RECORDS)

    def add(self, record: PendingRecord) -> None:
        """Take the record of a call that has ended."""
        record.seconds = record.elapsed()
        self._kept.append(record)

    def records(self) -> HostCallRecords:
        """Return the records, oldest first."""
        return HostCallRecords(record.finished() for record in self._kept.copy())
