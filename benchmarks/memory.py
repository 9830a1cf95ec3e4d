"""What one more instance of a function takes: memory of the process that is its own (Linux alone knows)."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import duckdb

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import table
from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry

BATCH = 2048
_FUNCTIONS = {
    "values": "def f(x: int) -> int: return x * 2 + 1",
    "arrays": "import numpy as np\ndef f(x: np.ndarray) -> np.ndarray: return x * 2 + 1",
}


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    instances = 5 if quick else 20
    if not Path("/proc/self/smaps_rollup").exists():
        return "## Memory\n\nOnly Linux says which memory is private.\n"
    lines = [[name, f"{_private_of(source, instances):.2f}"] for name, source in _FUNCTIONS.items()]
    return "## Memory of one more instance, after a batch\n\n" + table(["a function of", "private memory, MiB"], lines)


def private_kib() -> int:
    """Return the KiB that this process has written and shares with none."""
    fields = (line.split() for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines())
    (kib,) = (int(field[1]) for field in fields if field[0] == "Private_Dirty:")
    return kib


def _private_of(source: str, instances: int) -> float:
    """Return the MiB of an instance that has run a batch, besides the first ones of its function."""
    with duckdb.connect() as con, wasi_udf.Sandbox(compiled=False) as sandbox:
        con.execute("SET threads = 1")
        sandbox.install(con)

        def run(batches: int) -> int:
            # Not a named function, whose instances the native path has.
            con.execute(f"SELECT count(py_udf($1, i)) FROM range({BATCH * batches}) r(i)", [source]).fetchall()
            return private_kib()

        run(1)
        with mock.patch.object(InstanceRegistry, "take", return_value=None):  # so that each batch takes another one
            before = run(3)
            return (run(instances) - before) / instances / 2**10
