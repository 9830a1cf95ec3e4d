"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from duckdb_wasi_udf._cli.limits import DATA, RESOURCES
from duckdb_wasi_udf._cli.results import Format


def complete_limit(incomplete: str) -> list[str]:
    """Return what `--set` may be completed to."""
    return [f"{name}=" for name in (*RESOURCES, *DATA) if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON, errors on stderr included.")]

Db = Annotated[str | None, typer.Option("--db", metavar="FILE", help="Database file. Default: one in memory.")]
StoredDb = Annotated[str, typer.Option("--db", metavar="FILE", help="Database file with the functions.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Open the database for reading only.")]
New = Annotated[bool, typer.Option("--new", help="Create the database file if there is none.")]

Functions = Annotated[
    list[str] | None,
    typer.Option(
        "--functions",
        "-f",
        metavar="FILE.py|DIR",
        help="Python functions for the SQL, each under its own name. They run in the sandbox. May be repeated.",
    ),
]
Packages = Annotated[
    list[str] | None,
    typer.Option(
        "--package",
        metavar="REQUIREMENT|PATH",
        help="Pure-Python package that functions can import. May be repeated.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="LIMIT=VALUE",
        help="Limit, as in timeout_seconds=2.5. May be repeated.",
        autocompletion=complete_limit,
    ),
]
OutputFormat = Annotated[
    Format | None,
    typer.Option("--format", help="Format of the output. Default: by the file's name, and a table on stdout."),
]
OutputFile = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="File for the output. Default: stdout.")
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=1, metavar="N", help="Rows of a table.")]
FunctionName = Annotated[
    str | None,
    typer.Option("--function", metavar="NAME", help="The function that is meant. Default: the only one of the file."),
]
