"""Functions over arrays: sandboxed, as DuckDB's own arrow functions with native numpy, and as plain SQL, in turns.

`python -m benchmarks.numpy` measures these alone, and the memory of an instance; one to three minutes.
"""

from __future__ import annotations

import argparse
import itertools
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import ARROW

import duckdb_wasi_udf as wasi_udf
from benchmarks import memory
from benchmarks.compiled import check, in_turns
from benchmarks.timing import ROW_GROUP, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Case(NamedTuple):
    """An expression over the array `x`, the column's type, the result's, and the same in SQL ('' if there is none)."""

    expression: str
    sql_type: str
    result: str
    sql: str = ""


CASES = [
    Case("x * 2 + 1", "BIGINT", "BIGINT", "x * 2 + 1"),
    Case("x * 2.5 + 1", "DOUBLE", "DOUBLE", "x * 2.5 + 1"),
    Case("np.sqrt(x * x + 1)", "DOUBLE", "DOUBLE", "sqrt(x * x + 1)"),
    Case("np.where(x > 100, x, 0)", "DOUBLE", "DOUBLE", "CASE WHEN x > 100 THEN x ELSE 0 END"),
    Case("np.cumsum(x)", "DOUBLE", "DOUBLE"),
    Case("np.exp(-x / 1000)", "DOUBLE", "DOUBLE", "exp(-x / 1000)"),
    Case("np.log1p(x)", "DOUBLE", "DOUBLE", "ln(1 + x)"),
    Case("np.sin(x)", "DOUBLE", "DOUBLE", "sin(x)"),
    Case("x > 100", "DOUBLE", "BOOLEAN", "x > 100"),
    Case("np.strings.upper(x)", "VARCHAR", "VARCHAR", "upper(x)"),
]
_VALUES = {"BIGINT": "i * 7919 % 100_000", "DOUBLE": "i * 7919 % 100_000 / 100", "VARCHAR": "'user' || i % 10_000"}
_SOLVE = "np.linalg.solve(np.outer(xs[:4], xs[:4]) + np.eye(4) * (1 + xs.sum()), xs[:4])[0]"


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, rounds = (ROW_GROUP, 3) if quick else (4 * ROW_GROUP, 7)
    con = duckdb.connect()
    con.execute("SET threads = 1")
    sandbox = wasi_udf.Sandbox()
    sandbox.install(con)
    lines = []
    for number, case in enumerate(CASES):
        values = f"SELECT ({_VALUES[case.sql_type]})::{case.sql_type} AS x FROM range({rows}) r(i)"
        con.execute(f"CREATE OR REPLACE TABLE t AS {values}")
        source = f"import numpy as np\ndef f(x: np.ndarray) -> np.ndarray: return {case.expression}"
        sandbox.create_function(con, f"ours{number}", source, [case.sql_type], case.result)
        con.create_function(f"own{number}", _native(case), [case.sql_type], case.result, type=ARROW)
        calls = {"ours": f"ours{number}(x)", "own": f"own{number}(x)"}
        if "cumsum" not in case.expression:  # whose batches aren't those of another query
            check(con, calls)
        times = in_turns(con, calls | ({"sql": case.sql} if case.sql else {}), rows, rounds)
        ratio = times["ours"] / times["own"]
        sql = f"{times['sql']:,.1f}" if case.sql else ""
        lines.append(
            [
                f"`{case.expression}`",
                case.sql_type,
                f"{times['ours']:,.1f}",
                f"{times['own']:,.1f}",
                sql,
                f"{ratio:.2f}",
            ]
        )
    lines.append(_groups(con, rows, rounds))
    con.close()
    header = ["function of arrays", "type", "sandboxed", "DuckDB's own (arrow, native numpy)", "SQL", "ratio"]
    return f"## numpy, ns a row ({rows:,} rows, threads = 1)\n\n" + table(header, lines)


def _native(case: Case) -> Callable[[Any], pa.Array]:
    """Return the same as a function for DuckDB's `type="arrow"`."""
    compute = eval(f"lambda x: {case.expression}", {"np": np})

    def native(column: pa.ChunkedArray) -> pa.Array:
        values = column.to_numpy()
        if case.sql_type == "VARCHAR":
            values = values.astype(np.dtypes.StringDType())
            return pa.array(compute(values).tolist())
        return pa.array(compute(values))

    return native


def _groups(con: duckdb.DuckDBPyConnection, rows: int, rounds: int) -> list[str]:
    """Measure a small system of equations for each group of 8 rows."""
    con.execute(
        f"CREATE OR REPLACE TABLE t AS SELECT list(i * 7919 % 1000 / 7) AS x FROM range({rows}) r(i) GROUP BY i // 8"
    )
    source = f"import numpy as np\ndef f(xs: np.ndarray) -> float: return {_SOLVE}"
    code = "'" + source.replace("'", "''") + "'"
    compute = eval(f"lambda xs: {_SOLVE}", {"np": np})

    def native(column: pa.ChunkedArray) -> pa.Array:
        chunk = column.combine_chunks()
        values, offsets = chunk.values.to_numpy(), chunk.offsets.to_numpy()
        return pa.array([compute(values[a:b]) for a, b in itertools.pairwise(offsets)])

    con.create_function("own_groups", native, ["DOUBLE[]"], "DOUBLE", type=ARROW)
    times = in_turns(con, {"ours": f"py_agg({code}, x)", "own": "own_groups(x)"}, rows, rounds)
    shown = [f"{times[kind]:,.1f}" for kind in ("ours", "own")]
    return ["`linalg.solve` per group of 8", "DOUBLE", *shown, "", f"{times['ours'] / times['own']:.2f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numpy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions: to try, not to report")
    options = parser.parse_args()
    for section in (measure, memory.measure):
        print(section(quick=options.quick))
