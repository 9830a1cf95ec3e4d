"""What is around every command: errors become a message and an exit status."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb
import typer

from duckdb_wasi_udf._cli.failures import CommandError, Status, failure_of, report
from duckdb_wasi_udf._cli.terminal import abandon_output
from duckdb_wasi_udf._errors import WasiUdfError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@dataclass(slots=True)
class Report:
    """What errors are reported with.

    Attributes:
        files: the file that each function is from: see `failure_of`.
    """

    files: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def reported(*, as_json: bool) -> Iterator[Report]:
    """Report the error that the context ends in, and end the command with its status.

    Args:
        as_json: errors are JSON.
    """
    current = Report()
    try:
        with keeping_interrupts():
            yield current
    except BrokenPipeError:
        abandon_output()
        raise typer.Exit(Status.PIPE_CLOSED) from None
    except (CommandError, WasiUdfError, duckdb.Error, OSError, KeyboardInterrupt) as error:
        failure = failure_of(error, current.files)
        report(failure, as_json=as_json)
        raise typer.Exit(failure.status) from None


@contextlib.contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for any error after Ctrl-C was pressed: DuckDB makes a RuntimeError of it."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        if callable(before):
            before(number, frame)

    noting = callable(before) and threading.current_thread() is threading.main_thread()
    if noting:
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception as error:
        if pressed:
            raise KeyboardInterrupt from error
        raise
    finally:
        if noting:
            signal.signal(signal.SIGINT, before)
