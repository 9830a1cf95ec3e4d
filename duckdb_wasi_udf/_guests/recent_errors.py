"""The errors behind failed queries, of which DuckDB passes on only the text."""

from __future__ import annotations

import copy
import sys
import threading
import weakref
from collections import Counter, deque
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import ClosedError, LimitExceeded, WasiUdfError
from duckdb_wasi_udf._native.layouts import Blocked
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb_wasi_udf._native.gate import NativeGate

CLOSED = "the sandbox is closed; create another one and install it"

# Errors that a sandbox keeps: the exceptions of as many queries can be asked for at a time.
_KEPT = 256

# DuckDB's other threads begin no batch of a query that has failed after this time. 1 ms was measured.
_LATE_SECONDS = 0.05

# The exceptions behind an exception that are looked at.
_CHAINED = 20


class _Reported:
    """A copy of an error, with where it came from, and the exception of DuckDB that was asked for.

    The frames of the error that was raised have all that its callers had, and the instance: they aren't kept.
    """

    __slots__ = ("_exception", "_raised", "at", "error", "number", "seen", "text", "thread")

    def __init__(self, error: WasiUdfError, number: int, thread: int | None) -> None:
        self.error = copy.copy(error)
        self.error.__cause__ = error.__cause__
        self._raised = weakref.ref(error)
        self.text = str(error)
        self.number = number
        self.thread = thread  # None: one of DuckDB's
        self.at = SteadyClock.now()
        self.seen = False  # somebody has it, so the query has ended
        self._exception: weakref.ref[BaseException] | None = None

    @property
    def claimed(self) -> bool:
        """True if it was found for an exception that still exists."""
        return self._exception is not None and self._exception() is not None

    def is_of(self, error: WasiUdfError) -> bool:
        return error is self.error or error is self._raised()

    def belongs_to(self, exception: BaseException) -> bool:
        return self._exception is not None and self._exception() is exception

    def claim(self, exception: BaseException) -> None:
        self._exception = weakref.ref(exception)
        self.seen = True


class RecentErrors:
    """The last errors of a sandbox; safe for use by many threads.

    Attributes:
        number: the number of errors so far.
        limits_hit: the number of errors of each limit, and of calls that were cancelled.
        gate: the gate of the native library's calls, which don't ask whether an error is to be forgotten.
    """

    def __init__(self) -> None:
        self.gate: NativeGate | None = None
        self.number = 0
        self.limits_hit: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._kept: deque[_Reported] = deque(maxlen=_KEPT)
        self._last: dict[int | None, _Reported] = {}  # by thread, the one that no call has succeeded after

    def report(self, error: WasiUdfError) -> None:
        """Keep an error."""
        thread = threading.get_ident()
        with self._lock:
            self.number += 1
            reported = _Reported(error, self.number, thread if is_pythons(thread) else None)
            self._kept.append(reported)
            self._last[reported.thread] = reported
            if len(self._last) > _KEPT:  # of threads that have ended
                del self._last[next(iter(self._last))]
            self._block()
            if isinstance(error, LimitExceeded):
                self.limits_hit[error.limit] += 1

    def succeeded(self, number: int, began: float) -> None:
        """Forget the last errors before a call that succeeded.

        Args:
            number: the number of errors when it began.
            began: when that was, on `time.monotonic`.
        """
        with self._lock:
            for thread in (threading.get_ident(), None):
                last = self._last.get(thread)
                if last is None or last.number > number:
                    continue
                # A batch of DuckDB's other threads may be of the query that has failed.
                if thread is not None or last.seen or began - last.at > _LATE_SECONDS:
                    del self._last[thread]
            # Nobody asks for those of threads that have ended, and no call of theirs would succeed.
            running = {None, *(thread.ident for thread in threading.enumerate())}
            self._last = {thread: last for thread, last in self._last.items() if thread in running}
            self._block()

    def _block(self) -> None:
        """Have calls come in through Python while they may have an error to forget.

        A batch on one of DuckDB's threads may be of any query, so after an error there those of all threads may.
        """
        if self.gate is None or not self.gate.usable:
            return
        told = self.gate.block_threads([thread for thread in self._last if thread is not None])
        self.gate.block(Blocked.ERRORS, on=None in self._last or not told)

    @property
    def is_pending(self) -> bool:
        """True if there is an error for `succeeded` to forget."""
        return bool(self._last)

    def last(self) -> WasiUdfError | None:
        """Return the error behind the exception that is being handled, or the last one of this thread's queries."""
        handled = sys.exception()
        for exception in _causes(handled):
            found = exception if isinstance(exception, WasiUdfError) else _behind(exception)
            if found is not None or _is_duckdbs(exception):
                return found if found is not None and self._holds(found) else None
        with self._lock:
            own = [self._last[thread] for thread in (threading.get_ident(), None) if thread in self._last]
            if not own:
                return None
            last = max(own, key=lambda reported: reported.number)
            last.seen = True
        return last.error

    def matching(self, text: str) -> list[_Reported]:
        """Return the errors whose text is a part of another one."""
        with self._lock:
            return [reported for reported in self._kept if reported.text in text]

    def _holds(self, error: WasiUdfError) -> bool:
        with self._lock:
            return any(reported.is_of(error) for reported in self._kept)


def error_of(exception: BaseException) -> WasiUdfError | None:
    """Return the error of this package that an exception of DuckDB stands for.

    It goes by the exception's text, which is all that DuckDB passes on, so it can be asked on any thread, at any time
    until 256 more errors have happened in the sandbox. Exceptions that were raised `from` one of DuckDB's, as
    SQLAlchemy does, are followed. An exception of another process has no error here.

    Args:
        exception: what a query raised.

    Returns:
        The error; None if it isn't one of this package's. An error of this package is returned as it is.
    """
    for found in _causes(exception):
        if isinstance(found, WasiUdfError):
            return found
        error = _behind(found)
        if error is not None:
            return error
        if CLOSED in str(found):  # of a sandbox that is gone
            return ClosedError(CLOSED)
    return None


def _behind(exception: BaseException) -> WasiUdfError | None:
    """Return the error whose text an exception has: of several the longest, and of those with the same text another one
    for each exception, and always the same.
    """
    text = str(exception)
    known: list[_Reported] = []
    for domain in list(state.open_domains):
        known += domain.errors.matching(text)
    if not known:
        return None
    with state.error_finding:
        best = max(known, key=lambda one: (len(one.text), one.belongs_to(exception), not one.claimed, one.at))
        best.claim(exception)
    return best.error


def _causes(exception: BaseException | None) -> Iterator[BaseException]:
    """Return an exception and what it was raised from."""
    for _ in range(_CHAINED):
        if exception is None:
            return
        yield exception
        exception = exception.__cause__


def _is_duckdbs(exception: BaseException) -> bool:
    return any(base.__module__.partition(".")[0] in ("duckdb", "_duckdb") for base in type(exception).__mro__)


def is_pythons(thread: int) -> bool:
    """Return whether Python started a thread. It makes a dummy of another one that asks for `current_thread`."""
    return any(
        known.ident == thread and not isinstance(known, threading._DummyThread) for known in threading.enumerate()
    )
