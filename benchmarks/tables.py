"""Table functions natively, through Python, and as DuckDB scans generators: `python -m benchmarks.tables [--quick]`.

All run in one process, turn by turn. DuckDB has no table functions in Python: a generator's rows become a pyarrow
RecordBatchReader, 2048 at a time, which a query scans.
"""

from __future__ import annotations

import argparse
import array
import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import busy_thread, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STEP = 2048
_BLOCK = 10 * _STEP


class Case(NamedTuple):
    """A function that returns rows.

    Attributes:
        label: What it does.
        source: The source of it, for a guest.
        schema: What the rows are, for pyarrow.
        batches: Makes the same rows on the host.
    """

    label: str
    source: str
    schema: pa.Schema
    batches: Callable[[int], Iterator[pa.RecordBatch]]


def _of_rows(rows: Iterator[tuple[object, ...]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Return what a generator yields, in batches."""
    while part := list(itertools.islice(rows, _STEP)):
        columns = [pa.array(column, field.type) for column, field in zip(zip(*part, strict=True), schema, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _of_arrays(rows: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    numbers, floats = array.array("q", range(_BLOCK)), array.array("d", range(_BLOCK))
    for _ in range(rows // _BLOCK):
        columns = [
            pa.Array.from_buffers(field.type, _BLOCK, [None, pa.py_buffer(values)])
            for field, values in zip(schema, (numbers, floats), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


_NUMBERS = pa.schema({"a": pa.int64()})
_PAIRS = pa.schema({"a": pa.int64(), "b": pa.float64()})
_TEXTS = pa.schema({"a": pa.string()})

CASES = (
    Case(
        "`range(n)`",
        "def f(n: int) -> Iterator[int]: return range(n)",
        _NUMBERS,
        lambda n: _of_rows(((i,) for i in range(n)), _NUMBERS),
    ),
    Case(
        "rows of a BIGINT and a DOUBLE",
        "def f(n: int) -> Iterator[tuple[int, float]]:\n    for i in range(n): yield i, i * 0.5",
        _PAIRS,
        lambda n: _of_rows(((i, i * 0.5) for i in range(n)), _PAIRS),
    ),
    Case(
        "texts",
        "def f(n: int) -> Iterator[str]:\n    for i in range(n): yield f'user number {i}'",
        _TEXTS,
        lambda n: _of_rows(((f"user number {i}",) for i in range(n)), _TEXTS),
    ),
    Case(
        "`Columns` of arrays",
        f"""
from array import array
from duckdb_wasi_udf import Columns
def f(n: int) -> Iterator[Columns[tuple[int, float]]]:
    numbers, floats = array("q", range({_BLOCK})), array("d", range({_BLOCK}))
    for _ in range(n // {_BLOCK}): yield Columns(numbers, floats)
""",
        _PAIRS,
        lambda n: _of_arrays(n, _PAIRS),
    ),
)

WAYS = ("native", "through Python", "generator in pyarrow")


class _Queries:
    """A database with each case in each way."""

    def __init__(self) -> None:
        self._con = duckdb.connect()
        self._sandbox = wasi_udf.Sandbox()
        self._con.execute("SET threads = 1")
        for n, case in enumerate(CASES):
            self._sandbox.create_table_function(self._con, f"f{n}_0", case.source)
            self._con.begin()
            self._sandbox.create_table_function(self._con, f"f{n}_1", case.source)
            self._con.commit()

    def best(self, case: int, rows: int, repetitions: int) -> list[float]:
        """Return the nanoseconds a row of the fastest run of each way, which take turns."""
        times: list[list[float]] = [[] for _ in WAYS]
        for _ in range(repetitions):
            for way, found in enumerate(times):
                began = time.perf_counter()
                self._scan(case, way, rows)
                found.append((time.perf_counter() - began) / rows * 1e9)
        return [min(found) for found in times]

    def _scan(self, case: int, way: int, rows: int) -> None:
        query = f"SELECT count(*), max(x) FROM f{case}_{way}({rows}) t(x)"
        if way == len(WAYS) - 1:
            schema, batches = CASES[case].schema, CASES[case].batches
            self._con.register("rows", pa.RecordBatchReader.from_batches(schema, batches(rows)))
            query = "SELECT count(*), max(x) FROM rows t(x)"
        ((found, _),) = self._con.execute(query).fetchall()
        if found != rows:
            msg = f"{found} rows, not {rows}"
            raise ValueError(msg)


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, repetitions = (5 * _BLOCK, 2) if quick else (100 * _BLOCK, 5)
    queries = _Queries()
    quiet = [queries.best(case, rows, repetitions) for case in range(len(CASES))]
    with busy_thread():
        loud = [queries.best(case, rows // 5, max(repetitions // 2, 1)) for case in range(len(CASES))]
    parts = []
    for title, found in (("alone", quiet), ("beside a busy thread of Python", loud)):
        lines = [
            [case.label, *[f"{value:,.1f}" for value in times], f"{times[1] / times[0]:.1f}"]
            for case, times in zip(CASES, found, strict=True)
        ]
        parts.append(table([title, *WAYS, "Python / native"], lines))
    return f"## Table functions, ns a row ({rows:,} rows, threads = 1)\n\n" + "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions: to try, not to report")
    print(measure(quick=parser.parse_args().quick))
