"""`explain`: whether functions are compiled, and why not."""

from __future__ import annotations

from typing import Annotated

import typer

from duckdb_wasi_udf._cli import options
from duckdb_wasi_udf._cli.failures import usage_error
from duckdb_wasi_udf._cli.functions import choose, define
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.session import SessionOptions, open_session
from duckdb_wasi_udf._cli.sources import read_function_file
from duckdb_wasi_udf._cli.terminal import print_json, print_line


def explain(
    what: Annotated[str, typer.Argument(metavar="FILE.py|NAME", help="A file, or with --db a stored function.")],
    *,
    function: options.FunctionName = None,
    db: options.Db = None,
    package: options.Packages = None,
    json: options.Json = False,
) -> None:
    """Print whether a function is compiled to WebAssembly, and if not, because of which line."""
    with reported(as_json=json) as report:
        if db is not None and function is not None:
            msg = "--function is for a file; with --db the first argument is the name of the function"
            raise usage_error(msg)
        opened = SessionOptions(db=db, read_only=db is not None, packages=package)
        with open_session(opened) as session:
            report.files = session.files
            name = what
            if db is None:
                file = read_function_file(what)
                item = choose(file, function)
                define(session, file, item, ("scalar", "helper", "aggregate", "table"))
                name = item.name
            text = session.sandbox.explain(name)
        if json:
            print_json({"name": name, "explanation": text})
        else:
            print_line(f"{name}{text}")
