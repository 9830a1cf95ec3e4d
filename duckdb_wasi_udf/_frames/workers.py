"""The sandboxes of a process that tasks of other engines use, one after the other: kept while they are in use.

Engines unpickle a function for every task. The first makes a sandbox and defines the function in it; those that follow
within `IDLE_SECONDS` find both.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

# How long what no task uses is kept.
IDLE_SECONDS = 60.0

_Made = TypeVar("_Made")


class _Entry(Generic[_Made]):
    """Something that is kept.

    Attributes:
        made: the thing; None until it is made.
        users: number of those that use it now.
        idle_since: when the last one ended, on `time.monotonic`.
        making: held while it is made.
    """

    def __init__(self) -> None:
        self.made: _Made | None = None
        self.users = 0
        self.idle_since = 0.0
        self.making = threading.Lock()


class Kept(Generic[_Made]):
    """What a process has made, by key; closed when it was idle for a while. Safe for use by many threads.

    A child process that was forked begins anew: guests don't survive a fork.
    """

    def __init__(self, close: Callable[[_Made], None], idle_seconds: float = IDLE_SECONDS) -> None:
        """Prepare to keep.

        Args:
            close: ends what was made.
            idle_seconds: how long it is kept when nobody uses it.
        """
        self._close = close
        self._idle_seconds = idle_seconds
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry[_Made]] = {}
        self._sweeper: threading.Timer | None = None
        self._process = os.getpid()

    def __len__(self) -> int:
        """Return the number of things that are kept."""
        return len(self._entries)

    @contextlib.contextmanager
    def use(self, key: Hashable, make: Callable[[], _Made]) -> Iterator[_Made]:
        """Return what is kept under a key, which isn't closed meanwhile.

        Args:
            key: what it is found by.
            make: makes it if it isn't there. An error leaves nothing behind.
        """
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        try:
            with entry.making:
                if entry.made is None:
                    entry.made = make()
            yield entry.made
        finally:
            with self._lock:
                entry.users -= 1
                entry.idle_since = time.monotonic()
                if entry.made is None and not entry.users:
                    self._entries.pop(key, None)
                self._sweep_later()

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close what has been idle for a time, in seconds."""
        closing = []
        with self._lock:
            for key, entry in list(self._entries.items()):
                if not entry.users and time.monotonic() - entry.idle_since >= seconds:
                    closing.append(self._entries.pop(key).made)
        for made in closing:
            if made is not None:
                self._close(made)

    def _sweep_later(self) -> None:
        if self._sweeper is None and self._entries:
            self._sweeper = threading.Timer(self._idle_seconds, self._sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _sweep(self) -> None:
        self.close_idle(self._idle_seconds)
        with self._lock:
            self._sweeper = None
            self._sweep_later()
