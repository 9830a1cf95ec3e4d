"""Queries that an event loop waits for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._sql.query import Query

if TYPE_CHECKING:
    import duckdb

    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# How often a query is stopped that has been cancelled and hasn't ended: it may not have begun when it was.
_STOPPED_AGAIN_SECONDS = 0.05


async def fetch(
    domain: TrustDomain, con: duckdb.DuckDBPyConnection, query: str, parameters: Any
) -> list[tuple[Any, ...]]:
    """Run a query on a thread, with a cursor of its own: see `Sandbox.fetch`.

    Args:
        domain: the trust domain of the sandbox.
        con: the connection.
        query: SQL.
        parameters: as for `DuckDBPyConnection.execute`.
    """
    domain.check_open()
    cursor = con.cursor()
    stoppable = Query(domain, cursor)

    def run() -> list[tuple[Any, ...]]:
        with cursor:
            if stoppable.cancelled:
                return []
            with stoppable:
                rows: list[tuple[Any, ...]] = cursor.execute(query, parameters).fetchall()
                return rows

    running = asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, run)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            stoppable.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # more than once: the query has to end first
                await asyncio.wait([running], timeout=_STOPPED_AGAIN_SECONDS)
        running.cancelled() or running.exception()  # which nobody asks for any more
        raise
