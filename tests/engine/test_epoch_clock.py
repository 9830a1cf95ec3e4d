import threading
import time

import pytest

from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.deadline import Deadline
from duckdb_wasi_udf._engine.epoch_clock import Clock
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process import ticker as ticker_module
from duckdb_wasi_udf._process.ticker import Ticker


class CountingEngine:
    def __init__(self):
        self.epochs = 0

    def increment_epoch(self):
        self.epochs += 1


@pytest.fixture
def ticker(monkeypatch):
    made = Ticker()
    monkeypatch.setattr(state, "ticker", made)
    return made


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert condition()


def test_epochs_advance_only_while_something_runs(ticker, monkeypatch):
    monkeypatch.setattr(ticker_module, "_IDLE_TICKS", 2)
    engine = CountingEngine()
    clock = Clock(engine, 10)
    with CallContext(clock):
        thread = ticker.thread
        wait_until(lambda: engine.epochs > 3)
        assert ticker.thread is thread
    thread.join(timeout=30)
    assert not thread.is_alive()
    with CallContext(clock):
        assert ticker.thread is not thread
        before = engine.epochs
        wait_until(lambda: engine.epochs > before)


def test_a_clock_ticks_until_its_last_call_ends(ticker):
    busy, idle = CountingEngine(), CountingEngine()
    clock, other = Clock(busy, 10), Clock(idle, 10)
    with CallContext(other):
        pass
    before = idle.epochs
    with CallContext(clock):
        with CallContext(clock):
            pass
        before_busy = busy.epochs
        wait_until(lambda: busy.epochs > before_busy + 3)
    assert idle.epochs <= before + 1


@pytest.mark.parametrize("timeout", [0.001, 0.5, 10, 3600])
def test_a_deadline_lasts_as_long_as_asked_and_a_stop_passes_it(timeout):
    engine = CountingEngine()
    clock = Clock(engine, timeout)
    deadline = engine.epochs + clock.ticks(timeout)
    now = 1000.0
    while engine.epochs < deadline:
        clock.tick(now)
        now += ticker_module.TICK_SECONDS
    assert timeout <= now - 1000.0 <= timeout * 1.02 + 0.03
    with CallContext(clock):
        deadline = engine.epochs + clock.ticks(timeout)
        clock.stop("a test")
        assert engine.epochs >= deadline


def test_a_stop_reaches_the_calls_of_its_clock_that_it_means():
    clock, other = Clock(CountingEngine(), 1), Clock(CountingEngine(), 1)
    meant, spared, elsewhere = CallContext(clock), CallContext(clock), CallContext(other)
    with meant, spared, elsewhere:
        clock.stop("a test", lambda call: call is meant)
        later = CallContext(clock)
        with later:
            assert [call.stopped_by for call in (meant, spared, elsewhere, later)] == ["a test", "", "", ""]
        clock.stop("another")
        assert [call.stopped_by for call in (meant, spared, elsewhere)] == ["a test", "another", ""]
    assert meant not in state.ticker.calls()


class Guest:
    """What a deadline sets, of an engine that counts."""

    def __init__(self, engine):
        self.engine = engine
        self.passes_at = 0

    def set_epoch_deadline(self, ticks):
        self.passes_at = self.engine.epochs + ticks

    @property
    def trapped(self):
        return self.engine.epochs >= self.passes_at


def test_a_stop_leaves_other_calls_the_time_they_have():
    engine = CountingEngine()
    clock = Clock(engine, 20)
    guests = [Guest(engine), Guest(engine)]
    deadlines = [Deadline(guest, clock) for guest in guests]
    with CallContext(clock) as meant, CallContext(clock) as spared:
        for deadline, context in zip(deadlines, (meant, spared), strict=True):
            deadline.start(20, context)
        for _ in range(3):
            clock.stop("a test", lambda call: call is meant)
            meant.stopped_by = ""
            assert [guest.trapped for guest in guests] == [True, False]
        assert guests[1].passes_at - engine.epochs <= clock.ticks(20)
        for deadline in deadlines:
            deadline.end()
    assert not clock.deadlines


def test_a_call_that_comes_in_during_a_stop_isnt_stopped():
    class Engine(CountingEngine):
        """Lets a call come in as soon as a stop has passed the first deadlines."""

        def increment_epoch(self):
            super().increment_epoch()
            if threading.current_thread() is stopping and call.ident is None:
                call.start()
                call.join(timeout=0.2)  # it may wait for the end of the stop

    engine = Engine()
    clock = Clock(engine, 20)
    guest, seen = Guest(engine), []

    def come_in():
        deadline = Deadline(guest, clock)
        with CallContext(clock) as context:
            deadline.start(20, context)
            stopping.join()
            seen.append((guest.trapped, context.stopped_by))
            deadline.end()

    call = threading.Thread(target=come_in)
    stopping = threading.Thread(target=clock.stop, args=("a test",))
    with CallContext(clock):
        stopping.start()
        stopping.join()
        call.join()
    assert seen == [(False, "")]


def test_a_call_that_is_lost_is_ticked_no_longer(ticker):
    """A signal handler may raise before a call is removed."""
    context = CallContext(Clock(CountingEngine(), 1))
    context.__enter__()
    assert ticker.running
    del context
    assert not ticker.running
