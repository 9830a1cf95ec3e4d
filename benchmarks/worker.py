"""The cost of this package in a worker process of an engine: time and memory until its first results.

A worker imports this module before the package, so it imports nothing but Python.
"""

from __future__ import annotations

import importlib
import pickle
import time
from pathlib import Path
from typing import Any

Figures = dict[str, float]


def first_results(function: bytes, columns: dict[str, list[Any]]) -> Figures:
    """Load a function in a process that has pyarrow, and call it once.

    Args:
        function: a pickled `BatchFunction`.
        columns: of the table that it is called with.

    Returns:
        "worker_seconds" and "worker_cpu_seconds", "worker_bytes" of memory that only this process has, and
        "code_bytes" of machine code, which the workers of a machine share.
    """
    importlib.import_module("pyarrow.compute")
    table = importlib.import_module("pyarrow").table(columns)
    before, cpu, began = private_bytes(), time.process_time(), time.perf_counter()
    made = pickle.loads(function)(table)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    assert made.num_rows == table.num_rows
    return {
        "worker_cpu_seconds": cpu_seconds,
        "worker_seconds": seconds,
        "worker_bytes": private_bytes() - before,
        "code_bytes": code_bytes(),
    }


def private_bytes() -> int:
    """Return the memory that this process has written to and shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if "Private_Dirty" in line) * 1024


def code_bytes() -> int:
    """Return the memory of the guest's machine code."""
    mapped = Path("/proc/self/smaps").read_text(encoding="utf-8").split("VmFlags")
    return sum(int(part.partition("Rss:")[2].split()[0]) for part in mapped if ".cwasm" in part) * 1024


def median(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: sorted(run[name] for run in runs)[len(runs) // 2] for name in runs[0]}
