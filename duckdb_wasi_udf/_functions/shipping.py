"""Ships Python callables to the guest: their code as written, and all else they use as it is now.

What can't be shipped is refused by name, before the first row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.importable import Importable
from duckdb_wasi_udf._functions.shipment import Shipment
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._limits import ResourceLimits

if TYPE_CHECKING:
    from collections.abc import Callable


def ship(
    function: Callable[..., Any] | str,
    name: str,
    *,
    return_null: bool,
    by_batch: bool = False,
    modules: frozenset[str] = frozenset(),
    limit_bytes: int = ResourceLimits().shipped_bytes,
    entry: str | None = None,
) -> Definition:
    """Return the definition of a function for the guest.

    Args:
        function: source text (a lambda or a module), or a callable of this process.
        name: how errors and tracebacks call it.
        return_null: an exception makes its row NULL instead of failing the query.
        by_batch: it takes columns, whatever its annotations say.
        modules: what the guest can import beside the standard library, by its top-level names; what a callable uses of
            these is imported there, not shipped.
        limit_bytes: how large a callable may be with all it uses.
        entry: the name of the function that is meant in source text; None to go by the rule of `_shared.entry`.

    Returns:
        What `GuestInstance` takes.

    Raises:
        SignatureError: the callable, or something it uses, can't be shipped; the message names it.
        LimitExceeded: it is larger than the limit.
    """
    if isinstance(function, str):
        return Definition.from_source(
            function, name, entry=entry, preferred=name, return_null=return_null, by_batch=by_batch
        )
    if entry is not None:
        msg = f"{name}: entry={entry!r} names a function in source text; leave it out with a callable"
        raise SignatureError(msg)
    if not callable(function):
        msg = f"{name}: this is a {type(function).__name__}, which can't be called; pass a function, or source text"
        raise SignatureError(msg)
    units = Shipment(name, Importable(modules), limit_bytes=limit_bytes).units(function)
    return Definition(label=name, units=units, return_null=return_null, by_batch=by_batch)
