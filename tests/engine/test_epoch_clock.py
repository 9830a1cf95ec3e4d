import threading
import time

import pytest

from duckdb_wasi_udf._engine.call_context import CallContext
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
    deadline = engine.epochs + clock.ticks(timeout)
    clock.stop()
    assert engine.epochs >= deadline


def test_stops_are_counted():
    clock = Clock(CountingEngine(), 1)
    stops = clock.stops
    assert not clock.stopped_since(stops)
    clock.stop()
    assert clock.stopped_since(stops)


def test_a_call_that_comes_in_during_a_stop_knows_its_end():
    class Engine(CountingEngine):
        """Lets a call come in as soon as a stop has passed the first deadlines."""

        def increment_epoch(self):
            super().increment_epoch()
            if self.epochs == 1:
                call.start()
                call.join(timeout=0.2)  # it may wait for the end of the stop

    engine = Engine()
    clock = Clock(engine, 20)
    seen = []

    def come_in():
        context = CallContext(clock)
        with context:
            deadline = engine.epochs + clock.ticks(20)
            stopping.join()
            seen.append((engine.epochs >= deadline, context.stopped))

    call = threading.Thread(target=come_in)
    stopping = threading.Thread(target=clock.stop)
    stopping.start()
    stopping.join()
    call.join()
    [(passed, stopped)] = seen
    assert passed == stopped
