"""How row functions scale with threads, measured for two and modelled for more."""

from __future__ import annotations

import duckdb
import pyarrow as pa

import duckdb_wasi_udf as wasi_udf
from benchmarks.rows import CASES
from benchmarks.timing import best, table
from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._instance import Definition

ROWS = 2048
CORES = 64


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    batches, repetitions = (100, 3) if quick else (400, 7)
    con = duckdb.connect()
    con.execute(f"CREATE TABLE t AS SELECT i, 'user' || i || '@example.com' AS s FROM range({batches * ROWS}) r(i)")
    sandbox = wasi_udf.Sandbox()
    held = _held_seconds(sandbox)
    lines = []
    for n, case in enumerate(CASES):
        sandbox.create_function(con, f"f{n}", case.source, [case.sql_type], case.sql_type)
        column = "i" if case.argument == "i" else "s"
        seconds = []
        for threads in (1, 2):
            con.execute(f"SET threads = {threads}")
            query = f"SELECT count(f{n}({column})) FROM t"
            seconds.append(best(lambda query=query: con.execute(query).fetchall(), repetitions) / batches)  # type: ignore[misc]
        one, two = seconds
        lines.append(
            [
                case.label,
                f"{one * 1e6:,.0f} µs",
                f"{one / two:.2f}",
                f"{min(CORES, one / held):.0f}",
            ]
        )
    header = ["row function", "a batch, one thread", "two threads, times as fast", f"{CORES} cores, at most"]
    return f"## Scaling\n\nThe GIL is held for {held * 1e6:.0f} µs of a batch of {ROWS} rows.\n\n" + table(
        header, lines
    )


def _held_seconds(sandbox: wasi_udf.Sandbox) -> float:
    """What a batch of BIGINT holds the GIL for: a query's time a batch without the guest's and DuckDB's own."""
    batches = 400
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        con.execute(f"CREATE TABLE t AS SELECT NULL::BIGINT AS x FROM range({batches * ROWS})")
        # NULLs that the function doesn't want to see: the guest does next to nothing.
        sandbox.create_function(con, "never_run", "lambda x: x", ["BIGINT"], "BIGINT")
        whole = best(lambda: con.execute("SELECT count(never_run(x)) FROM t").fetchall(), 20)
        engine = best(lambda: con.execute("SELECT count(x + 1) FROM t").fetchall(), 20)
    instance = sandbox.start(Definition.from_source("lambda x: x", "f"))
    instance.bind([(pa.int64(), False)], pa.int64())
    instance.call([pa.nulls(ROWS, pa.int64())], ROWS)
    raw = instance._raw
    inside = best(lambda: raw.call(_abi.CALL, instance._handle, instance._arena), 1000)
    return (whole - engine) / batches - inside
