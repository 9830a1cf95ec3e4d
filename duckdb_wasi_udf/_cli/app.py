"""The commands, and the options of all of them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer import TyperException  # since 0.29

from duckdb_wasi_udf._cli import bench, check, explain, repl, run, sql, stored, test, upkeep
from duckdb_wasi_udf._cli.failures import CommandError, Failure, Status, report
from duckdb_wasi_udf._cli.terminal import abandon_output, prepare_streams, print_line
from duckdb_wasi_udf._version import __version__

app = typer.Typer(
    name="duckdb-wasi-udf",
    help="Untrusted Python inside DuckDB SQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("sql")(sql.sql)
app.command("repl")(repl.repl)
app.command("check")(check.check)
app.command("test")(test.run_examples)
app.command("run")(run.run)
app.command("list")(stored.list_functions)
app.command("show")(stored.show)
app.command("create")(stored.create)
app.command("drop")(stored.drop)
app.command("explain")(explain.explain)
app.command("bench")(bench.bench)
app.command("doctor")(upkeep.doctor)
app.command("compile")(upkeep.compile_guest)
app.add_typer(upkeep.cache, name="cache")
app.add_typer(upkeep.guest, name="guest")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes it
    if wanted:
        print_line(f"duckdb-wasi-udf {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit statuses: docs/reference/command-line.md")
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those of the process by default.

    Returns:
        The exit status.
    """
    prepare_streams()
    given = sys.argv[1:] if arguments is None else arguments
    command = typer.main.get_command(app)
    try:
        status = command.main(given, prog_name="duckdb-wasi-udf", standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as ended:
        return int(ended.exit_code)
    except TyperException as error:  # the command line is wrong
        message = getattr(error, "format_message", error.__str__)()
        if message.startswith("Usage:"):  # nothing was asked for
            print_line(message, sys.stderr)
            return Status.USAGE
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "duckdb-wasi-udf"
        message = f"{message.replace('Value error, ', '').rstrip('.')}: see {path} --help"
        report(Failure(message, Status.USAGE, CommandError.__name__), as_json="--json" in given)
        return Status.USAGE
    except (KeyboardInterrupt, typer.Abort):
        report(Failure("interrupted", Status.INTERRUPTED, "KeyboardInterrupt"), as_json="--json" in given)
        return Status.INTERRUPTED
    except BrokenPipeError:
        abandon_output()
        return Status.PIPE_CLOSED
    return status if isinstance(status, int) else Status.OK
