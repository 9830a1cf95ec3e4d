"""Functions without parameters that are called for each row."""

import datetime as dt

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, SignatureError

pytestmark = pytest.mark.shared_sandbox

IMPORTS = "import datetime, decimal, uuid\nfrom duckdb_wasi_udf import Interval\n"
COUNTER = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
@pytest.mark.parametrize("parameters", [None, []])
def test_each_row_is_a_call(con, sandbox, rows, parameters):
    con.execute("SET threads = 1")
    sandbox.create_function(con, "tick", COUNTER, parameters, "BIGINT", side_effects=True)
    assert con.execute(f"SELECT tick() FROM range({rows})").fetchall() == [(i + 1,) for i in range(rows)]
    assert con.execute("SELECT tick() - tick(), tick() > 0").fetchall()[0][1] is True


def test_without_side_effects_it_is_a_constant(con, sandbox):
    sandbox.create_function(con, "tick", COUNTER, [], "BIGINT")
    assert len(con.execute("SELECT DISTINCT tick() FROM range(3000)").fetchall()) == 1


@pytest.mark.parametrize(
    ("sql_type", "expression", "text"),
    [
        ("BOOLEAN", "True", "true"),
        ("TINYINT", "-128", "-128"),
        ("HUGEINT", "-2**127", str(-(2**127))),
        ("UHUGEINT", "2**128 - 1", str(2**128 - 1)),
        ("DOUBLE", "float('nan')", "nan"),
        ("DOUBLE[]", "[float('nan'), -0.0, None]", "[nan, -0.0, NULL]"),
        ("DECIMAL(38,2)", "decimal.Decimal('1.50')", "1.50"),
        ("VARCHAR", "'ü'", "ü"),
        ("BLOB", r"b'\x00\xff'", r"\x00\xFF"),
        ("DATE", "datetime.date(2020, 1, 2)", "2020-01-02"),
        ("TIME", "datetime.time(1, 2, 3, 4)", "01:02:03.000004"),
        ("TIMESTAMP", "datetime.datetime(2020, 1, 2, 3, 4, 5, 6)", "2020-01-02 03:04:05.000006"),
        ("TIMESTAMP_NS", "datetime.datetime(2020, 1, 2, 3, 4, 5, 6)", "2020-01-02 03:04:05.000006"),
        ("TIMESTAMPTZ", "datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)", "2020-01-02 00:00:00+00"),
        ("INTERVAL", "Interval(months=13, days=-2, microseconds=3)", "1 year 1 month -2 days 00:00:00.000003"),
        ("UUID", "uuid.UUID(int=5)", "00000000-0000-0000-0000-000000000005"),
        ("ENUM('a', 'b')", "'b'", "b"),
        ("JSON", "{'a': [1]}", '{"a": [1]}'),
        ("INTEGER[2]", "[1, None]", "[1, NULL]"),
        ("STRUCT(a TINYINT, b VARCHAR[])", "(1, ['x'])", "{'a': 1, 'b': [x]}"),
        ("MAP(INTEGER[], VARCHAR)", "{'key': [[1]], 'value': ['x']}", "{[1]=x}"),
    ],
)
def test_results_are_those_of_any_function(con, sandbox, sql_type, expression, text):
    con.execute("SET TimeZone = 'UTC'")
    sandbox.create_function(con, "f", f"{IMPORTS}def f(): return {expression}", [], sql_type, side_effects=True)
    sandbox.create_function(con, "g", f"{IMPORTS}def g(i): return {expression}", ["BIGINT"], sql_type)
    query = "SELECT f()::VARCHAR, g(1)::VARCHAR, typeof(f()) = typeof(g(1))"
    assert con.execute(query).fetchall() == [(text, text, True)]


def test_null_and_inferred_results(con, sandbox):
    for name, expression in (("nothing", "None"), ("number", "1.5"), ("rows", "[{'a': 1}, {'a': None}]")):
        sandbox.create_function(con, name, f"def f(): return {expression}", side_effects=True)
    query = "SELECT nothing(), number(), rows()::JSON::VARCHAR FROM range(2)"
    assert con.execute(query).fetchall() == [(None, 1.5, '[{"a":1},{"a":null}]')] * 2


@pytest.mark.parametrize("sql_type", ["BIT", "BIGNUM", "TIMETZ", "STRUCT(b BIT[])", "UNION(a INTEGER, b VARCHAR)"])
def test_what_has_no_native_value_is_refused_at_once(con, sandbox, sql_type):
    with pytest.raises(SignatureError, match="give it a parameter, and pass it any column"):
        sandbox.create_function(con, "f", "def f(): return None", [], sql_type, side_effects=True)
    sandbox.create_function(con, "f", "def f(i): return None", ["BIGINT"], sql_type, side_effects=True)


@pytest.mark.parametrize("expression", ["float('nan')", "datetime.datetime(2020, 1, 1)", "[Interval(months=1)]"])
def test_an_inferred_value_that_would_change_is_refused(con, sandbox, failing, expression):
    sandbox.create_function(con, "f", f"{IMPORTS}def f(): return {expression}", side_effects=True)
    assert "needs a declared result type" in str(failing("SELECT f()", error=SignatureError))


def test_errors_and_limits_are_those_of_any_function(con, sandbox, failing):
    sandbox.create_function(con, "f", "def f(): return 1 / 0", [], "DOUBLE", side_effects=True)
    assert failing("SELECT f()", error=GuestError).type_name == "ZeroDivisionError"
    sandbox.create_function(
        con, "g", "def g(): return 1 / 0", [], "DOUBLE", side_effects=True, exception_handling="return_null"
    )
    assert con.execute("SELECT g() FROM range(3)").fetchall() == [(None,)] * 3
    assert sandbox.failed_rows("g") == 3


def test_threads_call_it_too(con, sandbox):
    con.execute("SET threads = 4")
    sandbox.create_function(con, "f", "import uuid\ndef f(): return uuid.uuid4()", [], "UUID", side_effects=True)
    con.execute("CREATE TABLE t AS FROM range(5000)")
    assert con.execute("SELECT count(DISTINCT f()) FROM t").fetchall() == [(5000,)]


def test_a_closed_sandbox_says_so(con):
    with wasi_udf.Sandbox() as sandbox:
        sandbox.create_function(con, "f", "def f(): return 1", [], "BIGINT", side_effects=True)
    with pytest.raises(duckdb.InvalidInputException, match="closed"):
        con.execute("SELECT f()").fetchall()


def test_a_stored_function_has_side_effects(con, sandbox):
    options = "{'side_effects': true, 'return_type': 'DATE'}"
    con.execute(
        f"SELECT py_create_function('f', 'import datetime\ndef f(): return datetime.date(2020, 1, 2)', {options})"
    )
    assert con.execute("SELECT f() FROM range(2)").fetchall() == [(dt.date(2020, 1, 2),)] * 2
