"""The queries of one connection, to be stopped apart from others of the same sandbox."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import threading
from typing import TYPE_CHECKING

import duckdb

from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql.native_path import UNKNOWN_CONNECTION, connection_key
from duckdb_wasi_udf._telemetry.spans import QuerySpan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._telemetry.spans import HostCallSpan


class RunningQuery:
    """What runs on one connection within a `with` block, as calls of the sandbox see it: see `Query`.

    Attributes:
        cancelled: True after `cancel`. Functions that are called within the block then fail.
    """

    def __init__(self, domain: TrustDomain, con: duckdb.DuckDBPyConnection) -> None:
        """Prepare the block.

        Args:
            domain: the trust domain of the sandbox.
            con: the connection.

        Raises:
            WasiUdfError: this version of DuckDB doesn't report which connection a function is called for.
        """
        if _callback_refusal() is None:
            msg = f"DuckDB {duckdb.__version__} doesn't report which connection calls a function; use Sandbox.cancel()"
            raise WasiUdfError(msg)
        self.cancelled = False
        self._domain = domain
        self._con = con
        self._open: tuple[duckdb.DuckDBPyConnection, ...] = ()
        self._keys: tuple[int | None, ...] = ()  # the native library's of those that are open
        # Held while the connections are interrupted. A signal handler may call `cancel` at any moment.
        self._lock = threading.RLock()
        self._span = QuerySpan()
        self._recording = contextlib.ExitStack()

    @property
    def is_open(self) -> bool:
        """True within the block."""
        return bool(self._open)

    def cancel(self) -> None:
        """Stop what runs on the connection now, and what calls the sandbox's functions later: see `Query.cancel`."""
        with self._lock:
            self.cancelled = True
            for con in self._open:
                with contextlib.suppress(duckdb.Error):  # closed
                    con.interrupt()
            if self._open:
                self._domain.clock.stop(self.stops_as, self.has)

    stops_as = "Query.cancel()"

    def has(self, call: object) -> bool:
        """Return whether a call is the query's."""
        return self in getattr(call, "queries", ())

    def count(self, rows: int, seconds: float, error: BaseException | None) -> None:
        """Count a call of the query's: see `QuerySpan.count`."""
        self._span.count(rows, seconds, error)

    def host_call(self, name: str) -> contextlib.AbstractContextManager[HostCallSpan | None]:
        """Report a call of a host function as part of the query: see `QuerySpan.host_call`."""
        return self._span.host_call(name)

    def calls_this_thread(self) -> bool:
        """Return whether the thread runs a function for a query on the connection."""
        called_by = state.native_connections.get(threading.get_ident())
        if called_by is not None:  # DuckDB's Python client doesn't know of the call
            known = dict(zip(self._open, self._keys, strict=False))
            return any(
                _refusal(con) is not None if key is None or called_by == UNKNOWN_CONNECTION else key == called_by
                for con, key in known.items()
            )
        return any(_refusal(con) == _callback_refusal() for con in self._open)

    @contextlib.contextmanager
    def using(self, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Count what runs on another connection as part of the query."""
        key = self._key(con)
        with self._lock:
            self._open, self._keys = (*self._open, con), (*self._keys, key)
            if self.cancelled:
                con.interrupt()
        try:
            yield
        finally:
            with self._lock:
                left = [pair for pair in zip(self._open, self._keys, strict=True) if pair[0] is not con]
                self._open, self._keys = tuple([other for other, _ in left]), tuple([key for _, key in left])

    def _key(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """Return the native library's number of a connection; None if no calls are its, or the connection is busy."""
        return None if self._domain.gate is None else connection_key(con)

    def __enter__(self) -> Self:
        """Begin the block."""
        self._span = QuerySpan()
        self._recording.enter_context(self._span.recording(self._domain.name))
        key = self._key(self._con)
        with self._lock:
            self._open, self._keys = (self._con,), (key,)
            self._domain.add_query(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the block. Waits for a `cancel` that is under way."""
        with self._lock:
            self._open = self._keys = ()
            self._domain.remove_query(self)
        self._recording.close()


@contextlib.contextmanager
def in_the_same_query(domain: TrustDomain, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Count what runs on a connection as part of the queries that this thread runs a function for."""
    with contextlib.ExitStack() as stack:
        for query in domain.queries:
            if isinstance(query, RunningQuery) and query.calls_this_thread():
                stack.enter_context(query.using(con))
        yield


def interrupt_calling_query() -> None:
    """Interrupt the query that this thread runs a function for.

    DuckDB calls a function with constant arguments while it plans, and if that fails, calls it again when it runs the
    query. Ctrl-C arrives once. DuckDB's Python client doesn't know of calls of the native library, so all queries are
    interrupted then.
    """
    is_native = threading.get_ident() in state.native_connections
    known = list(state.database_keys)
    for con in itertools.chain(known, gc.get_objects(), [duckdb.default_connection()]):  # the collector takes longer
        refusal = _refusal(con) if type(con) is duckdb.DuckDBPyConnection else None
        if is_native and refusal is not None:  # which of those that are busy it is can't be seen
            con.interrupt()
        elif refusal is not None and refusal == _callback_refusal():
            con.interrupt()
            return


def _refusal(con: duckdb.DuckDBPyConnection) -> str | None:
    """Return why DuckDB refuses to use a connection now; None if it would.

    The request is contradictory: DuckDB looks first whether the connection is free, takes no lock for it, and then
    refuses the arguments. An idle connection isn't touched.
    """
    try:
        con.install_extension("", repository="none", repository_url="none")
    except duckdb.ResourceInUseException as error:
        return str(error)
    except duckdb.Error:  # idle, or closed
        return None
    return None


@functools.cache
def _callback_refusal() -> str | None:
    """Return why DuckDB refuses a connection to a function that is called for a query on it.

    A connection that is busy with anything else is refused for another reason. None if the two reasons are the same.
    """
    with duckdb.connect(":memory:") as con:
        seen: list[str | None] = []

        def probe() -> int:
            seen.append(_refusal(con))
            elsewhere = threading.Thread(target=lambda: seen.append(_refusal(con)))
            elsewhere.start()
            elsewhere.join()
            return 0

        con.create_function("probe", probe, [], "INTEGER")
        con.execute("SELECT probe()").fetchall()
        con.remove_function("probe")
    inside, outside = seen[:2]
    return None if inside == outside else inside
