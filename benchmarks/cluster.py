"""A model of a job on many nodes, of figures that were measured on one: docs/explanation/hundred-nodes.md.

Usage: python -m benchmarks.cluster [--measure] [--write]

`--measure` measures here what the model takes from a worker, and of a row. `--write` puts the tables into the page.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks import worker
from benchmarks.timing import best, table

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "hundred-nodes.md"
BEGIN, END = "<!-- computed: python -m benchmarks.cluster -->\n", "<!-- end of computed -->\n"

MIB = 2**20
BILLION = 10**9

# Of each call whose time for a row is measured.
_ROWS = 1_000_000

# Nanoseconds a row and core of a worker, with passing the columns: `--measure`.
FUNCTIONS = {
    "`x + 1`": 32.0,
    "a regular expression": 139.0,
    "a loop of 10 steps": 45.0,
    "10 µs of Python a row": 10_000.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the model takes. Bytes and seconds.

    Attributes:
        nodes: machines.
        cores: of a node; as many workers.
        package_bytes: the wheel with the guest, compressed: ours alone.
        machine_code_bytes: the guest's machine code in an image, compressed.
        network_bytes: that a node receives a second.
        compile_cpu_seconds: of making the machine code, once a node without it in the image.
        compile_seconds: the same with all cores of a node.
        worker_cpu_seconds: until a worker's first results, beyond the engine's own start.
        worker_bytes: of memory that a worker has to itself beyond the engine's own.
        instance_bytes: of memory that a function's instance in it has grown to.
        code_bytes: of machine code in memory, which workers of a node share.
        partition_rows: the rows of a task.
        failures: of a node, an hour.
        core_hour_price: of a core, an hour.
    """

    nodes: int = 100
    cores: int = 16
    package_bytes: float = 24.5e6
    machine_code_bytes: float = 17.5e6
    network_bytes: float = 125e6
    compile_cpu_seconds: float = 9.0
    compile_seconds: float = 4.5
    worker_cpu_seconds: float = 0.2
    worker_bytes: float = 17 * MIB
    instance_bytes: float = 4 * MIB
    code_bytes: float = 22 * MIB
    partition_rows: float = 1e6
    failures: float = 1 / 720
    core_hour_price: float = 0.04

    @property
    def workers(self) -> int:
        """All workers."""
        return self.nodes * self.cores

    @property
    def image_seconds(self) -> float:
        """The time in which every node has received the package and its machine code."""
        return (self.package_bytes + self.machine_code_bytes) / self.network_bytes

    @property
    def start_seconds(self) -> float:
        """The time in which all workers of a node are ready, with the machine code in the image."""
        return self.worker_cpu_seconds

    @property
    def cold_start_seconds(self) -> float:
        """The same if the first worker of a node compiles the guest, and the others wait."""
        return self.compile_seconds + self.worker_cpu_seconds

    @property
    def node_bytes(self) -> float:
        """Memory that a node needs for all its workers, beyond the engine's own."""
        return self.code_bytes + self.cores * (self.worker_bytes + self.instance_bytes)

    def seconds(self, rows: float, row_nanoseconds: float) -> float:
        """Return the time of a job from the start of its workers, if no core waits."""
        return self.start_seconds + rows * row_nanoseconds * 1e-9 / self.workers

    def price(self, rows: float, row_nanoseconds: float) -> float:
        """Return what all nodes cost for that time."""
        return self.seconds(rows, row_nanoseconds) * self.workers / 3600 * self.core_hour_price

    def failed_nodes(self, seconds: float) -> float:
        """Return the number of nodes to be expected to fail in a time."""
        return self.nodes * self.failures * seconds / 3600

    def repeated_seconds(self, row_nanoseconds: float) -> float:
        """Return the time by which a node that fails delays the job: a task is repeated, after a start."""
        return self.partition_rows * row_nanoseconds * 1e-9 + self.worker_cpu_seconds


def text(cluster: Cluster) -> str:
    """Return the inputs and what follows of them, as Markdown."""
    documented = dict(line.strip().split(": ", 1) for line in (Cluster.__doc__ or "").splitlines() if ": " in line)
    inputs = [
        [f"`{field.name}`", _shown(field.name, getattr(cluster, field.name)), documented[field.name]]
        for field in fields(Cluster)
    ]
    once = [
        [
            "image: package and machine code, a node",
            f"{(cluster.package_bytes + cluster.machine_code_bytes) / 1e6:.0f} MB",
        ],
        ["the time to receive it", f"{cluster.image_seconds:.2f} s"],
        ["start of all workers, machine code in the image", f"{cluster.start_seconds:.1f} s"],
        ["start of all workers, without it", f"{cluster.cold_start_seconds:.1f} s"],
        [
            f"CPU time of compiling on {cluster.nodes} nodes, without it",
            f"{cluster.nodes * cluster.compile_cpu_seconds:,.0f} s",
        ],
        [f"memory of a node for {cluster.cores} workers", f"{cluster.node_bytes / MIB:,.0f} MiB"],
    ]
    jobs = []
    for name, nanoseconds in FUNCTIONS.items():
        long = 1000 * BILLION
        jobs.append(
            [
                name,
                f"{cluster.seconds(BILLION, nanoseconds):.1f} s",
                f"{cluster.price(BILLION, nanoseconds):.3f}",
                f"{cluster.seconds(long, nanoseconds) / 60:.1f} min",
                f"{cluster.failed_nodes(cluster.seconds(long, nanoseconds)):.2f}",
                f"{cluster.repeated_seconds(nanoseconds):.1f} s",
            ]
        )
    header = ["function", "a billion rows", "price", "10^12 rows", "nodes that fail in it", "delay by each"]
    return "\n".join(
        [
            "## Inputs\n",
            table(["input", "value", "meaning"], inputs),
            "## Image, start and memory\n",
            table(["", f"{cluster.nodes} nodes of {cluster.cores} cores"], once),
            "## Rows\n",
            table(header, jobs),
        ]
    )


def _shown(name: str, value: float) -> str:
    """Return a value with its unit."""
    if name.endswith("_bytes"):
        return f"{value / 1e6:.1f} MB"
    return f"{value:g} s" if name.endswith("_seconds") else f"{value:,.4g}"


def measure() -> dict[str, float]:
    """Return what the model takes from a worker, measured here; the median of several."""
    # Without the variable, Python keeps the byte code of modules, as it does for a package that pip has installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    os.environ.clear()
    os.environ.update(environment)
    wasi_udf = importlib.import_module("duckdb_wasi_udf")  # here: workers import this module before they are measured
    function = pickle.dumps(wasi_udf.batch_function("def f(x: float) -> float: return x + 1"))
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        columns = {"x": list(map(float, range(2048)))}
        return worker.median([pool.submit(worker.first_results, function, columns).result() for _ in range(7)])


def row_nanoseconds() -> dict[str, float]:
    """Return what a row takes in functions of benchmarks/rows.py, with passing the columns; the best of five calls."""
    duckdb, wasi_udf = importlib.import_module("duckdb"), importlib.import_module("duckdb_wasi_udf")
    found = {}
    for case in importlib.import_module("benchmarks.rows").CASES:
        function = wasi_udf.batch_function(case.source, columns={"result": str(case.sql_type)})
        query = f"SELECT {case.argument} AS {function.parameters[0]} FROM range({_ROWS}) t(i)"
        columns = duckdb.sql(query).to_arrow_table()
        found[case.label] = best(partial(function, columns), 5) / _ROWS * 1e9
    return found


def main() -> int:
    """Print the model's tables; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure a worker here, and print that alone")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/explanation/hundred-nodes.md")
    options = parser.parse_args()
    if options.measure:
        for name, value in measure().items():
            print(f"{name}: {value / MIB:.1f} MiB" if name.endswith("_bytes") else f"{name}: {value:.3f}")
        for name, value in row_nanoseconds().items():
            print(f"{name}: {value:.1f} ns a row")
        return 0
    print(text(Cluster()))
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + text(Cluster()) + "\n" + END + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
