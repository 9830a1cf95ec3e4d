"""The thread that ticks the clocks of running guests, and stops them at Ctrl-C."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from duckdb_wasi_udf._process.interrupts import InterruptWatch
from duckdb_wasi_udf._process.main_thread import MainThread
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._native.library import NativeLibrary

# How often a clock is ticked: the precision of a deadline.
TICK_SECONDS = 0.01

# How long the thread waits for the next call before it ends.
_IDLE_TICKS = 100

# The ticks that the main thread has to notice a Ctrl-C before guests on other threads are stopped. It waits in DuckDB
# for others and looks every 20 ms. If their error came first, the query would end with the signal unhandled, and the
# next thing that Python does then, printing the error, would be interrupted by it: "lost sys.stderr". Ticks, not
# seconds, because a machine with much to do needs longer for both.
_GRACE_TICKS = 7

# How long after the last call into a guest a Ctrl-C still is the query's.
_BETWEEN_CALLS_SECONDS = 0.1

# How long somebody waits for the thread to have noticed a Ctrl-C.
_NOTICING_SECONDS = 2.0

# How long calls of the interrupted query are refused at most.
_REFUSING_SECONDS = 2.0

# What `CallContext.stopped_by` says of a call that Ctrl-C stopped.
CTRL_C = "Ctrl-C"


class _Clock(Protocol):
    """What is ticked: see `epoch_clock.Clock`."""

    def tick(self, now: float) -> None: ...

    def stop(self, reason: str, which: Callable[[Call], bool]) -> None: ...

    def native_calls(self) -> list[Call]: ...


class Call(Protocol):
    """A call into a sandbox: see `call_context.CallContext`."""

    entered_at: float
    thread: int
    stopped_by: str

    @property
    def clock(self) -> _Clock: ...


class Ticker:
    """The thread that ticks the clocks of running guests; it ends when nothing runs.

    Attributes:
        interrupts: Reports Ctrl-C.
        thread: The thread, or None while nothing runs.
        native: The native library, whose calls are ticked too; None if it isn't used.
    """

    def __init__(self) -> None:
        self.interrupts = InterruptWatch()
        self._interrupts = (float("-inf"), float("-inf"))  # the last one, and the last one while calls ran
        self._lock = threading.Lock()
        # Weak, because a signal handler may raise before a call is removed.
        self._calls: dict[int, weakref.ref[Call]] = {}
        self._entered = 0
        self._calls_seen = (0, 0)  # by Python and by the native library, when the thread last looked
        self._active_at = float("-inf")
        self._main_thread = MainThread()
        self._interrupt: _Interrupt | None = None
        self.thread: threading.Thread | None = None
        self.native: NativeLibrary | None = None
        self._native_clocks: tuple[weakref.ref[_Clock], ...] = ()  # replaced as a whole: it is read without the lock
        self._looks = 0  # for Ctrl-C; each sees what arrived before it began

    def tick_native(self, native: NativeLibrary, clock: _Clock) -> None:
        """Tick a clock for the calls that the native library makes, too."""
        with self._lock:
            self.native = native
            alive = [known for known in self._native_clocks if known() is not None]
            self._native_clocks = (*alive, weakref.ref(clock))
            if self.thread is not None:
                native.start_ticking()

    def enter(self, call: Call) -> None:
        """Tick the clock of a call while it runs."""
        with self._lock:
            self._calls[id(call)] = weakref.ref(call)
            self._entered += 1
            if self.thread is None:
                self.interrupts.arrived()  # long ago, and no business of this call
                thread = threading.Thread(target=self._run, name="duckdb-wasi-udf-epoch", daemon=True)
                thread.start()
                self.thread = thread
                if self.native is not None:
                    self.native.start_ticking()
        if call.thread != self._main_thread.ident:
            self._main_thread.look_if_it_has_moved()  # a Ctrl-C may come before the next tick
        interrupt = self._interrupt
        if interrupt is not None and interrupt.refuses(call):
            call.stopped_by = CTRL_C

    def leave(self, call: Call) -> None:
        """Forget a call that has ended. Its clock is ticked while others run."""
        self._calls.pop(id(call), None)

    def calls(self) -> list[Call]:
        """Return the calls that are under way, of all clocks."""
        calls = []
        for key, reference in list(self._calls.items()):
            call = reference()
            if call is None:
                self._calls.pop(key, None)
            else:
                calls.append(call)
        if self.native is not None and self.native.running():
            clocks = [known() for known in self._native_clocks]
            for clock in clocks:
                calls += [] if clock is None else clock.native_calls()
        return calls

    @property
    def running(self) -> bool:
        """True while a call into a guest is under way."""
        return bool(self.calls())

    @property
    def ran_lately(self) -> bool:
        """True if a call into a guest is under way or ended less than a second ago."""
        return self.thread is not None

    def interrupted_at(self, *, during_calls: bool) -> float:
        """Return when Ctrl-C last arrived while this thread ran, on `time.monotonic`.

        One that is there already counts: its handler may have raised before the thread has noticed it.

        Args:
            during_calls: whether only one counts that came while calls were under way or had just ended.
        """
        thread, enough, until = self.thread, self._looks + 2, SteadyClock.now() + _NOTICING_SECONDS
        while thread is not None and self.thread is thread and self._looks < enough and SteadyClock.now() < until:
            SteadyClock.sleep(TICK_SECONDS / 4)
        return self._interrupts[during_calls]

    def after_fork(self) -> None:
        """Start anew in a child process, where the thread doesn't exist and the lock may be held by nobody."""
        self.interrupts.after_fork()
        self._lock = threading.Lock()
        self._calls = {}
        self._main_thread = MainThread()
        self._interrupt = None
        self.thread = None

    def _run(self) -> None:
        idle = 0
        while True:
            self._wait()
            calls = self.calls()
            with self._lock:
                idle = 0 if self._is_active() or self._interrupt else idle + 1
                if idle >= _IDLE_TICKS and (self.native is None or self.native.stop_ticking()):
                    self.thread = None
                    return
            now = SteadyClock.now()
            for clock in {call.clock for call in calls}:
                clock.tick(now)
            if self._interrupt is not None and self._interrupt.is_over(calls, now):
                self._interrupt = None
                self._set_careful(-1)
            del calls
            self._main_thread.look()

    def _wait(self) -> None:
        """Wait for the next tick. A Ctrl-C is noticed the moment it arrives."""
        if self.interrupts.wait(TICK_SECONDS):
            self._is_active()
            now = SteadyClock.now()
            during_calls = now - self._active_at < _BETWEEN_CALLS_SECONDS
            self._interrupts = (now, now if during_calls else self._interrupts[True])
            if self._interrupt is None:
                self._set_careful(1)
            self._interrupt = _Interrupt(self._main_thread)
        self._looks += 1

    def _is_active(self) -> bool:
        """Return whether a call is under way or was begun since this was last asked, and remember when."""
        native = self.native
        calls = (self._entered, 0 if native is None else native.calls())
        active = calls != self._calls_seen or bool(self._calls) or (native is not None and native.running() > 0)
        self._calls_seen = calls
        if active:
            self._active_at = SteadyClock.now()
        return active

    def _set_careful(self, by: int) -> None:
        """Have all calls come in through Python while there is an interrupt."""
        if self.native is not None:
            self.native.set_careful(by)


class _Interrupt:
    """One Ctrl-C: stops the calls that ran when it arrived, and those that come after them in the same query.

    The main thread may notice it first, wherever it is, and begin another query at once. A call that comes in later
    belongs to an interrupted query only if the main thread is still inside the call of DuckDB that it was in before.
    DuckDB's main thread waits there for its other threads, which know nothing of the Ctrl-C and would run the query to
    its end.
    """

    def __init__(self, main_thread: MainThread) -> None:
        self._main_thread = main_thread
        self._arrived_at = SteadyClock.now()
        self._stay = main_thread.stay()
        self._ticks = 0
        self._stopping = False

    def refuses(self, call: Call) -> bool:
        """Return whether a call that comes in belongs to an interrupted query. For the thread that makes the call."""
        return self._stopping and self._is_older(call)

    def is_over(self, calls: list[Call], now: float) -> bool:
        """Stop what has to be stopped by now, and return whether that was all.

        Args:
            calls: those that run.
            now: the time, on `time.monotonic`.
        """
        # Its signal handler runs as soon as it is stopped.
        main_runs_guest = any(call.thread == self._main_thread.ident for call in calls)
        self._ticks += 1
        if not self._stopping and not main_runs_guest and self._ticks < _GRACE_TICKS:
            return False
        self._stopping = True
        for clock in {call.clock for call in calls}:
            clock.stop(CTRL_C, self._is_older)
        return not self._main_is_inside() or now > self._arrived_at + _REFUSING_SECONDS

    def _is_older(self, call: Call) -> bool:
        if call.entered_at <= self._arrived_at:
            return True
        return call.thread != self._main_thread.ident and self._main_is_inside()

    def _main_is_inside(self) -> bool:
        if self._stay is not None and self._main_thread.stay() != self._stay:
            self._stay = None
        return self._stay is not None
