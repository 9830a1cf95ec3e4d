"""What guests print, passed on to where the sandbox's user wants it, or to `logging`."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._text import printable, readable

if TYPE_CHECKING:
    from duckdb_wasi_udf._arrow.linear_memory import LinearMemory

LOGGER = logging.getLogger("duckdb_wasi_udf.guest")


# Of what is printed before an error, as much of the end as its `output` has.
_SHOWN_CHARACTERS = 8_000


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

    def deliver(self, label: str, text: str, dropped_bytes: int) -> None:
        """Pass on what one call printed.

        Args:
            label: the function's name in errors.
            text: what was printed, or the end of it.
            dropped_bytes: how much came before.
        """
        target, file = self._target, self._file
        logs = LOGGER.isEnabledFor(logging.INFO)
        if target is None and file is None:
            if not logs and _in_ipython():
                file = sys.stdout
            elif not logs:
                return
        lines = [f"... {dropped_bytes:,} bytes before this were dropped"] if dropped_bytes > 0 else []
        lines += [printable(line) for line in text.removesuffix("\n").split("\n")]
        if target is None and file is None:
            LOGGER.info("%s printed:\n%s", label, "\n".join(f"  | {line}" for line in lines))
            return
        try:
            if target is not None:
                target("\n".join(lines))
            else:
                file.write("\n".join(lines) + "\n")
        except Exception:
            LOGGER.exception("%s: what it printed can't be passed on to the sandbox's output", label)


def _in_ipython() -> bool:
    """Return whether this process is an IPython session, or the kernel of a notebook."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and get_ipython() is not None
