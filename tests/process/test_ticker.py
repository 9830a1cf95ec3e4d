"""The thread that ticks the clocks: when a Ctrl-C is known."""

import signal
import threading
import time

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._process import state


@pytest.fixture
def ignored():
    """Have SIGINT do nothing else than arrive."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_ctrl_c_is_known_as_soon_as_its_handler_has_run(sandbox, con, ignored):
    con.execute("SELECT py_udf('lambda x: x', 1)").fetchall()
    for _ in range(20):
        began = time.monotonic()
        if hasattr(signal, "pthread_kill"):  # which, other than raise_signal, lets no other thread run
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)
        assert state.ticker.interrupted_at(during_calls=False) >= began
        con.execute("SELECT py_udf('lambda x: x', 1)").fetchall()  # keeps the thread


def test_a_ctrl_c_is_a_querys_while_calls_run_and_soon_after(sandbox, con, ignored):
    asked = []

    def interrupt_and_ask():
        while not state.ticker.running:
            threading.Event().wait(0.001)
        began = time.monotonic()
        signal.raise_signal(signal.SIGINT)
        asked.append(state.ticker.interrupted_at(during_calls=True) >= began)

    asking = threading.Thread(target=interrupt_and_ask)
    asking.start()
    with pytest.raises(duckdb.Error):
        con.execute("SELECT py_udf('def f(x):\n    while True: pass', 1)").fetchall()
    asking.join()
    assert asked == [True]
    began, quiet = time.monotonic(), threading.Event()
    while time.monotonic() < began + 0.3:
        quiet.wait(0.05)
    signal.raise_signal(signal.SIGINT)
    assert state.ticker.interrupted_at(during_calls=True) < began


def test_who_asks_while_nothing_runs_does_not_wait():
    while state.ticker.thread is not None:
        threading.Event().wait(0.01)
    assert state.ticker.interrupted_at(during_calls=False) < time.monotonic()


ENDLESS = "def f(x: int) -> int:\n    if x == 90_000:\n        while True: pass\n    return x"


@pytest.fixture
def endless(con):
    """Runs a function that doesn't end, of which earlier batches have ended; on the native path if that is used."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    with wasi_udf.Sandbox(limits=limits) as sandbox:
        sandbox.create_function(con, "f", ENDLESS)
        con.execute("SELECT sum(f(i)) FROM range(50_000) r(i)")

        def run():
            with pytest.raises(duckdb.Error):
                con.execute("SELECT sum(f(i)) FROM range(100_000) r(i)").fetchall()
            assert isinstance(sandbox.last_error, wasi_udf.LimitExceeded)

        yield run


def test_a_guest_is_stopped_while_the_time_stands_still(endless, monkeypatch):
    """As tests of code with times of its own do: freezegun replaces all these."""
    for clock in ("monotonic", "perf_counter", "time"):
        monkeypatch.setattr(time, clock, lambda: 1e6)
    endless()


def test_a_guest_is_stopped_after_the_time_was_put_back(endless, monkeypatch):
    ticks = state.ticker._looks
    with monkeypatch.context() as patch:
        for clock in ("monotonic", "perf_counter", "time"):
            patch.setattr(time, clock, lambda: 1e12)
        while state.ticker.thread is not None and state.ticker._looks < ticks + 3:
            threading.Event().wait(0.001)
    endless()
