"""Functions handed to DuckDB."""

from __future__ import annotations

import functools
import inspect
import weakref
from typing import TYPE_CHECKING, Any

from duckdb.func import ARROW, NATIVE, SPECIAL

from duckdb_wasi_udf._errors import ClosedError
from duckdb_wasi_udf._guests.trust_domain import CLOSED, IncomingCall
from duckdb_wasi_udf._process import state

if TYPE_CHECKING:
    from collections.abc import Callable

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
    return_type: str,
    *,
    side_effects: bool = False,
    native: Callable[[pa.Array], Any] | None = None,
) -> None:
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
    """
    if native is not None:
        of_row = RegisteredCallback(domain, lambda context: native(function(context)))

        def run_row() -> Any:
            return of_row.run(())

        con.create_function(name, run_row, [], return_type, type=NATIVE, null_handling=SPECIAL, side_effects=True)
        state.registered_functions.append(run_row)
        domain.hold(of_row)
        return
    callback = RegisteredCallback(domain, function)

    def run(*columns: pa.ChunkedArray) -> pa.Array:
        return callback.run(columns)

    run.__signature__ = _visible(None if parameters is None else len(parameters))  # type: ignore[attr-defined]
    con.create_function(
        name, run, parameters, return_type, type=ARROW, null_handling=SPECIAL, side_effects=side_effects
    )
    state.registered_functions.append(run)
    domain.hold(callback)


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
    """A function as DuckDB has it, which never lets go of it: empty once the trust domain is closed."""

    __slots__ = ("_domain", "_function", "_owner")

    def __init__(self, domain: TrustDomain, function: Callable[..., Any]) -> None:
        self._domain: TrustDomain | None = domain
        self._owner = weakref.ref(domain)
        self._function: Callable[..., Any] | None = function

    def run(self, columns: tuple[pa.ChunkedArray, ...]) -> Any:
        """Run one batch: this is where a call of DuckDB's comes in."""
        state.thread_states.keep_alive()
        domain, function = self._owner(), self._function
        if domain is None:
            raise ClosedError(CLOSED)
        with IncomingCall(domain) as context:
            if function is None:  # closed at this very moment
                raise ClosedError(CLOSED)
            return function(context, *columns)

    def close(self) -> None:
        """Let go of the function."""
        self._function = self._domain = None
