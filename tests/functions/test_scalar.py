"""SQL functions, compared with the same query in plain SQL or Python."""

import threading

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, GuestTrap, LimitExceeded, SignatureError

pytestmark = pytest.mark.shared_sandbox


def test_three_lines_are_enough(con, sandbox):
    con.execute("CREATE TABLE t AS SELECT unnest(['ada lovelace', NULL, 'grace hopper']) AS name")
    names = con.execute("SELECT py_udf('lambda s: s.title()', name) FROM t").fetchall()
    assert names == [("Ada Lovelace",), (None,), ("Grace Hopper",)]


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 10_000])
@pytest.mark.parametrize("threads", [1, 4])
def test_every_row_is_computed_once(con, sandbox, rows, threads):
    con.execute(f"SET threads = {threads}")
    con.execute(f"CREATE TABLE t AS SELECT i, 'n' || i AS s, if(i % 7 = 0, NULL, i / 3) AS d FROM range({rows}) r(i)")
    got = con.execute("""
        SELECT i,
               py_udf_bigint('lambda x: x * x - 1', i) AS a,
               py_udf_varchar('lambda s, x: s.upper() + str(x)', s, i) AS b,
               py_udf_double('lambda x: x * 2', d) AS c,
               py_udf_boolean('lambda x: x % 2 == 0', i) AS e
        FROM t ORDER BY i
    """).fetchall()
    assert got == con.execute("SELECT i, i * i - 1, upper(s) || i, d * 2, i % 2 = 0 FROM t ORDER BY i").fetchall()


@pytest.mark.parametrize(
    ("sql_type", "values"),
    [
        ("BOOLEAN", [True, False, None]),
        ("TINYINT", [-128, 127, None]),
        ("SMALLINT", [-(2**15), 2**15 - 1]),
        ("INTEGER", [-(2**31), 2**31 - 1]),
        ("BIGINT", [-(2**63), 2**63 - 1, 0, None]),
        ("UTINYINT", [0, 255]),
        ("USMALLINT", [0, 2**16 - 1]),
        ("UINTEGER", [0, 2**32 - 1]),
        ("FLOAT", [1.5, None, -0.25]),
        ("DOUBLE", [1e308, 5e-324, None]),
        ("VARCHAR", ["", "a", "täxt", "\U0001f986" * 100, "x" * 100_000, "\0", None]),
    ],
)
def test_arguments_of_every_supported_type_arrive_and_return(con, sandbox, sql_type, values):
    con.execute(f"CREATE TABLE t (i INTEGER, v {sql_type})")
    con.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(values)))
    got = con.execute(f"SELECT py_udf('lambda v: v', v)::{sql_type} FROM t ORDER BY i").fetchall()
    assert got == [(value,) for value in values]


def test_a_null_literal_is_null(con, sandbox):
    assert con.execute("SELECT py_udf('lambda x: 1', NULL)").fetchall() == [(None,)]
    assert con.execute("SELECT py_udf('def f(x: int | None): return x is None', NULL)").fetchall() == [(True,)]


def test_a_variant_result_can_be_used_like_a_value(con, sandbox):
    query = """
        SELECT count(*), sum(v::BIGINT), max(v::BIGINT), min(v + 1)
        FROM (SELECT py_udf('lambda x: x % 10', i) AS v FROM range(1000) r(i)) WHERE v::BIGINT > 4
    """
    assert con.execute(query).fetchall() == [(500, 3500, 9, 6)]


def test_functions_work_where_expressions_do(con, sandbox):
    con.execute("CREATE TABLE t AS SELECT i FROM range(5000) r(i)")
    even = "py_udf_boolean('lambda x: x % 2 == 0', i)"
    last = "py_udf_bigint('lambda x: x % 10', i)"
    for query in (
        "SELECT count(*) FROM t WHERE {even}",
        "SELECT {last}, count(*) FROM t GROUP BY 1 ORDER BY 1",
        "SELECT i FROM t ORDER BY {last}, i LIMIT 5",
        "SELECT CASE WHEN i < 3 THEN {last} ELSE -1 END FROM t ORDER BY i LIMIT 5",
        "SELECT count(*) FROM t a JOIN t b ON {last_a} = b.i",
        "WITH c AS (SELECT {last} AS d FROM t) SELECT d, count(*) FROM c GROUP BY d ORDER BY d",
        "SELECT sum({last}) OVER (ORDER BY i ROWS 2 PRECEDING) FROM t ORDER BY i LIMIT 20",
        "SELECT {nested} FROM t WHERE i = 77",
    ):
        python = query.format(
            even=even, last=last, last_a=last.replace(", i)", ", a.i)"), nested=last.replace(", i)", f", {last} + 5)")
        )
        plain = query.format(even="i % 2 = 0", last="i % 10", last_a="a.i % 10", nested="(i % 10 + 5) % 10")
        assert con.execute(python).fetchall() == con.execute(plain).fetchall(), query


def test_code_may_be_a_parameter_and_take_several_types(con, sandbox):
    code = "lambda x: str(x)"
    assert con.execute("SELECT py_udf($1, 1), py_udf($1, 2.5::DOUBLE), py_udf($1, 'x')", [code]).fetchall() == [
        ("1", "2.5", "x")
    ]


def test_results_survive_their_batch(con, sandbox):
    got = con.execute("SELECT py_udf_varchar('lambda x: str(x) * 3', i) FROM range(20000) r(i)").fetchall()
    assert got == [(str(i) * 3,) for i in range(20000)]


# ---- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT py_udf('lambda x: x +', 1)", GuestError, r"py_udf\('lambda x: x \+'\): SyntaxError: invalid syntax"),
        ("SELECT py_udf('x = 3', 1)", GuestError, "the code defines no function; write a lambda"),
        ("SELECT py_udf('lambda x, y: x', 1)", SignatureError, r"takes 2 argument\(s\) \(x, y\), the query passes 1"),
        ("SELECT py_udf('lambda: 1', 1)", SignatureError, r"takes 0 argument\(s\) \(\), the query passes 1"),
        ("SELECT py_udf_bigint('lambda x: ''a''', 1)", GuestError, "returned 'a', which is no BIGINT"),
        ("SELECT py_udf('lambda x: 2**127', 1)", GuestError, "outside the range of HUGEINT"),
        (
            "SELECT py_udf('lambda x: {1}', 1)",
            GuestError,
            "returned set; a result must be bool, int, float, Decimal, str, bytes",
        ),
        ("SELECT py_udf(NULL, 1)", SignatureError, "py_udf: the code, its first argument, is NULL"),
        ("SELECT py_udf(NULL::VARCHAR, 1)", SignatureError, "py_udf: the code, its first argument, is NULL"),
        ("SELECT py_udf(3, 1)", SignatureError, "the code, its first argument, is of the Arrow type int32"),
        ("SELECT py_udf('def f(x: set[int]): ...', 1)", SignatureError, r"annotation 'set\[int\]' of parameter 'x'"),
        ("SELECT py_udf('import os\nlambda x: os._exit(1)', 1)", GuestTrap, "tried to leave its process"),
        ("SELECT py_udf('lambda x: [0] * 10**9', 1)", LimitExceeded, "memory_bytes"),
    ],
)
def test_bad_input_is_a_clear_error_and_the_next_query_works(failing, query, error, message):
    assert failing(query, error=error).args
    with pytest.raises(error, match=message):
        raise failing(query, error=error)


def test_an_error_names_function_row_cause_and_arguments(con, failing):
    con.execute("SET threads = 1")
    con.execute("CREATE TABLE t AS SELECT i FROM range(2000) r(i)")
    code = "def reciprocal(x):\n    return 1 / (1234 - x)"
    error = failing("SELECT py_udf($1, i) FROM t", [code], error=GuestError)
    assert (error.type_name, error.row, error.arguments) == ("ZeroDivisionError", 1234, ("1234",))
    assert "py_udf('def reciprocal(x):...')" in str(error)
    assert "in reciprocal\n    return 1 / (1234 - x)" in str(error)


def test_an_endless_loop_stops_and_the_next_query_works(con):
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.2)
    with wasi_udf.Sandbox(limits=limits).install(con) as sandbox:
        with pytest.raises(duckdb.InvalidInputException, match="stopped after timeout_seconds=0.2"):
            con.execute("SELECT py_udf('def f(x):\n  while True: pass', i) FROM range(10) r(i)").fetchall()
        assert isinstance(sandbox.last_error, LimitExceeded)
        assert con.execute("SELECT py_udf('lambda x: x', 1)").fetchall() == [(1,)]


def test_many_inline_functions_come_and_go(con, sandbox):
    for n in range(150):
        assert con.execute("SELECT py_udf($1, 1)", [f"lambda x: x + {n}"]).fetchall() == [(n + 1,)]


def test_connections_and_threads_at_once(con, sandbox):
    """Each thread has a cursor of its own; functions, errors and results don't mix."""
    failures = []

    def work(n):
        cursor = con.cursor()
        try:
            for _ in range(10):
                query = f"SELECT sum(py_udf_bigint('lambda x: x * {n}', i)) FROM range(5000) r(i)"
                assert cursor.execute(query).fetchall() == [(n * 5000 * 4999 // 2,)]
                with pytest.raises(duckdb.InvalidInputException, match=f"mine is {n}"):
                    cursor.execute(f"SELECT py_udf('def f(x): raise ValueError(\"mine is {n}\")', 1)").fetchall()
        except BaseException as error:
            failures.append(error)
        finally:
            cursor.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=100)
    assert not failures
