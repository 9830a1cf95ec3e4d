"""Runs an example twice, sandboxed and with DuckDB's own Python functions, and checks that the results are equal.

Usage: python sql/run_example.py flights
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import math
import re
import sys
import textwrap
import time
from functools import cache, wraps
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb.func import DEFAULT, SPECIAL

import duckdb_wasi_udf as wasi_udf
from hostfuncs import lookup

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES = Path(__file__).parent / "examples"
TABLES = ("airlines", "airports", "flights", "planes", "weather")
SQL_TYPES = {int: "BIGINT", int | None: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


def load_module(path: Path) -> ModuleType:
    """Import a file of the examples."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def install_sandboxed(con: duckdb.DuckDBPyConnection, example: ModuleType) -> None:
    """Register the functions as they are meant to run."""
    granted = [
        lookup.from_duckdb(con, query, *con.sql(query).columns, name=name) for name, query in example.LOOKUPS.items()
    ]
    sandbox = wasi_udf.Sandbox(host_functions=granted).install(con)
    for function in example.FUNCTIONS:
        sandbox.create_function(con, function.__name__, function)


def install_unsandboxed(con: duckdb.DuckDBPyConnection, example: ModuleType) -> None:
    """Register the same functions in this process, as DuckDB's own Python functions."""
    sys.modules["host"] = _host({name: con.execute(query).fetchall() for name, query in example.LOOKUPS.items()})
    for function in example.FUNCTIONS:
        *parameters, returned = inspect.get_annotations(function).values()
        sees_null = any("None" in str(annotation) for annotation in parameters)
        con.create_function(
            function.__name__,
            _awaited(function) if inspect.iscoroutinefunction(function) else function,
            [SQL_TYPES[annotation] for annotation in parameters],
            SQL_TYPES[returned],
            null_handling=SPECIAL if sees_null else DEFAULT,
        )

    @cache
    def compiled(code: str) -> Any:
        namespace: dict[str, Any] = {}
        if code.startswith("lambda"):
            return eval(code, namespace)  # noqa: S307 - the example's own code
        exec(textwrap.dedent(code), namespace)  # noqa: S102
        return [value for value in namespace.values() if callable(value)][-1]

    def run(code: str, *arguments: Any) -> Any:
        return compiled(code)(*arguments)

    for name, sql_type in (("py_udf", "DOUBLE"), ("py_udf_varchar", "VARCHAR")):
        con.create_function(name, run, None, sql_type)


def _host(lookups: dict[str, list[tuple[Any, Any]]]) -> ModuleType:
    """Return a module like that of sandboxed functions, over plain dicts."""

    def function(values: dict[Any, Any]) -> Any:
        async def find(key: Any) -> Any:
            return values.get(key)

        return find

    async def gather(*awaitables: Any) -> list[Any]:
        return [await awaitable for awaitable in awaitables]

    host = ModuleType("host")
    vars(host).update({name: function(dict(pairs)) for name, pairs in lookups.items()}, gather=gather)
    return host


def _awaited(function: Any) -> Any:
    """Return a plain function for a coroutine function that never waits."""

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            function(*arguments).send(None)
        except StopIteration as stopped:
            return stopped.value
        msg = f"{function.__name__} waits"
        raise RuntimeError(msg)

    return call


def equal(left: pa.Table, right: pa.Table) -> bool:
    """Return whether two results are the same; floats to 9 digits, since two C libraries computed them."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return math.isclose(a, b, rel_tol=1e-9)
        return bool(a == b)

    if left.schema != right.schema or len(left) != len(right):
        return False
    columns = zip(left.itercolumns(), right.itercolumns(), strict=True)
    return all(same(a, b) for x, y in columns for a, b in zip(x.to_pylist(), y.to_pylist(), strict=True))


def main() -> int:
    """Run the example named on the command line; the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", choices=sorted(path.stem for path in EXAMPLES.glob("*.sql")))
    name = parser.parse_args().example
    con, own = duckdb.connect(), duckdb.connect()
    for each in (con, own):
        load_module(EXAMPLES / "nycflights.py").load(each, *TABLES)
    (rows,) = con.execute("SELECT count(*) FROM flights").fetchall()[0]
    example = load_module(EXAMPLES / f"{name}_functions.py")
    install_sandboxed(con, example)
    install_unsandboxed(own, example)

    differing = 0
    timings = []
    script = (EXAMPLES / f"{name}.sql").read_text()
    titles = re.findall(r"^-- (.+)\nSELECT", script, re.MULTILINE)
    for title, statement in zip(titles, con.extract_statements(script), strict=True):
        result, seconds = timed(con, statement.query)
        expected, own_seconds = timed(own, statement.query)
        same = equal(result, expected)
        differing += not same
        print(f"\n{title}")
        con.from_arrow(result).show()
        timings.append((title[:60], rows / seconds, rows / own_seconds, seconds / own_seconds, same))

    (threads,) = con.execute("SELECT current_setting('threads')").fetchall()[0]
    print(f"\n{rows:,} flights, {threads} threads; flights per second:")
    print(f"{'':62}{'sandboxed':>12}{'DuckDB own':>12}{'time ratio':>12}  results")
    for title, rate, own_rate, ratio, same in timings:
        print(f"{title:62}{rate:12,.0f}{own_rate:12,.0f}{ratio:12.2f}  {'equal' if same else 'DIFFERENT'}")
    print("\nRow functions, and rows that compiled code ran:")
    query = "SELECT name, compiled, compiled_rows, bailed_rows, interpreted_because FROM py_functions() WHERE calls > 0"
    for function, compiled, ran, bailed, why in con.execute(query).fetchall():
        left = f", {bailed:,} left to the interpreter" if bailed else ""
        state = f"compiled, {ran:,} rows{left}" if compiled else f"interpreted: {why or 'few rows'}"
        print(f"  {function:24}{state}")
    if differing:
        print(f"{differing} result(s) differ from DuckDB's own", file=sys.stderr)
    return 1 if differing else 0


def timed(con: duckdb.DuckDBPyConnection, query: str) -> tuple[pa.Table, float]:
    """Return the query's result and the seconds it took."""
    started = time.perf_counter()
    table = con.sql(query).to_arrow_table()
    return table, time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
