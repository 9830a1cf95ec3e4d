"""Functions handed to DuckDB."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from typing import TYPE_CHECKING, Any

from duckdb.func import ARROW, NATIVE, SPECIAL

from duckdb_wasi_udf._errors import Cancelled, ClosedError
from duckdb_wasi_udf._guests.recent_errors import CLOSED, is_pythons
from duckdb_wasi_udf._guests.trust_domain import IncomingCall
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._process.ticker import CTRL_C
from duckdb_wasi_udf._sql.running_query import interrupt_calling_query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb
    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain


def register(
    domain: TrustDomain,
    con: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., pa.Array],
    parameters: list[Any] | None,
    return_type: Any,
    *,
    side_effects: bool = False,
    native: Callable[[pa.Array], Any] | None = None,
) -> RegisteredCallback:
    """Hand a function to DuckDB as one over Arrow columns, for as long as its trust domain is open.

    Args:
        domain: what the function belongs to.
        con: the connection to register with.
        name: the SQL name.
        function: takes the context of the call, and the columns.
        parameters: the SQL type of each parameter; None for any arguments.
        return_type: the SQL type of the result.
        side_effects: it must be called for each row, even with constant arguments.
        native: makes the value of one result. It is for functions without parameters that are called once a row.

    Returns:
        What DuckDB calls, whose `release` is to be called when the database is gone.
    """
    run: Callable[..., Any] = function
    if native is not None:
        make = native

        def run(context: CallContext) -> Any:
            return make(function(context))

    callback = callback_of(domain, run, None if parameters is None else len(parameters))
    with state.native_registering:
        callback.position = len(state.registered_functions)
        state.registered_functions.append(callback)
    kind = ARROW if native is None else NATIVE
    con.create_function(
        name, callback, parameters, return_type, type=kind, null_handling=SPECIAL, side_effects=side_effects
    )
    return callback


def callback_of(domain: TrustDomain, function: Callable[..., Any], parameters: int | None = None) -> RegisteredCallback:
    """Return a function as DuckDB may call it, without handing it over.

    Args:
        domain: what the function belongs to.
        function: takes the context of the call, and the columns.
        parameters: the number of its parameters; None for any.
    """
    return RegisteredCallback(domain, function, _visible(parameters))


@functools.cache
def _visible(parameters: int | None) -> inspect.Signature:
    """Return what DuckDB sees of a function: it counts the parameters, and evaluates annotations. None is for any."""
    if parameters is None:
        return inspect.Signature([inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)])
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(f"p{i}", kind) for i in range(parameters)])


def ignoring_context(function: Callable[..., pa.Array]) -> Callable[..., pa.Array]:
    """Return a function for `register` of one that takes the columns only, since it runs no guest."""

    def run(_: CallContext, *columns: pa.ChunkedArray) -> pa.Array:
        return function(*columns)

    return run


class RegisteredCallback:
    """A function as DuckDB has it, which is never freed: it leads to the real one as long as the sandbox is open.

    Attributes:
        position: Its number in `state.registered_functions`.
    """

    __slots__ = ("__signature__", "_domain", "_number", "position")

    def __init__(self, domain: TrustDomain, function: Callable[..., Any], signature: inspect.Signature) -> None:
        self._domain = weakref.ref(domain)  # one object for all of a domain
        self._number = domain.add_function(function)
        self.__signature__ = signature
        self.position = -1

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function that it leads to; None once the sandbox is closed."""
        domain = self._domain()
        return None if domain is None or domain.closed else domain.function(self._number)

    @property
    def domain(self) -> TrustDomain | None:
        """What the function belongs to; None once the sandbox is closed."""
        domain = self._domain()
        return None if domain is None or domain.closed else domain

    def release(self) -> None:
        """Have the domain forget the function."""
        domain = self._domain()
        if domain is not None:
            domain.release(self._number)

    def __call__(self, *columns: pa.ChunkedArray) -> Any:
        """Run one batch: this is where a call of DuckDB's comes in."""
        return self.run(columns)

    def run(self, columns: Sequence[pa.ChunkedArray], begun: int | None = None) -> Any:
        """Run one batch.

        Args:
            columns: the arguments.
            begun: the number of the query: see `IncomingCall`.
        """
        state.thread_states.keep_alive()
        domain = self._domain()
        if domain is None:
            raise ClosedError(CLOSED)
        with IncomingCall(domain, begun) as context:
            if context.queries:
                context.rows = len(columns[0]) if columns else 1
            try:
                return domain.function(self._number)(context, *columns)
            except (KeyboardInterrupt, Cancelled):
                if context.stopped_by in ("", CTRL_C) and is_pythons(threading.get_ident()):  # the one that plans
                    interrupt_calling_query()
                raise
