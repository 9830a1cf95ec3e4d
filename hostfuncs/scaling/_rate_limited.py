"""Calls of a host function, limited in their number a minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from numbers import Real
from typing import TYPE_CHECKING, Any

from hostfuncs.scaling._waiting import pause, wait_for
from hostfuncs.scaling._wrapping import check_positive, columns_of, given, joined, pieces_of, takes_rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    import pyarrow as pa

    from duckdb_wasi_udf import HostFunction
    from hostfuncs._options import Options

# Four characters of English are about one token for the usual models.
_TOKEN_CHARACTERS = 4


class RateLimit:
    """A number of calls and tokens in any period of some length. Safe for use by many threads.

    It is the one that functions share which ask the same service: `rate_limited(f, limit=limit)`.

    None of the libraries counts two things at once without taking one of them in vain, so this does.
    """

    def __init__(
        self,
        calls_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        period_seconds: float = 60.0,
    ) -> None:
        """Begin with nothing used.

        Args:
            calls_per_minute: the number of calls in any period; None for any number.
            tokens_per_minute: the number of tokens, likewise.
            period_seconds: the length of the period, if it isn't a minute.

        Raises:
            ValueError: a number isn't positive, or there is none.
        """
        check_positive(period_seconds=period_seconds)
        check_positive(**given(calls_per_minute=calls_per_minute, tokens_per_minute=tokens_per_minute))
        if calls_per_minute is None and tokens_per_minute is None:
            msg = "a rate limit needs calls_per_minute or tokens_per_minute"
            raise ValueError(msg)
        if calls_per_minute is not None and calls_per_minute < 1:
            msg = f"calls_per_minute must be 1 or more, got {calls_per_minute!r}; a longer period_seconds allows fewer"
            raise ValueError(msg)
        self.calls_per_minute = calls_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.period_seconds = period_seconds
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by who is next, so that a large call isn't overtaken for ever
        self._used: deque[tuple[float, float]] = deque()  # when each call was made, and its tokens
        self._tokens = 0.0

    def acquire(self, tokens: float = 0.0) -> None:
        """Wait until one more call may be made.

        Args:
            tokens: what it will use.

        Raises:
            ValueError: it is more than can be used in a whole period.
            AbandonedError: nobody waits for the host function any more.
        """
        if self.tokens_per_minute is not None and tokens > self.tokens_per_minute:
            msg = f"a call of {tokens:,.0f} tokens can't be made: {self.tokens_per_minute:,.0f} a minute are allowed"
            raise ValueError(msg)
        wait_for(lambda seconds: self._turn.acquire(timeout=seconds))
        try:
            while (seconds := self._try(tokens)) > 0:
                pause(seconds)
        finally:
            self._turn.release()

    def _try(self, tokens: float) -> float:
        """Count a call if it may be made now: 0, or the seconds until it may."""
        with self._lock:
            now = time.monotonic()
            while self._used and self._used[0][0] <= now - self.period_seconds:
                self._tokens -= self._used.popleft()[1]
            too_many = 0.0 if self.calls_per_minute is None else len(self._used) + 1 - self.calls_per_minute
            left_over = 0.0 if self.tokens_per_minute is None else self._tokens + tokens - self.tokens_per_minute
            free_at = now
            for at, used in self._used:
                if too_many <= 0 and left_over <= 0:
                    break
                too_many, left_over, free_at = too_many - 1, left_over - used, at + self.period_seconds
            if free_at > now:
                return free_at - now
            self._used.append((now, tokens))
            self._tokens += tokens
            return 0.0


def rate_limited(
    function: HostFunction | Callable[..., Any],
    calls_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    *,
    tokens: Callable[..., float] | None = None,
    period_seconds: float = 60.0,
    limit: RateLimit | None = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Limit the calls of a host function a minute, of all queries together; calls beyond that wait.

    In no minute are there more calls, or more tokens, however the minute is laid. A row is a call if the function takes
    a row at a time; else a call for a batch is one: put it inside of `concurrent` for calls of few rows.

    Time that is waited counts for the quotas of seconds (`ResourceLimits.host_batch`) and for the `timeout_seconds` of
    the function.

    Args:
        function: a host function, or an annotated def or `async def`.
        calls_per_minute: the number of calls in any period; None for any number.
        tokens_per_minute: the number of tokens, likewise.
        tokens: returns the tokens that a row will use, called with the values of its arguments; None for a quarter of
            the characters of their texts.
        period_seconds: the length of the period, if it isn't a minute.
        limit: a limit that is shared with other functions, in place of these numbers.
        **options: see `hostfuncs.Options`; those of the function by default.

    Returns:
        A batched host function with the function's parameters and result.

    Raises:
        SignatureError: the function isn't one, or its types can't be had.
        TypeError: `limit` is no RateLimit.
        ValueError: a number isn't positive, there is none, or the function has no parameters; on calling, one call has
            more tokens than a minute may, or `tokens` returned no number.
    """
    if limit is None:
        limit = RateLimit(calls_per_minute, tokens_per_minute, period_seconds=period_seconds)
    elif not isinstance(limit, RateLimit):
        msg = f"limit is a RateLimit, got {limit!r:.100}"
        raise TypeError(msg)
    elif calls_per_minute is not None or tokens_per_minute is not None:
        msg = "pass either limit, or calls_per_minute and tokens_per_minute"
        raise ValueError(msg)
    call = columns_of(function)
    by_row = takes_rows(call)
    count = tokens or _estimated

    def one(*columns: pa.Array) -> pa.Array:
        used = 0.0
        if limit.tokens_per_minute is not None:
            rows = zip(*[column.to_pylist() for column in columns], strict=True)
            used = sum(_counted(count(*row)) for row in rows)
        limit.acquire(used)
        return call(*columns)

    def outer(*columns: pa.Array) -> pa.Array:
        if not by_row:
            return one(*columns)
        return joined([one(*piece) for piece in pieces_of(columns, 1)], call.result_type)

    return wrapped(call, outer, options, by_row=by_row)


def _counted(tokens: Any) -> float:
    """Return a number of tokens that `tokens` returned.

    Raises:
        ValueError: it isn't one.
    """
    if not isinstance(tokens, Real) or not float(tokens) >= 0:
        msg = f"tokens returned {tokens!r:.100}, which is no number of tokens"
        raise ValueError(msg)
    return float(tokens)


def _estimated(*values: object) -> float:
    """Return about as many tokens as the texts among the values have."""
    return sum(1 + len(value) / _TOKEN_CHARACTERS for value in values if isinstance(value, str))
