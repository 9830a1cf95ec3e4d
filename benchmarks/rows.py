"""Row functions, sandboxed and as DuckDB's own, in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb.sqltypes import BIGINT, VARCHAR, DuckDBPyType

import duckdb_wasi_udf as wasi_udf
from benchmarks.timing import ROW_GROUP, best, table


@dataclass(frozen=True, slots=True)
class Case:
    """A function and what it is called with."""

    label: str
    source: str
    sql_type: DuckDBPyType
    argument: str


CASES = [
    Case("`x + 1`", "lambda x: x + 1", BIGINT, "i"),
    Case("arithmetic with a branch", "lambda x: x * 3 - 1 if x % 2 else x // 2", BIGINT, "i"),
    Case(
        "10-step loop",
        "def f(x):\n    s = 0\n    for k in range(10):\n        s += x * k\n    return s",
        BIGINT,
        "i",
    ),
    Case("`s.upper()`", "lambda s: s.upper()", VARCHAR, "'user' || i"),
    Case("`s.split('@')[1]`", "lambda s: s.split('@')[1]", VARCHAR, "'user' || i || '@example.com'"),
    Case(
        "compiled regex",
        "import re\nDIGITS = re.compile(r'(\\d+)@')\ndef f(s):\n    return DIGITS.search(s).group(1)",
        VARCHAR,
        "'user' || i || '@example.com'",
    ),
]


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, repetitions = (2 * ROW_GROUP, 2) if quick else (4 * ROW_GROUP, 5)
    con = duckdb.connect()
    sandbox = wasi_udf.Sandbox()
    lines = []
    for n, case in enumerate(CASES):
        con.execute(f"CREATE TABLE t{n} AS SELECT {case.argument} AS x FROM range({rows}) r(i)")
        sandbox.create_function(con, f"sandboxed{n}", case.source, [case.sql_type], case.sql_type)
        sandbox.create_function(con, f"inferred{n}", case.source, [case.sql_type])
        con.create_function(f"own{n}", _function(case.source), [case.sql_type], case.sql_type)
    for threads in (1, 2):
        con.execute(f"SET threads = {threads}")
        for n, case in enumerate(CASES):
            times = []
            for name in ("sandboxed", "inferred", "own"):
                query = f"SELECT count({name}{n}(x)) FROM t{n}"
                times.append(best(lambda query=query: con.execute(query).fetchall(), repetitions) / rows * 1e9)  # type: ignore[misc]
            declared, inferred, own = times
            lines.append(
                [
                    case.label,
                    str(threads),
                    f"{declared:,.0f}",
                    f"{inferred:,.0f}",
                    f"{own:,.0f}",
                    f"{declared / own:.2f}",
                ]
            )
    header = ["row function", "threads", "sandboxed", "sandboxed, VARIANT", "DuckDB's own", "ratio"]
    section = f"## Row functions, ns a row ({rows:,} rows)\n\n" + table(header, lines)
    return section + "\n\n" + _shapes(con, sandbox, rows, repetitions)


# The same work by row and by batch: what a batch function gains depends on what it does with the column.
SHAPES = [
    ("`x + 1`, list", "lambda x: x + 1", "def f(c: Column[int]) -> list[int]: return [x + 1 for x in c]"),
    (
        "pass on, array",
        "lambda x: x",
        "import array as a\ndef f(c: Column[int]) -> list[int]: return a.array('q', memoryview(c).cast('B').tobytes())",
    ),
    ("`abs(x)`, list", "lambda x: abs(x)", "def f(c: Column[int]) -> list[int]: return list(map(abs, c))"),
    (
        "`x if x > 500 else 0`, list",
        "lambda x: x if x > 500 else 0",
        "def f(c: Column[int]) -> list[int]: return [x if x > 500 else 0 for x in c]",
    ),
]


def _shapes(con: duckdb.DuckDBPyConnection, sandbox: wasi_udf.Sandbox, rows: int, repetitions: int) -> str:
    con.execute("SET threads = 1")
    lines = []
    for n, (label, by_row, by_batch) in enumerate(SHAPES):
        times = []
        for shape, source in (("row", by_row), ("batch", by_batch)):
            sandbox.create_function(con, f"{shape}{n}", source, ["BIGINT"], "BIGINT")
            query = f"SELECT count({shape}{n}(x)) FROM t0"
            times.append(best(lambda query=query: con.execute(query).fetchall(), repetitions) / rows * 1e9)  # type: ignore[misc]
        lines.append([label, f"{times[0]:,.0f}", f"{times[1]:,.0f}", f"{times[0] / times[1]:.2f}"])
    header = ["work on a BIGINT", "row function", "batch function", "times faster"]
    return "### By row and by batch (threads = 1)\n\n" + table(header, lines)


def _function(source: str) -> Any:
    if source.startswith("lambda"):
        return eval(source)
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace["f"]
