"""Steps of table functions that C runs by itself end alike on both paths: rows, errors, limits, counters, stops."""

import functools
import gc
import logging
import os
import subprocess
import sys
import threading

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._process import state
from tests.native import both as both_paths
from tests.native.test_tables import Path

both = functools.partial(both_paths.both, Path)

TYPED = """
import datetime, decimal
ZONE = datetime.timezone.utc
VALUES = {
    "BOOLEAN": lambda i: i % 3 == 0,
    "TINYINT": lambda i: i % 256 - 128,
    "SMALLINT": lambda i: i - 5000,
    "INTEGER": lambda i: i * 100_003 - 2**28,
    "BIGINT": lambda i: (i - 2500) * 10**14,
    "UTINYINT": lambda i: i % 256,
    "USMALLINT": lambda i: i,
    "UINTEGER": lambda i: 2**32 - 1 - i,
    "UBIGINT": lambda i: 2**64 - 1 - i,
    "FLOAT": lambda i: i / 8,
    "DOUBLE": lambda i: [i / 7, float("inf"), float("nan")][i % 3],
    "DECIMAL(4,1)": lambda i: decimal.Decimal(i) / 10,
    "DECIMAL(9,3)": lambda i: decimal.Decimal(i - 2000) / 8,
    "DECIMAL(18,6)": lambda i: -decimal.Decimal(10**11 + i) / 64,
    "VARCHAR": lambda i: "ä€𝄞"[: i % 4] * (i % 7),
    "BLOB": lambda i: bytes([i % 256, 0]) * (i % 9),
    "DATE": lambda i: datetime.date.fromordinal(1 + i * 700 % 3_652_058),
    "TIME": lambda i: datetime.time(i % 24, i % 60, 59, i),
    "TIMESTAMP": lambda i: datetime.datetime(1 + i % 9999, 2, 3, 4, 5, 6, i),
    "TIMESTAMP WITH TIME ZONE": lambda i: datetime.datetime(1900 + i % 200, 2, 3, tzinfo=ZONE),
    "UUID": lambda i: f"00000000-0000-0000-0000-{i:012}",  # which C doesn't know
}
"""
NAMES = [line.split('"')[1] for line in TYPED.splitlines() if ": lambda" in line]
FLAT = [name for name in NAMES if name != "UUID"]


def values(*names, every=7):
    """Source of a function that yields rows of such types, with NULLs."""
    rows = f"(*[None if (i + k) % {every} == 0 else VALUES[name](i) for k, name in enumerate({list(names)!r})],)"
    return f"{TYPED}\ndef f(n: int):\n    for i in range(n):\n        yield {rows}"


def native_rows(path, before=0):
    return path.sandbox.usage().native_rows - before


@pytest.fixture(scope="module")
def paths():
    with both() as made:
        yield made


# ---- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_values_of_every_type_are_the_same(paths, name):
    schema = f"{{'a': '{name}'}}"
    found = []
    for path in paths:
        query = f"FROM py_table($1, args := {{'n': 2150}}, schema := {schema})"
        before = native_rows(path)
        found.append(repr(path.outcome(query, values(name))))  # NaN is no other's equal
        assert native_rows(path, before) == (102 if path.native and name in FLAT else 0)
    assert found[0] == found[1]
    assert found[0].count("None") > 300


def test_rows_of_many_columns(paths):
    schema = "{" + ", ".join(f"'c{k}': '{name}'" for k, name in enumerate(FLAT)) + "}"
    for columns in ("*", "c19, c11, c1, c1 AS again"):
        query = f"SELECT {columns} FROM py_table($1, args := {{'n': 2500}}, schema := {schema})"
        native, other = (repr(path.outcome(query, values(*FLAT))) for path in paths)
        assert native == other


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 4096, 4097])
def test_any_number_of_rows(paths, rows):
    code = "lambda n: ((i, str(i)) for i in range(n))"
    for columns in ("*", "b, a", "b", "count(*), count(a)", "a, a AS again"):
        query = (
            f"SELECT {columns} FROM py_table($1, args := {{'n': {rows}}}, schema := {{'a': 'SMALLINT', 'b': 'TEXT'}})"
        )
        expected = f"SELECT {columns} FROM (SELECT i::SMALLINT AS a, i::TEXT AS b FROM range({rows}) r(i))"
        for path in paths:
            assert path.outcome(query, code) == path.outcome(expected)


@pytest.mark.parametrize(
    "code",
    [
        "lambda: ((i, str(i)) if i % 3 else None for i in range(5000))",
        "lambda: ({'a': i} if i % 3 else {} for i in range(5000))",
        "lambda: range(5000)",
        "lambda: (float(i) for i in range(5000))",
        "lambda: ('x' * (i % 5000) for i in range(5000))",  # steps end after 8 MiB
        "lambda: (b'' if i % 2 else None for i in range(5000))",
        "import decimal\nlambda: (decimal.Decimal(i) / 4 for i in range(5000))",
        "import datetime\nlambda: (datetime.date.fromordinal(i + 1) for i in range(5000))",
        "lambda: ([i] for i in range(5000))",  # which C doesn't know
        "from array import array\nfrom duckdb_wasi_udf import Columns\n"
        "def f():\n for n in (1, 5000, 0, 300, 4096): yield Columns(array('q', range(n)), list(map(str, range(n))))",
        "def f():\n yield from [(None, i) for i in range(3000)]\n yield ('late', 1)",
    ],
)
def test_columns_that_nobody_declared(paths, code):
    native, other = (path.outcome("FROM py_table($1)", code) for path in paths)
    assert native == other


def test_rows_keep_their_order_beside_steps_of_pythons():
    """A value that C can't narrow makes a step Python's, and so does each print."""
    code = "def f() -> Iterator[int]:\n  for i in range(20_000):\n    if i % 5000 == 4999: print(i)\n    yield i"
    with both() as (path, _):
        path.create("f", code)
        assert path.con.execute("FROM f()").fetchall() == path.con.execute("FROM range(20000)").fetchall()
        assert path.con.execute("FROM f() LIMIT 3 OFFSET 9999").fetchall() == [(9999,), (10000,), (10001,)]


# ---- what isn't ordinary ---------------------------------------------------------------------------------------------

END = {
    "an exception": "raise ValueError('no more')",
    "a long text": "raise ValueError('ä' * 10_000)",
    "a value of another type": "yield 'text'",
    "too large for the column": "yield 2**40",
    "too large for any": "yield 2**70",
    "the end": "raise SystemExit(3)",
    "too much memory": "bytearray(2**31)",
    "no more stack": "exec('def g(): g()\\ng()')",
}


def both_outcomes(made, name, code, schema, *, ignore="\n\n"):
    """How a scan of a function ends on both paths, with its counters; both went on natively for long."""
    outcomes = []
    for path in made:
        before = native_rows(path)
        path.create(name, code, schema)
        kind, text = path.outcome(f"SELECT count({name}) FROM {name}()")
        usage = path.con.execute(f"SELECT calls, rows, errors FROM py_functions() WHERE name = '{name}'").fetchall()
        outcomes.append((kind, text.partition(ignore)[0], usage))
        assert (native_rows(path, before) > 4000) is path.native
        assert str(path.con.execute(f"FROM {name}() LIMIT 1").fetchall()[0][0]) == "0"
    return outcomes


@pytest.mark.parametrize("what", END)
def test_a_scan_that_fails_late_has_the_same_error(paths, what):
    code = f"def f() -> Iterator[int]:\n    yield from range(9000)\n    {END[what]}"
    native, other = both_outcomes(paths, what.replace(" ", "_"), code, "INTEGER")
    assert native == other


def test_limits_end_a_scan_with_the_same_error():
    limits = {
        "limits": wasi_udf.ResourceLimits(timeout_seconds=0.3),
        "data_limits": wasi_udf.DataLimits(result_bytes=9 * 2048),
    }
    endless = "def f() -> Iterator[int]:\n    yield from range(9000)\n    while True: pass"
    large = "def f() -> Iterator[str]:\n    yield from map(str, range(9000))\n    while True: yield 'x' * 20"
    with both(**limits) as made:
        for name, code in (("endless", endless), ("large", large)):
            native, other = both_outcomes(made, name, code, None, ignore=" seconds")
            assert native == other
            assert native[0] is wasi_udf.LimitExceeded


def test_the_counters_are_the_same():
    with both() as made:
        counted = []
        for path in made:
            path.create("f", "def f(n: int) -> Iterator[tuple[int, str]]:\n  for i in range(n): yield i, str(i)")
            for n in (0, 1, 2048, 30_000):
                path.con.execute("SELECT sum(length(col1)) FROM f($1)", [n]).fetchall()
            query = "SELECT calls, rows, errors, instances FROM py_functions() WHERE name = 'f'"
            counted += path.con.execute(query).fetchall()
            usage = path.sandbox.usage()
            assert usage.guest_seconds > 0
            assert usage.peak_memory_bytes > 30_000_000
            query = "SELECT native_rows FROM py_functions() WHERE name = 'f'"
            assert path.con.execute(query).fetchall() == [(30_000 - 2048 if path.native else 0,)]
        assert counted[0] == counted[1]
        assert counted[0][1:3] == (32_049, 0)


def test_what_a_scan_prints_is_logged_in_order(caplog):
    caplog.set_level(logging.INFO, "duckdb_wasi_udf.guest")
    code = "def f() -> Iterator[int]:\n  for i in range(9000):\n    if i % 3000 == 2999: print('at', i)\n    yield i"
    with both() as made:
        logged = []
        for path in made:
            path.create("f", code)
            caplog.clear()
            path.con.execute("SELECT sum(f) FROM f()").fetchall()
            logged.append(caplog.messages)
        assert logged[0] == logged[1]
        assert "at 2999" in logged[0][0]


def test_modules_are_imported_late_and_memory_may_grow():
    code = """
        def f() -> Iterator[int]:
            yield from range(5000)
            import colorsys, this, sched
            kept = bytearray(60 * 2**20)
            yield from (len(dir(colorsys)) + len(kept) + i for i in range(5000))
    """
    with both(limits=wasi_udf.ResourceLimits(recycle_memory_bytes=40 * 2**20)) as made:
        found = []
        for path in made:
            path.create("f", code)
            found.append(path.con.execute("SELECT count(*), sum(f) FROM f()").fetchall())
            usage = path.sandbox.usage()
            assert usage.peak_memory_bytes > 90 * 2**20
            assert usage.instances <= 1  # that of the definition; the one that grew is gone
            assert (usage.native_rows > 4000) is path.native
        assert found[0] == found[1]


def test_a_budget_counts_steps_of_both_kinds():
    code = "def f() -> Iterator[int]:\n  while True: yield 1"
    with both(limits=wasi_udf.ResourceLimits(budget_seconds=0.5)) as made:
        for path in made:
            path.create("f", code)
            with pytest.raises(duckdb.InvalidInputException, match="budget_seconds=0.5"):
                path.con.execute("SELECT sum(f) FROM f()").fetchall()
            assert (native_rows(path) > 0) is path.native


def test_a_generators_end_runs_when_the_scan_does(caplog):
    caplog.set_level(logging.INFO, "duckdb_wasi_udf.guest")
    code = "def f() -> Iterator[int]:\n  try:\n    i = 0\n    while True: yield i; i += 1\n  finally: print('closed')"
    with both() as made:
        for path in made:
            path.create("f", code)
            caplog.clear()
            assert path.con.execute("SELECT max(f) FROM (FROM f() LIMIT 9000)").fetchall() == [(8999,)]
            assert "closed" in caplog.text
            assert path.con.execute("SELECT max(f) FROM (FROM f() LIMIT 9000)").fetchall() == [(8999,)]
            assert path.sandbox.usage().instances == 1  # the same one served both


# ---- stops -----------------------------------------------------------------------------------------------------------

ENDLESS = (
    "def f(x: int) -> Iterator[int]:\n  i = 0\n  while True:\n    yield i\n    i += 1\n    while x and i > 9000: pass"
)


class Background:
    """A query on a cursor and a thread of its own."""

    def __init__(self, con, query):
        self.error = None
        self._cursor = con.cursor()
        self._thread = threading.Thread(target=self._run, args=(query,))
        self._thread.start()

    def _run(self, query):
        try:
            self._cursor.execute(query).fetchall()
        except duckdb.Error as error:
            self.error = error

    def is_running(self):
        return self._thread.is_alive()

    def wait(self):
        self._thread.join()
        return self.error


def wait_for(condition, query):
    """Wait until something is so, as long as the query runs."""
    tick = threading.Event()
    while not condition():
        assert query.is_running()
        tick.wait(0.002)


def cancel(sandbox, query):
    """Cancel what runs until the query has ended: between two steps nothing runs."""
    tick = threading.Event()
    while query.is_running():
        sandbox.cancel()
        tick.wait(0.01)


@pytest.mark.parametrize("stuck", [0, 1])
def test_a_running_scan_is_cancelled_and_others_go_on(stuck):
    with both() as (path, _), wasi_udf.Sandbox() as other:
        path.create("f", ENDLESS)
        other.create_table_function(path.con, "g", "def g(n: int) -> Iterator[int]: return range(n)")
        query = Background(path.con, f"SELECT sum(f) FROM f({stuck})")
        rest = path.con.cursor().execute("SELECT g FROM g(50_000)")
        first = rest.fetchone()
        wait_for(lambda: native_rows(path) > 4000 and path.sandbox._domain.clock.native_calls(), query)
        cancel(path.sandbox, query)
        assert isinstance(wasi_udf.error_of(query.wait()), wasi_udf.Cancelled)
        assert len([first, *rest.fetchall()]) == 50_000
        assert path.con.execute("FROM f(0) LIMIT 1").fetchall() == [(0,)]
        rest.close()


@pytest.mark.parametrize("stuck", [0, 1])
def test_closing_the_sandbox_ends_a_running_scan(stuck):
    with both() as (path, _):
        path.create("f", ENDLESS)
        query = Background(path.con, f"SELECT sum(f) FROM f({stuck})")
        wait_for(lambda: native_rows(path) > 4000 and path.sandbox._domain.clock.native_calls(), query)
        path.sandbox.close()
        if stuck:  # the step that runs goes on until its time is up
            cancel(path.sandbox, query)
        error = wasi_udf.error_of(query.wait())
        assert isinstance(error, wasi_udf.Cancelled if stuck else wasi_udf.ClosedError)
        assert path.sandbox.usage().instances == 0


def test_a_dropped_function_gives_its_instances_back():
    before = len(state.native_scans)
    with both() as (path, _):
        path.con.execute("SELECT py_create_function('f', $1, {'kind': 'table'})", [ENDLESS]).fetchall()
        scan = path.con.cursor().execute("FROM f(0)")
        assert len(scan.fetchmany(9000)) == 9000
        path.con.execute("SELECT py_drop_function('f')").fetchall()
        with pytest.raises(duckdb.CatalogException):
            path.con.execute("FROM f(0)")
        scan.close()
        del scan
        gc.collect()
        assert path.sandbox.usage().instances == 0
        assert len(state.native_scans) == before


def test_many_scans_run_at_once():
    with both(limits=wasi_udf.ResourceLimits(instances=6)) as (path, _):
        path.create("f", "def f(n: int) -> Iterator[tuple[int, str]]:\n  for i in range(n): yield i, f'text {i}'")
        wanted = path.con.execute("SELECT count(*), sum(i), sum(length('text ' || i)) FROM range(9000) r(i)").fetchall()
        found = []

        def work():
            cursor = path.con.cursor()
            for _ in range(3):
                query = "SELECT count(*), sum(col0), sum(length(col1)) FROM f(9000)"
                found.append(cursor.execute(query).fetchall())

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [wanted] * 15
        assert native_rows(path) == 15 * (9000 - 2048)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT can't be sent to one process")
def test_ctrl_c_ends_a_scan():
    program = f"""
import duckdb, os, signal, threading, duckdb_wasi_udf as wasi_udf
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
con, sandbox = duckdb.connect(), wasi_udf.Sandbox()
sandbox.create_table_function(con, "f", {ENDLESS!r})
def stop():
    tick = threading.Event()
    while sandbox.usage().native_rows < 20_000: tick.wait(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop, daemon=True).start()
try:
    con.execute("SELECT sum(f) FROM f(0)").fetchall()
except (KeyboardInterrupt, duckdb.Error, RuntimeError):  # whoever notices it first
    print("ended")
print(con.execute("SELECT max(f) FROM (FROM f(0) LIMIT 5000)").fetchall())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.stdout.splitlines() == ["ended", "[(4999,)]"], done.stderr
