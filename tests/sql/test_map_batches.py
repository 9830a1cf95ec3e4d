import gc
import threading
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ClosedError, GuestError, LimitExceeded, SignatureError

BOTH = "def both(i: int, s: str | None) -> Iterator[tuple[int, str]]:\n    yield i, s\n    yield -i, s"
BOTH_IN_SQL = "SELECT unnest([i, -i]) AS col0, s AS col1 FROM t ORDER BY abs(col0), -col0"


class Session(NamedTuple):
    who: str
    hits: int
    seconds: int


class Sessions:
    """Consecutive rows of one user, no more than `GAP` seconds apart."""

    GAP = 10

    def __init__(self) -> None:
        self.who, self.first, self.last, self.hits = None, 0, 0, 0

    def process(self, who: str, at: int) -> "Iterator[Session]":  # noqa: F821 - known in the sandbox
        if who != self.who or at - self.last > self.GAP:
            yield from self.finish()
            self.who, self.first, self.hits = who, at, 0
        self.last = at
        self.hits += 1

    def finish(self) -> "Iterator[Session]":  # noqa: F821
        if self.hits:
            yield Session(self.who, self.hits, self.last - self.first)


@pytest.fixture
def numbers(con):
    """`numbers(n)` makes a table t of n rows."""

    def make(n):
        con.execute(
            "CREATE OR REPLACE TABLE t AS SELECT i, CASE WHEN i % 5 THEN 's' || i END AS s FROM range(1, $1 + 1) r(i)",
            [n],
        )
        return con.sql("FROM t ORDER BY i")

    return make


@pytest.fixture
def counted(sandbox):
    """No instance is left when the test is over."""
    yield sandbox
    gc.collect()
    assert len(sandbox._domain.instances) == 0


@pytest.mark.parametrize("n", [0, 1, 2047, 2048, 2049, 5000])
@pytest.mark.parametrize("threads", [1, 4])
def test_rows_in_rows_out(con, counted, numbers, n, threads):
    relation = numbers(n)
    con.execute(f"SET threads = {threads}")
    expected = con.execute(BOTH_IN_SQL).fetchall()
    assert len(expected) == 2 * n
    mapped = counted.map_batches(relation, BOTH)
    assert mapped.columns == ["col0", "col1"]
    assert mapped.fetchall() == mapped.fetchall() == expected
    assert con.execute("FROM py_map_batches($1, 'FROM t ORDER BY i')", [BOTH]).fetchall() == expected


def test_null_is_not_for_a_function_that_does_not_want_it(con, counted, numbers):
    relation = numbers(10)
    strict = "def f(i: int, s: str) -> list[str]: return [s]"
    assert counted.map_batches(relation, strict).fetchall() == con.sql("SELECT s FROM t WHERE s IS NOT NULL").fetchall()


def test_a_class_keeps_state_until_finish(con, counted):
    con.execute("CREATE TABLE hits AS SELECT 'u' || (i % 3) AS who, i * i % 1000 AS moment FROM range(5000) r(i)")
    expected = """
        WITH begun AS (
            SELECT *, moment - lag(moment, 1, -100) OVER (PARTITION BY who ORDER BY moment) > 10 AS begins FROM hits
        ), numbered AS (
            SELECT *, count(*) FILTER (begins) OVER (PARTITION BY who ORDER BY moment) AS session FROM begun
        )
        SELECT who, count(*) AS hits, max(moment) - min(moment) AS seconds FROM numbered GROUP BY who, session
        ORDER BY who, min(moment)
    """
    relation = con.sql("FROM hits ORDER BY who, moment")
    sessions = counted.map_batches(relation, Sessions)
    assert [(name, str(kind)) for name, kind in zip(sessions.columns, sessions.types, strict=True)] == [
        ("who", "VARCHAR"),
        ("hits", "BIGINT"),
        ("seconds", "BIGINT"),
    ]
    assert sessions.fetchall() == con.sql(expected).fetchall() == sessions.fetchall()
    assert counted.map_batches(con.sql("FROM hits WHERE false"), Sessions).fetchall() == []


def test_finish_alone_gives_rows_even_for_no_input(con, counted, numbers):
    code = """
        class Count:
            def __init__(self):
                self.n = 0
            def process(self, i: int | None, s: str | None) -> Iterator[int]:
                self.n += 1
            def finish(self):
                yield self.n
    """
    for n in (0, 1, 2048, 3000):
        assert counted.map_batches(numbers(n), code).fetchall() == [(n,)]


def test_columns_are_declared_or_inferred_from_the_first_batch(con, counted, numbers):
    relation = numbers(3000)
    assert counted.map_batches(relation, "lambda i, s: [(i, s)]").columns == ["col0", "col1"]
    named = counted.map_batches(relation, "lambda i, s: [{'n': i}] if i % 2 else None", {"n": "USMALLINT"})
    assert (
        named.aggregate("typeof(any_value(n)), sum(n)").fetchall()
        == con.execute("SELECT 'USMALLINT', sum(i) FROM t WHERE i % 2 = 1 AND s IS NOT NULL").fetchall()
    )
    mapped = counted.map_batches(relation, "def f(i: int, s: str | None): return [i]")
    assert (mapped.columns, mapped.aggregate("sum(map_batches)").fetchall()) == (["map_batches"], [(4501500,)])


def test_a_mapped_relation_is_like_any_other(con, counted, numbers):
    mapped = counted.map_batches(numbers(3000), BOTH)
    assert mapped.filter("col0 < 0").limit(3).fetchall() == [(-1, "s1"), (-2, "s2"), (-3, "s3")]
    assert con.sql("SELECT count(*) FROM mapped JOIN t ON col0 = i").fetchall() == [(3000,)]
    again = counted.map_batches(mapped, "def f(i: int, s: str | None): return [i] if i > 0 else []")
    assert again.aggregate("count(*), max(map_batches)").fetchall() == [(3000, 3000)]
    values = pa.table({"x": [1, 2]})
    assert counted.map_batches(con.from_arrow(values), "lambda x: [x] * x").fetchall() == [(1,), (2,), (2,)]


def test_limit_reads_no_more_of_an_endless_input_than_it_needs(con, counted):
    endless = "SELECT i FROM range(1_000_000_000_000) r(i)"
    assert con.execute("FROM py_map_batches($1, $2) LIMIT 3", ["lambda i: [i]", endless]).fetchall() == [
        (0,),
        (1,),
        (2,),
    ]


def test_many_connections_map_at_once(con, counted, numbers):
    numbers(3000)
    counts = []

    def work():
        cursor = con.cursor()
        for _ in range(5):
            counts.extend(cursor.execute("SELECT count(*) FROM py_map_batches($1, 'FROM t')", [BOTH]).fetchone())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counts == [6000] * 20


# ---- errors --------------------------------------------------------------------------------------------------------


def test_an_error_halfway_fails_the_query(con, failing, numbers):
    numbers(5000)
    con.execute("CREATE TABLE kept (x BIGINT)")
    code = "def f(i: int, s: str | None) -> list[int]: return [1 // (i - 3000)]"
    error = failing("INSERT INTO kept FROM py_map_batches($1, 'FROM t ORDER BY i')", [code], error=GuestError)
    assert "ZeroDivisionError" in str(error)
    assert error.arguments[0] == "3000"
    assert con.execute("SELECT count(*) FROM kept").fetchall() == [(0,)]


def test_later_rows_that_do_not_fit_name_both(con, failing, numbers):
    numbers(5000)
    error = failing("FROM py_map_batches('lambda i, s: [i if i < 4000 else s]', 'FROM t ORDER BY i')", error=GuestError)
    assert "returned 's4001', which is no BIGINT" in str(error)
    assert "inferred from the first rows: py_map_batches int64" in str(error)


def test_an_error_of_the_input_is_the_querys_error(con, sandbox):
    query = "SELECT CASE WHEN i < 3000 THEN i ELSE error('bad input') END AS i FROM range(5000) r(i)"
    with pytest.raises(duckdb.Error, match="bad input"):
        con.execute("FROM py_map_batches('def f(i: int) -> list[int]: return [i]', $1)", [query]).fetchall()


@pytest.mark.parametrize(
    ("code", "query", "message"),
    [
        ("lambda i: [i]", "FROM nowhere", "the input can't be read: .*nowhere"),
        ("lambda i: [i]", "SELECT 1; SELECT 2", "has to be one SELECT"),
        ("lambda i: [i]", "SELECT 1 AS i); DROP TABLE t; --", "the input can't be read: "),
        ("lambda i: [i]", "DROP TABLE t", "has to be one SELECT"),
        ("lambda i: [i]", "FROM code", "the input can't be read: .*code"),
        ("lambda i: [i]", "FROM t", r"takes 1 argument\(s\) \(i\), the query passes 2"),
        ("lambda i, s: i", "FROM t", "'int' object is not iterable"),
        (
            "lambda i, s: {'i': i}",
            "FROM t",
            "the function returned dict; it yields rows, or returns an iterable",
        ),
        ("lambda i, s: s", "FROM t", "the function returned str; it yields rows"),
        ("lambda i, s: []", "FROM t", "can't be inferred from the first rows: it gave no rows"),
        ("class C:\n    pass", "FROM t", "the class C needs a method process"),
        ("def f(i: int, s: str) -> int: return [i]", "FROM t", "is not that of rows"),
    ],
)
def test_wrong_maps_say_what_is_wrong(con, sandbox, numbers, code, query, message):
    numbers(3)
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.execute("FROM py_map_batches($1, $2)", [code, query]).fetchall()
    assert con.execute("SELECT count(*) FROM t").fetchall() == [(3,)]


def test_what_a_cursor_does_not_see_is_refused(con, sandbox):
    con.execute("CREATE TEMP TABLE mine AS SELECT 1 AS x")
    for relation in (con.sql("FROM mine"), con.sql("SELECT $1 AS x", params=[1])):
        with pytest.raises(SignatureError, match="through a cursor, which knows neither temporary tables"):
            sandbox.map_batches(relation, "lambda x: [x]")


def test_a_step_has_the_limits_of_a_batch(con, numbers):
    relation = numbers(10)
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.3)
    with wasi_udf.Sandbox(limits=limits) as sandbox:
        mapped = sandbox.map_batches(relation, "def f(i: int, s: str | None) -> list[int]:\n    while True: pass")
        with pytest.raises(duckdb.InvalidInputException, match="timeout_seconds=0.3"):
            mapped.fetchall()
        assert isinstance(sandbox.last_error, LimitExceeded)
        fine = sandbox.map_batches(relation, BOTH)
    assert len(sandbox._domain.instances) == 0
    with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
        fine.fetchall()
    with pytest.raises(ClosedError):
        sandbox.map_batches(relation, BOTH)


def test_a_mapped_relation_does_not_keep_its_database_open(tmp_path):
    path = tmp_path / "file.db"
    with wasi_udf.Sandbox() as sandbox:
        con = duckdb.connect(path)
        con.execute("CREATE TABLE t AS SELECT 1 AS x")
        mapped = sandbox.map_batches(con.sql("FROM t"), "lambda x: [x + 1]")
        assert mapped.fetchall() == [(2,)]
        del mapped, con
        gc.collect()
        with duckdb.connect(path, read_only=True) as again:
            sandbox.install(again)
            assert again.execute("FROM py_map_batches('lambda x: [x + 1]', 'FROM t')").fetchall() == [(2,)]
