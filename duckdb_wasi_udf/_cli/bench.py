"""`bench`: how long a function takes for a row, interpreted and compiled, and as DuckDB's own Python function."""

from __future__ import annotations

import functools
import runpy
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duckdb_wasi_udf._cli import options, running
from duckdb_wasi_udf._cli.failures import failed_error, usage_error
from duckdb_wasi_udf._cli.functions import choose, define, matching_columns
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.run import InputFormat, open_input
from duckdb_wasi_udf._cli.session import SessionOptions, open_session
from duckdb_wasi_udf._cli.sources import STDIN, read_function_file
from duckdb_wasi_udf._cli.terminal import print_json, print_line, print_table
from duckdb_wasi_udf._shared.identifiers import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._cli.outline import Item
    from duckdb_wasi_udf._cli.session import Session
    from duckdb_wasi_udf._cli.sources import FunctionFile

# Values made up for parameters of a type: an expression of the row's number i.
_VALUES = {
    "BOOLEAN": "i % 2 = 0",
    "TINYINT": "(i % 100)::TINYINT",
    "SMALLINT": "(i % 1000)::SMALLINT",
    "INTEGER": "(hash(i) % 1000000)::INTEGER",
    "BIGINT": "(hash(i) % 1000000)::BIGINT",
    "DOUBLE": "(hash(i) % 1000000) / 1000",
    "FLOAT": "((hash(i) % 1000000) / 1000)::FLOAT",
    "VARCHAR": "'some text number ' || (hash(i) % 100000)",
    "DATE": "DATE '2020-01-01' + (hash(i) % 2000)::INTEGER",
    "TIMESTAMP": "TIMESTAMP '2020-01-01' + to_seconds((hash(i) % 100000000)::BIGINT)",
    "BLOB": "encode('some bytes ' || (hash(i) % 100000))",
}

# The best of these counts: others are disturbed by what else the machine does.
_RUNS = 3


def bench(
    function_file: Annotated[str, typer.Argument(metavar="FUNCTION.py", help="File with the function.")],
    input: Annotated[  # noqa: A002 - the argument's name
        str | None, typer.Argument(metavar="[INPUT]", help="File or glob with the rows. Default: made-up values.")
    ] = None,
    *,
    function: options.FunctionName = None,
    rows: Annotated[int, typer.Option("--rows", min=1, metavar="N", help="Rows, or the most of INPUT.")] = 200_000,
    unsandboxed: Annotated[
        bool,
        typer.Option(
            "--unsandboxed", help="Compare with DuckDB's own function. This runs the file OUTSIDE the sandbox."
        ),
    ] = False,
    input_format: InputFormat = None,
    package: options.Packages = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """Measure a function: nanoseconds a row, on one thread."""
    with reported(as_json=json) as report:
        file = read_function_file(function_file)
        item = choose(file, function)
        measured: dict[str, float] = {}
        explanation = ""
        count = 0
        for compiled in (False, True):
            opened = SessionOptions(packages=package, settings=settings, compiled=compiled)
            with open_session(opened) as session:
                report.files = session.files
                define(session, file, item)
                call = _prepare(session, item, input, input_format, rows)
                seconds = functools.partial(_seconds, session)
                count = session.con.execute("SELECT count(*) FROM bench_rows").fetchall()[0][0]
                name = "compiled" if compiled else "interpreted"
                measured[name] = running.run(session, functools.partial(seconds, call))
                explanation = session.sandbox.explain(item.name).rpartition(": ")[2]
                if compiled and unsandboxed:
                    _define_unsandboxed(session, file, item)
                    own = call.replace(quote_identifier(item.name), "unsandboxed", 1)
                    measured["unsandboxed"] = running.run(session, functools.partial(seconds, own))
        _print(item, count, measured, explanation, as_json=json)


def _prepare(session: Session, item: Item, path: str | None, input_format: str | None, rows: int) -> str:
    """Make the table of rows; return the call of the function over it."""
    con = session.con
    con.execute("SET threads = 1")
    signature = session.sandbox._registry.find(item.name).signature
    if path is not None:
        with open_input(session, path, input_format) as found:
            arguments = matching_columns(item, found.columns, path)
            columns = ", ".join(map(quote_identifier, arguments)) or "1 AS bench_row"
            taken = found.limit(rows).project(columns)
            running.run(session, lambda: taken.create("bench_rows"))
    else:
        arguments, values = [], ["i AS bench_row"]
        for parameter in signature.parameters[: max(signature.required, item.required)]:
            type_name = parameter.sql_type.name if parameter.sql_type is not None else "BIGINT"
            value = _VALUES.get(type_name)
            if value is None:
                msg = f"there are no made-up values of the type {type_name} of {parameter.name}; pass a file of rows"
                raise usage_error(msg)
            arguments.append(parameter.name)
            values.append(f"{value} AS {quote_identifier(parameter.name)}")
        made = f"SELECT {', '.join(values)} FROM range({rows}) t(i)"  # noqa: S608 - quoted names
        running.run(session, lambda: con.sql(made).create("bench_rows"))
    if not arguments:
        msg = f"{item.name} has no parameters that a row could have values for"
        raise usage_error(msg)
    return f"{quote_identifier(item.name)}({', '.join(map(quote_identifier, arguments))})"


def _seconds(session: Session, call: str) -> float:
    """Return how long a call takes over all rows, the best of some runs after one that doesn't count."""

    def once() -> float:
        began = time.perf_counter()
        session.con.execute(f"SELECT count({call}) FROM bench_rows").fetchall()  # noqa: S608 - quoted names
        return time.perf_counter() - began

    once()
    return min(once() for _ in range(_RUNS))


def _define_unsandboxed(session: Session, file: FunctionFile, item: Item) -> None:
    """Register the function as DuckDB's own, which runs it in this process."""
    if file.path == "<stdin>":
        msg = f"--unsandboxed needs a file, not {STDIN}"
        raise usage_error(msg)
    try:
        function: Callable[..., Any] = runpy.run_path(file.path)[item.name]
    except Exception as error:
        msg = f"{file.path} can't be run outside the sandbox: {type(error).__name__}: {error}"
        raise failed_error(msg) from error
    signature = session.sandbox._registry.find(item.name).signature
    types = [parameter.sql_type for parameter in signature.parameters]
    if None in types or signature.required != len(types) or signature.by_batch or signature.return_type == "VARIANT":
        msg = f"{item.name} can't be DuckDB's own function: it has parameters without a type, defaults, or columns"
        raise usage_error(msg)
    function.__annotations__ = {}  # DuckDB would evaluate them, and they may be SQL types
    names: list[Any] = [sql_type.name for sql_type in types if sql_type is not None]
    session.con.create_function("unsandboxed", function, names, signature.return_type)


def _print(item: Item, rows: int, measured: dict[str, float], explanation: str, *, as_json: bool) -> None:
    if as_json:
        found = {"name": item.name, "rows": rows, "explanation": explanation, "seconds": measured}
        print_json(found)
        return
    names = {"interpreted": "sandbox, interpreted", "compiled": "sandbox", "unsandboxed": "DuckDB's own, no sandbox"}
    print_table(
        [("function", ""), ("seconds", "DOUBLE"), ("ns a row", "DOUBLE")],
        [(names[name], f"{seconds:.3f}", f"{seconds / rows * 1e9:,.0f}") for name, seconds in measured.items()],
        types=False,
    )
    print_line(f"{item.name}: {explanation}; {rows:,} rows, best of {_RUNS}, one thread")
