"""How row functions scale with two threads, and by a model with more: `many_cores`.

Two processes, each with the whole query to itself, show what the machine gives two threads that share nothing; SQL's
own expressions show what DuckDB makes of two threads.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.many_cores import CORES, fit
from benchmarks.rows import CASES
from benchmarks.timing import ROW_GROUP, best, table

ROWS = 2048
LONG = ROWS * 500_000  # rows of the model's query

# Expressions of SQL, which are measured beside the functions.
_SQL = {"SQL's `i * 3 + 1`": "sum(i * 3 + 1)", "SQL's `upper(s)`": "max(upper(s))"}

# The bytes of a value in memory: of a text DuckDB's 16, and some 20 characters beside; of a BIGINT.
_BYTES = (36, 8)


class _Queries:
    """A database with the row functions in a sandbox of its own."""

    def __init__(self, batches: int, threads: int) -> None:
        self._con = duckdb.connect()
        rows = batches * ROWS
        self._con.execute("SET enable_progress_bar = false")
        self._con.execute(f"CREATE TABLE t AS SELECT i, 'user' || i || '@example.com' AS s FROM range({rows}) r(i)")
        self._con.execute("CREATE TABLE one AS FROM t LIMIT 1")
        self.set_threads(threads)
        sandbox = wasi_udf.Sandbox()
        for n, case in enumerate(CASES):
            sandbox.create_function(self._con, f"f{n}", case.source, [case.sql_type], case.sql_type)

    def set_threads(self, threads: int) -> None:
        self._con.execute(f"SET threads = {threads}")

    def seconds(self, expression: str, repetitions: int, of: str = "t") -> float:
        """Return the seconds of a query over a table, `t` or `one`."""
        query = f"SELECT {expression} FROM {of}"
        return best(lambda: self._con.execute(query).fetchall(), repetitions)

    def seconds_by_threads(self, expression: str, repetitions: int) -> tuple[float, float]:
        """Return the seconds of a query with one thread and with two, measured in three turns.

        A new thread of DuckDB's has no guest that it used before: its first queries don't count.
        """
        turns: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for threads, seconds in turns.items():
                self.set_threads(threads)
                self.seconds(expression, 3)
                seconds.append(self.seconds(expression, repetitions))
        self.set_threads(1)
        return min(turns[1]), min(turns[2])


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    batches, repetitions = (2 * ROW_GROUP // ROWS, 3) if quick else (32 * ROW_GROUP // ROWS, 8)
    queries = _Queries(batches, 1)
    lines = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, _prepare, (batches,)) as processes:
        for label, expression in _SQL.items():
            one, two = queries.seconds_by_threads(expression, repetitions)
            both = max(processes.map(_in_process, [expression] * 2, [repetitions] * 2))
            lines.append([label, f"{one / batches * 1e6:,.0f} µs", f"{one / two:.2f}", f"{2 * one / both:.2f}"])
            lines[-1] += [""] * 5
        for n, case in enumerate(CASES):
            expression = f"count(f{n}({'i' if case.argument == 'i' else 's'}))"
            one, two = queries.seconds_by_threads(expression, repetitions)
            fixed = queries.seconds(expression, 10 * repetitions, "one")
            both = max(processes.map(_in_process, [expression] * 2, [repetitions] * 2))
            model = fit(fixed=fixed, one=one, two=two, both=both, batches=batches)
            least, most = model.between(CORES)
            rate = model.rows_per_second(CORES, LONG)
            lines.append(
                [
                    case.label,
                    f"{one / batches * 1e6:,.0f} µs",
                    f"{one / two:.2f}",
                    f"{2 * one / both:.2f}",
                    f"{fixed * 1e3:.2f} ms",
                    f"{100 * model.serial:.1f}%",
                    f"{least:.0f} to {most:.0f}",
                    f"{rate / 1e6:,.0f}",
                    f"{rate * _BYTES[case.argument == 'i'] / 1e9:,.0f}",
                ]
            )
    header = [
        "function",
        "a batch, one thread",
        "two threads, times as fast",
        "two processes",
        "a query of one row",
        "one thread at a time",
        f"model: {CORES} cores, times as fast",
        "million rows a second",
        "columns read, GB a second",
    ]
    return f"## Scaling, batches of {ROWS} rows; the model is of {LONG // 10**6:,} million rows\n\n" + table(
        header, lines
    )


_queries: _Queries


def _prepare(batches: int) -> None:
    """Make a process's own database."""
    global _queries  # noqa: PLW0603
    _queries = _Queries(batches, 1)


def _in_process(expression: str, repetitions: int) -> float:
    return _queries.seconds(expression, repetitions)
