"""Many rows of an `async def` at once, as tasks of one event loop: no thread waits for each of them."""

from __future__ import annotations

import asyncio
import copy
import functools
import os
from typing import TYPE_CHECKING, Any

from hostfuncs.scaling._event_loop import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb_wasi_udf import HostFunction


def gathered(function: HostFunction, at_once: int, rows: int) -> HostFunction:
    """Return a host function of whole columns that makes the calls for their rows.

    Args:
        function: an `async def` that takes the values of one row.
        at_once: the number of calls at a time, of all queries together.
        rows: the number of rows that follow each other in one place of these.
    """
    call = function.function

    @functools.cache
    def slots(process: int) -> asyncio.Semaphore:  # noqa: ARG001 - a forked process has an event loop of its own
        return asyncio.Semaphore(at_once)

    async def work(pieces: Iterator[tuple[int, Sequence[tuple[Any, ...]]]], results: list[Any]) -> None:
        for start, piece in pieces:
            async with slots(os.getpid()):
                for number, values in enumerate(piece, start):
                    results[number] = await call(*values)

    async def every(given: Sequence[tuple[Any, ...]]) -> list[Any]:
        results: list[Any] = [None] * len(given)
        pieces = iter([(start, given[start : start + rows]) for start in range(0, len(given), rows)])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, -(-len(given) // rows))):
                    group.create_task(work(pieces, results))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return results

    @functools.wraps(call)
    def of_columns(*columns: Sequence[Any]) -> list[Any]:
        given = list(zip(*columns, strict=True))
        return run(every(given)) if given else []

    whole = copy.copy(function)
    whole.function, whole.batched = of_columns, True
    return whole
