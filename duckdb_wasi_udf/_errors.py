"""Everything that can go wrong, as one tree.

```
WasiUdfError
├── ArtifactError     the guest can't be found, read or compiled, or speaks another ABI
├── PackageError      a package can't be given to guests
├── SignatureError    a function, its types and its arguments don't fit together
├── GuestError        the user's code raised, or returned what its type can't hold
├── LimitExceeded     time, memory or size ran out
├── Cancelled         Sandbox.cancel() or Ctrl-C stopped the guest
├── GuestTrap         the guest crashed inside its sandbox
├── ProtocolError     the guest handed back bytes that are not what they claim to be
└── ClosedError       the sandbox was closed
```

DuckDB turns an exception of a function into `duckdb.InvalidInputException` and keeps only its text; the exception
itself is found with `error_of`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

from duckdb_wasi_udf._display.error_card import error_card


class WasiUdfError(Exception):
    """Root of every error this package raises on purpose. All of them can be pickled.

    Attributes:
        output: what the guest's call printed before it failed, at most the last 8,000 characters; empty for errors that
            have no running guest behind them.
        summary: what went wrong, without the row and the guest's traceback.
    """

    output: str = ""

    @property
    def summary(self) -> str:
        """Text of the error."""
        return str(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return error_card(kind=type(self).__name__, summary=str(self), printed=self.output)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(cls: type[WasiUdfError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> WasiUdfError:
    """Return an error as it was pickled: the constructors take keywords, which `Exception` doesn't keep."""
    error = cls.__new__(cls, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class ArtifactError(WasiUdfError):
    """The guest can't be found, read or compiled, or speaks another ABI version."""


class PackageError(WasiUdfError):
    """A package can't be given to guests: it isn't there, needs native code, or clashes with another."""


class SignatureError(WasiUdfError):
    """A function, its types and the arguments it is called with don't fit together."""


class GuestError(WasiUdfError):
    """The user's code raised an exception.

    Attributes:
        type_name: the exception's class in the guest, such as `ValueError`.
        guest_traceback: the guest's traceback with source lines, as Python prints it.
        row: the row of the batch, counted from 0; None when the code failed before any row.
        arguments: the `repr` of each argument of that row, shortened.
    """

    def __init__(
        self, text: str, *, type_name: str, guest_traceback: str, row: int | None, arguments: tuple[str, ...]
    ) -> None:
        super().__init__(text)
        self.type_name = type_name
        self.guest_traceback = guest_traceback
        self.row = row
        self.arguments = arguments

    @property
    def summary(self) -> str:
        """Name of the function, class of the exception and its message."""
        text = str(self).removesuffix(f"\n{self.guest_traceback}")
        return text if self.row is None else text.rpartition("\n")[0] or text

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the line and the arguments, with the guest's traceback folded."""
        return error_card(
            kind=type(self).__name__,
            summary=self.summary,
            row=self.row,
            arguments=self.arguments,
            traceback=self.guest_traceback,
            printed=self.output,
        )


class LimitExceeded(WasiUdfError):
    """A limit stopped the guest; the instance is gone, the next call gets a fresh one.

    Attributes:
        limit: the field of `ResourceLimits`, `DataLimits` or `GroupLimits`, such as `timeout_seconds`.
        allowed: its value.
        requested: what was asked for, in the same unit; None when that is not known (a loop has no end to report).
        row: the row of the batch that was running, counted from 0, so as many were done; None if that isn't known.
        line: the line of the source text that was running, counted from 1; None if that isn't known.
        sandbox: the name of the sandbox, for a limit of `GroupLimits`; None for others.
    """

    def __init__(
        self,
        text: str,
        *,
        limit: str,
        allowed: float,
        requested: float | None = None,
        row: int | None = None,
        line: int | None = None,
        sandbox: str | None = None,
    ) -> None:
        super().__init__(text)
        self.limit = limit
        self.allowed = allowed
        self.requested = requested
        self.row = row
        self.line = line
        self.sandbox = sandbox


class Cancelled(WasiUdfError):
    """`Sandbox.cancel` or Ctrl-C stopped the guest; the instance is gone, the next call gets a fresh one."""


class GuestTrap(WasiUdfError):
    """The guest crashed inside its sandbox: stack exhausted, `os.abort`, a fatal error of its interpreter."""


class ProtocolError(WasiUdfError):
    """The guest handed back bytes that are not what they claim to be; nothing of them was used."""


class ClosedError(WasiUdfError):
    """The sandbox was closed before the call."""


@contextlib.contextmanager
def noting(where: str) -> Iterator[None]:
    """Note in an error of ours where it was.

    Args:
        where: the place in words.
    """
    try:
        yield
    except WasiUdfError as error:
        error.add_note(where)
        raise
