"""Runs functions of every kind for a long time and watches memory and file descriptors.

Usage: python -m benchmarks.soak [--minutes 30] [--calls 100000000] [--write]

A call is a batch: a guest runs once. Three threads call compiled and interpreted functions with batches of 1 to 64
rows, some of them NULL, through the native path. Rows fail, guests are stopped, and functions, threads, sandboxes and
databases come and go meanwhile. It ends after a number of minutes or calls, whichever is first. Memory and descriptors
have to be flat after the first quarter of the run. Memory is what the process has written ("Private_Dirty" of Linux's
smaps): instances map the same pages of one file, and other processes may too. `--write` puts the curves into docs/: the
samples as CSV, and the plot of them, which takes matplotlib: pip install 'duckdb-wasi-udf[bench]'.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks import charts
from benchmarks.memory import private_kib

ROWS = 20_000
THREADS = 3
# Of the table whose scan brings few rows at a time: a filter on its key that DuckDB's scan applies.
_TABLE_ROWS = 4_000_000
_VECTOR = 2048
# How deep functions are nested in a query: this number of calls for each few rows that a scan brings.
_DEPTH = 100
# How much a curve may rise between the first quarter of the run and its end, as a factor.
_FLAT = 1.15

FUNCTIONS = {
    "compiled": "def f(x: int) -> int: return x + 1",
    "interpreted": "def f(x: int) -> int:\n    kept = {x: x + 1}\n    return kept[x]",
    "texts": "def f(s: str) -> str: return s[::-1]",
    "picky": "def f(x: int) -> int:\n    if x % 2048 == 0: raise ValueError(x)\n    return x",
}
FAILING = "def f(x):\n    if x == 19_999: raise ValueError(x)\n    return x"
ENDLESS = "def f(x):\n    while True: pass"


class Sample(NamedTuple):
    """One look at the process, between two rounds."""

    minutes: float
    calls: int
    rows: int
    private_mib: float
    descriptors: int
    threads: int
    instances: int


class Totals:
    """What the sandboxes that are closed did."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self.calls = self.rows = 0

    def add(self, sandbox: wasi_udf.Sandbox) -> None:
        """Count what a sandbox has done, which isn't used any more."""
        usage = sandbox.usage()
        with self._lock:
            self.calls += usage.calls
            self.rows += usage.rows


def main() -> int:
    """Run; the process's exit status, 1 when a curve isn't flat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--calls", type=int, default=100_000_000)
    parser.add_argument("--write", action="store_true", help="write soak.csv and soak.svg into docs/images")
    options = parser.parse_args()
    con = duckdb.connect()
    con.execute("SET threads = 2; SET enable_progress_bar = false")
    # Of every 50th value NULL, so that many batches have one and some have nothing else.
    con.execute(
        f"CREATE TABLE t AS SELECT CASE WHEN i // {_VECTOR} % 50 > 0 THEN i END AS i, (i % {_VECTOR})::SMALLINT AS k "
        f"FROM range({_TABLE_ROWS}) r(i)"
    )
    # Few instances: reached early, so that most of the run takes the memory of one function for another.
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.2, memory_bytes=64 * 2**20, instances=12)
    hurried = wasi_udf.Sandbox(limits=limits).install(con)
    lasting = wasi_udf.Sandbox()
    _create(lasting, con)
    totals = Totals()
    started = time.monotonic()
    samples: list[Sample] = []
    rounds = calls = 0
    while (minutes := (time.monotonic() - started) / 60) < options.minutes and calls < options.calls:
        with ThreadPoolExecutor(THREADS) as executor:
            for future in [executor.submit(_small_batches, con.cursor(), rounds, i, totals) for i in range(THREADS)]:
                future.result()
        if rounds % 10 == 0:
            _large_batches(con, hurried, rounds // 10)
        rounds += 1
        sample = _look((time.monotonic() - started) / 60, totals, hurried, lasting)
        calls = sample.calls
        if not samples or minutes - samples[-1].minutes > options.minutes / 200:
            samples.append(sample)
            if len(samples) % 20 == 1:
                print(samples[-1], flush=True)
    samples.append(sample)
    print(sample)
    print(f"{calls:,} calls, {sample.rows:,} rows, {rounds:,} rounds, {sample.minutes:.1f} minutes")
    print(f"{lasting.usage().native_rows:,} of {lasting.usage().rows:,} rows in small batches went through C alone")
    if options.write:
        _write(samples)
    # Descriptors come and go by a few with the databases: the highest of a quarter of the run is what counts.
    settled, descriptors = samples[len(samples) // 4], [each.descriptors for each in samples]
    first, last = descriptors[: len(samples) // 4 + 1], descriptors[-(len(samples) // 4) - 1 :]
    flat = sample.private_mib < settled.private_mib * _FLAT and max(last) <= max(first) + THREADS
    print("flat" if flat else "NOT FLAT")
    return 0 if flat else 1


def _create(sandbox: wasi_udf.Sandbox, con: duckdb.DuckDBPyConnection) -> None:
    """Create the functions of the small batches."""
    for name, source in FUNCTIONS.items():
        sandbox.create_function(con, name, source)


def _nested(function: str, depth: int, argument: str) -> str:
    return f"{function}(" * depth + argument + ")" * depth


def _small_batches(con: duckdb.DuckDBPyConnection, number: int, thread: int, totals: Totals) -> None:
    """Run queries over a few rows of each vector, and check their results. The cursor is closed."""
    rows = (1, 2, 64)[(number + thread) % 3]
    source = f"FROM t WHERE k < {rows}"
    truth, valid = con.execute(f"SELECT sum(i), count(i) {source}").fetchall()[0]
    for function, depth in (("compiled", _DEPTH), ("interpreted", _DEPTH // 10)):
        found = con.execute(f"SELECT sum({_nested(function, depth, 'i')}) {source}").fetchall()
        _expect(found, [(truth + depth * valid,)])
    turned = _nested("texts", _DEPTH // 10, "i::VARCHAR")  # an even number of times
    _expect(con.execute(f"SELECT sum(({turned})::BIGINT) {source}").fetchall(), [(truth,)])
    try:
        con.execute(f"SELECT sum(picky(i)) {source}").fetchall()
    except duckdb.InvalidInputException:
        pass
    else:
        msg = "a function that raises has returned"
        raise AssertionError(msg)
    # Batches are Python's until the thread whose query has failed succeeds again.
    _expect(con.execute(f"SELECT sum(compiled(i)) {source}").fetchall(), [(truth + valid,)])
    if number % 5 == thread:
        _database(totals)
    con.close()


def _database(totals: Totals) -> None:
    """Open a database with functions of all forms, use them and close it, sometimes with a result that is left open."""
    with tempfile.TemporaryDirectory() as directory, wasi_udf.Sandbox() as sandbox:
        other = duckdb.connect(f"{directory}/a.duckdb")
        _create(sandbox, other)
        sandbox.install(other)
        values = "range(4000) r(i)"
        query = f"SELECT sum(compiled(i)), sum(interpreted(i)), py_aggregate('sum', i) FROM {values}"
        _expect(other.execute(query).fetchall(), [(8_002_000, 8_002_000, 7_998_000)])
        query = "SELECT count(*) FROM py_table('def f(n: int) -> Iterator[int]: return range(n)', n := 4000)"
        _expect(other.execute(query).fetchall(), [(4000,)])
        left = other.execute(f"SELECT compiled(i) FROM {values}")
        left.fetchmany(3)
        other.close()
        totals.add(sandbox)


def _expect(found: object, expected: object) -> None:
    if found != expected:
        msg = f"{found} is not {expected}"
        raise AssertionError(msg)


def _large_batches(con: duckdb.DuckDBPyConnection, sandbox: wasi_udf.Sandbox, number: int) -> None:
    """Run queries of every kind over full batches, some of which are stopped."""
    con.execute(f"SELECT sum(py_udf_bigint('lambda x: x + 1', i)) FROM range({ROWS}) r(i)").fetchall()
    con.execute(f"SELECT count(py_udf('lambda s: s.upper()', 'n' || i)) FROM range({ROWS}) r(i)").fetchall()
    con.execute("SELECT count(py_udf($1, i)) FROM range(2000) r(i)", [f"lambda x: x + {number % 200}"]).fetchall()
    _expect_failure(con, FAILING)
    if number % 10 == 0:
        with con.cursor() as cursor, duckdb.connect() as other, wasi_udf.Sandbox(isolation="batch") as isolated:
            sandbox.create_function(cursor, "come_and_go", "def f(x: int) -> int: return x")
            cursor.execute("SELECT sum(come_and_go(i)) FROM range(2000) r(i)").fetchall()
            cursor.remove_function("come_and_go")
            isolated.create_function(other, "f", "def f(x: int) -> int: return x")
            other.execute("SELECT sum(f(i)) FROM range(4000) r(i)").fetchall()
    if number % 50 == 0:
        _expect_failure(con, ENDLESS)
        _expect_failure(con, "def f(x):\n    kept = []\n    while True: kept.append(bytes(2**20))")


def _expect_failure(con: duckdb.DuckDBPyConnection, code: str) -> None:
    try:
        con.execute(f"SELECT count(py_udf($1, i)) FROM range({ROWS}) r(i)", [code]).fetchall()
    except duckdb.InvalidInputException:
        return
    msg = f"expected to fail: {code}"
    raise AssertionError(msg)


def _look(minutes: float, totals: Totals, *sandboxes: wasi_udf.Sandbox) -> Sample:
    usages = [sandbox.usage() for sandbox in sandboxes]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Sample(
        round(minutes, 2),
        totals.calls + sum(usage.calls for usage in usages),
        totals.rows + sum(usage.rows for usage in usages),
        round(private_kib() / 2**10, 1),
        descriptors,
        threading.active_count(),
        sum(usage.instances for usage in usages),
    )


def _write(samples: list[Sample]) -> None:
    """Write the samples, and a plot of them."""
    with charts.SOAK.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Sample._fields)
        writer.writerows(samples)
    charts.draw()


if __name__ == "__main__":
    sys.exit(main())
