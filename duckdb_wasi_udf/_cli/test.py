"""`test`: the examples in files, run in the sandbox."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import typer

from duckdb_wasi_udf._cli import examples, options
from duckdb_wasi_udf._cli.connection import connect
from duckdb_wasi_udf._cli.failures import Status, failure_of
from duckdb_wasi_udf._cli.limits import parse_limits
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.sources import read_function_files
from duckdb_wasi_udf._cli.terminal import output_console, print_json, print_line
from duckdb_wasi_udf._sql.sandbox import Sandbox
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb_wasi_udf._cli.sources import FunctionFile

_NO_EXAMPLES = 'no examples: write ">>> f(1)" with its output in the next line, in docstrings or comments'


def run_examples(
    files: Annotated[list[str], typer.Argument(metavar="FILE.py|DIR...", help="Files of functions, or - for stdin.")],
    *,
    package: options.Packages = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """Run the examples of files in the sandbox.

    Examples are those of doctest, in docstrings and in comments: ">>> f(1)", with the output in the next lines.
    """
    with reported(as_json=json):
        limits, data_limits = parse_limits(settings or ())
        results: list[dict[str, Any]] = []
        read = read_function_files(files)
        with (
            connect(None) as con,
            Sandbox(limits=limits, data_limits=data_limits, packages=package or ()) as sandbox,
        ):
            for function in ("find_blocks", "run_block"):
                sandbox.create_function(con, function, inspect.getsource(examples), entry=function)
            for file in read:
                results += _run(con, file)
        failed = [result for result in results if result["outcome"] != "passed"]
        if json:
            print_json({"examples": results})
        else:
            for result in failed:
                _print(result)
            print_line(f"{len(results) - len(failed)} passed, {len(failed)} failed" if results else _NO_EXAMPLES)
        if failed or not results:
            raise typer.Exit(Status.FAILED)


def _run(con: duckdb.DuckDBPyConnection, file: FunctionFile) -> Iterator[dict[str, Any]]:
    """Run the examples of a file, each docstring by a call of its own: a limit ends no other one's."""
    if file.syntax_error is not None:
        note = file.syntax_error.note
        yield {
            "file": file.path,
            "line": file.syntax_error.line,
            "code": "",
            "want": "",
            "got": note,
            "outcome": "error",
        }
        return
    (blocks,) = con.execute("SELECT find_blocks($1)", [file.source]).fetchall()[0]
    for number, block in enumerate(blocks):
        try:
            query = "SELECT run_block($1, $2, $3)"
            (ran,) = con.execute(query, [file.source, file.path, number]).fetchall()[0]
        except duckdb.Error as error:
            failure = failure_of(error)
            if failure.status == Status.INTERRUPTED:
                raise
            message = failure.message.partition("\n")[0].removeprefix("run_block: ")
            ran = [{"line": block["line"], "code": "", "want": "", "got": message, "outcome": "error"}]
        for example in ran:
            texts = {name: readable(example[name]) for name in ("code", "want", "got", "outcome")}
            yield {"file": file.path, "line": int(example["line"]), **texts}


def _print(result: dict[str, Any]) -> None:
    console = output_console()

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, soft_wrap=True)

    line(f"{result['file']}:{result['line']}: {result['outcome']}: {result['code'].rstrip()}", "red")
    for title in ("want", "got"):
        if result["outcome"] == "failed" or title == "got":
            line(f"  {title}:", "dim")
            line("\n".join(f"    {text}" for text in (result[title].splitlines() or ["nothing"])))
