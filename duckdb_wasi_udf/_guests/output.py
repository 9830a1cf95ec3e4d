"""What guests print, passed on to where the sandbox's user wants it, or to `logging`."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._text import printable, readable

if TYPE_CHECKING:
    from duckdb_wasi_udf._arrow.linear_memory import LinearMemory

LOGGER = logging.getLogger("duckdb_wasi_udf.guest")


# Of what is printed before an error, as much of the end as its `output` has.
_SHOWN_CHARACTERS = 8_000


# What the functions of a sandbox may print into one cell of a notebook, whose file keeps it.
_CELL_CHARACTERS = 64_000


def shown_output(text: str) -> str:
    """Return the end of what a guest printed, as errors have it: nothing in it that a terminal acts on."""
    return readable(text[-_SHOWN_CHARACTERS:])[-_SHOWN_CHARACTERS:]


def take_output(memory: LinearMemory, pointer: int, most_bytes: int) -> tuple[str, int]:
    """Return what a guest has printed since last time, or the end of it, and the number of bytes before that.

    Args:
        memory: the guest's memory.
        pointer: where the guest says its `udf_output` is.
        most_bytes: `ResourceLimits.output_bytes`.

    Raises:
        ProtocolError: it isn't inside the memory.
    """
    start, length, total = _abi.OUTPUT_STRUCT.unpack(memory.read(pointer, _abi.OUTPUT_STRUCT.size))
    if not total:
        return "", 0
    kept = min(length, most_bytes)
    text = memory.read(start + length - kept, kept).decode(errors="replace")
    memory.write(pointer & 0xFFFF_FFFF, _abi.OUTPUT_STRUCT.pack(start, 0, 0))
    return text, total - kept


class Output:
    """Where the output of a sandbox's guests goes.

    Control characters are escaped, so that a guest can't write to a terminal, nor log records of its own invention.
    """

    def __init__(self, target: object = None) -> None:
        """Choose where.

        Args:
            target: a callable that takes text, such as `print`; or a text file, such as `sys.stdout`. None for the
                logger, or in IPython, unless the logger has a level for it, for `sys.stdout`.

        Raises:
            TypeError: it is neither.
        """
        write = getattr(target, "write", None)
        if target is not None and not callable(target) and not callable(write):
            msg = f"output is a callable such as print, a text file such as sys.stdout, or None; got {target!r:.200}"
            raise TypeError(msg)
        self._target: Any = target if write is None else None
        self._file: Any = target if write is not None else None
        self._cell = _Cell()

    def deliver(self, label: str, text: str, dropped_bytes: int, rows: range | None = None) -> None:
        """Pass on what one call printed.

        Args:
            label: the function's name in errors.
            text: what was printed, or the end of it.
            dropped_bytes: how much came before.
            rows: the rows of the batch that the call was for; None for a call that wasn't for rows.
        """
        target, file = self._target, self._file
        logs = LOGGER.isEnabledFor(logging.INFO)
        shell = None
        if target is None and file is None and not logs:
            shell = _ipython()
            if shell is None:
                return
        lines = [f"... {dropped_bytes:,} bytes before this were dropped"] if dropped_bytes > 0 else []
        lines += [printable(line) for line in text.removesuffix("\n").split("\n")]
        if target is None and file is None and shell is None:
            LOGGER.info("%s printed:\n%s", label, "\n".join(f"  | {line}" for line in lines))
            return
        try:
            if shell is not None:
                self._cell.write(shell.execution_count, f"{printable(label)}{_place(rows)} printed:", lines)
            elif target is not None:
                target("\n".join(lines))
            else:
                file.write("\n".join(lines) + "\n")
        except Exception:
            LOGGER.exception("%s: what it printed can't be passed on to the sandbox's output", label)


class _Cell:
    """Writes to the cell of a notebook that runs, up to a number of characters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = -1
        self._written = 0

    def write(self, number: int, heading: str, lines: list[str]) -> None:
        """Write lines below a heading.

        Args:
            number: the number of the cell.
            heading: says whose lines they are.
            lines: what was printed. Each is marked, so that none looks like a heading.
        """
        text = "".join([f"{heading}\n", *(f"  | {line}\n" for line in lines)])
        with self._lock:
            if number != self._number:
                self._number, self._written = number, 0
            left = _CELL_CHARACTERS - self._written
            if left < 0:
                return
            self._written += len(text)
            if len(text) > left:
                text = f"{text[:left]}\n... the rest isn't shown in this cell; Sandbox(output=...) receives all of it\n"
        sys.stdout.write(text)


def _place(rows: range | None) -> str:
    """Return in words which rows of a batch a call was for."""
    if not rows:
        return ""
    if len(rows) == 1:
        return f", row {rows.start} of the batch,"
    return f", rows {rows.start} to {rows.stop - 1} of the batch,"


def _ipython() -> Any:
    """Return the shell of this process if it is an IPython session, or the kernel of a notebook; else None."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()
