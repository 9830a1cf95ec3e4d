"""The end of the process: what runs on other threads is ended before the interpreter is."""

from __future__ import annotations

import atexit
import threading
from typing import Protocol

from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.steady_clock import SteadyClock
from duckdb_wasi_udf._process.ticker import TICK_SECONDS

# How long the end of the process waits for queries to fail at most, and for how long nothing may have come from DuckDB
# before its threads are taken to have ended: other threads of Python may be in a query, or only DuckDB's own.
_LEAVE_SECONDS = 3.0
_QUIET_SECONDS = 0.25
_QUIET_SECONDS_ALONE = 0.02


class Closable(Protocol):
    """A trust domain, as far as its end is concerned."""

    refused_at: float

    def close(self) -> None:
        """Drop all instances."""

    def cancel(self) -> None:
        """Stop the calls that are running."""


def close_at_exit(domain: Closable) -> None:
    """Have a trust domain closed at the end of the process, for as long as it is alive."""
    state.open_domains.add(domain)


@atexit.register
def _leave() -> None:
    """End what runs on other threads: DuckDB aborts the process if one of its calls comes back to no interpreter."""
    domains: list[Closable] = list(state.open_domains)
    for domain in domains:
        domain.close()
    if state.ticker.ran_lately:
        _wait_for_quiet(domains)
    if state.native is not None:
        state.native.leave()
    state.ticker.interrupts.close()


def _wait_for_quiet(domains: list[Closable]) -> None:
    """Stop what runs until nothing comes from DuckDB any more."""
    ticker = state.ticker
    others = set(threading.enumerate()) - {threading.main_thread(), ticker.thread}
    quiet_seconds = _QUIET_SECONDS if others else _QUIET_SECONDS_ALONE
    last = now = SteadyClock.now()
    give_up = now + _LEAVE_SECONDS
    while now - last < quiet_seconds and now < give_up:
        if ticker.running:
            last = now
            for domain in domains:
                domain.cancel()
        SteadyClock.sleep(TICK_SECONDS)
        last = max([last, *(domain.refused_at for domain in domains)])
        now = SteadyClock.now()
