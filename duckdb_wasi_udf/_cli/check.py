"""`check`: the functions that files define, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duckdb_wasi_udf._cli import options
from duckdb_wasi_udf._cli.connection import connect
from duckdb_wasi_udf._cli.failures import Status, failure_of
from duckdb_wasi_udf._cli.limits import parse_limits
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.sources import create_functions, read_function_files
from duckdb_wasi_udf._cli.terminal import output_console, print_json
from duckdb_wasi_udf._sql.sandbox import Sandbox

if TYPE_CHECKING:
    import duckdb
    from rich.console import Console

    from duckdb_wasi_udf._cli.sources import FunctionFile


@dataclass(slots=True)
class _Checked:
    """What was found in one file, as `--json` prints it."""

    file: str
    functions: list[dict[str, Any]] = field(default_factory=list)
    helpers: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE.py|DIR...", help="Files of functions, or - for stdin.")],
    *,
    package: options.Packages = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """List the SQL functions that files define, with their types, whether they are compiled, and problems.

    The exit status is 1 if there is any problem.
    """
    with reported(as_json=json):
        limits, data_limits = parse_limits(settings or ())
        checked = []
        for file in read_function_files(files):
            with (
                connect(None) as con,
                Sandbox(limits=limits, data_limits=data_limits, packages=package or ()) as sandbox,
            ):
                checked.append(_check(con, sandbox, file))
        if json:
            print_json({"files": [_as_json(one) for one in checked]})
        else:
            for one in checked:
                _print(output_console(), one)
        if any(one.problems for one in checked):
            raise typer.Exit(Status.FAILED)


def _check(con: duckdb.DuckDBPyConnection, sandbox: Sandbox, file: FunctionFile) -> _Checked:
    checked = _Checked(file.path)
    if file.syntax_error is not None:
        checked.problems.append({"line": file.syntax_error.line, "name": None, "problem": file.syntax_error.note})
        return checked
    created = create_functions(con, sandbox, file)
    for item in created.functions:
        signature, _, compiled = sandbox.explain(item.name).rpartition(": ")
        registered = sandbox._registry.find(item.name)
        checked.functions.append(
            {
                "name": item.name,
                "line": item.line,
                "kind": item.kind,
                "signature": str(registered.signature),
                "compiled": compiled if signature == str(registered.signature) else sandbox.explain(item.name),
            }
        )
    for item, note in created.helpers:
        checked.helpers.append({"name": item.name, "line": item.line, "reason": note.partition("\n")[0]})
    names = {item.name.lower(): file.path for item in file.items}
    for item, error in created.problems:
        message = failure_of(error, names).message
        checked.problems.append({"line": item.line, "name": item.name, "problem": message})
    if not created.functions and not created.problems and not file.map_classes:
        problem = "it defines no function whose parameters and result are annotated with SQL types"
        checked.problems.append({"line": 1, "name": None, "problem": problem})
    return checked


def _as_json(checked: _Checked) -> dict[str, Any]:
    return {
        "file": checked.file,
        "functions": checked.functions,
        "helpers": checked.helpers,
        "problems": checked.problems,
    }


def _print(console: Console, checked: _Checked) -> None:
    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, soft_wrap=True)

    for function in checked.functions:
        at = f"{checked.file}:{function['line']}"
        line(f"{at}: {function['kind']} function {function['name']}{function['signature']}", "green")
        line(f"    {function['compiled']}", "dim")
    for helper in checked.helpers:
        line(f"{checked.file}:{helper['line']}: helper {helper['name']}: {helper['reason']}", "dim")
    for problem in checked.problems:
        line(f"{checked.file}:{problem['line']}: problem: {problem['problem']}", "red")
