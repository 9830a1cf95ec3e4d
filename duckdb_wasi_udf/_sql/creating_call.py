"""The context of a call of a public method that creates functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._errors import GuestError, WasiUdfError

if TYPE_CHECKING:
    from types import TracebackType

    from duckdb_wasi_udf._guests.trust_domain import TrustDomain


class CreatingCall(CallContext):
    """A call that creates a function: refused when the sandbox is closed.

    Its errors leave it without frames of this package, and without what they were made of, so that a traceback is the
    caller's line and the message.
    """

    __slots__ = ()

    def __init__(self, domain: TrustDomain) -> None:
        try:
            domain.check_open()
        except WasiUdfError as error:
            raise error.with_traceback(None) from None
        super().__init__(domain.clock, domain.member)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if isinstance(error, (WasiUdfError, duckdb.Error)):
            error.__traceback__ = None
            if not isinstance(error, GuestError):  # whose cause is what a host function raised
                error.__cause__ = None
            error.__suppress_context__ = True
