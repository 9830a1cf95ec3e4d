"""Text for a terminal, or for whatever reads the output in its place."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from duckdb_wasi_udf._text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of output that no terminal shows: wide enough that no line is broken.
_WIDE = 100_000


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person looks at a stream."""
    return stream.isatty()


def output_console() -> Console:
    """Return what prints to stdout: with colours on a terminal, and lines of any length elsewhere."""
    return Console(file=sys.stdout, highlight=False, width=None if is_terminal(sys.stdout) else _WIDE)


def errors_console() -> Console:
    """Return what prints to stderr."""
    return Console(file=sys.stderr, highlight=False, width=None if is_terminal(sys.stderr) else _WIDE)


def print_line(text: str, stream: TextIO | None = None) -> None:
    """Print a line as it is, without colours, and without line breaks of the terminal's width."""
    print(text, file=sys.stdout if stream is None else stream)


def note(text: str) -> None:
    """Print what is worth knowing beside the output, on stderr."""
    errors_console().print(text, style="dim", markup=False, soft_wrap=True)


def print_table(
    columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str | None]], *, types: bool = True
) -> None:
    """Print a table to stdout.

    Args:
        columns: name and SQL type of each; numbers are aligned to the right.
        rows: the values as text, None for NULL. Characters that a terminal would act on are escaped.
        types: show the types, but for empty ones.
    """
    table = Table(box=box.ROUNDED)
    for name, sql_type in columns:
        heading = Text(printable(name))
        if types and sql_type:
            heading.append(f"\n{printable(sql_type)}", style="dim not bold")
        table.add_column(heading, justify="right" if _is_number(sql_type) else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text("NULL", style="dim") if value is None else Text(shown(value)) for value in row])
    output_console().print(table)


def shown(value: str) -> str:
    """Return a value on one line, with nothing that a terminal would act on."""
    return printable(value).replace("\t", "\\t")


def _is_number(sql_type: str) -> bool:
    plain = sql_type.partition("(")[0].upper()
    return plain.endswith(("INT", "INTEGER", "DECIMAL", "DOUBLE", "FLOAT")) and "[" not in sql_type


def prepare_streams() -> None:
    """Make stdout and stderr take any character, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Have what is left of the output go nowhere, so that the end of the process doesn't fail on it."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def write_output(data: bytes) -> None:
    """Write to stdout at once.

    Raises:
        BrokenPipeError: nobody reads it any more.
    """
    stream: Any = sys.stdout.buffer
    try:
        sys.stdout.flush()
        stream.write(data)
        stream.flush()
    except OSError as error:
        if error.errno == errno.EINVAL and sys.platform == "win32":  # as Windows calls it
            raise BrokenPipeError(errno.EPIPE, error.strerror) from error
        raise
