"""Whether the main thread is still inside one and the same call into C."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from typing import TYPE_CHECKING

from duckdb_wasi_udf._process.steady_clock import SteadyClock

if TYPE_CHECKING:
    from collections.abc import Iterator

# `int PySet_Clear(PyObject *)` as the pending call: it returns 0, and a set that is empty shows that it ran. A Python
# function would not do: a signal handler may raise at its first instruction.
_CLEAR = ctypes.cast(ctypes.pythonapi.PySet_Clear, ctypes.c_void_p).value
_add_pending_call = ctypes.pythonapi.Py_AddPendingCall
_add_pending_call.argtypes = (ctypes.c_void_p, ctypes.py_object)
_keep_for_ever = ctypes.pythonapi.Py_IncRef
_keep_for_ever.argtypes = (ctypes.py_object,)

# How often other threads look while the main thread runs Python: one look takes some microseconds.
_BETWEEN_LOOKS_SECONDS = 0.001


class MainThread:
    """Follows the main thread from another one.

    The main thread makes a "pending call" when it enters a function, ends a call or jumps back
    (https://docs.python.org/3/c-api/init.html#c.Py_AddPendingCall). So while such a call is pending and the main thread
    is at the same instruction of the same frame, it has run no Python: it is inside the C code that it was in before,
    DuckDB's say, even if a signal handler written in C was run from there.

    Attributes:
        ident: The thread's identifier, as of `threading.get_ident`.
    """

    def __init__(self) -> None:
        self.ident = threading.main_thread().ident
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._marker: set[int] = set()
        _keep_for_ever(self._marker)  # a pending call has its address but no reference to it
        self._position: tuple[int, int] | None = None
        self._stays = 0

    def look(self) -> None:
        """Note where the main thread is."""
        with self._lock:
            self._looked_at = SteadyClock.now()
            has_moved = not self._marker
            if has_moved:
                self._marker.add(1)
                if _add_pending_call(_CLEAR, self._marker):  # too many are pending
                    self._marker.clear()
            position = self._current_position()
            if has_moved or position != self._position:
                self._position = position
                self._stays += 1

    def look_if_it_has_moved(self) -> None:
        """Look, if the main thread has run Python since the last look and that was a while ago."""
        if not self._marker and SteadyClock.now() - self._looked_at > _BETWEEN_LOOKS_SECONDS:
            self.look()

    def stay(self) -> int | None:
        """Return which call the main thread has been inside since a look, as a number; None if it has run Python."""
        with self._lock:
            stays = self._marker and self._position is not None and self._current_position() == self._position
            return self._stays if stays else None

    def _current_position(self) -> tuple[int, int] | None:
        with _without_gc():
            frame = sys._current_frames().get(self.ident or 0)
        return None if frame is None else (id(frame), frame.f_lasti)


@contextlib.contextmanager
def _without_gc() -> Iterator[None]:
    """Let no garbage be collected meanwhile.

    `sys._current_frames` creates frame objects while it holds the lock on the list of threads. A collection that is
    due then runs finalizers; one that lets go of the GIL, as every call through ctypes does, waits for ever for a
    thread that has taken it and ends, since that one waits for the list. CPython does the same since 3.11.8 and 3.12.2:
    https://github.com/python/cpython/issues/106883
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
