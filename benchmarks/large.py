"""Runs far larger than memory: their results, their time, and that the process's memory stays what it was.

Usage: python -m benchmarks.large [--quick]

For Linux, whose /proc has the memory. Takes some minutes.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import table

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = """
from duckdb_wasi_udf import Columns

def naturals(n: int) -> Iterator[Columns[int]]:
    for start in range(0, n, 16_384):
        yield Columns(range(start, min(n, start + 16_384)))
"""

SUM = """
class Sum:
    def __init__(self):
        self.total = 0

    def step(self, x: int):
        self.total += x

    def finish(self) -> int:
        return self.total
"""

# What may be added to the memory of a stream while it runs.
MAY_GROW_MIB = 32


def resident_mib() -> int:
    """Return the memory of the process, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def watched(run: Callable[[], object]) -> tuple[float, int, int]:
    """Seconds of a run, and the least and the most memory in MiB that the process held meanwhile, after a warm-up."""
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(resident_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        run()
    finally:
        seconds = time.perf_counter() - began
        done.set()
        watcher.join()
    seen = seen[len(seen) // 10 :] or [resident_mib()]
    return seconds, min(seen), max(seen)


def main() -> int:
    """Run all; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    share = 100 if parser.parse_args().quick else 1
    con = duckdb.connect()
    sandbox = wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(timeout_seconds=300)).install(con)
    con.execute("SET threads = 2")
    sandbox.create_function(con, "plus", "def plus(x: int) -> int: return x + 1")
    runs: list[tuple[str, int, str, dict[str, object], bool]] = [
        ("scalar function", 100_000_000, "SELECT sum(plus(i)) - count(*) FROM range($n) t(i)", {}, True),
        (
            "table function, `Columns`",
            1_000_000_000,
            "SELECT sum(py_table) FROM py_table($code, args := {'n': $n})",
            {"code": COLUMNS},
            True,
        ),
        (
            "aggregate class, one group",
            10_000_000,
            "SELECT py_agg($code, list(i)) FROM range($n) t(i)",
            {"code": SUM},
            False,
        ),
    ]
    lines, grown = [], []
    for what, most, query, parameters, streams in runs:
        n = most // share
        found: list[int] = []
        seconds, least, greatest = watched(
            lambda q=query, p=parameters | {"n": n}, f=found: f.append(int(con.execute(q, p).fetchall()[0][0]))  # type: ignore[misc]
        )
        if found != [n * (n - 1) // 2]:
            print(f"{what}: {found} is not the sum of the numbers below {n}", file=sys.stderr)
            return 1
        lines.append([what, f"{n:,}", f"{seconds:,.1f}", f"{seconds / n * 1e9:,.0f}", f"{least:,} to {greatest:,}"])
        if streams and greatest - least > MAY_GROW_MIB:
            grown.append(what)
    print(table(["run, 2 threads", "rows", "seconds", "ns a row", "process, MiB"], lines))
    for what in grown:
        print(f"{what}: memory grew", file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
