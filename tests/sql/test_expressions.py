"""Sandboxed functions wherever SQL allows a function, against the same query in plain SQL."""

import threading

import duckdb
import pytest

from tests.support.overloads import check_gone

pytestmark = pytest.mark.shared_sandbox

PLUS = "py_udf_bigint('lambda x: x + 1', i)"


# The same function in each form there is; `plain` is the truth.
FORMS = {
    "row": "plus",
    "batch": "plus_by_batch",
    "inline": "inline_plus",
    "inline variant": "variant_plus",
}

PLACES = {
    "SELECT": "SELECT {f}(i) FROM t ORDER BY i",
    "star": "SELECT * REPLACE ({f}(i) AS i) FROM t ORDER BY i LIMIT 3",
    "alias": "SELECT i, {f}(i) AS j, j + 1 AS k FROM t WHERE j > 3 ORDER BY k LIMIT 3",
    "VALUES": "VALUES ({f}(1)), ({f}(NULL))",
    "no rows": "SELECT {f}(i) FROM t WHERE false",
    "aggregates of no rows": "SELECT {f}(sum(i)::BIGINT), {f}(count(*)) FROM t WHERE false",
    "WHERE": "SELECT count(*) FROM t WHERE {f}(i) % 2 = 0",
    "WHERE with others": "SELECT count(*) FROM t WHERE {f}(i) > 10 AND i < 30 OR {f}({f}(i)) = 77",
    "rowid": "SELECT i FROM t WHERE rowid = {f}(41)",
    "IN": "SELECT i FROM t WHERE {f}(i) IN (SELECT {f}(i) * 2 FROM t) ORDER BY i LIMIT 20",
    "EXISTS": "SELECT (SELECT max({f}(i)) FROM t), exists(SELECT 1 FROM t WHERE {f}(i) = 17)",
    "correlated": "SELECT i, (SELECT max({f}(b.i)) FROM t b WHERE b.i < n.i) FROM t n WHERE i < 9 ORDER BY i",
    "LATERAL": "SELECT i, x FROM (FROM t LIMIT 50), LATERAL (SELECT {f}(i) * 2 AS x) ORDER BY i",
    "JOIN": "SELECT count(*) FROM t a JOIN t b ON {f}(a.i) = {f}(b.i) AND a.g = 3",
    "JOIN by inequality": "SELECT count(*) FROM t a JOIN t b ON {f}(a.i) < b.i WHERE least(a.i, b.i) > 4960",
    "LEFT JOIN": "SELECT count(*), count(b.i) FROM t a LEFT JOIN t b ON {f}(a.i) = b.i + 1000",
    "SEMI JOIN": "SELECT count(*) FROM t a SEMI JOIN t b ON {f}(a.i) = b.i * 2",
    "ANTI JOIN": "SELECT count(*) FROM t a ANTI JOIN t b ON {f}(a.i) = b.i * 2",
    "ASOF JOIN": "SELECT a.i, b.i FROM t a ASOF JOIN (SELECT i * 10 AS i FROM range(9) t(i)) b ON {f}(a.i) >= b.i "
    "ORDER BY a.i LIMIT 30",
    "GROUP BY": "SELECT {f}(i) % 3 AS k, count(*) FROM t GROUP BY k ORDER BY k",
    "ROLLUP": "SELECT {f}(g), count(*), grouping({f}(g)) FROM t GROUP BY ROLLUP ({f}(g)) ORDER BY ALL",
    "HAVING": "SELECT g FROM t GROUP BY g HAVING sum({f}(i)) > 1 AND {f}(count(*)) > 715 ORDER BY g",
    "DISTINCT": "SELECT DISTINCT {f}(i) % 5 FROM t ORDER BY 1",
    "DISTINCT ON": "SELECT DISTINCT ON ({f}(g)) g, i FROM t ORDER BY {f}(g), i",
    "FILTER": "SELECT max({f}(i)) FILTER ({f}(g) = 3) FROM t",
    "in an aggregate": "SELECT max_by(s, {f}(i)), quantile_cont({f}(i), 0.5), sum(DISTINCT {f}(g)) FROM t",
    "ORDER BY": "SELECT i FROM t ORDER BY -{f}(i) LIMIT 5",
    "ORDER BY in an aggregate": "SELECT string_agg(s, ',' ORDER BY {f}(i) DESC) FROM (FROM t LIMIT 30)",
    "LIMIT": "SELECT i FROM t ORDER BY i LIMIT {f}(4) OFFSET {f}(1)",
    "CASE": "SELECT sum(CASE WHEN {f}(i) > 10 THEN {f}(i) ELSE 0 END) FROM t",
    "CASE of values": "SELECT CASE {f}(g) WHEN 1 THEN 'one' WHEN {f}(2) THEN 'three' ELSE s END FROM t ORDER BY i",
    "coalesce": "SELECT coalesce(nullif({f}(i), 5), -1), greatest({f}(i), 10), {f}(i) IS NULL FROM t ORDER BY i",
    "window": "SELECT sum({f}(i)) OVER (PARTITION BY g ORDER BY i) FROM t ORDER BY i LIMIT 50",
    "window functions": "SELECT lag({f}(i), 2) OVER (ORDER BY i), first_value({f}(i)) OVER (PARTITION BY g ORDER BY i "
    "DESC) FROM t ORDER BY i LIMIT 40",
    "window definition": "SELECT count(*) OVER (PARTITION BY {f}(g)), sum(i) OVER (ORDER BY {f}(i) RANGE BETWEEN 3 "
    "PRECEDING AND CURRENT ROW) FROM t ORDER BY i LIMIT 40",
    "QUALIFY": "SELECT s, {f}(i) FROM t QUALIFY row_number() OVER (PARTITION BY s ORDER BY {f}(i)) = 1 ORDER BY s",
    "WITH": "WITH c AS (SELECT {f}(i) AS v FROM t) SELECT sum(v), max(v) FROM c",
    "WITH RECURSIVE": "WITH RECURSIVE r(n) AS (SELECT 1::BIGINT UNION ALL SELECT {f}(n) FROM r WHERE n < 50) "
    "SELECT count(*), max(n) FROM r",
    "UNION": "SELECT {f}(i) FROM t WHERE i < 20 UNION SELECT i FROM t WHERE {f}(i) BETWEEN 10 AND 40 ORDER BY 1",
    "UNPIVOT": "SELECT * FROM (SELECT i, {f}(i) AS v FROM t) UNPIVOT (x FOR n IN (i, v)) ORDER BY x, n LIMIT 7",
    "PIVOT": "PIVOT (SELECT g, {f}(i) % 2 AS odd, i FROM t) ON odd USING sum({f}(i)) GROUP BY g ORDER BY g",
    "lambda": "SELECT list_filter([i, i + 1], lambda x: {f}(x) % 2 = 0), [{f}(y) for y in [i, 2]] FROM t ORDER BY i "
    "LIMIT 5",
    "nested values": "SELECT {{'a': {f}(i)}}.a, [{f}(i), 0][1], map {{'k': {f}(i)}}['k'] FROM t ORDER BY i LIMIT 5",
    "unnest": "SELECT unnest([{f}(i), -{f}(i)]) AS x FROM t ORDER BY abs(x), x LIMIT 6",
    "sample": "SELECT sum({f}(i)) FROM t TABLESAMPLE 100%",
    "TRY": "SELECT TRY({f}(i)) FROM t ORDER BY i LIMIT 3",
    "nested": "SELECT sum({f}({f}({f}(i)) * 2)) FROM t",
}


@pytest.fixture
def numbers(con, sandbox):
    con.execute("CREATE TABLE t AS SELECT i, i % 7 AS g, 's' || (i % 5) AS s FROM range(5000) r(i)")
    sandbox.create_function(con, "plus", lambda x: x + 1, ["BIGINT"], "BIGINT")
    sandbox.create_function(con, "plus_by_batch", "def f(xs: Column[int]) -> list[int]: return [x + 1 for x in xs]")
    con.execute("CREATE OR REPLACE MACRO inline_plus(x) AS py_udf_bigint('lambda x: x + 1', x)")
    con.execute("CREATE OR REPLACE MACRO variant_plus(x) AS py_udf('lambda x: x + 1', x)::BIGINT")
    con.execute("CREATE OR REPLACE MACRO plain(x) AS (x + 1)")
    return con


@pytest.mark.parametrize("place", PLACES)
def test_a_function_works_wherever_sql_has_one(numbers, place):
    plain = numbers.execute(PLACES[place].format(f="plain")).fetchall()
    for form, function in FORMS.items():
        assert numbers.execute(PLACES[place].format(f=function)).fetchall() == plain, form


# Statements that change a database, and what they make of it.
STATEMENTS = [
    "CREATE TABLE made AS SELECT {f}(i) AS i FROM t",
    "INSERT INTO made SELECT {f}(i) FROM t",
    "UPDATE made SET i = {f}(i) WHERE {f}(i) % 3 = 0",
    "DELETE FROM made WHERE {f}(i) % 5 = 0",
    "MERGE INTO made USING (SELECT 100_000 AS k) s ON {f}(made.i) = s.k WHEN NOT MATCHED THEN INSERT VALUES ({f}(s.k))",
    "CREATE TABLE rules (i BIGINT CHECK ({f}(i) > 3), j BIGINT DEFAULT {f}(1), k BIGINT GENERATED ALWAYS AS ({f}(i)))",
    "INSERT INTO rules (i) SELECT i FROM t WHERE i > 4990",
    "CREATE VIEW doubled AS SELECT {f}(i) * 2 AS i FROM made",
    "CREATE OR REPLACE MACRO above(x) AS TABLE SELECT i FROM made WHERE i > {f}(x)",
    "SET VARIABLE three = {f}(2)",
]


@pytest.mark.parametrize("form", ["row", "inline"])
def test_statements_that_change_a_database_use_functions(numbers, form):
    found = []
    for function in ("plain", FORMS[form]):
        for statement in STATEMENTS:
            numbers.execute(statement.format(f=function))
        found.append(
            [
                numbers.execute(f"SELECT count(*), sum(i), max(i) FROM {source}").fetchall()
                for source in ("made", "doubled", "above(100)", "(SELECT j * k AS i FROM rules)")
            ]
        )
        with pytest.raises(duckdb.ConstraintException):
            numbers.execute("INSERT INTO rules (i) VALUES (2)")
        assert numbers.execute("SELECT getvariable('three')").fetchall() == [(3,)]
        numbers.execute("DROP VIEW doubled; DROP TABLE made; DROP TABLE rules; DROP MACRO TABLE above")
    assert found[0] == found[1]


def test_functions_nest_and_mix(numbers):
    query = "SELECT sum(plus(py_udf_bigint('lambda x: x * 2', plus(i)))) FROM t"
    assert numbers.execute(query).fetchall() == numbers.execute("SELECT sum((i + 1) * 2 + 1) FROM t").fetchall()


def test_views_prepared_statements_macros_and_tables_use_them(numbers):
    numbers.execute(f"CREATE VIEW v AS SELECT {PLUS} AS w FROM t")
    numbers.execute("CREATE OR REPLACE MACRO twice_plus(x) AS plus(plus(x))")
    numbers.execute(f"CREATE TABLE kept AS SELECT {PLUS} AS w FROM t")
    numbers.execute("INSERT INTO kept SELECT plus(i) FROM t")
    numbers.execute("UPDATE kept SET w = plus(w)")
    numbers.execute("PREPARE p AS SELECT sum(py_udf_bigint($1, i)) FROM t WHERE plus(i) > $2")
    total = sum(range(1, 5001))
    assert numbers.execute("SELECT sum(w) FROM v").fetchall() == [(total,)]
    assert numbers.execute("SELECT sum(w) FROM kept").fetchall() == [(2 * (total + 5000),)]
    assert numbers.execute("SELECT twice_plus(40)").fetchall() == [(42,)]
    for _ in range(2):
        assert numbers.execute("EXECUTE p('lambda x: x', 4990)").fetchall() == [(sum(range(4990, 5000)),)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sum(CASE WHEN i % 2 = 0 THEN {f}(i) END) FROM t",
        "SELECT sum(CASE WHEN i % 2 = 1 THEN 0 WHEN {f}(i) = 10 THEN 10 ELSE 1 // 0 END) FROM t",
        "SELECT sum(CASE i % 2 WHEN 0 THEN {f}(i) WHEN 1 THEN 0 END) FROM t",
        "SELECT sum(if(i % 2 = 0, {f}(i), 0)) FROM t",
        "SELECT sum(coalesce(CASE WHEN i % 2 = 1 THEN 0 END, {f}(i))) FROM t",
    ],
)
def test_case_never_calls_a_function_for_the_rows_it_excludes(numbers, sandbox, query):
    picky = "def picky(x: int) -> int: return 10 // (1 - x % 2)"
    sandbox.create_function(numbers, "picky", picky)
    numbers.execute(f"CREATE OR REPLACE MACRO inline_picky(x) AS py_udf_bigint('{picky}', x)")
    for function in ("picky", "inline_picky"):
        assert numbers.execute(query.format(f=function)).fetchall() == [(25_000,)]


def test_constants_fold_unless_side_effects_are_declared(con, sandbox):
    source = "n = 0\ndef f(x):\n global n\n n += 1\n return n"
    con.execute("SET threads = 1")
    sandbox.create_function(con, "folded", source, ["BIGINT"], "BIGINT")
    sandbox.create_function(con, "counted", source, ["BIGINT"], "BIGINT", side_effects=True)
    assert con.execute("SELECT count(DISTINCT folded(1)) FROM range(100)").fetchall() == [(1,)]
    assert con.execute("SELECT count(DISTINCT counted(1)) FROM range(100)").fetchall() == [(100,)]


@pytest.mark.own_sandbox
def test_equal_calls_are_one_unless_side_effects_are_declared(con, sandbox):
    for name, side_effects in (("pure", False), ("counted", True)):
        sandbox.create_function(con, name, lambda x: x, ["BIGINT"], "BIGINT", side_effects=side_effects)
        con.execute(f"SELECT {name}(i) + {name}(i) FROM range(100) r(i)").fetchall()
    assert con.execute("SELECT name, rows FROM py_functions() ORDER BY ALL").fetchall() == [
        ("counted", 200),
        ("pure", 100),
    ]


def test_a_rollback_removes_a_function_as_upstream(con, sandbox):
    con.execute("BEGIN")
    sandbox.create_function(con, "gone", lambda x: x, ["BIGINT"], "BIGINT")
    con.execute("ROLLBACK")
    check_gone(con, "gone", "SELECT gone(1)")


def test_remove_function_and_creating_it_again(con, sandbox):
    sandbox.create_function(con, "f", lambda x: 1, ["BIGINT"], "BIGINT")
    con.remove_function("f")
    sandbox.create_function(con, "f", lambda x: 2, ["BIGINT"], "BIGINT")
    assert con.execute("SELECT f(0)").fetchall() == [(2,)]


def test_every_connection_of_the_database_sees_the_function(numbers):
    results = []

    def run():
        with numbers.cursor() as cursor:
            results.append(cursor.execute(f"SELECT sum({PLUS}) FROM t").fetchall()[0][0])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [sum(range(1, 5001))] * 4


def test_thread_counts_make_no_difference(numbers):
    query = """
        SELECT g, sum(py_udf_double('lambda x: x ** 0.5', i)) AS d, py_udf_varchar('lambda s: s.upper()', s) AS u
        FROM t GROUP BY g, u ORDER BY g, u
    """
    results = []
    for threads in (1, 4):
        numbers.execute(f"SET threads = {threads}")
        results.append([(g, round(d, 6), u) for g, d, u in numbers.execute(query).fetchall()])
    assert results[0] == results[1]
