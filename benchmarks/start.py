"""Time to a fresh instance, and to the first query of a new process."""

from __future__ import annotations

import subprocess
import sys

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import best, median, table
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._guests.definition import Definition

# Imports are timed apart: they are DuckDB's and pyarrow's.
FIRST_QUERY = """
import time
import duckdb, pyarrow, wasmtime, duckdb_wasi_udf
con = duckdb.connect()
con.sql("SELECT 1").fetchall()
started = time.perf_counter()
duckdb_wasi_udf.install(con)
con.sql("SELECT py_udf('lambda s: s.title()', 'ada')").fetchall()
print(time.perf_counter() - started)
"""


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    repetitions = 20 if quick else 200
    sandbox = wasi_udf.Sandbox()
    domain = sandbox._domain
    engine = load_engine(artifact.find(), timeout_seconds=domain.limits.timeout_seconds)
    definition = Definition.from_source("def f(x):\n    return x + 1\n", "f")
    instantiate = median(lambda: engine.instantiate(domain.limits.memory_bytes), repetitions)
    with CallContext(domain.clock) as context:
        define = median(lambda: domain.start(context, definition), repetitions)
    apart = _isolation_seconds(quick=quick)
    processes = [_first_query() for _ in range(3 if quick else 9)]
    return "## Start\n\n" + table(
        ["", "median"],
        [
            ["fresh interpreter, some thirty modules imported", f"{instantiate * 1e3:.2f} ms"],
            ["the same with a function defined", f"{define * 1e3:.2f} ms"],
            ['what isolation="batch" adds to a batch', f"{apart * 1e3:.2f} ms"],
            [
                "first query of a new process, warm cache, after imports",
                f"{sorted(processes)[len(processes) // 2]:.3f} s",
            ],
            ["compiling the guest, once a machine", f"{engine.compile_seconds:.1f} s"],
        ],
    )


def _isolation_seconds(*, quick: bool) -> float:
    """Return the cost of a fresh instance for each batch, taken from queries of many batches."""
    batches = 50 if quick else 200
    seconds = []
    with duckdb.connect() as con:
        con.execute(f"SET threads = 1; CREATE TABLE t AS SELECT i FROM range({batches * 2048}) r(i)")
        for name, isolation in (("reused", "function"), ("fresh", "batch")):
            sandbox = wasi_udf.Sandbox(isolation=isolation)
            sandbox.create_function(con, name, "def f(x: int) -> int: return x + 1")
            seconds.append(best(lambda q=f"SELECT sum({name}(i)) FROM t": con.execute(q).fetchall(), 5))  # type: ignore[misc]
    return (seconds[1] - seconds[0]) / batches


def _first_query() -> float:
    done = subprocess.run([sys.executable, "-c", FIRST_QUERY], capture_output=True, text=True, check=True)
    return float(done.stdout)
