"""Runs functions of every kind for a long time and watches memory and file descriptors.

Usage: python -m benchmarks.soak [--minutes 30] [--calls 20000000] [--plot soak.png]

Ends after a number of minutes or rows ("calls" of the user's function), whichever is first. Memory and descriptors have
to be flat after the first quarter of the run. Memory is what the process has written ("Private_Dirty" of
Linux's smaps): instances map the same pages of one file, and other processes may too. The plot takes matplotlib:
pip install 'duckdb-wasi-udf[bench]'.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.memory import private_kib

ROWS = 20_000
# How much a curve may rise between the first quarter of the run and its end, as a factor.
_FLAT = 1.15

FAILING = "def f(x):\n    if x == 19_999: raise ValueError(x)\n    return x"
ENDLESS = "def f(x):\n    while True: pass"


class Sample(NamedTuple):
    """One look at the process."""

    minutes: float
    rows: int
    private_mib: float
    descriptors: int
    threads: int
    instances: int


def main() -> int:
    """Run; the process's exit status, 1 when a curve isn't flat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--calls", type=int, default=20_000_000)
    parser.add_argument("--plot", type=Path, help="write the curves to this PNG")
    options = parser.parse_args()
    con = duckdb.connect()
    con.execute("SET threads = 4; SET enable_progress_bar = false")
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.2, memory_bytes=64 * 2**20, instances=64)
    sandbox = wasi_udf.Sandbox(limits=limits).install(con)
    started = time.monotonic()
    samples: list[Sample] = []
    rows = rounds = 0
    while (minutes := (time.monotonic() - started) / 60) < options.minutes and rows < options.calls:
        rows += _round(con, sandbox, rounds)
        rounds += 1
        if not samples or minutes - samples[-1].minutes > options.minutes / 200:
            samples.append(_look(minutes, rows, sandbox))
            if len(samples) % 20 == 1:
                print(samples[-1], flush=True)
    samples.append(_look((time.monotonic() - started) / 60, rows, sandbox))
    print(samples[-1])
    if options.plot:
        _plot(samples, options.plot)
    settled, end = samples[len(samples) // 4], samples[-1]
    print(f"{rows:,} calls, {rounds:,} rounds, {end.minutes:.1f} minutes")
    flat = end.private_mib < settled.private_mib * _FLAT and end.descriptors <= settled.descriptors
    print("flat" if flat else "NOT FLAT")
    return 0 if flat else 1


def _round(con: duckdb.DuckDBPyConnection, sandbox: wasi_udf.Sandbox, number: int) -> int:
    """Run queries of every kind. Return the number of rows they called a function for."""
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
    return 3 * ROWS + 2000


def _expect_failure(con: duckdb.DuckDBPyConnection, code: str) -> None:
    try:
        con.execute(f"SELECT count(py_udf($1, i)) FROM range({ROWS}) r(i)", [code]).fetchall()
    except duckdb.InvalidInputException:
        return
    msg = f"expected to fail: {code}"
    raise AssertionError(msg)


def _look(minutes: float, rows: int, sandbox: wasi_udf.Sandbox) -> Sample:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Sample(
        round(minutes, 2),
        rows,
        round(private_kib() / 2**10, 1),
        descriptors,
        threading.active_count(),
        len(sandbox._domain.instances),
    )


def _plot(samples: list[Sample], path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - only plots take it

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(2, sharex=True)
    minutes = [sample.minutes for sample in samples]
    axes[0].plot(minutes, [sample.private_mib for sample in samples])
    axes[0].set(ylabel="private memory, MiB", ylim=0)
    axes[1].plot(minutes, [sample.descriptors for sample in samples], label="file descriptors")
    axes[1].plot(minutes, [sample.instances for sample in samples], label="instances")
    axes[1].set(xlabel="minutes", ylim=0)
    axes[1].legend()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
