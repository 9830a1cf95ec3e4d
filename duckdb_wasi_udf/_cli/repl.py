"""`repl`: SQL statement after statement, with functions of files."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb
import typer

from duckdb_wasi_udf._cli import options, results
from duckdb_wasi_udf._cli.failures import CommandError, Status, failure_of, report, usage_error
from duckdb_wasi_udf._cli.reporting import keeping_interrupts, reported
from duckdb_wasi_udf._cli.session import SessionOptions, open_session
from duckdb_wasi_udf._cli.sources import read_function_files, read_text
from duckdb_wasi_udf._cli.sql import MAX_ROWS, is_complete, run_statement, statements_of
from duckdb_wasi_udf._cli.terminal import is_terminal, note, print_line
from duckdb_wasi_udf._errors import WasiUdfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb_wasi_udf._cli.results import Output
    from duckdb_wasi_udf._cli.session import Session

_HELP = """\
SQL ends with a semicolon and may have many lines. Ctrl-C stops a query or clears the input, Ctrl-D ends.
.functions        list the Python functions
.tables           list tables and views
.read FILE        run a file of SQL, or register a file of Python functions
.explain NAME     print whether a function is compiled
.mode FORMAT      print results as table, csv, json or jsonl
.timer on|off     print how long statements take
.help             print this
.quit             end"""


def repl(
    *,
    db: options.Db = None,
    read_only: options.ReadOnly = False,
    new: options.New = False,
    functions: options.Functions = None,
    package: options.Packages = None,
    settings: options.Settings = None,
    format: options.OutputFormat = None,  # noqa: A002 - the option's name
    max_rows: options.MaxRows = MAX_ROWS,
    json: options.Json = False,
) -> None:
    """Type SQL: with many lines, history, completion and times.

    Statements that don't come from a terminal are run one after another, up to the end of the input.
    """
    with reported(as_json=json):
        output = results.choose_output(None, results.with_json(format, as_json=json), max_rows)
        if output.format is results.Format.PARQUET:
            msg = "the repl prints text: choose table, csv, json or jsonl"
            raise usage_error(msg)
        opened = SessionOptions(
            db=db,
            read_only=read_only,
            new=new,
            functions=functions,
            packages=package,
            settings=settings,
        )
        with open_session(opened) as session:
            at_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
            loop = Loop(session, output, timer=at_terminal, errors_as_json=json)
            for text in _typed(session) if at_terminal else _piped():
                if not loop.run(text):
                    break
        if not at_terminal and loop.status:
            raise typer.Exit(loop.status)


@dataclass(slots=True)
class Loop:
    """What input after input is run with.

    Attributes:
        session: where.
        output: how results are printed.
        timer: print how long statements take.
        errors_as_json: print errors as JSON.
        status: what the last error would end a process with; 0 without one.
    """

    session: Session
    output: Output
    timer: bool
    errors_as_json: bool = False
    status: int = Status.OK

    def run(self, text: str) -> bool:
        """Run an input, and report its error if there is one.

        Args:
            text: statements, or a command that begins with a dot.

        Returns:
            False if it was the last.
        """
        began = time.perf_counter()
        try:
            with keeping_interrupts():
                if text.strip().startswith("."):
                    return self._command(text.split())
                self._statements(text)
        except (CommandError, WasiUdfError, duckdb.Error, OSError, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError):
                raise
            failure = failure_of(error, self.session.files)
            report(failure, as_json=self.errors_as_json)
            self.status = failure.status
        if self.timer:
            note(f"{time.perf_counter() - began:.3f} s")
        return True

    def _statements(self, text: str) -> None:
        if not text.strip(" \t\r\n;"):
            return
        for statement in statements_of(text):
            run_statement(self.session, statement, self.output, wanted=True)

    def _command(self, words: list[str]) -> bool:
        name, arguments = words[0].lower(), words[1:]
        if name in (".quit", ".exit"):
            return False
        commands: dict[str, tuple[int, Callable[..., None]]] = {
            ".help": (0, lambda: print_line(_HELP)),
            ".functions": (0, lambda: self._statements(_FUNCTIONS)),
            ".tables": (0, lambda: self._statements("SHOW TABLES")),
            ".read": (1, self._read),
            ".explain": (1, lambda function: print_line(f"{function}{self.session.sandbox.explain(function)}")),
            ".mode": (1, self._mode),
            ".timer": (1, self._timer),
        }
        if name not in commands:
            msg = f"there is no command {name}; there are: {', '.join([*commands, '.quit'])}"
            raise usage_error(msg)
        wanted, command = commands[name]
        if len(arguments) != wanted:
            msg = f"{name} takes {wanted} argument(s), got {len(arguments)}"
            raise usage_error(msg)
        command(*arguments)
        return True

    def _read(self, path: str) -> None:
        if not path.lower().endswith(".py"):
            self._statements(read_text(path, "a file of SQL"))
            return
        for file in read_function_files([path]):
            names = ", ".join(item.name for item in self.session.add(file, replace=True))
            note(f"{path}: {names or 'no functions with SQL types'}")

    def _mode(self, name: str) -> None:
        modes = [mode for mode in results.Format if mode is not results.Format.PARQUET]
        if name not in modes:
            msg = f".mode takes one of {', '.join(modes)}, got {name!r}"
            raise usage_error(msg)
        self.output = replace(self.output, format=results.Format(name))

    def _timer(self, name: str) -> None:
        if name not in ("on", "off"):
            msg = f".timer takes on or off, got {name!r}"
            raise usage_error(msg)
        self.timer = name == "on"


_FUNCTIONS = (
    "SELECT name, kind, signature, calls, rows, errors FROM py_functions() WHERE created_by <> 'query' ORDER BY 1"
)


def _piped() -> Iterator[str]:
    """Return the inputs that come from a file or another program."""
    text = ""
    for line in sys.stdin:
        text += line
        if is_complete(text):
            yield text
            text = ""
    if text.strip():
        yield text


def _typed(session: Session) -> Iterator[str]:
    """Return the inputs that a person types."""
    try:
        from duckdb_wasi_udf._cli.prompt import Prompt  # noqa: PLC0415 - takes a quarter of a second, for this alone
    except ImportError as error:
        msg = f"the repl needs another library ({error}): pip install 'duckdb-wasi-udf[cli]'"
        raise usage_error(msg) from error
    print_line("SQL with Python functions in a sandbox; .help for help")
    prompt = Prompt(session.con)
    while (text := prompt.ask()) is not None:
        yield text
