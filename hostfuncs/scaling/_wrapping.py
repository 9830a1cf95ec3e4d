"""What the functions around other host functions have in common."""

from __future__ import annotations

import copy
import inspect
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from duckdb_wasi_udf import ColumnFunction, HostFunction
from hostfuncs.scaling._event_loop import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hostfuncs._options import Options

_Number = TypeVar("_Number")


class WrappedFunction(HostFunction):
    """A host function around another one.

    Attributes:
        by_row: the one inside takes a row at a time, so that a row is a call.
    """

    by_row: bool


def columns_of(function: HostFunction | Callable[..., Any]) -> ColumnFunction:
    """Return a host function, or an annotated def, as a function of columns; an `async def` as one that waits.

    Raises:
        SignatureError: its types can't be had.
        ValueError: it has no parameters, so nothing says for which rows it is called.
    """
    inner = function if isinstance(function, HostFunction) else HostFunction(function)
    if inspect.iscoroutinefunction(inner.function):
        inner = copy.copy(inner)
        inner.function = waiting(inner.function)
    call = ColumnFunction(inner)
    if not call.names:
        msg = f"{inner.name} has no parameters; a function of one row can't be cached, limited, repeated or divided"
        raise ValueError(msg)
    return call


def takes_rows(call: ColumnFunction) -> bool:
    """Return whether a row is a call of the function."""
    function = call.function
    return function.by_row if isinstance(function, WrappedFunction) else not function.batched


def wrapped(call: ColumnFunction, outer: Callable[..., pa.Array], options: Options, *, by_row: bool) -> HostFunction:
    """Return a host function with the name, the types, the gate and the timeout of the one inside.

    Args:
        call: the function inside.
        outer: is called with arrays in its place, and returns an array.
        options: what is to be different.
        by_row: a row is a call of it.
    """
    inner = call.function

    def around(*columns: pa.Array | Sequence[Any]) -> pa.Array:
        return outer(*call.arrays(*columns))

    taken = inspect.signature(inner.function).parameters
    around.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=taken[name].default if name in taken else inspect.Parameter.empty,
            )
            for name in call.names
        ]
    )
    settings: dict[str, Any] = {
        "name": inner.name,
        "doc": inner.doc,
        "gate": inner.gate,
        "timeout_seconds": inner.timeout_seconds,
        **options,
    }
    function = WrappedFunction(
        around, parameters=inner.parameters, return_type=inner.return_type, batched=True, **settings
    )
    function.by_row = by_row
    return function


def pieces_of(columns: Sequence[pa.Array], rows: int) -> list[list[pa.Array]]:
    """Return columns cut into pieces of at most this number of rows."""
    return [[column.slice(start, rows) for column in columns] for start in range(0, len(columns[0]), rows)]


def joined(arrays: Sequence[pa.Array], data_type: pa.DataType) -> pa.Array:
    """Return the results of pieces as one array."""
    return pa.concat_arrays([*arrays, pa.array([], data_type)])


def check_positive(**numbers: float) -> None:
    """Raise ValueError if one of the numbers isn't a positive one."""
    for name, number in numbers.items():
        if not (isinstance(number, Real) and 0 < number < float("inf")):
            msg = f"{name} must be a positive number, got {number!r:.100}"
            raise ValueError(msg)


def check_counts(**numbers: int) -> None:
    """Raise ValueError if one of the numbers isn't a positive whole one."""
    check_positive(**numbers)
    for name, number in numbers.items():
        if not isinstance(number, Integral):
            msg = f"{name} must be a whole number, got {number!r}"
            raise ValueError(msg)  # noqa: TRY004 - as for any number that means nothing


def given(**numbers: _Number | None) -> dict[str, _Number]:
    """Return the numbers that aren't None, for those that may be."""
    return {name: number for name, number in numbers.items() if number is not None}
