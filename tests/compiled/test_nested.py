"""Lists, structs and maps as arguments and results of compiled functions, through DuckDB, against SQL and CPython."""

import datetime as dt

import duckdb
import pytest

from duckdb_wasi_udf import Sandbox

pytestmark = pytest.mark.shared_sandbox

VARIABLE = "DUCKDB_WASI_UDF_COMPILED"
ROWS = 2047 + 2048 + 2049


@pytest.fixture(autouse=True)
def forced(monkeypatch):
    monkeypatch.setenv(VARIABLE, "always")


def state(con, name="f"):
    """What py_functions() says of compiling a function."""
    query = "SELECT compiled, interpreted_because, compiled_rows, bailed_rows FROM py_functions() WHERE name = ?"
    (row,) = con.execute(query, [name]).fetchall()
    return row


# Source, types of arguments, result type, the table's rows, and the same in SQL.
AGAINST_SQL = {
    "lists of texts": (
        "def f(s): return s.split(',')",
        ["VARCHAR"],
        "VARCHAR[]",
        "CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'ä,' || i || ',' || i % 13 END",
        "str_split(a, ',')",
    ),
    "lists of numbers": (
        "def f(n): return [k * n for k in range(n % 5)]",
        ["BIGINT"],
        "BIGINT[]",
        "CASE WHEN i % 11 > 0 THEN i END",
        "CASE WHEN a IS NOT NULL THEN list_transform(range(a % 5), lambda k: k * a) END",
    ),
    "None in lists": (
        "def f(n): return [n, None, n / 4]",
        ["BIGINT"],
        "DOUBLE[]",
        "i",
        "[CAST(a AS DOUBLE), NULL, a / 4]",
    ),
    "narrow numbers in lists": ("def f(n): return [n % 100, -1]", ["BIGINT"], "TINYINT[]", "i", "[a % 100, -1]"),
    "lists of lists": (
        "def f(s): return [[c] for c in s]",
        ["VARCHAR"],
        "VARCHAR[][]",
        "CASE i % 5 WHEN 0 THEN NULL ELSE 'é' || i % 12 END",
        "CASE WHEN a IS NOT NULL THEN list_transform(str_split(a, ''), lambda c: [c]) END",
    ),
    "arrays": ("def f(n): return [n, n + 1]", ["BIGINT"], "BIGINT[2]", "i", "array_value(a, a + 1)"),
    "structs of tuples": (
        "def f(s): return s.upper(), len(s)",
        ["VARCHAR"],
        "STRUCT(t VARCHAR, n BIGINT)",
        "CASE WHEN i % 3 > 0 THEN 'x' || i END",
        "CASE WHEN a IS NOT NULL THEN {'t': upper(a), 'n': length(a)} END",
    ),
    "structs of dicts": (
        "def f(n): return {'odd': n % 2 == 1, 'day': date(2024, 1, 1) + timedelta(days=n % 99), 'x': None}",
        ["BIGINT"],
        "STRUCT(day DATE, x DOUBLE, odd BOOLEAN)",
        "i",
        "{'day': DATE '2024-01-01' + CAST(a % 99 AS INTEGER), 'x': NULL, 'odd': a % 2 = 1}",
    ),
    "maps": (
        "def f(n): return {'n': n, 'm': n % 10}",
        ["BIGINT"],
        "MAP(VARCHAR, BIGINT)",
        "i",
        "MAP {'n': a, 'm': a % 10}",
    ),
    "intervals": (
        "def f(n): return timedelta(days=n % 400)",
        ["BIGINT"],
        "INTERVAL",
        "i",
        "to_days(CAST(a % 400 AS INTEGER))",
    ),
    "enums": (
        "def f(n): return 'odd' if n % 2 else 'even'",
        ["BIGINT"],
        "ENUM('even', 'odd')",
        "i",
        "if(a % 2 = 1, 'odd', 'even')",
    ),
    "list arguments": (
        "def f(p): return sum(p) + len(p)",
        ["BIGINT[]"],
        "BIGINT",
        "CASE WHEN i % 9 > 0 THEN range(i % 30) END",
        "coalesce(list_sum(a), 0) + len(a)",
    ),
    "texts in list arguments": (
        "def f(p): return '|'.join(sorted(p))",
        ["VARCHAR[]"],
        "VARCHAR",
        "[CAST(i AS VARCHAR), 'ü', CAST(i % 7 AS VARCHAR)]",
        "array_to_string(list_sort(a), '|')",
    ),
    "struct arguments": (
        "def f(r): return r['q'] * r['p'] if r['q'] is not None else None",
        ["STRUCT(q BIGINT, p DOUBLE)"],
        "DOUBLE",
        "{'q': CASE WHEN i % 4 > 0 THEN i END, 'p': i / 8}",
        "a.q * a.p",
    ),
    "lists of structs as arguments": (
        "def f(p): return sum(r['q'] for r in p if r['n'] != 'n3')",
        ["STRUCT(n VARCHAR, q INTEGER)[]"],
        "BIGINT",
        "[{'n': 'n' || i % 5, 'q': CAST(i % 100 AS INTEGER)}, {'n': 'x', 'q': 1}]",
        "list_sum(list_transform(list_filter(a, lambda r: r.n <> 'n3'), lambda r: r.q))",
    ),
    "map arguments": (
        "def f(m): return m.get('a', -1) + len(m)",
        ["MAP(VARCHAR, INTEGER)"],
        "BIGINT",
        "CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN MAP {'b': i} ELSE MAP {'a': i, 'z': 0} END",
        "coalesce(a['a'], -1) + cardinality(a)",
    ),
}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", AGAINST_SQL)
def test_nested_values_agree_with_sql(con, name, threads):
    source, parameters, result, rows, sql = AGAINST_SQL[name]
    con.execute(f"SET threads = {threads}")
    con.execute(f"CREATE TABLE t AS SELECT CAST({rows} AS {parameters[0]}) AS a FROM range({ROWS}) r(i)")
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", f"from datetime import date, timedelta\n{source}", parameters, result)
        query = f"SELECT count(*) FROM t WHERE f(a) IS DISTINCT FROM CAST({sql} AS {result})"
        assert con.execute(query).fetchall() == [(0,)]
        assert state(con) == (True, None, ROWS, 0)


@pytest.mark.parametrize("count", [0, 1, 2047, 2048, 2049])
def test_batches_of_all_sizes(con, count):
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", "def f(n): return [str(n)] * (n % 3), n", ["BIGINT"])
        found = con.execute(f"SELECT CAST(f(i) AS JSON) FROM range({count}) r(i) ORDER BY i").fetchall()
        wanted = [f"[{[str(n)] * (n % 3)},{n}]".replace("'", '"').replace(" ", "") for n in range(count)]
        assert [row[0] for row in found] == wanted


def test_null_inside_a_list_is_the_interpreters(con):
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", "def f(p): return sum(k or 0 for k in p)", ["BIGINT[]"], "BIGINT")
        found = con.execute("SELECT f(p) FROM (VALUES ([1, 2]), ([1, NULL]), (NULL), ([])) t(p)").fetchall()
        assert found == [(3,), (1,), (None,), (0,)]
        assert state(con) == (True, None, 3, 1)


def test_results_that_do_not_fit_are_the_interpreters(con):
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", "def f(n): return [n]", ["BIGINT"], "TINYINT[]")
        assert con.execute("SELECT f(n) FROM (VALUES (1), (127)) t(n)").fetchall() == [([1],), ([127],)]
        with pytest.raises(duckdb.Error, match="-128 to 127"):
            con.execute("SELECT f(n) FROM (VALUES (1), (128)) t(n)").fetchall()
        assert con.execute("SELECT f(5)").fetchall() == [([5],)]
        # A text is converted to a number by code of Python's.
        sandbox.create_function(con, "g", "def g(n): return [str(n)]", ["BIGINT"], "BIGINT[]")
        assert con.execute("SELECT g(n) FROM (VALUES (1), (2)) t(n)").fetchall() == [([1],), ([2],)]
        assert state(con, "g")[2:] == (0, 2)


def test_a_list_that_holds_itself_is_an_error(con):
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", "def f(n):\n    p = []\n    p.append(p)\n    return p", ["BIGINT"])
        with pytest.raises(duckdb.Error, match="nested deeper"):
            con.execute("SELECT f(1)").fetchall()
        assert con.execute("SELECT 1").fetchall() == [(1,)]


def test_rows_that_fail_become_null(con):
    source = "def f(n): return [10 // (n % 4), None]"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", source, ["BIGINT"], "BIGINT[]", exception_handling="return_null")
        found = con.execute(f"SELECT f(i) FROM range({ROWS}) r(i) ORDER BY i").fetchall()
        assert found == [(None if n % 4 == 0 else [10 // (n % 4), None],) for n in range(ROWS)]
        assert sandbox.failed_rows("f") == (ROWS + 3) // 4


def test_the_first_values_decide_the_type_of_a_column(con):
    """The row that bails comes first. What the others return goes with it in no column, so they fail."""
    source = "def f(n):\n    try:\n        return 1 // n\n    finally:\n        if n == 0: return [1, 'x']"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(con, "f", source, ["BIGINT"], exception_handling="return_null")
        found = con.execute("SELECT CAST(f(n) AS VARCHAR) FROM (VALUES (0), (1), (2)) t(n)").fetchall()
        assert found == [("[1, x]",), (None,), (None,)]
        assert sandbox.failed_rows("f") == 2


def test_dates_and_unicode_in_structs(con):
    source = "def f(d, s): return {'day': d, 'später': [s, s[::-1]], 'um': None}"
    with Sandbox().install(con) as sandbox:
        sandbox.create_function(
            con, "f", source, ["DATE", "VARCHAR"], 'STRUCT(day DATE, "später" VARCHAR[], um TIMESTAMP)'
        )
        found = con.execute("SELECT f(DATE '2024-02-29', '日本é'), f(NULL, 'x')").fetchall()
        assert found == [({"day": dt.date(2024, 2, 29), "später": ["日本é", "é本日"], "um": None}, None)]
        assert state(con)[2:] == (2, 0)
