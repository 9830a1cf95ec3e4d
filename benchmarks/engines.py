"""The same function in DuckDB and in other engines: over the flights of the demo, and over rows that are generated.

Usage: python -m benchmarks.engines [--rows N] [--python PATH] [--engine NAME]... [--again] [--write]

Each engine runs with one and with two workers, in a process of its own, and again if it fails: Ray gives its processes
30 seconds to start, which a busy machine exceeds. What was measured is kept in build/engines/results.json, so that a
run which was ended goes on where it was; `--again` measures anew. `--python` names the interpreter that has the
engines: `make test-engines` makes .venv-engines.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet

import duckdb_wasi_udf as wasi_udf
from benchmarks import worker
from benchmarks.processes import peak_bytes
from benchmarks.timing import table
from duckdb_wasi_udf import engines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- measured: python -m benchmarks.engines -->\n", "<!-- end of measured engines -->\n"
FOLDER = ROOT / "build" / "engines"
RESULTS = FOLDER / "results.json"
WORKERS = (1, 2)
ATTEMPTS = 3
STARTS = 5  # of a worker, of which the median counts
FILES = 16  # as many tasks, so that two workers end together

CODE = """
def delay_class(dep_delay: int | None, arr_delay: int | None) -> str:
    if dep_delay is None:
        return "cancelled"
    if arr_delay is None:
        return "diverted"
    if arr_delay <= 0:
        return "on time" if dep_delay <= 15 else "late, made up"
    return "slightly late" if arr_delay <= 30 else "late" if arr_delay <= 120 else "very late"
"""
# The same in SQL, as the truth.
IN_SQL = """CASE WHEN dep_delay IS NULL THEN 'cancelled' WHEN arr_delay IS NULL THEN 'diverted'
    WHEN arr_delay <= 0 THEN if(dep_delay <= 15, 'on time', 'late, made up')
    WHEN arr_delay <= 30 THEN 'slightly late' WHEN arr_delay <= 120 THEN 'late' ELSE 'very late' END"""

Counts = dict[str, int]


# ---- engines: each returns, ready for its first row, what runs the function --------------------------------------


def open_duckdb(workers: int) -> Callable[[list[str]], Counts]:
    """Open DuckDB with as many threads."""
    con = duckdb.connect(config={"threads": workers})
    sandbox = wasi_udf.install(con)
    sandbox.create_function(con, "delay_class", CODE)

    def run(files: list[str]) -> Counts:
        query = "SELECT delay_class(dep_delay, arr_delay), count(*) FROM read_parquet($1) GROUP BY 1"
        return dict(con.execute(query, [files]).fetchall())

    return run


def open_polars(workers: int) -> Callable[[list[str]], Counts]:
    """Import Polars with as many threads. It calls Python on one at a time."""
    os.environ["POLARS_MAX_THREADS"] = str(workers)
    pl = importlib.import_module("polars")
    function = wasi_udf.batch_function(CODE)

    def run(files: list[str]) -> Counts:
        lazy = function(pl.scan_parquet(files).select("dep_delay", "arr_delay"))
        counted = lazy.group_by("delay_class").len().collect(engine="streaming")
        return dict(counted.iter_rows())

    return run


def _ray(workers: int) -> Any:
    ray = importlib.import_module("ray")
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return ray


def open_ray(workers: int) -> Callable[[list[str]], Counts]:
    """Start a cluster of one node with as many CPUs."""
    ray = _ray(workers)
    importlib.import_module("ray.data")
    ray.data.DataContext.get_current().enable_progress_bars = False
    function = wasi_udf.batch_function(CODE)

    def counted(paths: pa.Table) -> pa.Table:  # read here: Ray's own reader adds tasks
        rows = pa.concat_tables([pyarrow.parquet.read_table(path) for path in paths["path"].to_pylist()])
        return function(rows).group_by("delay_class").aggregate([([], "count_all")])

    def run(files: list[str]) -> Counts:
        data = ray.data.from_items([{"path": path} for path in files], override_num_blocks=len(files))
        mapped = data.map_batches(counted, batch_format="pyarrow", batch_size=None)
        return _summed((row["delay_class"], row["count_all"]) for row in mapped.take_all())

    return run


def _spark(workers: int, reuse: str = "true") -> Any:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    sql = importlib.import_module("pyspark.sql")
    builder = sql.SparkSession.builder.master(f"local[{workers}]")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.log.level": "OFF",
        "spark.sql.shuffle.partitions": workers,
        "spark.sql.execution.arrow.maxRecordsPerBatch": 65_536,
        "spark.python.worker.reuse": reuse,
    }.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def open_spark(workers: int) -> Callable[[list[str]], Counts]:
    """Start a local Spark with as many worker processes."""
    session = _spark(workers)
    function = wasi_udf.batch_function(CODE)

    def run(files: list[str]) -> Counts:
        frame = session.read.parquet(*files).select("dep_delay", "arr_delay")
        counted = engines.spark_map_in_arrow(frame, function).groupBy("delay_class").count()
        return {row["delay_class"]: row["count"] for row in counted.collect()}

    return run


def open_files(workers: int) -> Callable[[list[str]], Counts]:
    """Start as many processes, each of which maps files to files."""
    function = wasi_udf.batch_function(CODE)
    target = FOLDER / "out"
    target.mkdir(parents=True, exist_ok=True)
    pool = ProcessPoolExecutor(workers, get_context("spawn"))

    def run(files: list[str]) -> Counts:
        outputs = [target / f"{number}.parquet" for number in range(workers)]
        parts = [files[number::workers] for number in range(workers)]
        used = [(part, output) for part, output in zip(parts, outputs, strict=True) if part]
        list(pool.map(engines.map_files, [function] * len(used), [p for p, _ in used], [o for _, o in used]))
        with duckdb.connect() as con:
            query = "SELECT delay_class, count(*) FROM read_parquet($1) GROUP BY 1"
            return dict(con.execute(query, [[str(output) for _, output in used]]).fetchall())

    return run


ENGINES: dict[str, tuple[str, Callable[[int], Callable[[list[str]], Counts]]]] = {
    "duckdb": ("DuckDB", open_duckdb),
    "polars": ("Polars, streaming", open_polars),
    "files": ("`map_files`, Parquet to Parquet", open_files),
    "ray": ("Ray Data, tasks", open_ray),
    "spark": ("Spark, `mapInArrow`", open_spark),
}


# ---- a worker of each, which is a new process every time ----------------------------------------------------------


def start_in_processes(function: bytes, columns: dict[str, list[Any]]) -> list[worker.Figures]:
    """Return what the function took in processes that Python has spawned."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(worker.first_results, function, columns).result() for _ in range(STARTS)]


def start_in_ray(function: bytes, columns: dict[str, list[Any]]) -> list[worker.Figures]:
    """Return what the function took in workers of Ray."""
    task = _ray(1).remote(max_calls=1)(worker.first_results)
    return [importlib.import_module("ray").get(task.remote(function, columns)) for _ in range(STARTS)]


def start_in_spark(function: bytes, columns: dict[str, list[Any]]) -> list[worker.Figures]:
    """Return what the function took in workers of Spark."""
    numbers = _spark(1, reuse="false").sparkContext.parallelize([0], 1)
    return [numbers.map(lambda _: worker.first_results(function, columns)).collect()[0] for _ in range(STARTS)]


STARTERS: dict[str, Callable[[bytes, dict[str, list[Any]]], list[worker.Figures]]] = {
    "files": start_in_processes,
    "ray": start_in_ray,
    "spark": start_in_spark,
}


def _summed(counts: Any) -> Counts:
    total: Counts = {}
    for name, count in counts:
        total[name] = total.get(name, 0) + count
    return total


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure_here(engine: str, workers: int, data: dict[str, list[str]]) -> None:
    """Run an engine in this process, and print what it took as JSON.

    Args:
        engine: a key of `ENGINES`.
        workers: the number of workers.
        data: files by name; the first is what start-up is measured with.
    """
    began = time.perf_counter()
    run = ENGINES[engine][1](workers)
    seconds, counts = {}, {}
    for name, files in data.items():
        counts[name] = run(files)
        seconds[name] = time.perf_counter() - began
        began = time.perf_counter()
    print(json.dumps({"seconds": seconds, "counts": counts}), flush=True)


def measure_starts_here(engine: str) -> None:
    """Start workers of an engine, and print what the function took in them as JSON."""
    columns = {name: [i % 90 for i in range(2048)] for name in ("dep_delay", "arr_delay")}
    runs = STARTERS[engine](pickle.dumps(wasi_udf.batch_function(CODE)), columns)
    print(json.dumps(worker.median(runs)), flush=True)


def make_data(rows: int) -> dict[str, list[str]]:
    """Write the Parquet files that aren't there yet; return them by name.

    "start" is two small ones, so that each worker gets one.
    """
    queries = {
        "start": ("start", 2, "SELECT (i % 90)::INT AS dep_delay, (i % 70)::INT AS arr_delay FROM range(4096) t(i)"),
        "flights": ("flights", FILES, "SELECT dep_delay::INT AS dep_delay, arr_delay::INT AS arr_delay FROM flights"),
        "generated": (
            f"generated{rows}",
            FILES,
            f"""SELECT nullif((hash(i) % 300)::INT - 30, 0) AS dep_delay, nullif((hash(i + 1) % 400)::INT - 100, 0) AS
            arr_delay FROM range({rows}) t(i)""",
        ),
    }
    found = {}
    for name, (folder, files, query) in queries.items():
        target = FOLDER / folder
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{folder}.partial")
            partial.mkdir(exist_ok=True)
            with duckdb.connect() as con:
                if name == "flights":
                    importlib.import_module("sql.examples.nycflights").load(con, "flights")
                con.execute(f"CREATE TABLE made AS {query}")
                total = con.table("made").count("*").fetchall()[0][0]
                for number in range(files):
                    part = f"FROM made WHERE rowid % {files} = {number}"
                    con.execute(f"COPY ({part}) TO '{partial / f'{number}.parquet'}'")
            assert total
            partial.rename(target)
        found[name] = sorted(map(str, target.glob("*.parquet")))
    return found


def measure(engine: str, workers: int, data: dict[str, list[str]], python: str) -> dict[str, Any]:
    """Run an engine in a process of its own; what it took.

    Args:
        engine: a key of `ENGINES`.
        workers: the number of workers.
        data: see `make_data`.
        python: the interpreter.

    Returns:
        "seconds" by data, and "peak_bytes" of all its processes.

    Raises:
        RuntimeError: it failed, every time.
    """
    measured, peak = _run(f"measure_here({engine!r}, {workers}, {data!r})", python)
    for name, files in data.items():
        expected = _expected(files)
        assert measured["counts"][name] == expected, (engine, name, measured["counts"][name], expected)
    return {"seconds": measured["seconds"], "peak_bytes": peak}


def _run(call: str, python: str) -> tuple[Any, int]:
    """Call a function of this module in a process of its own; the JSON it prints, and the most memory."""
    code = f"from benchmarks.engines import *\n{call}"
    command = [python, "-c", f"if __name__ == '__main__':\n    exec({code!r})"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    for _ in range(ATTEMPTS):
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            peak, output, errors = peak_bytes(process)
        if not process.returncode:
            return json.loads(output.splitlines()[-1]), peak
        print(f"{call.partition(', {')[0]}... failed:\n{errors[-2000:]}", file=sys.stderr, flush=True)
    msg = f"it failed {ATTEMPTS} times"
    raise RuntimeError(msg)


def _expected(files: Sequence[str]) -> Counts:
    with duckdb.connect() as con:
        return dict(con.execute(f"SELECT {IN_SQL}, count(*) FROM read_parquet($1) GROUP BY 1", [files]).fetchall())


def _rows(files: Sequence[str]) -> int:
    with duckdb.connect() as con:
        return int(con.execute("SELECT count(*) FROM read_parquet($1)", [files]).fetchall()[0][0])


def section(results: dict[str, Any], rows: dict[str, int]) -> str:
    """Return the table of what was measured, in Markdown."""
    lines = []
    for engine, (name, _) in ENGINES.items():
        for workers in WORKERS:
            found = results.get(f"{engine}/{workers}")
            if found is None:
                continue
            seconds = found["seconds"]
            rates = [f"{rows[data] / seconds[data] / 1e6:.2f}" for data in ("flights", "generated")]
            lines.append(
                [name, str(workers), *rates, f"{seconds['start']:.1f} s", f"{found['peak_bytes'] / 2**20:,.0f} MiB"]
            )
    header = ["engine", "workers", "flights", "generated rows", "start", "peak memory"]
    starts = []
    for engine in STARTERS:
        if found := results.get(f"{engine}/start"):
            memory = [f"{found[name] / 2**20:.0f} MiB" for name in ("worker_bytes", "code_bytes")]
            seconds = [f"{found[name]:.2f} s" for name in ("worker_seconds", "worker_cpu_seconds")]
            starts.append([ENGINES[engine][0], *seconds, *memory])
    return (
        f"Million rows a second: {rows['flights']:,} flights of the demo, and {rows['generated']:,} generated rows.\n"
        "Start is from a process that has imported the package to the results of two small files. Memory is that of\n"
        "all processes of the engine, shared pages counted once.\n\n" + table(header, lines) + "\n"
        "A worker process that has pyarrow, with the machine code in the cache: what it takes to load the function\n"
        "until its first 2048 results.\n\n"
        + table(["engine", "seconds", "CPU time", "memory of its own", "machine code, shared"], starts)
    )


def main() -> int:
    """Measure what isn't yet; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000, help="generated rows (default: %(default)s)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the engines")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="measure this one; can be repeated")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    parser.add_argument("--write", action="store_true", help="put the table into docs/explanation/performance.md")
    options = parser.parse_args()
    data = make_data(options.rows)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = {} if known.get("rows") != options.rows else known["results"]
    failed = False
    for key in [f"{engine}/{part}" for engine in options.engine or ENGINES for part in (*WORKERS, "start")]:
        engine, part = key.split("/")
        if (key in results and not options.again) or (part == "start" and engine not in STARTERS):
            continue
        began, load = time.perf_counter(), os.getloadavg()[0]
        try:
            if part == "start":
                results[key] = _run(f"measure_starts_here({engine!r})", options.python)[0]
            else:
                results[key] = measure(engine, int(part), data, options.python)
        except RuntimeError as error:
            print(f"{key}: {error}", file=sys.stderr, flush=True)
            failed = True
            continue
        took = time.perf_counter() - began
        print(f"{key}: {took:.0f} s; load before: {load:.1f}", file=sys.stderr, flush=True)
        RESULTS.write_text(json.dumps({"rows": options.rows, "results": results}))
    text = section(results, {name: _rows(files) for name, files in data.items()})
    print(text)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
