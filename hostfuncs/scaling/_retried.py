"""Calls of a host function that failed, made again."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hostfuncs._options import extra
from hostfuncs.scaling._waiting import AbandonedError, pause
from hostfuncs.scaling._wrapping import check_counts, check_positive, columns_of, joined, pieces_of, takes_rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, Unpack

    from duckdb_wasi_udf import HostFunction
    from hostfuncs._options import Options


def retried(
    function: HostFunction | Callable[..., Any],
    attempts: int = 3,
    *,
    backoff_seconds: float = 0.2,
    most_backoff_seconds: float = 10.0,
    most_seconds: float = 60.0,
    on: type[Exception] | tuple[type[Exception], ...] = Exception,
    errors: Literal["raise", "null"] | Callable[[Exception], Any] = "raise",
    **options: Unpack[Options],
) -> HostFunction:
    """Call a host function again when it has raised, after a pause that doubles each time, with jitter.

    A row is repeated alone if the function takes a row at a time, else the whole call. Inside of `concurrent` a call
    has few rows. An error that has an attribute `retry_after`, in seconds, is repeated no earlier than that.

    Args:
        function: a host function, or an annotated def or `async def`.
        attempts: the number of calls, the first one included.
        backoff_seconds: the pause before the first repetition.
        most_backoff_seconds: the longest pause, but for what `retry_after` asks.
        most_seconds: no repetition begins later than that after the first call.
        on: the exceptions after which it is called again.
        errors: what is done with an exception of these when no attempt is left: "raise" fails the call, "null" makes
            its rows NULL, and a function returns the result that its rows have.
        **options: see `hostfuncs.Options`; those of the function by default.

    Returns:
        A batched host function with the function's parameters and result.

    Raises:
        ImportError: the extra `scaling` is not installed.
        SignatureError: the function isn't one, or its types can't be had.
        TypeError: `on` is no class of exceptions.
        ValueError: a number isn't positive, `errors` is neither, or the function has no parameters.
    """
    with extra("scaling"):
        import tenacity
    check_counts(attempts=attempts)
    check_positive(most_backoff_seconds=most_backoff_seconds, most_seconds=most_seconds)
    kinds = on if isinstance(on, tuple) else (on,)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        msg = f"on is a class of exceptions, or a tuple of such, got {on!r:.100}"
        raise TypeError(msg)
    if not isinstance(backoff_seconds, Real) or backoff_seconds < 0:
        msg = f"backoff_seconds can't be negative, got {backoff_seconds!r}"
        raise ValueError(msg)
    if errors not in {"raise", "null"} and not callable(errors):
        msg = f"errors must be 'raise', 'null' or a function, got {errors!r}"
        raise ValueError(msg)
    call = columns_of(function)
    by_row = takes_rows(call)
    backoff = tenacity.wait_exponential(backoff_seconds, most_backoff_seconds) + tenacity.wait_random(
        0, min(backoff_seconds, 1.0)
    )

    def wait(state: tenacity.RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        asked = getattr(error, "retry_after", None)
        return max(backoff(state), float(asked) if isinstance(asked, (int, float)) else 0.0)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_before_delay(most_seconds),
        wait=wait,
        retry=tenacity.retry_if_exception_type(on) & tenacity.retry_if_not_exception_type(AbandonedError),
        sleep=pause,
        reraise=True,
    )

    def one(*columns: pa.Array) -> pa.Array:
        try:
            return retrying.copy()(call, *columns)
        except AbandonedError:
            raise
        except on as error:
            if errors == "raise":
                raise
            return pa.array([errors(error) if callable(errors) else None] * len(columns[0]), call.result_type)

    def outer(*columns: pa.Array) -> pa.Array:
        if not by_row:
            return one(*columns)
        return joined([one(*piece) for piece in pieces_of(columns, 1)], call.result_type)

    return wrapped(call, outer, options, by_row=by_row)
