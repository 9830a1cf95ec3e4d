"""`Sandbox.cancel` while no guest runs: it ends the queries that have begun to call functions, and no later ones."""

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import Cancelled

ROWS = 30_000
COUNT = "def f(n: int):\n    for i in range(n):\n        yield (i,)"
PASS = "def f(x: int) -> int: return x"
INLINE_ROWS = "py_table($code, args := {'n': $n}, schema := {'i': 'BIGINT'})"
TOTAL = "def f(x: list[int]) -> int: return sum(x)"

# By what DuckDB does when `at` cancels, which is a function of the host's in the same query: what runs guests.
QUERIES = {
    "a scalar function": "SELECT sum(f(at(i))) FROM range($n) t(i)",
    "an inline scalar function": f"SELECT sum(py_udf_bigint('{PASS}', at(i))) FROM range($n) t(i)",
    "steps of a table function": "SELECT sum(at(i)) FROM rows($n)",
    "steps of an inline table function": f"SELECT sum(at(i)) FROM {INLINE_ROWS}",
    "rows of an aggregate function": "WITH s AS (SELECT i % 3, total(at(i)) AS r FROM range($n) t(i) GROUP BY 1) "
    "SELECT sum(r) FROM s",
    "rows without groups": "SELECT total(at(i)) FROM range($n) t(i)",
    "results of an aggregate function": "WITH s AS (SELECT i, total(i) AS r FROM range($n) t(i) GROUP BY 1) "
    "SELECT sum(at(r)) FROM s",
    "an inline aggregate function": f"WITH s AS (SELECT i % 3, py_aggregate('{TOTAL}', at(i)) AS r "
    "FROM range($n) t(i) GROUP BY 1) SELECT sum(r) FROM s",
    "windows": "WITH s AS (SELECT i, total(i) OVER (ORDER BY i ROWS 50 PRECEDING) AS r FROM range($n) t(i)) "
    "SELECT sum(at(i) + r) FROM s",
}


class Database:
    """A database whose function `at` does something when it is called for a batch with row 10,000."""

    def __init__(self):
        self.con = duckdb.connect()
        self.con.execute("SET threads = 1")
        self.action = lambda: None
        self.con.create_function("at", self._at, ["BIGINT"], "BIGINT", type="arrow", side_effects=True)
        self.sandbox = wasi_udf.Sandbox().install(self.con)
        self.sandbox.create_function(self.con, "f", PASS)
        self.sandbox.create_table_function(self.con, "rows", COUNT, schema={"i": "BIGINT"})
        self.sandbox.create_aggregate_function(self.con, "total", TOTAL, lists=False)

    def _at(self, numbers):
        if 10_000 in numbers.to_pylist():
            self.action()
        return numbers

    def run(self, query, n=ROWS):
        return self.execute(self.con, query, n).fetchall()

    def execute(self, con, query, n):
        values = {"n": n, "code": COUNT}
        return con.execute(query, {name: value for name, value in values.items() if f"${name}" in query})


@pytest.fixture
def database():
    made = Database()
    yield made
    made.con.close()
    made.sandbox.close()


@pytest.mark.parametrize("what", QUERIES)
def test_a_cancel_when_no_guest_runs_ends_the_query(database, what):
    expected = database.run(QUERIES[what])
    assert expected[0][0] > 0
    database.action = database.sandbox.cancel
    with pytest.raises(duckdb.Error) as raised:
        database.run(QUERIES[what])
    error = wasi_udf.error_of(raised.value)
    assert isinstance(error, Cancelled)
    assert "stopped by Sandbox.cancel()" in str(error)
    assert database.sandbox.last_error is error
    database.action = lambda: None
    assert database.run(QUERIES[what]) == expected


# Streams: DuckDB runs them as far as their rows are wanted.
STREAMS = {
    "a scalar function": "SELECT f(i) FROM range($n) t(i)",
    "an inline scalar function": f"SELECT py_udf_bigint('{PASS}', i) FROM range($n) t(i)",
    "a table function": "SELECT i FROM rows($n)",
    "an inline table function": f"SELECT i FROM {INLINE_ROWS}",
}


@pytest.mark.parametrize("what", STREAMS)
def test_a_cancel_ends_results_that_are_half_read(database, what):
    before, other, after = database.con.cursor(), database.con.cursor(), database.con.cursor()
    with wasi_udf.Sandbox() as sandbox:
        sandbox.create_function(other, "g", PASS)
        other.execute("SELECT g(i) FROM range(300_000) t(i)")
        database.execute(before, STREAMS[what], 10_000_000)
        assert before.fetchone() == other.fetchone() == (0,)
        database.sandbox.cancel()
        database.execute(after, STREAMS[what], 200_000)
        assert after.fetchone() == (0,)
        with pytest.raises(duckdb.Error) as raised:
            before.fetchall()
        assert isinstance(wasi_udf.error_of(raised.value), Cancelled)
        assert after.fetchall() == [(i,) for i in range(1, 200_000)]
        assert sum(row for (row,) in other.fetchall()) == sum(range(300_000))
    assert database.run(STREAMS[what], 3) == [(0,), (1,), (2,)]


def test_a_prepared_statement_begins_anew_each_time(database):
    database.con.execute("PREPARE p AS SELECT total(f(i)) FROM rows(10_000) t(i)")
    for _ in range(2):
        assert database.con.execute("EXECUTE p").fetchall() == [(sum(range(10_000)),)]
        database.sandbox.cancel()


def test_an_empty_group_is_no_older_than_its_query(database):
    query = "SELECT total(i) FROM range(10) t(i) WHERE i > 10"
    expected = database.run(query)
    database.sandbox.cancel()
    assert database.run(query) == expected


def test_the_other_path_ends_scans_too():
    """As of streams of Arrow, which the library has no part in."""
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        con.begin()
        sandbox.create_table_function(con, "rows", COUNT, {"i": "BIGINT"})
        con.commit()
        con.execute("SELECT i FROM rows(10_000_000)")
        assert con.fetchone() == (0,)
        sandbox.cancel()
        with pytest.raises(duckdb.Error) as raised:
            con.fetchall()
        assert isinstance(wasi_udf.error_of(raised.value), Cancelled)
        assert con.execute("SELECT count(*) FROM rows(10)").fetchall() == [(10,)]
