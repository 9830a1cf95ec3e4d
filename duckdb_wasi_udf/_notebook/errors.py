"""Errors in IPython: the user's line, what went wrong in the sandbox, and nothing in between."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
from IPython.display import publish_display_data

from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._guests.recent_errors import error_of
from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# What DuckDB raises after Ctrl-C; another error that comes later isn't the interrupt's.
_INTERRUPTED = (duckdb.Error, WasiUdfError, RuntimeError, KeyboardInterrupt, asyncio.CancelledError)
_INTERRUPT_SECONDS = 5.0

# The modules whose frames say nothing to a user: this package's, DuckDB's, and IPython's around a magic.
_HIDDEN = ("duckdb_wasi_udf", "duckdb", "_duckdb", "IPython")


class _Settings(Protocol):
    short_errors: bool


class ErrorDisplay:
    """Shows errors of this package, and of queries that were interrupted; all others as IPython does."""

    def __init__(self, shell: InteractiveShell, settings: _Settings) -> None:
        """Prepare.

        Args:
            shell: IPython's shell.
            settings: whether errors are short.
        """
        self._shell = shell
        self._settings = settings
        self._cell_began = time.monotonic()
        self._rendered: BaseException | None = None
        # What another extension has set; it goes first.
        self._before: tuple[tuple[type[BaseException], ...], Any] = ((), None)

    def load(self) -> None:
        """Show errors from now on."""
        shell = self._shell
        self._before = (shell.custom_exceptions, shell.CustomTB)
        shell.set_custom_exc((*shell.custom_exceptions, *_INTERRUPTED), self._handle)
        shell.events.register("pre_run_cell", self._begin_cell)
        shell.events.register("post_run_cell", self._end_cell)

    def unload(self) -> None:
        """Leave errors to IPython again."""
        self._shell.custom_exceptions, self._shell.CustomTB = self._before
        self._shell.events.unregister("pre_run_cell", self._begin_cell)
        self._shell.events.unregister("post_run_cell", self._end_cell)

    def show(self, error: BaseException) -> None:
        """Show an exception that was caught outside of the cell's code, so without frames that are the user's."""
        self._handle(self._shell, type(error), error, None)

    def _begin_cell(self, *_: object) -> None:
        self._cell_began = time.monotonic()

    def _handle(
        self,
        shell: InteractiveShell,
        kind: type[BaseException],
        error: BaseException,
        traceback: TracebackType | None,
        tb_offset: int | None = None,
    ) -> object:
        exceptions, handler = self._before
        if handler is not None and isinstance(error, exceptions):
            return handler(kind, error, traceback, tb_offset=tb_offset)
        ours = error_of(error) if isinstance(error, duckdb.Error | WasiUdfError) else None
        if self._was_interrupted(error):
            seconds = time.monotonic() - self._cell_began
            line = f"Interrupted: the query was stopped after {seconds:.1f} s. The connection can be used further."
            self._show(error, traceback, [line])
        elif ours is None or not self._settings.short_errors:
            shell.showtraceback((kind, error, traceback), tb_offset=tb_offset, running_compiled_code=True)
        else:
            self._show_short(error, ours, traceback)
        return None

    def _was_interrupted(self, error: BaseException) -> bool:
        """Return whether an error is a query's that was stopped; other code has its KeyboardInterrupt."""
        at = state.ticker.interrupted_at(during_calls=isinstance(error, KeyboardInterrupt | asyncio.CancelledError))
        return at >= self._cell_began and time.monotonic() - at < _INTERRUPT_SECONDS

    def _show_short(self, error: BaseException, ours: WasiUdfError, traceback: TracebackType | None) -> None:
        """Show the user's frames; in a notebook the rest as HTML, in a terminal as text."""
        shell, shown = self._shell, ours
        if hasattr(shell, "kernel"):
            shown = copy.copy(ours)
            shown.args = (ours.summary,)
            shown.__cause__ = ours.__cause__  # what failed on the host
            publish_display_data({"text/plain": str(ours), "text/html": ours._repr_html_()})
        if traceback is None:
            lines = list(shell.InteractiveTB.get_exception_only(type(shown), shown))
        else:
            lines = shell.InteractiveTB.structured_traceback(type(shown), shown, _users(traceback))
        self._show(error, traceback, lines)

    def _show(self, error: BaseException, traceback: TracebackType | None, lines: list[str]) -> None:
        """Show lines in the place of a traceback, which `%tb` and `%debug` have as a whole."""
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
        with contextlib.suppress(AttributeError):
            # IPython formats the error once more for its history, which takes half a second.
            error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
            self._rendered = error
        self._shell._showtraceback(type(error), error, lines)

    def _end_cell(self, *_: object) -> None:
        error, self._rendered = self._rendered, None
        if error is not None:
            del error._render_traceback_  # type: ignore[attr-defined]


def _users(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames that say nothing to a user, but for the first, which IPython skips."""
    entries = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    rest: TracebackType | None = None
    for place in range(len(entries) - 1, -1, -1):
        entry = entries[place]
        module = str(entry.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if place and module in _HIDDEN:
            continue
        rest = TracebackType(rest, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return rest
