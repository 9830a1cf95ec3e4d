"""How row functions scale with two threads.

Two processes, each with the whole query to itself, show what the machine gives two threads that share nothing.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.rows import CASES
from benchmarks.timing import ROW_GROUP, best, table

ROWS = 2048


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
                ]
            )
    header = [
        "row function",
        "a batch, one thread",
        "two threads, times as fast",
        "two processes",
    ]
    return f"## Scaling, batches of {ROWS} rows\n\n" + table(header, lines)


_queries: _Queries


def _prepare(batches: int) -> None:
    """Make a process's own database."""
    global _queries  # noqa: PLW0603
    _queries = _Queries(batches, 1)


def _in_process(n: int, repetitions: int) -> float:
    return _queries.seconds(n, repetitions)
