"""Types of thousands of columns, and the bounds beyond."""

import duckdb
import pytest

from duckdb_wasi_udf import SignatureError

COLUMNS = 5000
NAMES = [f"a_column_with_a_rather_long_name_{i}" for i in range(COLUMNS)]
LAST = NAMES[-1]
WIDE = f"STRUCT({', '.join(f'{name} DECIMAL(18,3)' for name in NAMES)})"
ROW = f"{{{', '.join(f'{name}: {i}::DECIMAL(18,3)' for i, name in enumerate(NAMES))}}}"
TOTAL = COLUMNS * (COLUMNS - 1) // 2
KEYS = "KEYS = [f'a_column_with_a_rather_long_name_{i}' for i in range(5000)]\n"


def test_a_struct_of_5000_columns_comes_and_goes(con, sandbox):
    sandbox.create_function(con, "total", "lambda s: sum(s.values())", [WIDE], "BIGINT")
    sandbox.create_function(con, "spread", f"{KEYS}lambda x: dict.fromkeys(KEYS, x)", ["BIGINT"], WIDE)
    con.execute(f"CREATE TABLE t AS SELECT {ROW} AS s")
    assert con.execute("SELECT total(s) FROM t").fetchall() == [(TOTAL,)]
    assert con.execute(f"SELECT sum(spread(i).{LAST}) FROM range(50) r(i)").fetchall() == [(sum(range(50)),)]


def test_5000_arguments_and_an_inferred_struct(con, sandbox):
    arguments = ", ".join(f"i + {k}" for k in range(COLUMNS))
    query = f"SELECT py_udf('lambda *columns: sum(columns)', {arguments}) FROM range(2) r(i)"
    assert con.execute(query).fetchall() == [(TOTAL,), (TOTAL + COLUMNS,)]
    code = f"{KEYS}lambda x: {{f'{{key}}': x for key in (KEYS if x else reversed(KEYS))}}"
    inferred = f"SELECT sum((py_udf($1, i)::JSON->>'{LAST}')::BIGINT) FROM range(10) r(i)"
    assert con.execute(inferred, [code]).fetchall() == [(45,)]


def test_tables_of_5000_columns(con, sandbox):
    code = f"{KEYS}def f():\n    for i in range(30): yield (i,) * len(KEYS)"
    query = f"SELECT count(*), sum({LAST}) FROM py_table($1, schema := $2)"
    assert con.execute(query, [code, WIDE]).fetchall() == [(30, sum(range(30)))]
    columns = ", ".join(f"{i}::DECIMAL(18,3) AS {name}" for i, name in enumerate(NAMES))
    con.execute(f"CREATE TABLE t AS SELECT {columns} FROM range(2)")
    mapped = sandbox.map_batches(con.table("t"), "lambda *row: [row]", WIDE)
    assert mapped.aggregate(f"count(*), sum({LAST})").fetchall() == [(2, 2 * (COLUMNS - 1))]


@pytest.mark.parametrize(
    ("sql_type", "problem"),
    [
        (f"STRUCT({', '.join(f'c{i} INTEGER' for i in range(20_001))})", "it has more than 20,000 columns"),
        ("STRUCT(c " * 101 + "INTEGER" + ")" * 101, "it nests deeper than 100"),
        ("INTEGER" + "[]" * 101, "it nests deeper than 100"),
        (f"ENUM('{'x' * 2_000_000}')", "it has more than 2,000,000 characters"),
    ],
    ids=["columns", "structs", "lists", "characters"],
)
def test_a_type_beyond_the_bounds_names_the_bound(con, sandbox, sql_type, problem):
    with pytest.raises(SignatureError, match=problem) as raised:
        sandbox.create_function(con, "f", "lambda x: x", [sql_type], "BIGINT")
    assert len(str(raised.value)) < 1000
    with pytest.raises(duckdb.InvalidInputException, match=problem):
        con.execute("FROM py_table($1)", [f"def schema(): return {sql_type!r}\ndef f(): yield 1"]).fetchall()


def test_brackets_and_commas_in_names_do_not_count(con, sandbox):
    values = ", ".join(f"'v{i}, ('" for i in range(21_000))
    sandbox.create_function(con, "f", "lambda i: f'v{i}, ('", ["BIGINT"], f"ENUM({values})")
    assert con.execute("SELECT f(20_999)").fetchall() == [("v20999, (",)]
    decimals = ", ".join(f"c{i} DECIMAL(9, 2)" for i in range(12_000))
    assert sandbox._domain.sql_type_of(f"STRUCT({decimals})").arrow_type.num_fields == 12_000
