"""What Python keeps of DuckDB's threads."""

import threading

import duckdb
import pytest

from duckdb_wasi_udf import Sandbox, host_function
from duckdb_wasi_udf._process import state, thread_states

ROW_GROUP = 122_880  # what one of DuckDB's threads takes at a time: 60 batches
QUERY = "SELECT f(i) AS n FROM t"


@pytest.fixture(autouse=True)
def states(monkeypatch):
    states = thread_states.ThreadStates()
    monkeypatch.setattr(state, "thread_states", states)
    return states


@pytest.fixture
def con():
    with duckdb.connect() as con:
        con.execute(f"SET threads = 3; CREATE TABLE t AS SELECT i FROM range({8 * ROW_GROUP}) r(i)")
        yield con


def batches_seen(con):
    """The batches of each of DuckDB's threads, while Python took it for the same thread."""
    local = threading.local()
    seen = {}

    @host_function
    def count() -> int:
        if threading.current_thread() is not threading.main_thread():
            local.batches = getattr(local, "batches", 0) + 1
            thread = (threading.get_ident(), threading.get_native_id())
            seen[thread] = max(seen.get(thread, 0), local.batches)
        return 0

    with Sandbox(host_functions=[count]) as sandbox:
        sandbox.create_function(
            con, "f", "import host\ndef f(i: Column[int]) -> Column[int]:\n    host.count()\n    return i"
        )
        assert con.execute(f"SELECT sum(n) FROM ({QUERY})").fetchone() == (sum(range(8 * ROW_GROUP)),)
    return list(seen.values())


def test_a_thread_with_many_batches_keeps_its_state(con, states):
    seen = batches_seen(con)
    assert 1 <= len(seen) <= 2
    assert all(batches > thread_states.BATCHES for batches in seen)
    assert states.kept == len(seen)


def test_few_batches_and_too_many_threads_leave_nothing_behind(con, states, monkeypatch):
    with Sandbox() as sandbox:
        sandbox.create_function(con, "few", "lambda x: x", ["BIGINT"], "BIGINT")
        con.execute(f"SELECT sum(few(i)) FROM range({(thread_states.BATCHES - 1) * 2048}) r(i)").fetchall()
    assert states.kept == 0
    monkeypatch.setattr(thread_states, "MOST_KEPT", 0)
    assert set(batches_seen(con)) == {1}
    assert states.kept == 0


def test_the_interpreters_own_threads_need_nothing(con, states):
    con.execute("SET threads = 1")
    with Sandbox() as sandbox:
        sandbox.create_function(con, "own", "lambda x: x + 1", ["BIGINT"], "BIGINT")

        def query():
            with con.cursor() as cursor:
                cursor.execute("SELECT sum(own(i)) FROM t").fetchall()

        thread = threading.Thread(target=query)
        thread.start()
        query()
        thread.join()
    assert states.kept == 0
