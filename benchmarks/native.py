"""The native path against Python's and DuckDB's own functions, interleaved: `python -m benchmarks.native [--quick]`.

All three run in one process, turn by turn, so that whatever else the machine does meets all of them. A function that is
registered in a transaction takes the path through Python, as all do with DUCKDB_WASI_UDF_NATIVE=0.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks import outside
from benchmarks.rows import CASES, _function
from benchmarks.timing import ROW_GROUP, busy_thread, table
from duckdb_wasi_udf._sql import native_path

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ("native", "through Python", "DuckDB's own")


class Queries:
    """A database with each case in each of the three ways."""

    def __init__(self, rows: int, *, compiled: bool) -> None:
        self.con = duckdb.connect()
        self.rows = rows
        sandbox = wasi_udf.Sandbox(compiled=compiled)
        self._sandbox = sandbox
        for n, case in enumerate(CASES):
            self.con.execute(f"CREATE TABLE t{n} AS SELECT {case.argument} AS x FROM range({rows}) r(i)")
            sandbox.create_function(self.con, f"f{n}_0", case.source, [case.sql_type], case.sql_type)
            self.con.begin()
            sandbox.create_function(self.con, f"f{n}_1", case.source, [case.sql_type], case.sql_type)
            self.con.commit()
            self.con.create_function(f"f{n}_2", _function(case.source), [case.sql_type], case.sql_type)

    def nanoseconds(self, case: int, way: int) -> float:
        """Run one query; the time for each row."""
        began = time.perf_counter()
        self.con.execute(f"SELECT count(f{case}_{way}(x)) FROM t{case}").fetchall()
        return (time.perf_counter() - began) / self.rows * 1e9

    def best(self, case: int, repetitions: int) -> list[float]:
        """Return the fastest run of each way, which take turns."""
        times: list[list[float]] = [[], [], []]
        for _ in range(repetitions):
            for way, found in enumerate(times):
                found.append(self.nanoseconds(case, way))
        return [min(found) for found in times]


def _others() -> Iterator[float]:
    """Yield the seconds of CPU that other processes have used so far; nothing where there is no /proc."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return
    fields = [int(field) for field in first.split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    own = os.times()
    yield (sum(fields) - fields[3] - fields[4]) / ticks - own.user - own.system


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, repetitions = (2 * ROW_GROUP, 3) if quick else (4 * ROW_GROUP, 9)
    before, began = next(_others(), 0.0), time.monotonic()
    lines: list[list[str]] = []
    ratios: dict[tuple[bool, int], list[float]] = {}
    for compiled in (True, False):
        queries = Queries(rows, compiled=compiled)
        for threads in (1, 2):
            queries.con.execute(f"SET threads = {threads}")
            for n, case in enumerate(CASES):
                native, python, own = queries.best(n, repetitions)
                ratios.setdefault((compiled, threads), []).append(native / own)
                times = [f"{value:,.1f}" for value in (native, python, own)]
                which = "compiled" if compiled else "interpreted"
                lines.append([f"{case.label}, {which}", str(threads), *times, f"{python / native:.1f}"])
    parts = [f"## The native path, ns a row ({rows:,} rows)\n"]
    parts.append(table(["row function", "threads", *WAYS, "Python / native"], lines))
    for (compiled, threads), found in ratios.items():
        mean = math.exp(sum(map(math.log, found)) / len(found))
        which = "compiled where it can be" if compiled else "interpreted"
        parts.append(f"Geometric mean of native / DuckDB's own, {which}, {threads} thread(s): {mean:.2f}")
    parts.append(_beside_a_busy_thread(quick=quick))
    parts.append(outside.measure(quick=quick))
    parts.append(_aggregates(2 * rows, repetitions))
    used = (next(_others(), 0.0) - before) / (time.monotonic() - began)
    parts.append(f"Other processes used {used:.2f} cores meanwhile; {native_path.status()}.\n")
    return "\n".join(parts)


# The rows of queries that take about 2 ms and 100 ms, and how often the second is run in each way: None for never.
BUSY_ROWS = (4 * ROW_GROUP, 200 * ROW_GROUP)
LONG_RUNS = {"SQL": 9, "native": 9, "through Python": None, "DuckDB's own": 1}


def _beside_a_busy_thread(*, quick: bool) -> str:
    """Measure `x + 1` with one thread of DuckDB's, alone and beside a thread of Python that never waits.

    DuckDB's client takes the GIL some 20 times for each query, and once more for each 50 batches. SQL's own `x + 1`
    shows what that costs. Of ours, only batches that go through Python take it: their rows are counted.
    """
    con, sandbox = duckdb.connect(), wasi_udf.Sandbox()
    con.execute("SET threads = 1")
    con.execute("SET enable_progress_bar = false")
    calls = {"SQL": "x + 1", "native": "native(x)", "through Python": "python(x)", "DuckDB's own": "own(x)"}
    source = "lambda x: x + 1"
    sandbox.create_function(con, "native", source, ["BIGINT"], "BIGINT")
    con.begin()
    sandbox.create_function(con, "python", source, ["BIGINT"], "BIGINT")
    con.commit()
    con.create_function("own", _function(source), ["BIGINT"], "BIGINT")
    usage = sandbox._registry.find("native").usage
    lines = []
    for rows, is_long in zip(BUSY_ROWS, (False, True), strict=True):
        con.execute(
            f"CREATE OR REPLACE TABLE t AS SELECT i AS x FROM range({rows // 20 if is_long and quick else rows}) r(i)"
        )
        length = con.execute("SELECT count(*) FROM t").fetchall()[0][0]
        runs = {way: LONG_RUNS[way] if is_long else 5 if quick else 25 for way in calls}
        for _ in range(3):
            con.execute("SELECT sum(native(x)) FROM t").fetchall()
        alone = _medians(con, calls, runs)
        before = usage.rows - usage.native_rows
        with busy_thread():
            beside = _medians(con, calls, runs)
        ours = (usage.rows - usage.native_rows - before) / (runs["native"] or 1)
        for way, seconds in alone.items():
            factor = f"{beside[way] / seconds:.1f}"
            times = [f"{seconds * 1e3:,.1f}", f"{beside[way] * 1e3:,.1f}", factor]
            lines.append([way, f"{length:,}", *times, f"{ours:,.0f}" if way == "native" else ""])
    sandbox.close()
    con.close()
    header = [
        "`x + 1`, one thread, median",
        "rows",
        "alone, ms",
        "beside a busy thread, ms",
        "ratio",
        "rows by Python, a query",
    ]
    return "\n" + table(header, lines)


def _medians(con: duckdb.DuckDBPyConnection, calls: dict[str, str], runs: dict[str, int | None]) -> dict[str, float]:
    """Return the seconds of the median query of each way, which take turns."""
    found: dict[str, list[float]] = {way: [] for way, most in runs.items() if most is not None}
    for turn in range(max(most or 0 for most in runs.values())):
        for way, seconds in found.items():
            if turn < (runs[way] or 0):
                began = time.perf_counter()
                con.execute(f"SELECT sum({calls[way]}) FROM t").fetchall()
                seconds.append(time.perf_counter() - began)
    return {way: statistics.median(seconds) for way, seconds in found.items()}


def _aggregates(rows: int, repetitions: int) -> str:
    """Measure a sum of groups as an aggregate function of DuckDB's own, over lists, and as SQL's, turn by turn."""
    con, sandbox = duckdb.connect(), wasi_udf.Sandbox()
    code = "def f(xs: list[int]) -> int: return sum(xs)"
    sandbox.create_aggregate_function(con, "ours", code, lists=False)
    sandbox.create_aggregate_function(con, "over_lists", code)
    con.execute(f"CREATE TABLE t AS SELECT i AS x, hash(i) AS h FROM range({rows}) r(i)")
    forms = {"f(x)": "ours(x)", "f(list(x))": "over_lists(list(x))", "SQL's sum": "sum(x)"}
    lines = []
    for groups in (1, 1000, rows // 10):
        times: dict[str, list[float]] = {form: [] for form in forms}
        for _ in range(repetitions):
            for form, call in forms.items():
                began = time.perf_counter()
                con.execute(f"SELECT count(v) FROM (SELECT {call} AS v FROM t GROUP BY h % {groups})").fetchall()
                times[form].append((time.perf_counter() - began) / rows * 1e9)
        lines.append([f"{groups:,}", *[f"{min(found):,.1f}" for found in times.values()]])
    sandbox.close()
    con.close()
    return "\n" + table(["sum of a column, ns a row; groups", *forms], lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.native", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions: to try, not to report")
    print(measure(quick=parser.parse_args().quick))
