"""Text for a terminal, or for whatever reads the output in its place."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from duckdb_wasi_udf._text import printable, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of output that no terminal shows: wide enough that no line is broken.
_WIDE = 1_000_000

# A column takes as much of a terminal's width at least, with its border; those that don't fit aren't shown.
_NARROWEST = 9


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person looks at a stream."""
    return stream.isatty()


class _Console(Console):
    """A console that shows text as it is, and leaves a closed pipe to the command."""

    def __init__(self, stream: TextIO) -> None:
        width = None if is_terminal(stream) else _WIDE
        super().__init__(file=stream, highlight=False, emoji=False, width=width)

    def on_broken_pipe(self) -> None:
        """Raise the error, which would end the process otherwise."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def output_console() -> Console:
    """Return what prints to stdout: with colours on a terminal, and lines of any length elsewhere."""
    return _Console(sys.stdout)


def errors_console() -> Console:
    """Return what prints to stderr."""
    return _Console(sys.stderr)


def print_line(text: str, stream: TextIO | None = None) -> None:
    """Print a line as it is, without colours, and without line breaks of the terminal's width."""
    print(text, file=sys.stdout if stream is None else stream)


def print_json(value: Any) -> None:
    """Print a JSON document, with nothing that a terminal would act on."""
    print_line(json.dumps(value, ensure_ascii=is_terminal(sys.stdout), indent=2))


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
    console = output_console()
    on_terminal = is_terminal(sys.stdout)
    shown_columns = columns[: max(console.width // _NARROWEST, 1)]
    table = Table(box=box.ROUNDED)
    texts = [
        [Text("NULL", style="dim") if value is None else Text(shown(value)) for value in row[: len(shown_columns)]]
        for row in rows
    ]
    headings = [[printable(name), printable(sql_type) if types else ""] for name, sql_type in shown_columns]
    widths = [
        max(*map(cell_len, heading), *(row[at].cell_len for row in texts), 1) for at, heading in enumerate(headings)
    ]
    width = _widest(widths, console.width - 3 * len(widths) - 1) if on_terminal else None
    for name, sql_type in shown_columns:
        heading = Text(printable(name))
        if types and sql_type:
            heading.append(f"\n{printable(sql_type)}", style="dim not bold")
        justify: Literal["left", "right"] = "right" if _is_number(sql_type) else "left"
        table.add_column(heading, justify=justify, no_wrap=on_terminal, overflow="ellipsis", max_width=width)
    for row in texts:
        table.add_row(*row)
    console.print(table)
    if len(shown_columns) < len(columns):
        note(f"the first {len(shown_columns)} of {len(columns)} columns")


def _widest(widths: list[int], room: int) -> int:
    """Return how wide a column may be so that all have room together: long ones are cut, and the others stay whole."""
    narrowest_first = sorted(widths)
    for at, width in enumerate(narrowest_first):
        share = room // (len(widths) - at)
        if width > share:
            return max(share, 1)
        room -= width
    return narrowest_first[-1]


def shown(value: str) -> str:
    """Return a value on one line, with nothing that a terminal would act on."""
    return printable(value).replace("\t", "\\t")


def _is_number(sql_type: str) -> bool:
    plain = sql_type.partition("(")[0].upper()
    return plain.endswith(("INT", "INTEGER", "DECIMAL", "DOUBLE", "FLOAT")) and "[" not in sql_type


def prepare_streams() -> None:
    """Make stdout and stderr take any character, whatever their encoding."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started the process
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Have what is left of the output go nowhere, so that the end of the process doesn't fail on it."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class OutputBytes:
    """Text in pieces of bytes, written to stdout: as it is, but to a terminal with nothing that it would act on."""

    def __init__(self, *, is_text: bool = True) -> None:
        """Prepare to write.

        Args:
            is_text: it is text in UTF-8.
        """
        escaped = is_text and is_terminal(sys.stdout)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if escaped else None

    def write(self, data: bytes) -> None:
        """Write a piece at once.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        if self._decoder is not None:
            data = readable(self._decoder.decode(data).replace("\r\n", "\n")).encode()
        stream: Any = sys.stdout.buffer
        try:
            sys.stdout.flush()
            stream.write(data)
            stream.flush()
        except OSError as error:
            if error.errno == errno.EINVAL and sys.platform == "win32":  # as Windows calls it
                raise BrokenPipeError(errno.EPIPE, error.strerror) from error
            raise
