"""Calls that aren't ordinary end alike on both paths: errors, limits, counters, stops, transactions."""

import contextlib
import logging
import threading
import time

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql import native_path
from tests.native.both import Path, both, outcome

WARM = 25_000  # rows until it is decided whether a function is compiled


def warm(path, name="f"):
    """Run a function until C runs its batches."""
    path.run(f"SELECT count({name}(i)) FROM range({WARM}) r(i)")
    before = path.usage(name).native_rows
    path.run(f"SELECT count({name}(i)) FROM range({WARM}) r(i)")
    assert (path.usage(name).native_rows - before == WARM) is path.native


def at_row(what, row):
    """Source of a function that does something in one row, and isn't compiled."""
    return f"def f(x: int) -> int:\n    if x == {row}:\n        {what}\n    return x"


FAILURES = {
    "an exception": "return 1 // 0",
    "one with a long text": "raise ValueError('ä' * 10_000)",
    "one with control characters": "raise ValueError('a\\x1b[31m\\n\\x00b')",
    "a value of another type": "return 'text'",
    "no more stack": "f = lambda: f(); exec('def g(): g()\\ng()')",
    "the end": "raise SystemExit(3)",
    "too much memory": "bytearray(2**31)",
    "an endless loop": "while True: pass",
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_failing_row_has_the_same_error(what):
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    with both(limits=limits) as paths:
        outcomes = []
        for path in paths:
            path.create("f", at_row(FAILURES[what], 90_000))
            path.run("SET threads = 1")
            warm(path)
            found = outcome(path, "SELECT sum(f(i)) FROM range(100000) r(i)")
            outcomes.append((found[0], found[1].partition(" rows of ")[0], found[2]))  # then there is a time
            assert path.usage("f").errors == 1
            assert isinstance(path.sandbox.last_error, wasi_udf.WasiUdfError)
            assert path.run("SELECT sum(f(i)) FROM range(5000) r(i)") == [(12497500,)]
            assert path.sandbox.last_error is None
            warm(path)
        assert outcomes[0] == outcomes[1]
        assert "row" in outcomes[0][1] or what in {"no more stack", "the end", "too much memory", "an endless loop"}


def test_the_counters_are_the_same():
    with both() as paths:
        counted = []
        for path in paths:
            path.create("f", "def f(x: int) -> int:\n    return x * 2")
            path.create("g", "def g(x: int) -> int:\n    return 1 // (x % 5)", exception_handling="return_null")
            path.run("SET threads = 1")
            for _ in range(3):
                path.run("SELECT sum(f(i)), sum(g(i)) FROM range(30000) r(i)")
            listed = path.sandbox._registry.functions
            counted.append(
                [
                    (usage.calls, usage.rows, usage.errors, function.failed_rows, function.compiled.rows > 50_000)
                    for function in listed.values()
                    for usage in [function.usage]
                ]
            )
            usage = path.usage("f")
            assert 0 < usage.guest_seconds < usage.seconds < 10
            assert usage.peak_memory_bytes > 30_000_000
        assert counted[0] == counted[1]
        assert counted[0][1][3] == 18_000


def test_what_functions_print_is_logged_in_order(caplog):
    caplog.set_level(logging.INFO, "duckdb_wasi_udf.guest")
    with both() as paths:
        logged = []
        for path in paths:
            path.create("f", at_row("print('here', x)", 30_000))
            path.run("SET threads = 1")
            warm(path)
            caplog.clear()
            path.run("SELECT sum(f(i)) FROM range(40000) r(i)")
            logged.append(caplog.messages)
        assert logged[0] == logged[1]
        assert "here 30000" in logged[0][0]


def test_modules_are_imported_and_state_is_kept():
    with both() as paths:
        results = []
        for path in paths:
            path.create(
                "f",
                "import calendar\ndef f(x: int) -> int:\n    import colorsys\n"
                "    return calendar.monthrange(2024, x % 12 + 1)[1]",
            )
            path.create("late", at_row("import sched, this; return len(dir(sched))", 60_000))
            warm(path, "late")
            results.append(path.run("SELECT sum(f(i)), sum(late(i)) FROM range(70000) r(i)"))
        assert results[0] == results[1]


def test_a_budget_counts_calls_of_both_kinds():
    limits = wasi_udf.ResourceLimits(budget_seconds=0.4)
    with both(limits=limits) as paths:
        for path in paths:
            path.create("f", "def f(x: int) -> int:\n    return sum(map(int, str(x) * (x // 10**6)))")
            # On a busy machine, a budget may be spent before C has run a batch. The next query has a new one.
            for _ in range(100):
                with pytest.raises(duckdb.InvalidInputException, match="budget_seconds=0.4"):
                    path.run("SELECT sum(f(i + 20000000)) FROM range(3000000) r(i)")
                if path.usage("f").native_rows or not path.native:
                    break
            assert (path.usage("f").native_rows > 0) is path.native


def test_memory_that_grows_is_counted_and_an_instance_recycled():
    limits = wasi_udf.ResourceLimits(recycle_memory_bytes=40 * 2**20)
    with both(limits=limits) as paths:
        for path in paths:
            path.create("f", at_row("globals()['kept'] = bytearray(60 * 2**20)", 30_000))
            path.run("SET threads = 1")
            warm(path)
            assert path.sandbox.usage().memory_bytes < 10 * 2**20
            path.run("SELECT sum(f(i)) FROM range(30001) r(i)")
            assert len(path.sandbox._domain.instances) <= 1  # of those before it was compiled
            assert path.usage("f").peak_memory_bytes > 90 * 2**20
            assert path.sandbox.usage().memory_bytes < 10 * 2**20
            warm(path)


def in_background(path, query):
    """Start a query on a cursor of its own; a list that its end goes into, and the thread."""
    ended = []

    def run():
        try:
            ended.append(path.con.cursor().execute(query).fetchall())
        except duckdb.Error as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return ended, thread


def until(condition):
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_a_running_call_is_cancelled_and_others_go_on():
    with Path(native=True).con as con, wasi_udf.Sandbox() as sandbox, wasi_udf.Sandbox() as other:
        path = Path.__new__(Path)
        path.con, path.sandbox, path.native = con, sandbox, True
        path.run = lambda query: con.execute(query).fetchall()
        sandbox.create_function(con, "f", "def f(x: int) -> int:\n    while x < 0: pass\n    return x")
        other.create_function(con, "h", "def h(x: int) -> int:\n    return sum(range(x % 500))")
        warm(path)
        stopped, first = in_background(path, "SELECT sum(f(i - 10000)) FROM range(20000) r(i)")
        slow, second = in_background(path, "SELECT sum(h(i)) FROM range(100000) r(i)")
        until(lambda: sandbox._domain.clock.native_calls())
        sandbox.cancel()
        first.join()
        second.join()
        assert isinstance(wasi_udf.error_of(stopped[0]), wasi_udf.Cancelled)
        assert (
            slow[0]
            == con.execute("SELECT sum(n * (n - 1) // 2) FROM (SELECT i % 500 AS n FROM range(100000) r(i))").fetchall()
        )
        assert con.execute("SELECT f(1)").fetchall() == [(1,)]


def test_one_query_of_a_sandbox_is_cancelled_and_another_goes_on():
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        sandbox.create_function(con, "f", "def f(x: int) -> int:\n    while x < 0: pass\n    return x")
        for _ in range(3):
            con.execute(f"SELECT sum(f(i)) FROM range({WARM}) r(i)").fetchall()
        doomed, going = con.cursor(), con.cursor()
        ended = []

        def run():
            try:
                doomed.execute("SELECT sum(f(i - 5000)) FROM range(20000) r(i)").fetchall()
            except duckdb.Error as error:
                ended.append(error)

        with sandbox.query(doomed) as query:
            thread = threading.Thread(target=run)
            thread.start()
            until(lambda: state.ticker.calls())
            assert going.execute("SELECT sum(f(i)) FROM range(10000) r(i)").fetchall() == [(49995000,)]
            query.cancel()
            thread.join()
        assert isinstance(ended[0], duckdb.Error)
        assert con.execute("SELECT f(2)").fetchall() == [(2,)]


def test_a_closed_sandbox_refuses_calls():
    with both() as paths:
        outcomes = []
        for path in paths:
            path.create("f", "def f(x: int) -> int:\n    return x")
            warm(path)
            path.sandbox.close()
            outcomes.append(outcome(path, "SELECT sum(f(i)) FROM range(5000) r(i)"))
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][2] is wasi_udf.ClosedError


# ---- transactions, names ---------------------------------------------------------------------------------------------


def test_a_rollback_removes_a_function():
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        con.begin()
        sandbox.create_function(con, "f", "def f(x: int) -> int:\n    return x")
        assert con.execute("SELECT f(1)").fetchall() == [(1,)]
        con.rollback()
        with pytest.raises(duckdb.CatalogException):
            con.execute("SELECT f(1)")


def test_a_replaced_function_is_replaced_everywhere():
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        for number in range(5):
            sandbox.create_function(con, "f", f"def f(x: int) -> int:\n    return x + {number}", replace=True)
            for connection in (con, con.cursor()):
                found = connection.execute(f"SELECT sum(f(i)) FROM range({WARM}) r(i)").fetchall()
                assert found == [(WARM * (WARM - 1) // 2 + number * WARM,)]
            named = con.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = 'f'").fetchall()
            assert named == [(1,)]
        con.remove_function("f")
        with pytest.raises(duckdb.CatalogException):
            con.execute("SELECT f(1)")


def test_a_query_that_runs_keeps_the_function_it_began_with():
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        sandbox.create_function(con, "f", "def f(x: int) -> int:\n    return 1")
        con.execute(f"SELECT sum(f(i)) FROM range({WARM}) r(i)").fetchall()
        reader = con.cursor().execute("SELECT f(i) FROM range(200000) r(i)")
        first = reader.fetchmany(1000)
        sandbox.create_function(con.cursor(), "f", "def f(x: int) -> int:\n    return 2", replace=True)
        rest = reader.fetchall()
        assert {value for (value,) in first + rest} == {1}
        assert con.execute("SELECT f(1)").fetchall() == [(2,)]


def test_the_registering_cursor_may_be_closed():
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        cursor = con.cursor()
        sandbox.create_function(cursor, "f", "def f(x: int) -> int:\n    return x")
        cursor.close()
        del cursor
        assert con.execute("SELECT sum(f(i)) FROM range(30000) r(i)").fetchall() == [(449985000,)]


def test_many_threads():
    with duckdb.connect() as con, wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(instances=4)) as sandbox:
        sandbox.create_function(con, "f", "def f(x: int, s: str) -> str:\n    return s + str(x)")
        con.execute("CREATE TABLE t AS SELECT i, 'prefix-' || i AS s FROM range(20000) r(i)")
        (expected,) = con.execute("SELECT sum(length(s || i)) FROM t").fetchall()
        wrong = []

        def run():
            cursor = con.cursor()
            for _ in range(3):
                found = cursor.execute("SELECT sum(length(f(i, s))) FROM t").fetchall()
                if found != [expected]:
                    wrong.append(found)

        threads = [threading.Thread(target=run) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert len(sandbox._domain.instances) <= 4
        assert sandbox.usage().native_rows > 0


@pytest.mark.parametrize(
    ("source", "sql_type", "values"),
    [
        ("lambda x: x + 1", "BIGINT", "i"),
        ("lambda x: x + 1", "BIGINT", "CASE WHEN i % 7 > 0 THEN i END"),
        ("lambda s: s.upper()", "VARCHAR", "'ä' || i"),
        ("lambda x: float(f'{x}')", "DOUBLE", "i"),
    ],
)
def test_a_warm_query_asks_nothing_of_python(monkeypatch, source, sql_type, values):
    """Each time would be a wait for the GIL. Only the first batch after a second without any goes through Python."""
    asked = []

    def counted(answer):
        return lambda call: (asked.append(call), answer(call))

    for name in ("_run_batch", "_finish"):
        monkeypatch.setattr(native_path, name, counted(getattr(native_path, name)))
    with contextlib.closing(Path(native=True)) as path:
        path.con.execute("SET threads = 1")
        path.create("f", source, [sql_type], sql_type)
        query = f"SELECT count(f(({values})::{sql_type})) FROM range({WARM}) r(i)"
        path.run(query)
        assert asked
        counts = []
        while len(counts) < 20 and 0 not in counts:
            asked.clear()
            path.run(query)
            counts.append(len(asked))
    assert counts[-1] == 0


def test_an_error_of_a_thread_that_has_ended_blocks_nothing():
    """Otherwise one failed query of a short-lived thread had Python run all batches of the sandbox from then on."""
    with both() as paths:
        for path in paths:
            path.create("f", at_row("return 1 // 0", 90_000))
            warm(path)
            threads = [threading.Thread(target=fail, args=[path.con.cursor()]) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            path.run("SELECT f(i) FROM range(10) r(i)")  # through Python, which finds that they have ended
            warm(path)


@pytest.mark.parametrize("count", [1, 70])  # more than C keeps apart
def test_threads_with_an_error_leave_the_others_alone(count):
    """The pool of a service, say, where a thread has had an error and gets no other query for a while."""
    failed, go_on = threading.Barrier(count + 1), threading.Event()
    found = {}

    def work(path, number, con):
        with con:
            fail(con.cursor())
            failed.wait(60)
            go_on.wait(60)
            found[number] = [str(path.sandbox.last_error).splitlines()[0]]
            con.execute("SELECT f(1)").fetchall()
            found[number].append(path.sandbox.last_error)

    with contextlib.closing(Path(native=True)) as path:
        path.create("f", at_row("return 1 // 0", 90_000))
        path.con.execute("SET threads = 1")
        warm(path)
        threads = [threading.Thread(target=work, args=[path, i, path.con.cursor()]) for i in range(count)]
        for thread in threads:
            thread.start()
        failed.wait(60)
        before = path.usage("f").native_rows
        path.run(f"SELECT count(f(i)) FROM range({WARM}) r(i)")
        native = path.usage("f").native_rows - before
        go_on.set()
        for thread in threads:
            thread.join()
        assert (native == WARM) == (count == 1)
        assert list(found.values()) == [["f: ZeroDivisionError: integer division or modulo by zero", None]] * count
        path.run(f"SELECT count(f(i)) FROM range({WARM}) r(i)")
        warm(path)


def fail(con):
    with con, pytest.raises(duckdb.InvalidInputException):
        con.execute("SET threads = 1; SELECT sum(f(i)) FROM range(100000) r(i)").fetchall()
