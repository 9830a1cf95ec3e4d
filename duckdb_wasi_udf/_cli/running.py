"""A query under way: stopped by Ctrl-C at any point, with its progress shown if it takes long."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

import duckdb
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from duckdb_wasi_udf._cli.terminal import OutputBytes, errors_console, is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb_wasi_udf._cli.session import Session

_Result = TypeVar("_Result")

# The main thread looks this often whether Ctrl-C was pressed: on Windows waiting isn't interrupted.
_POLL_SECONDS = 0.05

# A query that takes no longer shows nothing.
_SILENT_SECONDS = 2.0

# How long a query may take to end once it was stopped.
_STOP_SECONDS = 10.0

_PIPE_BYTES = 2**16


class _Work(Generic[_Result]):
    """A call on a thread of its own."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self._call = call
        self._result: list[_Result] = []
        self._error: BaseException | None = None
        self.done = threading.Event()
        self.started = False

    def start(self) -> None:
        self.started = True
        threading.Thread(target=self._run, name="query", daemon=True).start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is wanted
            self._error = error
        finally:
            self.done.set()

    def result(self) -> _Result:
        if self._error is not None:
            raise self._error
        return self._result[0]


def run(session: Session, call: Callable[[], _Result], *, progress: bool = True) -> _Result:
    """Run a query on a thread of its own, so that this one hears of Ctrl-C while DuckDB doesn't look for it.

    Args:
        session: whose connection is used.
        call: runs the query.
        progress: show how far it is, on a terminal.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    with _progress_settings(session, progress=progress) as shown:
        work = _Work(call)
        with _stopping(session, work), _progress_line(session) if shown else contextlib.nullcontext() as update:
            work.start()
            while not work.done.wait(_POLL_SECONDS):
                if update is not None:
                    update()
        return work.result()


def run_to_stdout(session: Session, copy: Callable[[str], object]) -> None:
    """Run a query that writes to a file which is a pipe, and pass on to stdout what it writes as soon as it does.

    Args:
        session: whose connection is used.
        copy: runs the query, which writes to the file of this name.

    Raises:
        BrokenPipeError: nobody reads stdout any more.
        KeyboardInterrupt: it was stopped.
    """
    reading, writing = os.pipe()

    def call() -> None:
        try:
            copy(f"/dev/fd/{writing}")
        finally:
            os.close(writing)

    with os.fdopen(reading, "rb", buffering=0) as pipe:
        work = _Work(call)
        with _stopping(session, work, lambda: _drain(pipe.fileno())):
            work.start()
            output = OutputBytes()
            while data := pipe.read(_PIPE_BYTES):
                output.write(data)
            work.done.wait()
    work.result()


def _drain(descriptor: int) -> None:
    """Read what is in a pipe, so that whoever writes to it goes on."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, _PIPE_BYTES):
            pass


@contextlib.contextmanager
def _stopping(session: Session, work: _Work[_Result], drain: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Stop the work if the context ends before it does, as by Ctrl-C or because nobody wants the output."""
    try:
        yield
    except BaseException:
        give_up = time.monotonic() + _STOP_SECONDS
        while work.started and not work.done.wait(_POLL_SECONDS) and time.monotonic() < give_up:
            with contextlib.suppress(duckdb.Error):
                session.con.interrupt()
            session.sandbox.cancel()
            drain()
        raise


@contextlib.contextmanager
def _progress_settings(session: Session, *, progress: bool) -> Iterator[bool]:
    """Have DuckDB know how far a query is, if that is to be shown; return whether it is."""
    if not progress or not is_terminal(sys.stderr):
        yield False
        return
    session.con.execute("SET enable_progress_bar_print = false; SET enable_progress_bar = true")
    yield True


@contextlib.contextmanager
def _progress_line(session: Session) -> Iterator[Callable[[], None]]:
    """Return what shows how far a query is, once it has taken long enough."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[rows]}"))
    line = Progress(*columns, console=errors_console(), transient=True)
    task = line.add_task("running", total=None, rows="")
    began, rows_before = time.monotonic(), session.sandbox.usage().rows

    def update() -> None:
        seconds = time.monotonic() - began
        if seconds < _SILENT_SECONDS:
            return
        line.start()
        rows = session.sandbox.usage().rows - rows_before
        percent = session.con.query_progress()
        speed = f"{rows:,} rows, {rows / seconds:,.0f} a second" if rows else ""
        line.update(task, completed=max(percent, 0), total=100 if percent >= 0 else None, rows=speed)

    try:
        yield update
    finally:
        line.stop()
