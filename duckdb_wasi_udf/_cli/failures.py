"""How a command ends: exit statuses, and every error as a message for people or as JSON."""

from __future__ import annotations

import enum
import json
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

from duckdb_wasi_udf._cli.terminal import errors_console, print_line
from duckdb_wasi_udf._errors import ArtifactError, Cancelled, GuestError, LimitExceeded, PackageError, WasiUdfError
from duckdb_wasi_udf._guests.recent_errors import error_of
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(enum.IntEnum):
    """Exit statuses of the process.

    Attributes:
        OK: Everything was done.
        FAILED: A query, a function or an example failed, or a check found a problem.
        USAGE: The command line is wrong: an option, a limit, a name, a column.
        FILE: A file or database isn't there, is of another kind, is locked, or can't be read or written.
        LIMIT: A function was stopped by a limit.
        INTERRUPTED: Ctrl-C.
        PIPE_CLOSED: Whatever reads the output has ended, as `head` does.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    FILE = 3
    LIMIT = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class CommandError(Exception):
    """A command can't do what it was asked for.

    Attributes:
        status: what the process ends with.
    """

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


def usage_error(message: str) -> CommandError:
    """Return the error for a command line that is wrong."""
    return CommandError(message, Status.USAGE)


def file_error(message: str) -> CommandError:
    """Return the error for a file or database that can't be used."""
    return CommandError(message, Status.FILE)


def failed_error(message: str) -> CommandError:
    """Return the error for a query, function or check that failed."""
    return CommandError(message, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is reported of an error.

    Attributes:
        message: for people; its first line says what went wrong.
        status: what the process ends with.
        kind: the class of the error.
        details: what else is known of it, for JSON.
    """

    message: str
    status: Status
    kind: str
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"message": self.message, "kind": self.kind, "exit_status": int(self.status), **self.details}


def failure_of(error: BaseException, files: Mapping[str, str] | None = None) -> Failure:
    """Return what is reported of an error.

    Args:
        error: one of this package, of DuckDB or of the operating system.
        files: the file that each function is from, by name: tracebacks then name the file.
    """
    own = error if isinstance(error, CommandError) else error_of(error) or error
    kind = type(own).__name__
    if isinstance(own, CommandError):
        return Failure(readable(str(own)), own.status, kind)
    if isinstance(own, (KeyboardInterrupt, Cancelled, duckdb.InterruptException)):
        return Failure("interrupted", Status.INTERRUPTED, kind)
    if isinstance(own, OSError):
        where = f"{own.filename}: " if own.filename else ""
        return Failure(readable(f"{where}{own.strerror or own}"), Status.FILE, kind)
    text = _with_files(readable(str(own)), files or {})
    return Failure(text, _status(own), kind, _details(own, files or {}))


def report(failure: Failure, *, as_json: bool) -> None:
    """Print an error, on stderr."""
    if as_json:
        print_line(json.dumps({"error": failure.as_json()}, ensure_ascii=False), sys.stderr)
        return
    console = errors_console()
    console.print("[bold red]error:[/] ", end="")
    console.print(failure.message, markup=False, highlight=False, soft_wrap=True)


def _status(error: BaseException) -> Status:
    if isinstance(error, LimitExceeded):
        return Status.LIMIT
    if isinstance(error, (ArtifactError, PackageError, duckdb.IOException)):
        return Status.FILE
    return Status.FAILED


def _details(error: BaseException, files: Mapping[str, str]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if isinstance(error, GuestError):
        details = {"type_name": error.type_name, "row": error.row, "arguments": list(error.arguments)}
        details["traceback"] = _with_files(error.guest_traceback, files)
    elif isinstance(error, LimitExceeded):
        details = {"limit": error.limit, "allowed": error.allowed, "row": error.row, "line": error.line}
    if isinstance(error, WasiUdfError) and error.output:
        details["output"] = error.output
    return {name: readable(value) if isinstance(value, str) else value for name, value in details.items()}


def _with_files(text: str, files: Mapping[str, str]) -> str:
    """Return a traceback with the files that functions are from, in place of the functions' names."""

    def named(found: re.Match[str]) -> str:
        file = files.get(found[1].lower())
        return found[0] if file is None else f'File "{file}"'

    return re.sub(r'File "<([^<>\n]+)>"', named, text)
