"""How things are timed here: the best of several runs, since noise only ever adds."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What DuckDB's threads take at a time, 60 batches: with a whole and even number of row groups, no thread waits for
# another's last.
ROW_GROUP = 122_880


def best(action: Callable[[], object], repetitions: int) -> float:
    """Return the seconds of the fastest of `repetitions` runs."""
    fastest = float("inf")
    for _ in range(repetitions):
        started = time.perf_counter()
        action()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def median(action: Callable[[], object], repetitions: int) -> float:
    """Return the seconds of the median run: for what happens once. Freeing the result isn't timed."""
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        result = action()
        seconds.append(time.perf_counter() - started)
        del result
    return sorted(seconds)[len(seconds) // 2]


def table(header: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table. Columns but the first are right-aligned."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines)) + "\n"


@contextlib.contextmanager
def busy_thread() -> Iterator[None]:
    """Have a thread of Python that never waits run meanwhile."""
    going = True

    def busy() -> None:
        while going:
            sum(range(1000))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        yield
    finally:
        going = False
        thread.join()
