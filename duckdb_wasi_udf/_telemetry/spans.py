"""OpenTelemetry spans of queries, and of the calls of host functions in them.

They have numbers and the classes of errors, and no text of code, data or errors: what an error quotes of a row is not
for everybody who sees a trace.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import GuestError, LimitExceeded
from duckdb_wasi_udf._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCOPE = "duckdb_wasi_udf"

# Calls of host functions that have spans of their own in one query: a guest may make many. All are counted.
_MOST_HOST_CALLS = 1_000


@functools.cache
def _tracer() -> Any:
    """Return the tracer of this package; None if OpenTelemetry's API isn't installed."""
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return trace.get_tracer(_SCOPE, __version__)


class QuerySpan:
    """What the functions of a query did, reported as a span; safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = self._rows = self._errors = 0
        self._seconds = 0.0
        self._error: BaseException | None = None
        self._host_calls = 0
        self._context: Any = None  # of OpenTelemetry, with the span

    def count(self, rows: int, seconds: float, error: BaseException | None) -> None:
        """Count a call.

        Args:
            rows: the rows of its batch.
            seconds: how long it took, on its thread.
            error: what it raised; None if it succeeded.
        """
        with self._lock:
            self._calls += 1
            self._seconds += seconds
            if error is None:
                self._rows += rows
            else:
                self._errors += 1
                self._error = error

    @contextlib.contextmanager
    def recording(self, sandbox: str) -> Iterator[None]:
        """Make the span the current one of the block, and report it at its end.

        Args:
            sandbox: the name of the sandbox.
        """
        tracer = _tracer()
        if tracer is None:
            yield
            return
        with tracer.start_as_current_span(
            f"{_SCOPE}.query", record_exception=False, set_status_on_exception=False
        ) as span:
            self._context = _context_of(span)
            try:
                yield
            finally:
                self._context = None
                span.set_attributes({f"{_SCOPE}.{name}": value for name, value in self._attributes(sandbox).items()})
                if self._error is not None:
                    self._fail(span, self._error)

    @contextlib.contextmanager
    def host_call(self, name: str) -> Iterator[HostCallSpan | None]:
        """Make a span of a call of a host function the current one of the block, below that of the query.

        DuckDB's threads have no current span of their own. What the function does may make spans in turn.

        Args:
            name: the name of the function.

        Returns:
            The span; None if there is none, or the query has enough.
        """
        tracer, context = _tracer(), self._context
        with self._lock:
            self._host_calls += 1
            is_shown = self._host_calls <= _MOST_HOST_CALLS
        if tracer is None or context is None or not is_shown:
            yield None
            return
        with tracer.start_as_current_span(
            f"{_SCOPE}.host_call", context, record_exception=False, set_status_on_exception=False
        ) as span:
            span.set_attribute(f"{_SCOPE}.host_function", name)
            yield HostCallSpan(span)

    def _attributes(self, sandbox: str) -> dict[str, str | float]:
        with self._lock:
            counted = {
                "calls": self._calls,
                "rows": self._rows,
                "errors": self._errors,
                "host_calls": self._host_calls,
            }
            return {"sandbox": sandbox, **counted, "seconds": self._seconds}

    @staticmethod
    def _fail(span: Any, error: BaseException) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - there is a span

        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", type(error).__name__)
        if isinstance(error, LimitExceeded):
            span.set_attribute(f"{_SCOPE}.limit", error.limit)
        if isinstance(error, GuestError):
            span.set_attribute(f"{_SCOPE}.exception", error.type_name[:100])


class HostCallSpan:
    """The span of one call of a host function."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def end(self, *, rows: int, seconds: float, outcome: str, error_type: str | None) -> None:
        """Report what became of the call.

        Args:
            rows: its rows.
            seconds: how long it took.
            outcome: as in the audit.
            error_type: the class of the exception behind it; None if there is none.
        """
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - there is a span

        values = {"rows": rows, "seconds": seconds, "outcome": outcome}
        self._span.set_attributes({f"{_SCOPE}.{name}": value for name, value in values.items()})
        if outcome != "ok":
            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", error_type or outcome)


def _context_of(span: Any) -> Any:
    """Return a context of OpenTelemetry in which a span is the current one."""
    from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - there is a span

    return set_span_in_context(span)
