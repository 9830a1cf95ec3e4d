"""Deadlines, timeouts and cancellation while a host function runs."""

import threading
import time

import pytest

from duckdb_wasi_udf import (
    Cancelled,
    HostFunction,
    LimitExceeded,
    ResourceLimits,
)
from duckdb_wasi_udf._process import abandonable_calls
from tests.host_functions.samples import fails, plus


def test_the_deadline_stands_still_while_the_host_works(con, grant):
    def slow(x: int) -> int:
        time.sleep(0.2)
        return x

    grant(HostFunction(slow), limits=ResourceLimits(timeout_seconds=0.4))
    code = "import host\nlambda x: [host.slow(i) for i in range(3)]"
    assert con.execute("SELECT py_udf($1, 1)", [code]).fetchall() == [([0, 1, 2],)]
    usage = con.execute("SELECT max(seconds) > 0.2 FROM py_host_calls()").fetchall()
    assert usage == [(True,)]


def test_many_short_calls_give_no_further_time(con, grant):
    sandbox = grant(plus, limits=ResourceLimits(timeout_seconds=0.2))
    code = "import host\ndef f(x):\n while True: host.plus(x)"
    sandbox.create_function(con, "endless", code, ["BIGINT"], "BIGINT", side_effects=True)
    error = fails(sandbox, lambda: con.execute("SELECT endless(1)").fetchall(), LimitExceeded)
    assert error.limit == "timeout_seconds"


def test_a_function_that_takes_too_long_is_left_behind(con, grant, monkeypatch):
    monkeypatch.setattr(abandonable_calls, "MOST_ABANDONED", 2)
    release, running = threading.Event(), threading.Semaphore(0)

    def hang(x: int) -> int:
        running.release()
        release.wait(30)
        return x

    sandbox = grant(HostFunction(hang, timeout_seconds=0.05))
    code = """
        import host
        def f(x):
            try:
                return str(host.hang(x))
            except host.HostError as error:
                return str(error)
    """

    def call():
        return con.execute("SELECT py_udf($1, 1)", [code]).fetchall()[0][0]

    assert [call() for _ in range(3)] == ["hang took too long", "hang took too long", "hang was refused"]
    release.set()
    while sandbox._domain.grants.calls._abandoned:
        time.sleep(0.01)
    assert call() == "1"
    assert [record.outcome for record in sandbox.audit()][-4:] == ["timed out", "timed out", "refused", "ok"]


def test_a_function_with_a_timeout_raises_and_returns_as_others(grant, evaluate):
    def checked(x: int) -> int:
        if x < 0:
            raise ValueError("negative")
        return x * 2

    sandbox = grant(HostFunction(checked, timeout_seconds=20.0))
    assert evaluate("host.checked(x)") == 2
    assert isinstance(fails(sandbox, lambda: evaluate("host.checked(-x)")).__cause__, ValueError)


@pytest.mark.parametrize("timeout_seconds", [None, 20.0])
def test_cancel_is_noticed_when_a_call_returns_or_at_once(con, grant, timeout_seconds):
    entered, release = threading.Event(), threading.Event()

    def wait(x: int) -> int:
        entered.set()
        release.wait(20)
        return x

    sandbox = grant(HostFunction(wait, timeout_seconds=timeout_seconds))
    sandbox.create_function(
        con, "waits", "import host\ndef f(x: int) -> int:\n  return host.wait(x)", side_effects=True
    )

    def cancel():
        entered.wait(10)
        sandbox.cancel()
        if timeout_seconds is None:
            release.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    fails(sandbox, lambda: con.execute("SELECT waits(i) FROM range(1) t(i)").fetchall(), Cancelled)
    thread.join()
    release.set()
    assert {record.outcome for record in sandbox.audit()} == {"ok" if timeout_seconds is None else "cancelled"}
