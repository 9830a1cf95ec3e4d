"""Values of each type in and out again, sandboxed and by DuckDB's own functions, in one run."""

from __future__ import annotations

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import best, table

# SQL type and an expression over the row number `i` that gives values of it.
TYPES = [
    ("BOOLEAN", "i % 2 = 0"),
    ("INTEGER", "i"),
    ("BIGINT", "i"),
    ("UBIGINT", "i"),
    ("HUGEINT", "i * 10000000000000000000::HUGEINT"),
    ("UHUGEINT", "i"),
    ("BIGNUM", "i"),
    ("FLOAT", "i / 3"),
    ("DOUBLE", "i / 3"),
    ("DECIMAL(18,3)", "i / 8"),
    ("VARCHAR", "'user' || i"),
    ("BLOB", "('user' || i)::BLOB"),
    ("BIT", "i::BIT"),
    ("UUID", "md5(i::VARCHAR)::UUID"),
    ("JSON", """'{"a": ' || i || '}'"""),
    ("DATE", "DATE '2020-01-01' + (i % 1000)::INTEGER"),
    ("TIME", "TIME '00:00:00' + to_seconds(i % 86400)"),
    ("TIME WITH TIME ZONE", "(lpad((i % 24)::VARCHAR, 2, '0') || ':00:00+02')"),
    ("TIMESTAMP", "TIMESTAMP '2020-01-01' + to_seconds(i)"),
    ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_seconds(i)"),
    ("INTERVAL", "to_seconds(i)"),
    ("BIGINT[]", "[i, i + 1, i + 2]"),
    ("BIGINT[3]", "[i, i + 1, i + 2]"),
    ("STRUCT(a BIGINT, b VARCHAR)", "{'a': i, 'b': 'user' || i}"),
    ("MAP(VARCHAR, BIGINT)", "MAP {'a': i, 'b': i + 1}"),
    ("ENUM('red', 'green', 'blue')", "CASE i % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'green' ELSE 'blue' END"),
    ("UNION(n BIGINT, s VARCHAR)", "i"),
    ("VARIANT", "i"),
]


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, repetitions = (20_000, 2) if quick else (100_000, 4)
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.execute("SET TimeZone = 'UTC'")
    sandbox = wasi_udf.Sandbox()
    lines = []
    for n, (sql_type, expression) in enumerate(TYPES):
        # Without it, a TIME WITH TIME ZONE arrives without its offset, and is refused.
        con.execute(f"SET arrow_lossless_conversion = {sql_type == 'TIME WITH TIME ZONE'}")
        con.execute(f"CREATE TABLE t{n} AS SELECT ({expression})::{sql_type} AS x FROM range({rows}) r(i)")
        sandbox.create_function(con, f"ours{n}", "lambda x: x", [sql_type], sql_type)
        con.create_function(f"own{n}", lambda x: x, [sql_type], sql_type)
        ours, own = (
            best(lambda q=f"SELECT count({name}{n}(x)) FROM t{n}": con.execute(q).fetchall(), repetitions) / rows * 1e9  # type: ignore[misc]
            for name in ("ours", "own")
        )
        lines.append([sql_type, f"{ours:,.0f}", f"{own:,.0f}", f"{ours / own:.2f}"])
    header = ["a value in and out", "sandboxed", "DuckDB's own", "ratio"]
    return f"## Types, ns a row (identity function, threads = 1, {rows:,} rows)\n\n" + table(header, lines)
