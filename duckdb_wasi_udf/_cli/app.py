"""The commands, and the options of all of them."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any

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
# What --help shows below the options.
_EXAMPLES = {
    "sql": [
        """duckdb-wasi-udf sql "SELECT py_udf_varchar('lambda s: s.title()', 'ada')\"""",
        """duckdb-wasi-udf sql "SELECT gross(net) FROM 'in.csv'" -f prices.py -o out.csv""",
        """echo "FROM range(3)" | duckdb-wasi-udf sql - --format csv""",
    ],
    "repl": ["duckdb-wasi-udf repl --db shop.duckdb -f prices.py", "duckdb-wasi-udf repl < statements.sql"],
    "check": ["duckdb-wasi-udf check prices.py", "duckdb-wasi-udf check functions/ --json"],
    "test": ["duckdb-wasi-udf test prices.py"],
    "run": [
        "duckdb-wasi-udf run prices.py sales.parquet -o priced.parquet",
        "duckdb-wasi-udf run clean.py 'logs/*.csv.gz' --as text -o clean.parquet",
        "cat people.csv | duckdb-wasi-udf run names.py - --format csv",
    ],
    "list": ["duckdb-wasi-udf list --db shop.duckdb"],
    "show": ["duckdb-wasi-udf show gross --db shop.duckdb > gross.py"],
    "create": ["duckdb-wasi-udf create prices.py --db shop.duckdb --replace"],
    "drop": ["duckdb-wasi-udf drop gross --db shop.duckdb"],
    "explain": [
        "duckdb-wasi-udf explain prices.py --function gross",
        "duckdb-wasi-udf explain gross --db shop.duckdb",
    ],
    "bench": [
        "duckdb-wasi-udf bench prices.py --function gross",
        "duckdb-wasi-udf bench prices.py sales.parquet --unsandboxed",
    ],
    "doctor": ["duckdb-wasi-udf doctor"],
    "compile": ["duckdb-wasi-udf compile"],
    "cache info": ["duckdb-wasi-udf cache info"],
    "cache clear": ["duckdb-wasi-udf cache clear"],
    "guest info": ["duckdb-wasi-udf guest info", "duckdb-wasi-udf guest info --sbom > guest.cdx.json"],
}

_COMMANDS: dict[str, Callable[..., None]] = {
    "sql": sql.sql,
    "repl": repl.repl,
    "check": check.check,
    "test": test.run_examples,
    "run": run.run,
    "list": stored.list_functions,
    "show": stored.show,
    "create": stored.create,
    "drop": stored.drop,
    "explain": explain.explain,
    "bench": bench.bench,
    "doctor": upkeep.doctor,
    "compile": upkeep.compile_guest,
    "cache info": upkeep.cache_info,
    "cache clear": upkeep.cache_clear,
    "guest info": upkeep.guest_info,
}

_GROUPS = {
    "cache": typer.Typer(help="Look at what is kept on disk, or delete it.", no_args_is_help=True),
    "guest": typer.Typer(help="Look at the guest: the Python in the sandbox.", no_args_is_help=True),
}

for _path, _command in _COMMANDS.items():
    _group, _, _name = _path.rpartition(" ")
    _examples = "\n\n".join(["Examples:", *(f"  {example}" for example in _EXAMPLES[_path])])
    (_GROUPS[_group] if _group else app).command(_name, epilog=_examples)(_command)
for _name, _added in _GROUPS.items():
    app.add_typer(_added, name=_name)

_INTERRUPTED = Failure("interrupted", Status.INTERRUPTED, "KeyboardInterrupt")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes it
    if wanted:
        print_line(f"duckdb-wasi-udf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


@functools.cache
def _command_line() -> Any:
    """Return the commands as one object, which takes 10 ms to make."""
    return typer.main.get_command(app)


def _empty_argument(given: list[str]) -> str | None:
    """Return what is wrong with a command line that has an empty argument, as of a shell's variable that isn't set."""
    before = "duckdb-wasi-udf"
    for argument in given:
        if not argument:
            return f"the argument after {before} is empty"
        if re.fullmatch(r"--[a-z-]+=", argument):
            return f"the argument of {argument[:-1]} is empty"
        before = argument
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those of the process by default.

    Returns:
        The exit status.
    """
    prepare_streams()
    given = sys.argv[1:] if arguments is None else arguments
    # Two dashes and a space begin a comment of SQL, not an option.
    given = [f" {argument}" if argument[:3] in ("-- ", "--\n", "--\r", "--\t") else argument for argument in given]
    command = _command_line()
    as_json = "--json" in given
    empty = _empty_argument(given)
    if empty is not None:
        report(Failure(empty, Status.USAGE, CommandError.__name__), as_json=as_json)
        return Status.USAGE
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
        report(Failure(message, Status.USAGE, CommandError.__name__), as_json=as_json)
        return Status.USAGE
    except (KeyboardInterrupt, typer.Abort):
        report(_INTERRUPTED, as_json=as_json)
        return Status.INTERRUPTED
    except BrokenPipeError:
        abandon_output()
        return Status.PIPE_CLOSED
    if status == Status.INTERRUPTED and not isinstance(status, Status):  # typer's, of Ctrl-C beside the command itself
        report(_INTERRUPTED, as_json=as_json)
    return status if isinstance(status, int) else Status.OK
