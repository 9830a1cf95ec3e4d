"""Batches of long rows: cut by bytes before they are copied in."""

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, LimitExceeded
from duckdb_wasi_udf._functions.batch_split import ranges_by_size, rows_of

MIB = 2**20
LONG = "repeat(chr(97 + (i % 26)::INTEGER), 20_000)"  # 2048 of them are 40 MB
ROWS = f"(SELECT i, {LONG} AS x FROM range(2048) r(i))"


@pytest.fixture
def sandbox(con):
    limits = wasi_udf.ResourceLimits(memory_bytes=64 * MIB)
    data_limits = wasi_udf.DataLimits(result_bytes=16 * MIB)
    with wasi_udf.Sandbox(limits=limits, data_limits=data_limits).install(con) as installed:
        yield installed


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("lambda x: x", "x"),
        ("lambda l: l[0]", "[x]"),
        ("lambda l: l[1]", "[NULL, x]::VARCHAR[2]"),
        ("lambda s: s['a']", "{'a': x, 'b': i}"),
        ("lambda m: m['k']", "MAP {'k': x}"),
        ("lambda u: u", "union_value(u := x)"),
        ("lambda b: b.decode()", "x::BLOB"),
        ("lambda x, y, i: x if x == y else i", "x, x, i"),
    ],
)
def test_2048_long_rows_give_their_results_in_order(con, sandbox, code, arguments):
    query = f"SELECT count(*), bool_and(py_udf_varchar($1, {arguments}) = x) FROM {ROWS}"
    assert con.execute(query, [code]).fetchall() == [(2048, True)]


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
def test_nulls_and_short_rows_among_long_ones(con, sandbox, rows):
    text = f"CASE i % 3 WHEN 0 THEN {LONG} WHEN 1 THEN '' END"
    query = "SELECT count(*), count(v), bool_and(v = x) FROM (SELECT x, py_udf_varchar('lambda x: x', x) AS v FROM"
    query += f" (SELECT {text} AS x FROM range({rows}) r(i)))"
    valid = sum(i % 3 < 2 for i in range(rows))
    assert con.execute(query).fetchall() == [(rows, valid, True if valid else None)]


def test_inferred_types_of_the_pieces_are_put_together(con, sandbox):
    query = (
        f"SELECT typeof(v), variant_typeof(v), count(*) FROM (SELECT py_udf($1, x, i) AS v FROM {ROWS}) GROUP BY ALL"
    )
    code = "lambda x, i: i if i < 2000 else x[:1]"
    assert sorted(con.execute(query, [code]).fetchall()) == [("VARIANT", "INT64", 2000), ("VARIANT", "VARCHAR", 48)]


def test_an_error_in_a_later_piece_names_its_row(con, sandbox):
    with pytest.raises(duckdb.InvalidInputException):
        con.execute(f"SELECT py_udf('lambda x, i: 1 / (1900 - i)', x, i) FROM {ROWS}").fetchall()
    assert isinstance(sandbox.last_error, GuestError)
    assert (sandbox.last_error.row, sandbox.last_error.arguments[1]) == (1900, "1900")
    assert "in row 1900 of the batch" in str(sandbox.last_error)
    sandbox.create_function(
        con, "f", "lambda x, i: 1 / (1900 - i)", ["VARCHAR", "BIGINT"], "DOUBLE", exception_handling="return_null"
    )
    assert con.execute(f"SELECT count(f(x, i)) FROM {ROWS}").fetchall() == [(2047,)]
    assert sandbox.failed_rows("f") == 1


def test_batch_functions_get_pieces(con, sandbox):
    sandbox.create_function(con, "f", "lambda x: [len(x)] * len(x)", ["VARCHAR"], "BIGINT", type="arrow")
    found = con.execute(f"SELECT f(x), count(*) FROM {ROWS} GROUP BY 1").fetchall()
    assert sum(count for _, count in found) == 2048
    assert max(size for size, _ in found) < 2048


def test_aggregates_tables_and_maps_take_long_rows(con):
    limits = wasi_udf.ResourceLimits(memory_bytes=128 * MIB)  # a step of a table ends after 8 MiB
    sandbox = wasi_udf.Sandbox(limits=limits).install(con)
    grouped = f"SELECT py_agg('lambda xs: sum(map(len, xs))', list(x))::BIGINT AS n FROM {ROWS} GROUP BY i // 2"
    assert con.execute(f"SELECT sum(n), count(*) FROM ({grouped})").fetchall() == [(2048 * 20_000, 1024)]
    yielded = "def f():\n    for i in range(2049): yield (i, 'x' * 20_000)"
    query = "SELECT count(*), sum(i), sum(length(x)) FROM py_table($1, schema := {'i': 'BIGINT', 'x': 'VARCHAR'})"
    assert con.execute(query, [yielded]).fetchall() == [(2049, sum(range(2049)), 2049 * 20_000)]
    columns = "from duckdb_wasi_udf import Columns\ndef f(): yield Columns(i=range(2049), x=['x' * 20_000] * 2049)"
    assert con.execute(query, [columns]).fetchall() == [(2049, sum(range(2049)), 2049 * 20_000)]
    mapped = sandbox.map_batches(con.sql(f"FROM {ROWS}"), "lambda i, x: [(i, x)]", {"i": "BIGINT", "x": "VARCHAR"})
    assert mapped.aggregate("count(*), sum(i), sum(length(x))").fetchall() == [(2048, sum(range(2048)), 2048 * 20_000)]


def test_a_single_row_too_long_names_the_limit(con, sandbox):
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SELECT py_udf('len', repeat('x', 80_000_000))").fetchall()
    assert isinstance(sandbox.last_error, LimitExceeded)
    assert (sandbox.last_error.limit, sandbox.last_error.allowed) == ("memory_bytes", 64 * MIB)
    assert con.execute("SELECT py_udf('len', repeat('x', 8_000_000))").fetchall() == [(8_000_000,)]


def test_pieces_cover_all_rows_in_order():
    texts = pa.array(["x" * (1000 if i % 7 else 5000) for i in range(100)])
    lists = pa.array([[text] for text in texts.to_pylist()])
    pieces = ranges_by_size([texts, lists], 100, 20_000, 8)
    assert [row for rows in pieces for row in rows] == list(range(100))
    for rows in pieces:
        parts = rows_of([texts, lists], rows)
        assert [part.to_pylist() for part in parts] == [
            texts.to_pylist()[rows.start : rows.stop],
            lists.to_pylist()[rows.start : rows.stop],
        ]
        assert sum(part.nbytes for part in parts) <= 20_000
    assert ranges_by_size([pa.array(range(100))], 100, 1, 0) == [range(i, i + 1) for i in range(100)]
    assert len(ranges_by_size([], 100, 1000, 100)) >= 10
