"""Functions of the host's that guests may call, where a sandbox grants them: what they take, return and refuse."""

from __future__ import annotations

import inspect
import keyword
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._host_functions.annotations import ParameterReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")

# What the guest's module `host` has besides functions.
_RESERVED = frozenset({"HostError", "gather"})


@dataclass(frozen=True, slots=True)
class HostCall:
    """A call that a guest asks for, as a gate sees it.

    Attributes:
        function: the name of the host function.
        rows: the number of calls for the function: the rows of a batch.
        bytes: what the arguments take, each row counted as a byte more.
        arguments: the arguments, a column for each parameter.
    """

    function: str
    rows: int
    bytes: int
    arguments: pa.RecordBatch


class HostFunction:
    """A Python function that guests may call when a sandbox grants it: `Sandbox(host_functions=[...])`.

    It runs on the host with all the rights of the process. Its arguments come from code that isn't trusted: they have
    the declared types, and nothing else is known of them.

    Attributes:
        name: what guests call it.
        function: the Python function.
        parameters: the type of one value of each parameter, as SQL text or Arrow type.
        return_type: the type of one value of the result, likewise.
        batched: it is called with columns, once for all rows; otherwise value by value.
        doc: what guests read about it.
        gate: see `__init__`.
        timeout_seconds: likewise.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        parameters: Sequence[str | pa.DataType] | None = None,
        return_type: str | pa.DataType | None = None,
        batched: bool | None = None,
        gate: Callable[[HostCall], object] | None = None,
        timeout_seconds: float | None = None,
        doc: str | None = None,
    ) -> None:
        """Describe a function.

        Args:
            function: the function. Where all its parameters and its result are annotated `list[T]` or `Column[T]`, it
                is batched, and gets lists or `pyarrow.Array`s of equal length, None or null for NULL. A parameter with
                a plain default (a number, str, bytes or None) may be left out by the guest; one with another default,
                or after `*`, isn't the guest's to give.
            name: what guests call it; the function's own by default.
            parameters: the type of one value of each parameter, as SQL text ("DECIMAL(18,3)[]") or Arrow type; None to
                go by annotations.
            return_type: the type of one value of the result, likewise.
            batched: whether it is called with columns; None to go by annotations. A batched function whose types are
                given, not annotated, gets `pyarrow.Array`s.
            gate: called with each `HostCall` before the function is; it refuses the call by returning False or raising.
            timeout_seconds: how long a call may take, on a thread of its own, which is then left behind; None to call
                it on the calling thread and wait.
            doc: what guests read about it; the function's docstring by default.

        Raises:
            SignatureError: its name or its types can't be had.
            ValueError: the timeout is not a positive number.
        """
        if not callable(function):
            msg = f"a host function is made of a callable, got {function!r}"
            raise SignatureError(msg)
        self.name = name if name is not None else str(getattr(function, "__name__", type(function).__name__))
        if not self.name.isidentifier() or keyword.iskeyword(self.name) or self.name.startswith("_"):
            msg = (
                f"{self.name!r} can't be the name of a host function: guests call it as host.<name>; give another name="
            )
            raise SignatureError(msg)
        if self.name in _RESERVED:
            msg = f"the guest's module host has a {self.name} of its own; give the host function another name="
            raise SignatureError(msg)
        if timeout_seconds is not None and not 0 < timeout_seconds < math.inf:
            msg = f"{self.name}: timeout_seconds must be a positive number, got {timeout_seconds!r}"
            raise ValueError(msg)
        self.function = function
        self.gate = gate
        self.timeout_seconds = timeout_seconds
        self.doc = inspect.cleandoc(doc if doc is not None else getattr(function, "__doc__", None) or "")
        reader = ParameterReader(self.name, function, parameters, return_type, batched)
        self.arguments = reader.arguments
        self.result = reader.result
        self.batched = reader.batched
        if self.batched and not self.arguments:
            msg = f"{self.name}: a batched function needs a parameter; its length is the number of rows"
            raise SignatureError(msg)

    @property
    def parameters(self) -> tuple[str | pa.DataType, ...]:
        """Type of one value of each parameter."""
        return tuple([argument.type for argument in self.arguments])

    @property
    def return_type(self) -> str | pa.DataType:
        """Type of one value of the result."""
        return self.result.type

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the Python function plainly, as if it weren't granted to anybody."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<HostFunction {self.name}>"


class DecoratedFunction(HostFunction, Generic[_Parameters, _Returned]):
    """A host function made with `@host_function`: type checkers see the parameters and the result of the def."""

    def __call__(self, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        """Call the Python function plainly, as if it weren't granted to anybody."""
        returned: _Returned = self.function(*args, **kwargs)
        return returned


@overload
def host_function(function: Callable[_Parameters, _Returned], /) -> DecoratedFunction[_Parameters, _Returned]: ...


@overload
def host_function(
    *,
    name: str | None = None,
    gate: Callable[[HostCall], object] | None = None,
    timeout_seconds: float | None = None,
) -> Callable[[Callable[_Parameters, _Returned]], DecoratedFunction[_Parameters, _Returned]]: ...


def host_function(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    gate: Callable[[HostCall], object] | None = None,
    timeout_seconds: float | None = None,
) -> Any:
    """Make a host function of an annotated def, as a decorator with or without options: see `HostFunction`.

    Args:
        function: the def.
        name: what guests call it; the def's own name by default.
        gate: called with each `HostCall` before the function is; it refuses the call by returning False or raising.
        timeout_seconds: how long a call may take; None to wait for it.

    Returns:
        The host function, which can be called as the def; or a decorator that makes it.

    Examples:
        >>> @wasi_udf.host_function
        ... def fx_rate(currency: list[str]) -> list[float]:
        ...     return [RATES.get(code) for code in currency]
    """

    def decorate(function: Callable[..., Any]) -> HostFunction:
        return DecoratedFunction(function, name=name, gate=gate, timeout_seconds=timeout_seconds)

    return decorate if function is None else decorate(function)
