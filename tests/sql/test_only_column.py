"""Tables of one column, whose values may be given alone; TypedDicts with marked keys; calls that DuckDB repeats."""

import pytest

from duckdb_wasi_udf import GuestError

pytestmark = pytest.mark.shared_sandbox


@pytest.mark.parametrize(
    ("sql_type", "values", "expected"),
    [
        ("INTEGER", "1, None, (2,), {'a': 3}", [1, None, 2, 3]),
        ("VARCHAR", "'x', '', ('y',)", ["x", "", "y"]),
        ("INTEGER[]", "[1, 2], [], ([3],), {'a': [4]}", [[1, 2], [], [3], [4]]),
        ("MAP(VARCHAR, INTEGER)", "{'k': 1}, ({'l': 2},), {'a': {'m': 3}}", [{"k": 1}, {"l": 2}, {"m": 3}]),
        ("STRUCT(x INTEGER)", "{'x': 1}, ((2,),), {'a': {'x': 3}}", [{"x": 1}, {"x": 2}, {"x": 3}]),
        ("JSON", "{'k': 1}, [2], 'null'", ['{"k": 1}', "[2]", "null"]),
        ("BLOB", "b'x', memoryview(b'abc')[::2]", [b"x", b"ac"]),
    ],
)
def test_the_values_of_the_only_column_may_be_given_alone(con, sandbox, sql_type, values, expected):
    rows = [(value,) for value in expected]
    code = f"def f():\n    yield from [{values}]"
    assert con.execute("FROM py_table($1, schema := {'a': $2})", [code, sql_type]).fetchall() == rows
    sandbox.create_table_function(con, "t", code, {"a": sql_type})
    assert con.execute("SELECT a FROM t()").fetchall() == rows
    mapped = sandbox.map_batches(con.sql("SELECT 1"), f"lambda x: [{values}]", {"a": sql_type})
    assert mapped.fetchall() == rows
    query = "SELECT a FROM py_map_batches($1, 'SELECT 1', schema := {'a': $2})"
    assert con.execute(query, [f"lambda x: [{values}]", sql_type]).fetchall() == rows


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
def test_a_generator_of_plain_values(con, sandbox, rows):
    query = "SELECT count(*), sum(a) FROM py_table($1, args := {'n': $2}, schema := {'a': 'INTEGER'})"
    total = sum(range(rows)) if rows else None
    assert con.execute(query, ["def f(n: int): yield from range(n)", rows]).fetchall() == [(rows, total)]


def test_what_is_no_row_is_still_an_error(con, sandbox, failing):
    for schema, value, message in (
        ("{'a': 'INTEGER'}", "{'b': 1}", "the key 'b'"),
        ("{'a': 'INTEGER'}", "(1, 2)", "a tuple of 2"),
        ("{'a': 'INTEGER'}", "'x'", "'x', which is no INTEGER"),
        ("{'a': 'INTEGER', 'b': 'INTEGER'}", "1", "returned int where its result type STRUCT"),
    ):
        error = failing(f"FROM py_table($1, schema := {schema})", [f"lambda: [{value}]"], error=GuestError)
        assert message in str(error)


@pytest.mark.parametrize("mark", ["NotRequired[int]", "Required[int]", "'NotRequired[int]'", "ReadOnly[int]"])
def test_marked_keys_of_a_typed_dict_have_their_types(con, sandbox, mark):
    code = f"""
        from typing import NotRequired, ReadOnly, Required, TypedDict

        class Row(TypedDict, total=False):
            name: str
            n: {mark}

        def f(row: Row) -> Row:
            return {{"name": row["name"] * 2}} if row["n"] is None else row
    """
    sandbox.create_function(con, "f", code)
    query = "SELECT f(x), typeof(f(x)) FROM (VALUES ({'name': 'a', 'n': 1}), ({'name': 'b', 'n': NULL})) t(x)"
    sql_type = 'STRUCT("name" VARCHAR, n BIGINT)'
    assert con.execute(query).fetchall() == [({"name": "a", "n": 1}, sql_type), ({"name": "bb", "n": None}, sql_type)]


def test_a_filter_on_a_subquery_calls_twice_a_row(con, sandbox):
    con.execute("SET threads = 1")
    con.execute("CREATE TABLE t AS SELECT i AS x FROM range(10) r(i)")

    def calls(create, query):
        create("f", "lambda x: x")
        con.execute(query).fetchall()
        rows = con.execute("SELECT rows FROM py_functions() WHERE name = 'f'").fetchall()[0][0]
        con.remove_function("f")
        return rows

    plain = lambda *names: sandbox.create_function(con, *names, ["BIGINT"], "BIGINT")
    volatile = lambda *names: sandbox.create_function(con, *names, ["BIGINT"], "BIGINT", side_effects=True)
    filtered = "SELECT v FROM (SELECT f(x) AS v FROM t) WHERE v > 4"
    assert calls(plain, filtered) == 15  # 10 for the filter, and the 5 that are left
    assert calls(volatile, filtered) == 10
    assert calls(plain, "WITH s AS MATERIALIZED (SELECT f(x) AS v FROM t) SELECT v FROM s WHERE v > 4") == 10
