"""A line that shows how far a long query has come.

In a terminal DuckDB shows a bar of its own, so this is for notebooks only.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from IPython.display import display

from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._text import printable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# A query is long after this time, and the line is renewed as often as the second says.
_SILENT_SECONDS = 2.0
_RENEWED_SECONDS = 0.5

_SHOWN_LABEL = 60


class _Settings(Protocol):
    progress: bool


class Progress:
    """Shows rows and rows per second while a cell runs functions for more than two seconds."""

    def __init__(self, shell: InteractiveShell, settings: _Settings) -> None:
        """Prepare.

        Args:
            shell: IPython's shell.
            settings: whether there is a line.
        """
        self._shell = shell
        self._settings = settings
        self._over: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def load(self) -> None:
        """Watch cells from now on."""
        self._shell.events.register("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)

    def unload(self) -> None:
        """Watch cells no more."""
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.unregister("post_run_cell", self._end)
        self._end()

    def _begin(self, *_: object) -> None:
        if not self._settings.progress or self._thread is not None or not hasattr(self._shell, "kernel"):
            return
        self._over = threading.Event()
        line = _Line(self._over)
        self._thread = threading.Thread(target=line.run, name="duckdb-wasi-udf-progress", daemon=True)
        self._thread.start()

    def _end(self, *_: object) -> None:
        over, thread = self._over, self._thread
        self._over = self._thread = None
        if over is not None and thread is not None:
            over.set()
            thread.join()


class _Line:
    """The line of one cell."""

    def __init__(self, over: threading.Event) -> None:
        self._over = over
        self._handle: Any = None
        self._counted: dict[int, tuple[str, int]] = {}
        self._before: dict[int, int] = {}

    def run(self) -> None:
        """Show the line until the cell is over."""
        self._before = {key: rows for key, (_, rows) in _rows().items()}
        began = last_change = time.monotonic()
        if self._over.wait(_SILENT_SECONDS):
            return
        shown = ""
        rows = -1
        while True:
            over = self._over.wait(_RENEWED_SECONDS)
            counted = self._new_rows()
            total = sum(counted.values())
            if total != rows:
                rows, last_change = total, time.monotonic()
            if counted or state.ticker.running:
                text = _text(counted, (last_change if over else time.monotonic()) - began)
                if text != shown:
                    self._show(text)
                    shown = text
            if over:
                return

    def _new_rows(self) -> dict[str, int]:
        """Return the rows of each function since the cell began."""
        counted: dict[str, int] = {}
        for key, (label, rows) in _rows().items():
            new = rows - self._before.get(key, 0)
            if new:
                counted[label] = counted.get(label, 0) + new
        return counted

    def _show(self, text: str) -> None:
        """Show the line, or renew it."""
        if self._handle is None:
            self._handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": text}, raw=True)


def _rows() -> dict[int, tuple[str, int]]:
    """Return name and rows so far of each function there is, by its identity."""
    return {
        id(function): (function.signature.label, function.usage.rows)
        for domain in list(state.open_domains)
        for function in domain.counters.functions()
    }


def _text(counted: dict[str, int], seconds: float) -> str:
    """Return the line."""
    names = sorted(counted, key=lambda name: -counted[name])
    rows = sum(counted.values())
    label = printable(names[0].replace("\n", " ")) if names else "a function"
    label = label if len(label) <= _SHOWN_LABEL else f"{label[:_SHOWN_LABEL]}..."
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{label}{more}: {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} rows/s"
