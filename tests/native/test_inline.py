"""`py_udf_bigint` and the like on both paths: any arguments, source texts and settings."""

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._sql import installation

TABLE = """CREATE TABLE t AS SELECT i, 'abc' || i AS s, [i, i + 1] AS l, (i % 3)::VARCHAR::JSON AS j,
(i % 100)::money AS m,
('k' || i % 3)::ENUM('k0', 'k1', 'k2') AS e, md5(i::VARCHAR)::UUID AS u, i::HUGEINT AS h, INTERVAL (i) SECOND AS v,
CASE WHEN i % 3 > 0 THEN i / 2 END AS d, make_timestamptz(1_700_000_000_000_000 + i) AS z FROM range(6000) r(i)"""
CALLS = [
    "py_udf_bigint('def f(x: int): return x', j)",
    "py_udf_varchar('def f(x: dict): return type(x).__name__', j)",
    "py_udf_varchar('lambda x: type(x).__name__', j)",
    *(f"py_udf_varchar('lambda x: type(x).__name__ + str(x)', {column})" for column in "ilmeuhvdz"),
    "py_udf_varchar('lambda *x: str(x)', i, l, s, NULL)",
    "py_udf_varchar('def f(x, *rest): return str([x, rest])', i, s, d)",
    "py_udf_varchar('lambda: str(1)')",
    "py_udf_varchar(NULL, i)",
    "py_udf_varchar(s, i)",
    "py_udf_varchar(CASE WHEN i % 2 = 0 THEN 'lambda x: x' ELSE 'lambda x: x * 2' END, s)",
    "py_udf_varchar('def f(x: Decimal): return str(x)', i)",
    "py_udf_double('def f(x: float): return x', m)",
    "py_udf_varchar('def f(x: str): return x', i)",
    "py_udf_json('lambda x: {\"a\": x}', i)",
    "py_udf_blob('lambda x: x', s)",
    "py_udf_date('lambda x: x', i)",
    "py_udf_timestamp('import datetime\nlambda x: datetime.datetime(2020,1,1)+datetime.timedelta(x)', i)",
    "py_udf_boolean('lambda x: x > 5', i)",
    "py_udf_bigint('lambda x, y: x', i)",
    "py_udf_bigint('def f(x: Column[int]) -> list[int]: return [len(x)] * len(x)', i)",
    "py_udf_bigint('import pandas', i)",
    "py_udf_bigint(3, i)",
]
SETTINGS = [
    "RESET arrow_lossless_conversion",
    "SET arrow_lossless_conversion = true",
    "SET arrow_large_buffer_size = true; SET TimeZone = 'Asia/Kolkata'",
    "SET arrow_output_version = '1.4'",
]


@pytest.fixture(scope="module")
def connections():
    """One on the native path, and one on Python's."""
    made = []
    for replace in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not replace:
                patch.setattr(installation, "replace_inline_by_native", lambda con, functions: None)
            con = duckdb.connect()
            sandbox = wasi_udf.Sandbox().install(con)
        con.execute("SET threads = 1; CREATE TYPE money AS DECIMAL(10,2)")
        con.execute(TABLE)
        made.append((con, sandbox))
    yield made
    for con, sandbox in made:
        con.close()
        sandbox.close()


def outcome(con, query, parameters=None):
    try:
        return con.execute(query, parameters).fetchall()
    except duckdb.Error as error:
        return type(error), str(error)


# Where the source text of an annotated function comes from: DuckDB knows it when it binds a query, or not.
SOURCES = [
    "SELECT {} FROM (VALUES ('def f(x: int) -> int: return x * 2')) t(code)",
    "SELECT {} FROM (SELECT $1::VARCHAR AS code)",
    "WITH t AS MATERIALIZED (SELECT 'def f(x: int) -> int: return x * 2' AS code) SELECT {} FROM t",
]
CODE = "def f(x: int) -> int: return x * 2"


@pytest.mark.parametrize("expression", ["typeof({})", "{} = '6'", "{} / 4", "{} || 'a'", "[{}, 2.5]"])
def test_a_result_does_not_depend_on_where_the_code_stands(connections, expression):
    outcomes = []
    for con, _ in connections:
        for code in ("$1", f"'{CODE}'", f"'{CODE[:9]}' || '{CODE[9:]}'", "(SELECT $1)"):
            query = f"SELECT {expression.format(f'py_udf({code}, 3)')}"
            outcomes.append(con.execute(query, [CODE] if "$1" in code else []).fetchall())
        for source in SOURCES:
            query = source.format(expression.format("py_udf(code, 3)"))
            outcomes.append(con.execute(query, [CODE] if "$1" in query else []).fetchall())
        con.execute(f"PREPARE later AS SELECT {expression.format('py_udf($1, 3)')}")
        outcomes.append(con.execute(f"EXECUTE later('{CODE}')").fetchall())
        con.execute(f"CREATE OR REPLACE MACRO called(code) AS {expression.format('py_udf(code, 3)')}")
        outcomes.append(con.execute(f"SELECT called('{CODE}')").fetchall())
    truth = duckdb.sql(f"SELECT {expression.format('(6::BIGINT)::VARIANT')}").fetchall()
    assert outcomes == [truth] * len(outcomes)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_call_ends_alike(connections, setting):
    for con, _ in connections:
        con.execute(setting)
    for call in CALLS:
        query = f"SELECT typeof({call}), min({call}::VARCHAR), max({call}::VARCHAR), count({call}) FROM t GROUP BY 1"
        native, python = (outcome(con, query) for con, _ in connections)
        assert native == python, call
    used, unused = (sandbox.usage().native_rows for _, sandbox in connections)
    assert used > 0
    assert unused == 0


def test_there_is_one_function_of_each_name(connections):
    query = "SELECT function_name, parameters, return_type FROM duckdb_functions() WHERE function_name ^@ 'py_'"
    native, python = (con.execute(f"{query} ORDER BY ALL").fetchall() for con, _ in connections)
    assert native == python


def test_source_texts_change_with_each_query(connections):
    (con, sandbox), _ = connections
    query = "SELECT sum(py_udf_bigint($1, i)) FROM range(20000) r(i)"
    total = 20_000 * 19_999 // 2
    for number in [*range(70), 0, 69, 1]:  # more than are kept
        for _ in range(2 if number % 10 else 3):
            assert con.execute(query, [f"lambda x: x + {number}"]).fetchall() == [(total + 20_000 * number,)]
    con.execute("PREPARE p AS SELECT sum(py_udf_bigint($1, i)) FROM range(20000) r(i)")
    for number in (1, 2, 1, 3):
        assert con.execute(f"EXECUTE p('lambda x: x * {number}')").fetchall() == [(total * number,)]
    assert sandbox.usage().native_rows > 0


def test_threads_of_one_query_and_several_calls_in_it(connections):
    (con, _), _ = connections
    con.execute("SET threads = 4")
    query = """SELECT sum(py_udf_bigint('lambda x: x', i)), sum(py_udf_bigint('lambda x: -x', i)),
    sum(py_udf_bigint('lambda l: l[1]', [i, i])), max(py_udf_varchar('lambda s: s[::-1]', i::VARCHAR))
    FROM range(300000) r(i)"""
    total = 300_000 * 299_999 // 2
    for _ in range(3):
        assert con.execute(query).fetchall() == [(total, -total, total, "999992")]
