"""Sandboxed functions wherever SQL allows a function, against the same query in plain SQL."""

import threading

import duckdb
import pytest

PLUS = "py_udf_bigint('lambda x: x + 1', i)"


@pytest.fixture
def numbers(con, sandbox):
    con.execute("CREATE TABLE numbers AS SELECT i, i % 7 AS g, 's' || (i % 5) AS s FROM range(5000) r(i)")
    sandbox.create_function(con, "plus", lambda x: x + 1, ["BIGINT"], "BIGINT")
    return con


@pytest.mark.parametrize(
    "query",
    [
        "SELECT {f} FROM numbers ORDER BY i",
        "SELECT count(*) FROM numbers WHERE {f} % 2 = 0",
        "SELECT a.i, b.i FROM numbers a JOIN (SELECT i AS j, i FROM numbers) b ON {f_a} = b.j ORDER BY 1, 2 LIMIT 9",
        "SELECT {f} % 3 AS k, count(*) FROM numbers GROUP BY k ORDER BY k",
        "SELECT i FROM numbers ORDER BY -{f} LIMIT 5",
        "SELECT sum(CASE WHEN i > 10 THEN {f} ELSE 0 END) FROM numbers",
        "SELECT sum({f}) OVER (PARTITION BY g ORDER BY i) FROM numbers ORDER BY i LIMIT 50",
        "WITH c AS (SELECT {f} AS v FROM numbers) SELECT sum(v), max(v) FROM c",
        "SELECT g FROM numbers GROUP BY g HAVING sum({f}) > 1 ORDER BY g",
        "SELECT {f} FROM numbers WHERE false",
        "SELECT list_transform([1, 2, 3], lambda x: x + {f}) FROM numbers ORDER BY i LIMIT 3",
        "SELECT DISTINCT {f} % 5 FROM numbers ORDER BY 1",
        "SELECT max({f}) FILTER (WHERE g = 3) FROM numbers",
        "SELECT (SELECT max({f}) FROM numbers), exists(SELECT 1 FROM numbers WHERE {f} = 17)",
        "SELECT s, {f} FROM numbers QUALIFY row_number() OVER (PARTITION BY s ORDER BY {f}) = 1 ORDER BY s",
        "SELECT * FROM (SELECT i, {f} AS v FROM numbers) UNPIVOT (x FOR n IN (i, v)) ORDER BY x, n LIMIT 7",
    ],
)
@pytest.mark.parametrize("function", ["plus(i)", PLUS])
def test_a_function_works_wherever_sql_has_one(numbers, query, function):
    ours = query.format(
        f=function, f_a=function.replace("i)", "a.i)") if "(i)" in function else function.replace(", i", ", a.i")
    )
    plain = query.format(f="(i + 1)", f_a="(a.i + 1)")
    assert numbers.execute(ours).fetchall() == numbers.execute(plain).fetchall()


def test_functions_nest_and_mix(numbers):
    query = "SELECT sum(plus(py_udf_bigint('lambda x: x * 2', plus(i)))) FROM numbers"
    assert numbers.execute(query).fetchall() == numbers.execute("SELECT sum((i + 1) * 2 + 1) FROM numbers").fetchall()


def test_views_prepared_statements_macros_and_tables_made_of_them(numbers):
    numbers.execute(f"CREATE VIEW v AS SELECT {PLUS} AS w FROM numbers")
    numbers.execute("CREATE MACRO twice_plus(x) AS plus(plus(x))")
    numbers.execute(f"CREATE TABLE t AS SELECT {PLUS} AS w FROM numbers")
    numbers.execute("INSERT INTO t SELECT plus(i) FROM numbers")
    numbers.execute("UPDATE t SET w = plus(w)")
    numbers.execute("PREPARE p AS SELECT sum(py_udf_bigint($1, i)) FROM numbers WHERE plus(i) > $2")
    total = sum(range(1, 5001))
    assert numbers.execute("SELECT sum(w) FROM v").fetchall() == [(total,)]
    assert numbers.execute("SELECT sum(w) FROM t").fetchall() == [(2 * (total + 5000),)]
    assert numbers.execute("SELECT twice_plus(40)").fetchall() == [(42,)]
    for _ in range(2):
        assert numbers.execute("EXECUTE p('lambda x: x', 4990)").fetchall() == [(sum(range(4990, 5000)),)]


def test_case_never_calls_a_function_for_the_rows_it_excludes(numbers):
    query = "SELECT sum(CASE WHEN i % 2 = 0 THEN py_udf_bigint('lambda x: 10 // (1 - x % 2)', i) END) FROM numbers"
    assert numbers.execute(query).fetchall() == [(25_000,)]


def test_constant_arguments_fold_unless_side_effects_are_declared(con, sandbox):
    source = "n = 0\ndef f(x):\n global n\n n += 1\n return n"
    con.execute("SET threads = 1")
    sandbox.create_function(con, "folded", source, ["BIGINT"], "BIGINT")
    sandbox.create_function(con, "counted", source, ["BIGINT"], "BIGINT", side_effects=True)
    assert con.execute("SELECT count(DISTINCT folded(1)) FROM range(100)").fetchall() == [(1,)]
    assert con.execute("SELECT count(DISTINCT counted(1)) FROM range(100)").fetchall() == [(100,)]


def test_a_rollback_removes_a_function_as_upstream(con, sandbox):
    con.execute("BEGIN")
    sandbox.create_function(con, "gone", lambda x: x, ["BIGINT"], "BIGINT")
    con.execute("ROLLBACK")
    with pytest.raises(duckdb.CatalogException, match="gone does not exist"):
        con.execute("SELECT gone(1)")


def test_remove_function_and_creating_it_again(con, sandbox):
    sandbox.create_function(con, "f", lambda x: 1, ["BIGINT"], "BIGINT")
    con.remove_function("f")
    sandbox.create_function(con, "f", lambda x: 2, ["BIGINT"], "BIGINT")
    assert con.execute("SELECT f(0)").fetchall() == [(2,)]


def test_every_connection_of_the_database_sees_it_from_any_thread(numbers):
    results = []

    def run():
        with numbers.cursor() as cursor:
            results.append(cursor.execute(f"SELECT sum({PLUS}) FROM numbers").fetchall()[0][0])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [sum(range(1, 5001))] * 4


def test_thread_counts_make_no_difference(numbers):
    query = """
        SELECT g, sum(py_udf_double('lambda x: x ** 0.5', i)) AS d, py_udf_varchar('lambda s: s.upper()', s) AS u
        FROM numbers GROUP BY g, u ORDER BY g, u
    """
    results = []
    for threads in (1, 4):
        numbers.execute(f"SET threads = {threads}")
        results.append([(g, round(d, 6), u) for g, d, u in numbers.execute(query).fetchall()])
    assert results[0] == results[1]
