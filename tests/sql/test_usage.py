"""What `py_functions()` and `Sandbox.usage` count: named functions and inline code."""

import threading

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf


def test_all_kinds_of_functions_are_counted(con, sandbox):
    con.execute("SET threads = 1")
    sandbox.create_function(con, "named", "def named(x: int) -> int: return x")
    con.execute("SELECT named(i) FROM range(3000) t(i)").fetchall()
    con.execute("SELECT py_udf('lambda x: x', i) FROM range(2049) t(i)").fetchall()
    con.execute("SELECT py_agg('lambda xs: sum(xs)', list(i)) FROM range(10) t(i) GROUP BY i % 2").fetchall()
    con.execute("FROM py_table('def rows() -> Iterator[int]: yield from range(5)')").fetchall()
    con.execute("FROM py_map_batches('def f(x) -> Iterator[int]: yield x', 'FROM range(7)')").fetchall()
    listed = con.execute("SELECT name, kind, created_by, rows, errors FROM py_functions()").fetchall()
    assert listed[0] == ("named", "scalar", "python", 3000, 0)
    assert [row for row in listed[1:] if row[1] != "map"] == [  # whose function lasts as long as its query
        ("py_agg('lambda xs: sum(xs)')", "aggregate", "query", 2, 0),
        ("py_table('def rows() -> Iterator[int]: yield from range(5)')", "table", "query", 5, 0),
        ("py_udf('lambda x: x')", "scalar", "query", 2049, 0),
    ]
    usage = sandbox.usage()
    assert usage.rows == 3000 + 2049 + 2 + 5 + 7
    assert (usage.errors, usage.limits_hit, usage.waiting_calls) == (0, {}, 0)
    assert usage.calls >= 6
    assert usage.guest_seconds > 0
    assert usage.host_seconds > 0
    assert usage.instances == len(sandbox._domain.instances)
    assert usage.peak_memory_bytes > 2**20


def test_errors_and_limits_are_counted():
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.5)
    with duckdb.connect(config={"threads": 1}) as con, wasi_udf.Sandbox(limits=limits).install(con) as sandbox:
        for code in ("lambda x: 1 / x", "def f(x):\n    while True: pass", "lambda x: 'x' * 10**9"):
            with pytest.raises(duckdb.InvalidInputException):
                con.execute("SELECT py_udf($1, i) FROM range(1) t(i)", [code]).fetchall()
        usage = sandbox.usage()
    assert usage.errors == 3
    assert usage.limits_hit == {"timeout_seconds": 1, "memory_bytes": 1}
    assert usage.rows == 0


def test_what_was_evicted_stays_counted(con, sandbox):
    for i in range(70):  # more than are cached
        con.execute("SELECT py_udf($1, 1)", [f"lambda x: x + {i}"]).fetchall()
    usage = sandbox.usage()
    assert usage.calls == usage.rows == 70
    assert usage.functions <= 65
    assert con.execute("SELECT count(*) FROM py_functions()").fetchone()[0] <= 65


def test_calls_that_wait_are_counted():
    limits = wasi_udf.ResourceLimits(instances=1, timeout_seconds=10)
    entered, leave = threading.Event(), threading.Event()

    @wasi_udf.host_function
    def pause(x: int) -> int:
        entered.set()
        leave.wait(10)
        return x

    code = "import host\ndef f(x): return host.pause(x)"
    with duckdb.connect() as con, wasi_udf.Sandbox(limits=limits, host_functions=[pause]).install(con) as sandbox:

        def run(code):
            con.cursor().execute("SELECT py_udf($1, i) FROM range(1) t(i)", [code]).fetchall()

        first = threading.Thread(target=run, args=(code,))
        first.start()
        assert entered.wait(10)
        second = threading.Thread(target=run, args=("lambda x: x",))
        second.start()
        while sandbox.usage().waiting_calls == 0:
            second.join(0.01)
        assert sandbox.usage().waiting_calls == 1
        leave.set()
        first.join()
        second.join()
        assert sandbox.usage().waiting_calls == 0
