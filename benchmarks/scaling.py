"""How row functions scale with threads, measured for two and modelled for more.

Two processes, each with the whole query to itself, show what the machine gives two threads that share nothing.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import duckdb
import pyarrow as pa

import duckdb_wasi_udf as wasi_udf
from benchmarks.rows import CASES
from benchmarks.timing import ROW_GROUP, best, table
from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._guests.definition import Definition

ROWS = 2048
CORES = 64


class _Queries:
    """A database with the row functions in a sandbox of its own."""

    def __init__(self, batches: int, threads: int) -> None:
        self._con = duckdb.connect()
        rows = batches * ROWS
        self._con.execute("SET enable_progress_bar = false")
        self._con.execute(f"CREATE TABLE t AS SELECT i, 'user' || i || '@example.com' AS s FROM range({rows}) r(i)")
        self.set_threads(threads)
        sandbox = wasi_udf.Sandbox()
        for n, case in enumerate(CASES):
            sandbox.create_function(self._con, f"f{n}", case.source, [case.sql_type], case.sql_type)

    def set_threads(self, threads: int) -> None:
        self._con.execute(f"SET threads = {threads}")

    def seconds(self, n: int, repetitions: int) -> float:
        column = "i" if CASES[n].argument == "i" else "s"
        query = f"SELECT count(f{n}({column})) FROM t"
        return best(lambda: self._con.execute(query).fetchall(), repetitions)


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    batches, repetitions = (2 * ROW_GROUP // ROWS, 3) if quick else (8 * ROW_GROUP // ROWS, 12)
    queries = _Queries(batches, 1)
    held = _held_seconds(wasi_udf.Sandbox())
    lines = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, _prepare, (batches,)) as processes:
        for n, case in enumerate(CASES):
            queries.set_threads(1)
            one = queries.seconds(n, repetitions) / batches
            queries.set_threads(2)
            two = queries.seconds(n, repetitions) / batches
            both = max(processes.map(_in_process, [n, n], [repetitions, repetitions])) / batches
            lines.append(
                [
                    case.label,
                    f"{one * 1e6:,.0f} µs",
                    f"{one / two:.2f}",
                    f"{2 * one / both:.2f}",
                    f"{min(CORES, one / held):.0f}",
                ]
            )
    header = [
        "row function",
        "a batch, one thread",
        "two threads, times as fast",
        "two processes",
        f"{CORES} cores, at most",
    ]
    return f"## Scaling\n\nThe GIL is held for {held * 1e6:.0f} µs of a batch of {ROWS} rows.\n\n" + table(
        header, lines
    )


_queries: _Queries


def _prepare(batches: int) -> None:
    """Make a process's own database."""
    global _queries  # noqa: PLW0603
    _queries = _Queries(batches, 1)


def _in_process(n: int, repetitions: int) -> float:
    return _queries.seconds(n, repetitions)


def _held_seconds(sandbox: wasi_udf.Sandbox) -> float:
    """Return the time that a batch of BIGINT holds the GIL: a query's, without the guest's and DuckDB's own."""
    batches = 400
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        con.execute(f"CREATE TABLE t AS SELECT NULL::BIGINT AS x FROM range({batches * ROWS})")
        # NULLs that the function doesn't want to see: the guest does next to nothing.
        sandbox.create_function(con, "never_run", "lambda x: x", ["BIGINT"], "BIGINT")
        whole = best(lambda: con.execute("SELECT count(never_run(x)) FROM t").fetchall(), 20)
        engine = best(lambda: con.execute("SELECT count(x + 1) FROM t").fetchall(), 20)
    domain = sandbox._domain
    with CallContext(domain.clock) as context:
        instance = domain.start(context, Definition.from_source("lambda x: x", "f"))
        instance.bind(context, [(pa.int64(), False)], pa.int64())
        instance.call(context, [pa.nulls(ROWS, pa.int64())], ROWS)
        raw = instance._raw
        inside = best(lambda: raw.call_export(_abi.CALL, instance._arena.address), 1000)
    return (whole - engine) / batches - inside
