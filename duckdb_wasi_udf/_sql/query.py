"""The queries of one connection, as users stop them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._sql.running_query import RunningQuery

if TYPE_CHECKING:
    from typing import Self

    import duckdb

    from duckdb_wasi_udf._guests.trust_domain import TrustDomain


class Query:
    """What runs on one connection within a `with` block, so that it can be stopped apart: see `Sandbox.query`."""

    def __init__(self, domain: TrustDomain, con: duckdb.DuckDBPyConnection) -> None:
        """Prepare the block: `Sandbox.query(con)` does.

        Args:
            domain: the trust domain of the sandbox.
            con: the connection.

        Raises:
            WasiUdfError: this version of DuckDB doesn't report which connection a function is called for.
        """
        self._running = RunningQuery(domain, con)

    @property
    def cancelled(self) -> bool:
        """True after `cancel`. Functions that are called within the block then fail."""
        return self._running.cancelled

    def cancel(self) -> None:
        """Stop what runs on the connection now, and whatever calls the sandbox's functions later in the block.

        From any thread, any number of times. The query fails with `duckdb.InterruptException`, or with the text of
        `Cancelled`. After the block this does nothing.
        """
        self._running.cancel()

    def __enter__(self) -> Self:
        """Begin the block."""
        self._running.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the block. Waits for a `cancel` that is under way."""
        self._running.__exit__(*exc_info)

    def __repr__(self) -> str:
        """Return its state."""
        state = "cancelled" if self.cancelled else "open" if self._running.is_open else "not open"
        return f"<Query: {state}>"
