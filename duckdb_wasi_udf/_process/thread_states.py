"""Python's state of DuckDB's worker threads, which lasts for one batch unless it is kept.

A thread that Python didn't start gets a state when it takes the GIL and loses it when it lets go: DuckDB's workers make
and free one for every batch, mapping memory for it, and two threads were 1.65 times as fast as one instead of 1.9
(benchmarks/scaling.py, `x + 1`). One more `PyGILState_Ensure` that is never undone makes the state last as long as the
thread. Some 5 KB of it stay behind then, so it is done for few threads, which have shown that they have much to do:
https://docs.python.org/3/c-api/init.html#non-python-created-threads
"""

from __future__ import annotations

import ctypes
import threading

# The batches after which a thread's state is kept, and the most states that are in a process's life.
BATCHES = 16
MOST_KEPT = 1000

_ensure = ctypes.pythonapi.PyGILState_Ensure  # holds the GIL meanwhile


class ThreadStates:
    """Counts the batches of threads without a lasting state.

    Attributes:
        kept: the number of states that were made to last.
    """

    def __init__(self) -> None:
        self._lasting = threading.local()  # is as new as the thread's state
        self._batches: dict[tuple[int, int], int] = {}  # of threads, by both identities: each is soon another's
        self.kept = 0

    def keep_alive(self) -> None:
        """Count a batch on this thread, and make its state last as long as the thread if that pays."""
        if hasattr(self._lasting, "seen"):
            return
        self._lasting.seen = True
        if self.kept >= MOST_KEPT:
            return
        thread = (threading.get_ident(), threading.get_native_id())
        batches = self._batches[thread] = self._batches.get(thread, 0) + 1
        if batches >= BATCHES:
            self.kept += 1
            _ensure()
            del self._batches[thread]
        elif len(self._batches) > MOST_KEPT:
            self._batches.clear()
