"""A connection with a sandbox and the functions of files: what most commands work on."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from duckdb_wasi_udf._cli.connection import connect
from duckdb_wasi_udf._cli.failures import CommandError, failed_error, failure_of, usage_error
from duckdb_wasi_udf._cli.limits import parse_limits
from duckdb_wasi_udf._cli.sources import check_syntax, create_functions, read_function_files
from duckdb_wasi_udf._cli.terminal import note, print_line
from duckdb_wasi_udf._sql.sandbox import Sandbox
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from duckdb_wasi_udf._cli.outline import Item
    from duckdb_wasi_udf._cli.sources import FunctionFile


@dataclass(slots=True)
class Session:
    """What a command works on.

    Attributes:
        con: the connection.
        sandbox: what its functions run in.
        files: the file that each function is from, by name in lower case: for tracebacks.
    """

    con: duckdb.DuckDBPyConnection
    sandbox: Sandbox
    files: dict[str, str] = field(default_factory=dict)

    def add(self, file: FunctionFile, *, replace: bool = False) -> list[Item]:
        """Register the functions of a file, and return them.

        Args:
            file: the file.
            replace: functions of these names may be there.

        Raises:
            CommandError: one can't be, has the name of another file's, or there is none.
        """
        check_syntax(file)
        for item in file.functions:
            other = self.files.get(item.name.lower())
            if other not in (None, file.path) and not replace:
                msg = f"{file.at(item)}: the function {item.name} is in {other} too; rename one, or leave out a file"
                raise usage_error(msg)
            self.files[item.name.lower()] = file.path
        created = create_functions(self.con, self.sandbox, file, replace=replace)
        for item, error in created.problems:
            failure = failure_of(error, self.files)
            msg = f"{file.at(item)}: {failure.message}"
            raise CommandError(msg, failure.status) from error
        return created.functions


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a session is made of.

    Attributes:
        db: the database file; None for one in memory.
        read_only: nothing is written to it.
        new: it is created if it isn't there; None if the command has no such option.
        functions: files and directories of functions; None, like that of the next two, if the option wasn't given.
        packages: what functions can import: see `Sandbox`.
        settings: limits, as the option `--set` has them.
        compiled: long-running functions are compiled.
    """

    db: str | None = None
    read_only: bool = False
    new: bool | None = None
    functions: Sequence[str] | None = None
    packages: Sequence[str] | None = None
    settings: Sequence[str] | None = None
    compiled: bool = True


@contextlib.contextmanager
def open_session(options: SessionOptions, *, quiet: bool = False) -> Iterator[Session]:
    """Open a database, install a sandbox and register functions, until the end of the context.

    Args:
        options: what it is made of.
        quiet: don't print warnings, as of stored functions that can't be restored.

    Raises:
        CommandError: the database can't be opened, a limit isn't one, or a function can't be registered.
    """
    limits, data_limits = parse_limits(options.settings or ())
    files = read_function_files(options.functions or ())
    with contextlib.ExitStack() as stack:
        stack.enter_context(_warnings_as_notes(quiet=quiet))
        con = stack.enter_context(connect(options.db, read_only=options.read_only, new=options.new))
        sandbox = stack.enter_context(
            Sandbox(
                limits=limits,
                data_limits=data_limits,
                packages=options.packages or (),
                compiled=options.compiled,
                output=lambda text: print_line(text, sys.stderr),
            )
        )
        session = Session(con, sandbox)
        con.execute("SET python_enable_replacements = false")  # FROM names tables, not variables of this program
        sandbox.install(con)
        for file in files:
            if not session.add(file):
                msg = f"{file.path} defines no function whose parameters and result are annotated with SQL types"
                raise failed_error(msg)
        yield session


class _Notes(logging.Handler):
    """Prints warnings of the package beside the output."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"warning: {readable(record.getMessage())}")


@contextlib.contextmanager
def _warnings_as_notes(*, quiet: bool) -> Iterator[None]:
    """Print what the package logs as warnings, such as stored functions that can't be restored."""
    logger, handler = logging.getLogger("duckdb_wasi_udf"), logging.NullHandler() if quiet else _Notes(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
