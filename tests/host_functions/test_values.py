"""Values between guests and host functions: every type, any length."""

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import (
    HostFunction,
)
from tests.host_functions.samples import RATES, fx_rate, plus

VALUES = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127"],
    "USMALLINT": ["65535"],
    "INTEGER": ["-2147483648"],
    "BIGINT": ["9223372036854775807", "-9223372036854775808"],
    "UBIGINT": ["18446744073709551615"],
    "FLOAT": ["1.5"],
    "DOUBLE": ["'nan'", "'-inf'", "-0.0", "1e300"],
    "DECIMAL(18,3)": ["123456789012345.678", "-0.001"],
    "DECIMAL(38,10)": ["1234567890123456789012345678.0123456789"],
    "VARCHAR": ["''", "'häß 🦆'", "repeat('x', 300000)"],
    "BLOB": ["'\\x00\\xFF'::BLOB", "''::BLOB"],
    "DATE": ["DATE '0001-01-01'", "DATE '9999-12-31'"],
    "TIME": ["TIME '23:59:59.999999'"],
    "TIMESTAMP": ["TIMESTAMP '2024-02-29 12:34:56.789012'"],
    "TIMESTAMP_S": ["TIMESTAMP_S '1969-12-31 23:59:59'"],
    "TIMESTAMPTZ": ["TIMESTAMPTZ '2024-02-29 12:34:56.789012+03'"],
    "INTERVAL": ["INTERVAL '3 days 5 seconds'"],
    "UUID": ["UUID 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'"],
    "BOOLEAN[]": ["[true, NULL, false]", "[]"],
    "UUID[]": ["[UUID 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', NULL]"],
    "STRUCT(id UUID, flags BOOLEAN[])": ["{'id': UUID 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', 'flags': [true]}"],
    "JSON[]": ["""['{"a": 1}', NULL]"""],
    "ENUM('x', 'y')[]": ["['x', NULL, 'y']"],
    "ENUM('red', 'green')": ["'green'"],
    "BIGINT[]": ["[1, NULL, 3]", "[]"],
    "VARCHAR[][]": ["[['a', NULL], NULL, []]"],
    "DOUBLE[3]": ["[1, 2, 3]"],
    "STRUCT(a BIGINT, b VARCHAR[])": ["{'a': 1, 'b': ['x', NULL]}", "{'a': NULL, 'b': NULL}"],
    "MAP(VARCHAR, BIGINT)": ["MAP {'a': 1, 'b': NULL}", "MAP {}"],
    "STRUCT(m MAP(BIGINT, STRUCT(d DATE)))[]": ["[{'m': MAP {1: {'d': DATE '2020-01-01'}}}]"],
}


@pytest.fixture(scope="module")
def identities():
    """A connection with functions for each type that send their argument to the host and back."""
    functions = []
    for i, name in enumerate(VALUES):
        types = {"parameters": [name], "return_type": name}
        functions.append(HostFunction(lambda x: x, name=f"value{i}", **types))
        functions.append(HostFunction(lambda xs: xs, name=f"batch{i}", batched=True, **types))
    with duckdb.connect() as con, wasi_udf.Sandbox(host_functions=functions).install(con) as sandbox:
        for i, name in enumerate(VALUES):
            for shape in ("value", "batch"):
                code = f"import host\ndef f(x): return host.{shape}{i}(x)"
                sandbox.create_function(con, f"{shape}{i}", code, [name], name, null_handling="special")
        yield con


@pytest.mark.parametrize("shape", ["value", "batch"])
@pytest.mark.parametrize(("number", "name"), list(enumerate(VALUES)), ids=str)
def test_values_of_every_type_come_back_as_they_were(identities, number, name, shape):
    rows = ", ".join(f"(({value})::{name})" for value in [*VALUES[name], "NULL"])
    query = f"SELECT count(*) FROM (VALUES {rows}) t(x) WHERE {shape}{number}(x) IS DISTINCT FROM x"
    assert identities.execute(query).fetchall() == [(0,)]


@pytest.mark.parametrize("rows", [1, 2047, 2048, 2049, 20_000])
def test_batches_of_any_length_are_those_of_sql(con, grant, rows):
    grant(fx_rate)
    con.execute(f"CREATE TABLE t AS SELECT ['EUR', 'USD', 'XXX', NULL, 'häß'][i % 5 + 1] AS k FROM range({rows}) r(i)")
    code = "import host\ndef f(ks: Column[str | None]) -> list[float]: return host.fx_rate.batch(ks)"
    listed = code.replace("batch(ks)", "batch(ks.to_list())")
    con.register("rates", pa.table({"k": list(RATES), "v": list(RATES.values())}))
    expected = con.execute("SELECT sum(v), count(v) FROM t LEFT JOIN rates USING (k)").fetchall()
    for source in (code, listed):
        assert (
            con.execute("SELECT sum(v), count(v) FROM (SELECT py_udf_double($1, k) AS v FROM t)", [source]).fetchall()
            == expected
        )


def test_columns_of_types_that_lie_otherwise_are_converted(con, grant):
    def doubled(values: list[int]) -> list[int]:
        return [None if value is None else 2 * value for value in values]

    grant(HostFunction(doubled))
    code = "import host\ndef f(xs: Column): return host.doubled.batch(xs)"
    for kind in ("TINYINT", "INTEGER", "BIGINT", "UBIGINT"):
        query = f"SELECT py_udf_bigint($1, i::{kind}) FROM (VALUES (1), (NULL), (100)) t(i)"
        assert con.execute(query, [code]).fetchall() == [(2,), (None,), (200,)], kind


def test_one_call_may_pass_more_rows_than_a_batch_has(grant, evaluate):
    grant(plus)
    assert evaluate("sum(host.plus.batch(range(100_000), [1] * 100_000))") == sum(range(1, 100_001))


def test_a_response_that_does_not_fit_is_taken_in_a_second_step(grant, evaluate):
    def repeated(text: str, times: int) -> str:
        return text * times

    grant(HostFunction(repeated))
    for size in (10, 65_000, 65_400, 65_536, 1_000_000, 10):
        assert evaluate(f"host.repeated('äb', {size}) == 'äb' * {size}") is True


@pytest.mark.parametrize("threads", [1, 16])
def test_threads_make_no_difference(con, grant, threads):
    sandbox = grant(fx_rate)
    con.execute(f"SET threads = {threads}")
    con.execute("CREATE TABLE t AS SELECT ['EUR', 'USD', 'XXX'][i % 3 + 1] AS k FROM range(300_000) r(i)")
    code = "import host\ndef f(ks: Column[str]) -> list[float]: return host.fx_rate.batch(ks)"
    total = con.execute("SELECT round(sum(py_udf_double($1, k))) FROM t", [code]).fetchall()[0][0]
    assert total == 100_000 + 108_000
    assert sum(record.rows for record in sandbox.audit()) == 300_000
