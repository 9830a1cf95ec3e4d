"""The clock of deadlines and limits."""

from __future__ import annotations

import time


class SteadyClock:
    """Python's clocks as they were when the package was imported.

    Tests of other code replace them in the module `time`, and some tools (freezegun) wherever a module has them under a
    name. A guest would then run for as long as the time stands still, or is put back by. In a class they are safe.
    """

    now = staticmethod(time.monotonic)
    precise = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)
    of_thread = staticmethod(time.thread_time)
