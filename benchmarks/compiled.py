"""Row functions as people write them: compiled, interpreted, as DuckDB's own, and as plain SQL, in turns.

`python -m benchmarks.compiled` measures the first rows of a function alone.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
from duckdb.func import SPECIAL

import duckdb_wasi_udf as wasi_udf
from benchmarks import row_functions as f
from benchmarks.timing import ROW_GROUP, table

if TYPE_CHECKING:
    from collections.abc import Callable

# Columns of the table, by name: SQL type, and expression of the row's number.
COLUMNS = {
    "i": ("BIGINT", "i * 7919 % 100_000"),
    "j": ("BIGINT", "i % 977 + 1"),
    "x": ("DOUBLE", "i * 7919 % 100_000 / 100"),
    "y": ("DOUBLE", "i % 977 / 7"),
    "name": ("VARCHAR", "'  Ada ' || i % 1000 || ' LOVELACE '"),
    "mail": ("VARCHAR", "'user' || i || '@Example.com'"),
    "money": ("VARCHAR", "'$' || i % 1000 || ',' || (i % 900 + 100) || '.' || (i % 90 + 10)"),
    "code": ("VARCHAR", "['DE', 'FR', 'IT', 'ES', 'XX'][i % 5 + 1]"),
    "digits": ("VARCHAR", "CASE WHEN i % 20 = 0 THEN 'n/a' ELSE ' ' || i || ' ' END"),
    "line": ("VARCHAR", "'id=' || i || ';utm_source=' || ['ads', 'mail'][i % 2 + 1] || ';v=2'"),
    "day": ("DATE", "DATE '2020-01-01' + CAST(i % 2000 AS INTEGER)"),
    "moment": ("TIMESTAMP", "TIMESTAMP '2024-01-01' + to_seconds(i * 37)"),
}


class Case(NamedTuple):
    """A function, the columns that it is called with, and the same in SQL ('' if nobody would write it)."""

    function: Callable[..., Any]
    columns: str
    result: str
    sql: str = ""


_VAT = "CASE code WHEN 'DE' THEN 0.19 WHEN 'FR' THEN 0.2 ELSE 0.25 END"
_GRADE = "CASE WHEN i > 90000 THEN 'A' WHEN i > 70000 THEN 'B' WHEN i > 50000 THEN 'C' ELSE 'D' END"
CASES = [
    Case(f.increment, "i", "BIGINT", "i + 1"),
    Case(f.branch, "i", "BIGINT", "CASE i % 2 WHEN 1 THEN i * 3 - 1 ELSE i // 2 END"),
    Case(f.loop, "i", "BIGINT"),
    Case(f.gcd, "i j", "BIGINT", "gcd(i, j)"),
    Case(f.hash_bucket, "i", "BIGINT"),
    Case(f.polynomial, "x", "DOUBLE", "((2.0 * x - 3.5) * x + 1.25) * x - 7"),
    Case(f.sigmoid, "x y", "DOUBLE", "1 / (1 + exp(-(0.003 * x - 0.2 * y + 0.5)))"),
    Case(f.haversine, "x y", "DOUBLE"),
    Case(f.clamp, "x", "DOUBLE", "greatest(0.0, least(1.0, x / 500))"),
    Case(f.discount, "x j", "DOUBLE"),
    Case(f.tax, "x", "DOUBLE"),
    Case(f.gross, "x code", "DOUBLE", f"round(x * (1 + {_VAT}), 2)"),
    Case(f.grade, "i", "VARCHAR", _GRADE),
    Case(f.level, "i", "VARCHAR"),
    Case(f.upper, "mail", "VARCHAR", "upper(mail)"),
    Case(f.domain, "mail", "VARCHAR", "lower(split_part(mail, '@', 2))"),
    Case(f.clean_name, "name", "VARCHAR"),
    Case(f.initials, "name", "VARCHAR"),
    Case(f.slug, "name", "VARCHAR", "replace(lower(trim(name)), ' ', '-')"),
    Case(f.mask, "mail", "VARCHAR", "repeat('*', length(mail) - 4) || right(mail, 4)"),
    Case(f.vowels, "name", "BIGINT"),
    Case(f.palindrome, "code", "BOOLEAN", "code = reverse(code)"),
    Case(f.label, "i code", "VARCHAR", "printf('%s-%06d', code, i)"),
    Case(f.amount, "x code", "VARCHAR", "printf('%.2f %s', x, code)"),
    Case(f.parse_int, "digits", "BIGINT", "TRY_CAST(trim(digits) AS BIGINT)"),
    Case(f.parse_money, "money", "DOUBLE", "CAST(replace(replace(money, '$', ''), ',', '') AS DOUBLE)"),
    Case(f.utm_source, "line", "VARCHAR"),
    Case(f.country, "code", "VARCHAR"),
    Case(f.in_eu, "code", "BOOLEAN", "code IN ('DE', 'FR', 'IT', 'ES', 'NL')"),
    Case(f.luhn, "digits", "BOOLEAN"),
    Case(f.weekend, "day", "BOOLEAN", "isodow(day) >= 6"),
    Case(f.quarter, "day", "VARCHAR", "year(day) || '-Q' || quarter(day)"),
    Case(f.yyyymmdd, "day", "BIGINT", "year(day) * 10000 + month(day) * 100 + day(day)"),
    Case(f.business_hours, "moment", "BOOLEAN", "isodow(moment) < 6 AND hour(moment) BETWEEN 9 AND 16"),
    Case(f.add_days, "day j", "DATE", "day + CAST(j AS INTEGER)"),
    Case(f.minute, "moment", "VARCHAR", "strftime(moment, '%Y-%m-%d %H:%M')"),
    Case(f.extract, "mail", "VARCHAR", "regexp_extract(mail, '(\\d+)@', 1)"),
    Case(f.levenshtein, "code code", "BIGINT", "levenshtein(code, code)"),
]


def measure(*, quick: bool) -> str:
    """Measure; a Markdown section."""
    rows, rounds = (ROW_GROUP, 3) if quick else (4 * ROW_GROUP, 7)
    con = duckdb.connect()
    con.execute("SET threads = 1")
    columns = ", ".join(f"CAST({value} AS {kind}) AS {name}" for name, (kind, value) in COLUMNS.items())
    con.execute(f"CREATE TABLE t AS SELECT {columns} FROM range({rows}) r(i)")
    sandboxes = {"compiled": wasi_udf.Sandbox(), "interpreted": wasi_udf.Sandbox(compiled=False)}
    sandboxes["compiled"].install(con)
    lines: list[list[str]] = []
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for case in CASES:
        name, names = case.function.__name__, case.columns.split()
        parameters: list[Any] = [COLUMNS[column][0] for column in names]
        for kind, sandbox in sandboxes.items():
            sandbox.create_function(con, f"{kind}_{name}", case.function, parameters, case.result)
        con.create_function(f"own_{name}", case.function, parameters, case.result, null_handling=SPECIAL)
        calls = {kind: f"{kind}_{name}({', '.join(names)})" for kind in (*sandboxes, "own")}
        check(con, calls)
        times = in_turns(con, calls | ({"sql": case.sql} if case.sql else {}), rows, rounds)
        query = "SELECT compiled FROM py_functions() WHERE name = ?"
        ((is_compiled,),) = con.execute(query, [f"compiled_{name}"]).fetchall()
        ratios[is_compiled].append(times["compiled"] / times["own"])
        shown = [f"{times[kind]:,.0f}" if kind in times else "" for kind in ("compiled", "interpreted", "own", "sql")]
        ratio = f"{times['compiled'] / times['own']:.2f}"
        lines.append([f"`{name}`", "yes" if is_compiled else "no", *shown, ratio])
    con.close()
    header = ["row function", "compiled", "sandboxed", "with `compiled=False`", "DuckDB's own", "SQL", "ratio"]
    mean = statistics.geometric_mean(ratios[True] + ratios[False])
    of_compiled = statistics.geometric_mean(ratios[True])
    return "\n".join(
        [
            f"## Compiled functions, ns a row ({rows:,} rows, threads = 1)\n",
            table(header, lines),
            (
                f"{len(ratios[True])} of {len(CASES)} are compiled. The geometric mean of the ratios is {mean:.2f}. "
                f"For those that are compiled it is {of_compiled:.2f}, and the largest is {max(ratios[True]):.2f}.\n"
            ),
        ]
    )


def in_turns(con: duckdb.DuckDBPyConnection, calls: dict[str, str], rows: int, rounds: int) -> dict[str, float]:
    """Return the median ns a row of expressions over the table, each run once a round."""
    times: dict[str, list[float]] = {kind: [] for kind in calls}
    for _ in range(rounds + 1):
        for kind, call in calls.items():
            before = time.perf_counter()
            con.execute(f"SELECT count({call}) FROM t").fetchall()
            times[kind].append((time.perf_counter() - before) / rows * 1e9)
    return {kind: statistics.median(seconds[1:]) for kind, seconds in times.items()}  # the first compiles


def check(con: duckdb.DuckDBPyConnection, calls: dict[str, str]) -> None:
    """Check that the ways agree, row by row."""
    for first, *others in con.execute(f"SELECT {', '.join(calls.values())} FROM t LIMIT 20_000").fetchall():
        for other in others:
            same = math.isclose(first, other, rel_tol=1e-12) if isinstance(first, float) else first == other
            assert same, (calls, first, other)


# Functions of which the first rows are measured, and what they are called with.
_FIRST = {
    "def f(i: int) -> int:\n    return i * 3 - 1 if i % 2 else i // 2": "i",
    "def f(name: str) -> str:\n    return '-'.join(name.strip().lower().split())": "name",
    "VAT = {'DE': 0.19}\ndef f(x: float, s: str) -> float:\n    return round(x * (1 + VAT.get(s, 0.2)), 2)": "x, code",
}


def measure_first_rows(rounds: int) -> str:
    """Measure the first query of a function in a sandbox that has instances, against `compiled=False`; a table.

    Args:
        rounds: how often each is measured, in turns. The table has the medians.
    """
    con = duckdb.connect()
    con.execute("SET threads = 1")
    columns = ", ".join(f"CAST({value} AS {kind}) AS {name}" for name, (kind, value) in COLUMNS.items())
    con.execute(f"CREATE TABLE t AS SELECT {columns} FROM range(200_000) r(i)")
    lines = []
    for is_kept in (False, True):
        for rows in (1_000, 2_048, 10_240):
            ratios = [ratio for source in _FIRST for ratio in _first(con, source, rows, rounds, is_kept=is_kept)]
            lines.append(["kept" if is_kept else "new", f"{rows:,}", f"{statistics.median(ratios):.2f}"])
    return table(["function", "rows", "time against `compiled=False`"], lines)


def _first(con: duckdb.DuckDBPyConnection, source: str, rows: int, rounds: int, *, is_kept: bool) -> list[float]:
    """Return ratios of the time of a function's first query, one for each round."""
    ratios = []
    for number in range(rounds + 1):
        times = {}
        for kind in ("compiled", "interpreted") if number % 2 else ("interpreted", "compiled"):
            with wasi_udf.Sandbox(compiled=kind == "compiled").install(con) as sandbox:
                text = source if is_kept else f"{source}\n# {time.time_ns()}"
                sandbox.create_function(con, "f", text, replace=True)
                call = f"SELECT count(f({_FIRST[source]})) FROM (FROM t LIMIT"
                if is_kept and number == 0:
                    con.execute(f"{call} 200_000)").fetchall()  # compiles, and keeps the code
                before = time.perf_counter()
                con.execute(f"{call} {rows})").fetchall()
                times[kind] = time.perf_counter() - before
        ratios.append(times["compiled"] / times["interpreted"])
    return ratios[1:]


if __name__ == "__main__":
    sys.stdout.write(measure_first_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
