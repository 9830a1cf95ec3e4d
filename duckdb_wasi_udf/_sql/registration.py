"""Functions handed to DuckDB."""

from __future__ import annotations

import functools
import inspect
import weakref
from typing import TYPE_CHECKING, Any

from duckdb.func import ARROW, SPECIAL

from duckdb_wasi_udf._errors import ClosedError, WasiUdfError
from duckdb_wasi_udf._guests.trust_domain import CLOSED
from duckdb_wasi_udf._process.thread_states import thread_states

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb
    import pyarrow as pa

    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# Everything ever handed to DuckDB, which calls a function even after the connection that registered it is gone, but by
# then no longer keeps it alive, and crashes (duckdb-python#530). There is no telling when a database ends. An entry is
# small once its sandbox is closed. To be dropped when that issue is fixed.
_registered: list[Callable[..., pa.Array]] = []


def register(
    domain: TrustDomain,
    con: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., pa.Array],
    parameters: list[Any] | None,
    return_type: str,
    *,
    side_effects: bool = False,
) -> None:
    """Hand a function to DuckDB as one over Arrow columns, for as long as its trust domain is open.

    Args:
        domain: what the function belongs to.
        con: the connection to register with.
        name: the SQL name.
        function: takes the clock's count of stops and the columns.
        parameters: the SQL type of each parameter; None for any arguments.
        return_type: the SQL type of the result.
        side_effects: it must be called for each row, even with constant arguments.
    """
    callback = RegisteredCallback(domain, function)

    def run(*columns: pa.ChunkedArray) -> pa.Array:
        return callback.run(columns)

    run.__signature__ = _visible(None if parameters is None else len(parameters))  # type: ignore[attr-defined]
    con.create_function(
        name, run, parameters, return_type, type=ARROW, null_handling=SPECIAL, side_effects=side_effects
    )
    _registered.append(run)
    domain.hold(callback)


@functools.cache
def _visible(parameters: int | None) -> inspect.Signature:
    """Return what DuckDB sees of a function: it counts the parameters, and evaluates annotations. None is for any."""
    if parameters is None:
        return inspect.Signature([inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)])
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(f"p{i}", kind) for i in range(parameters)])


class RegisteredCallback:
    """A function as DuckDB has it, which never lets go of it: empty once the trust domain is closed."""

    __slots__ = ("_domain", "_function", "_owner")

    def __init__(self, domain: TrustDomain, function: Callable[..., pa.Array]) -> None:
        self._domain: TrustDomain | None = domain
        self._owner = weakref.ref(domain)
        self._function: Callable[..., pa.Array] | None = function

    def run(self, columns: tuple[pa.ChunkedArray, ...]) -> pa.Array:
        """Run one batch."""
        thread_states.keep()
        domain, function = self._owner(), self._function
        try:
            if domain is not None:
                domain.check_open()
            if domain is None or function is None:
                raise ClosedError(CLOSED)
            with domain.clock as stops:
                return function(stops, *columns)
        except WasiUdfError as error:
            if domain is not None:
                domain.report(error)
            raise

    def close(self) -> None:
        """Let go of the function."""
        self._function = self._domain = None
