"""`Sandbox.query`: the queries of one connection are stopped, and no others."""

import threading
import time

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import Cancelled, ResourceLimits
from duckdb_wasi_udf._process.state import ticker
from duckdb_wasi_udf._sql import running_query as query_module
from duckdb_wasi_udf._sql.running_query import RunningQuery

LIMITS = ResourceLimits(timeout_seconds=60)
ENDLESS = "def f(x):\n    while True: pass"
PLUS_ONE = "lambda x: x + 1"
SCALAR = f"SELECT sum(py_udf_bigint($${ENDLESS}$$, i)) FROM range($1) r(i)"
QUERIES = {
    "a scalar function": (SCALAR, [10]),
    "on several threads": (SCALAR, [500_000]),
    "constant arguments": (f"SELECT py_udf($${ENDLESS}$$, 1)", None),
    "short batches": (f"SELECT sum(py_udf_bigint('{PLUS_ONE}', i)) FROM range($1) r(i)", [10**10]),
    "an aggregate": (f"SELECT py_agg($${ENDLESS}$$, list(i)) FROM range(10) r(i)", None),
    "while it binds": ("FROM py_table($1)", ["def f():\n  while True: pass"]),
    "a table function": (
        "SELECT sum(n) FROM py_table($1, schema := 'STRUCT(n BIGINT)')",
        ["def f():\n  while True: yield (1,)"],
    ),
    "a table function's step": (
        "SELECT sum(n) FROM py_table($1, schema := 'STRUCT(n BIGINT)')",
        ["def f():\n  yield (1,)\n  while True: pass"],
    ),
    "the input of map_batches": (
        """FROM py_map_batches('def f(x): return [x]', 'SELECT py_udf_bigint($$def f(x):
    while True: pass$$, i) FROM range(300_000) r(i)', schema := 'STRUCT(n BIGINT)')""",
        None,
    ),
}


@pytest.fixture
def sandbox(con):
    con.execute("SET threads = 4")
    with wasi_udf.Sandbox(limits=LIMITS).install(con) as made:
        yield made


def running(sandbox, query=None):
    """Whether a guest runs, for a query if one is given."""
    return [
        call
        for call in ticker.calls()
        if call.clock is sandbox._domain.clock
        and sandbox._domain.clock.deadlines
        and (query is None or query._running.has(call))
    ]


def wait_until(condition):
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        threading.Event().wait(0.005)


def cancelling(sandbox, query, times=1):
    """A thread that cancels a query once a guest runs for it."""

    def act():
        wait_until(lambda: running(sandbox, query))
        for _ in range(times):
            query.cancel()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_of_any_kind_is_stopped(con, sandbox, kind):
    sql, parameters = QUERIES[kind]
    with sandbox.query(con) as query:
        thread = cancelling(sandbox, query)
        started = time.monotonic()
        with pytest.raises(duckdb.Error):
            con.execute(sql, parameters).fetchall()
        assert time.monotonic() - started < LIMITS.timeout_seconds / 4
        thread.join()
    assert con.execute(f"SELECT py_udf('{PLUS_ONE}', 41)").fetchall() == [(42,)]


def test_other_queries_of_the_sandbox_go_on(con, sandbox):
    slow = "def f(n):\n    for _ in range(20_000): pass\n    return n"
    results = {}

    def work(key, cursor):
        results[key] = cursor.execute(f"SELECT sum(py_udf_bigint($${slow}$$, i)) FROM range(250) r(i)").fetchall()

    def work_apart(key, cursor):
        with sandbox.query(cursor):
            work(key, cursor)

    threads = [
        threading.Thread(target=work, args=("without a query", con.cursor())),
        threading.Thread(target=work_apart, args=("with one", con.cursor())),
    ]
    for thread in threads:
        thread.start()
    stopped = 0
    while any(thread.is_alive() for thread in threads):
        with con.cursor() as cursor, sandbox.query(cursor) as query:
            thread = cancelling(sandbox, query, times=3)
            with pytest.raises(duckdb.Error):
                cursor.execute(SCALAR, [10]).fetchall()
            thread.join()
            stopped += 1
    assert stopped >= 2
    assert results == {key: [(sum(range(250)),)] for key in ("without a query", "with one")}


def test_a_cancel_after_the_block_stops_nothing(con, sandbox):
    with sandbox.query(con) as query:
        assert con.execute(f"SELECT py_udf('{PLUS_ONE}', 41)").fetchall() == [(42,)]
    done = threading.Event()

    def keep_cancelling():
        while not done.wait(0.001):
            query.cancel()

    thread = threading.Thread(target=keep_cancelling)
    thread.start()
    try:
        total = con.execute(f"SELECT sum(py_udf_bigint('{PLUS_ONE}', i)) FROM range(100_000) r(i)").fetchall()
    finally:
        done.set()
        thread.join()
    assert total == [(sum(range(1, 100_001)),)]


def test_a_cancel_between_two_queries_of_a_block_isnt_lost(con, sandbox):
    with sandbox.query(con) as query:
        query.cancel()
        assert query.cancelled
        assert con.execute("SELECT 42").fetchall() == [(42,)]
        with pytest.raises(duckdb.InvalidInputException, match=r"stopped by Query.cancel\(\)"):
            con.execute(f"SELECT py_udf('{PLUS_ONE}', 41)").fetchall()
        assert isinstance(sandbox.last_error, Cancelled)
    with sandbox.query(con):
        assert con.execute(f"SELECT py_udf('{PLUS_ONE}', 41)").fetchall() == [(42,)]


def test_a_call_belongs_to_every_query_it_is_made_for(con, sandbox):
    cursor = con.cursor()
    seen = []

    def nested(x):
        cursor.execute(f"SELECT py_udf('{PLUS_ONE}', 1)").fetchall()
        return x

    class Seen(RunningQuery):
        def calls_this_thread(self):
            mine = super().calls_this_thread()
            seen.append((names[self], mine))
            return mine

    con.create_function("nested", nested, ["BIGINT"], "BIGINT")
    outer, inner, other = (Seen(sandbox._domain, each) for each in (con, cursor, con.cursor()))
    names = {outer: "outer", inner: "inner", other: "other"}
    with outer, inner, other:
        con.execute("SELECT nested(1)").fetchall()
    assert dict(seen) == {"outer": True, "inner": True, "other": False}
    assert not sandbox._domain.queries


def test_a_closed_and_the_default_connection_can_be_cancelled(sandbox):
    cursor = duckdb.connect()
    with sandbox.query(cursor) as query:
        cursor.close()
        query.cancel()
    with sandbox.query(duckdb) as query:
        query.cancel()
        assert duckdb.execute("SELECT 42").fetchall() == [(42,)]
    assert repr(query) == "<Query: cancelled>"


def test_without_duckdbs_word_for_it_there_is_no_query(con, sandbox, monkeypatch):
    monkeypatch.setattr(query_module, "_callback_refusal", lambda: None)
    with pytest.raises(wasi_udf.WasiUdfError, match="doesn't report which connection"):
        sandbox.query(con)


def test_an_idle_connection_isnt_disturbed_by_being_looked_at(con):
    con.execute("BEGIN")
    con.execute("CREATE TABLE t AS SELECT 1 AS a")
    result = con.execute("FROM range(5000)")
    assert query_module._refusal(con) is None
    assert len(result.fetchall()) == 5000
    con.execute("COMMIT")
    assert con.execute("FROM t").fetchall() == [(1,)]
