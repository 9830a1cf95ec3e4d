"""Ctrl-C, noticed on any thread.

Python runs signal handlers on the main thread and between bytecodes only, but a query may run guests on DuckDB's
threads while the main thread waits for them inside DuckDB. The interpreter also writes the number of each signal to a
"wakeup" descriptor (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd) the moment it arrives. Handlers
stay as they are: whoever they are for still gets the KeyboardInterrupt.
"""

from __future__ import annotations

import signal
import socket
import threading

from duckdb_wasi_udf._process.steady_clock import SteadyClock


class InterruptWatch:
    """Knows whether SIGINT has arrived."""

    def __init__(self) -> None:
        self._sockets: tuple[socket.socket, socket.socket] | None = None  # receiver, sender

    def start(self) -> None:
        """Begin to listen, or make sure of it.

        Does nothing on another thread than the main one, where Python allows no change, and when the descriptor is
        somebody else's: an event loop with signal handlers of its own.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        if self._sockets is None:
            pair = socket.socketpair()
            for end in pair:
                end.settimeout(0)
            self._sockets = pair  # not before: `arrived` may be called at any time, and must not wait
        ours = self._sockets[1].fileno()
        previous = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
        if previous not in (-1, ours):
            signal.set_wakeup_fd(previous)

    def arrived(self) -> bool:
        """Return whether SIGINT arrived since the last call."""
        sockets = self._sockets
        if sockets is None:
            return False
        try:
            return signal.SIGINT in sockets[0].recv(4096)
        except OSError:  # nothing there, or closed at this moment
            return False

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, and return whether it is SIGINT. For one thread at a time, which alone calls `arrived`.

        Args:
            seconds: how long to wait.
        """
        sockets = self._sockets
        if sockets is not None:
            receiver = sockets[0]
            try:
                receiver.settimeout(seconds)
                try:
                    return signal.SIGINT in receiver.recv(4096)
                finally:
                    receiver.settimeout(0)
            except TimeoutError:
                return False
            except OSError:  # closed at this moment
                pass
        SteadyClock.sleep(seconds)
        return False

    def close(self) -> None:
        """Listen no more."""
        if self._sockets is None:
            return
        current = signal.set_wakeup_fd(-1)
        if current not in (-1, self._sockets[1].fileno()):
            signal.set_wakeup_fd(current)
        for end in self._sockets:
            end.close()
        self._sockets = None

    def after_fork(self) -> None:
        """Listen for this process's signals, not its parent's."""
        if self._sockets is not None:
            self.close()
            self.start()
