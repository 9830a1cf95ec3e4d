"""Time of a batch on the native path outside of the guest, by C's clock: `python -m benchmarks.outside [--quick]`.

C notes when DuckDB calls it, how long the guest runs, and when it is done: the counters `seconds` and `guest_seconds`
of a function. Nothing of DuckDB's is in between, so the difference is the library's own time.
"""

from __future__ import annotations

import argparse

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import ROW_GROUP, table

# What values are, their type, and the value of row i.
TYPES = [
    ("integers", "BIGINT", "i"),
    ("integers, one in seven NULL", "BIGINT", "CASE WHEN i % 7 > 0 THEN i END"),
    ("floats", "DOUBLE", "i * 1.5"),
    ("decimals", "DECIMAL(18,3)", "i / 8"),
    ("short texts", "VARCHAR", "'user' || i"),
    ("texts of 22 characters", "VARCHAR", "'user' || i || '@example.com'"),
]


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, repetitions = (2 * ROW_GROUP, 5) if quick else (4 * ROW_GROUP, 50)
    lines = []
    with duckdb.connect() as con, wasi_udf.Sandbox() as sandbox:
        con.execute("SET threads = 1")
        for n, (label, sql_type, values) in enumerate(TYPES):
            con.execute(f"CREATE TABLE t{n} AS SELECT ({values})::{sql_type} AS x FROM range({rows}) r(i)")
            sandbox.create_function(con, f"f{n}", "lambda x: x", [sql_type], sql_type)
            outside, inside = _seconds(con, sandbox, n, repetitions)
            lines.append([label, sql_type, f"{outside * 1e6:.1f}", f"{inside * 1e6:.1f}"])
    header = ["`lambda x: x` of", "type", "outside of the guest, µs", "in the guest, µs"]
    return "## Host time of a batch of 2048 rows on the native path\n\n" + table(header, lines)


def _seconds(
    con: duckdb.DuckDBPyConnection, sandbox: wasi_udf.Sandbox, n: int, repetitions: int
) -> tuple[float, float]:
    """Return the seconds of a batch outside of the guest and in it, of the query that had the fewest outside."""
    usage = sandbox._registry.find(f"f{n}").usage
    found = []
    for _ in range(2 * repetitions):
        before = (usage.calls, usage.native_rows, usage.rows, usage.seconds, usage.guest_seconds)
        con.execute(f"SELECT count(f{n}(x)) FROM t{n}").fetchall()
        after = (usage.calls, usage.native_rows, usage.rows, usage.seconds, usage.guest_seconds)
        calls, native_rows, rows, seconds, guest = (new - old for old, new in zip(before, after, strict=True))
        if native_rows == rows:  # the first query decides how the function runs, through Python
            found.append(((seconds - guest) / calls, guest / calls))
    if not found:
        msg = "the native path isn't taken: python -m duckdb_wasi_udf doctor says why"
        raise RuntimeError(msg)
    return min(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outside", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions: to try, not to report")
    print(measure(quick=parser.parse_args().quick))
