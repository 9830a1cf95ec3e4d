"""The host functions of a sandbox: what guests are told of them, and how one is called with what a guest passed."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf import _arrow_types
from duckdb_wasi_udf._arrow_memory import encode_schemas
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._host import HostCall, HostFunction
from duckdb_wasi_udf._host_audit import Audit
from duckdb_wasi_udf._host_quota import Query
from duckdb_wasi_udf._host_threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from duckdb_wasi_udf._host import HostValue

# What guests find the description under, and with a function's number its types.
DESCRIPTION = "host:functions"
TYPES = "host:types:"


class RefusedError(Exception):
    """The gate refused a call."""


class Granted:
    """A host function with the types that its values have in the guest's memory.

    Attributes:
        name: what guests call it.
        host: the function.
        wire_types: of each argument.
    """

    def __init__(self, host: HostFunction, arrow_type_of: Callable[[str], pa.DataType]) -> None:
        """Find the types.

        Raises:
            SignatureError: one is not known, or can't be passed.
        """
        self.name = host.name
        self.host = host
        self._types = [self._find(argument, arrow_type_of) for argument in host.arguments]
        self.wire_types = [
            self._wire(argument, kind) for argument, kind in zip(host.arguments, self._types, strict=True)
        ]
        self._result_type = self._find(host.result, arrow_type_of)
        self._wire(host.result, self._result_type)
        self._fields = [
            pa.field(argument.name, kind) for argument, kind in zip(host.arguments, self._types, strict=True)
        ]

    def _find(self, value: HostValue, arrow_type_of: Callable[[str], pa.DataType]) -> pa.DataType:
        if isinstance(value.type, pa.DataType):
            return _arrow_types.plain(value.type)
        try:
            found = arrow_type_of(value.type)
        except KeyError as error:
            msg = f"{self.name}: the type {value.type!r} of {value.name} is not one DuckDB knows"
            raise SignatureError(msg) from error
        return found.value_type if pa.types.is_dictionary(found) else found  # an ENUM's values are strings

    def _wire(self, value: HostValue, kind: pa.DataType) -> pa.DataType:
        """The type that guests build for a type; the host's own arrays have it as it is."""
        wire = None if _is_opaque(kind) else _arrow_types.result_type(kind)
        if wire is None or not _arrow_types.supports(kind):
            msg = f"{self.name}: values of the type {value.type} can't be passed ({value.name}); pass VARCHAR instead"
            raise SignatureError(msg)
        return wire

    @property
    def description(self) -> dict[str, Any]:
        """What the guest's module `host` makes the function of."""
        parameters = [
            {"name": argument.name, "type": str(argument.type), "default": argument.default}
            for argument in self.host.arguments
        ]
        return {
            "name": self.name,
            "doc": self.host.doc,
            "parameters": parameters,
            "returns": str(self.host.result.type),
        }

    def schemas(self, base: int) -> bytes:
        """The types as Arrow schemas for the address `base`: a struct of the arguments, and the result."""
        fields = zip(self.host.arguments, self.wire_types, strict=True)
        arguments = pa.struct([pa.field(argument.name, wire) for argument, wire in fields])
        return encode_schemas(base, [(arguments, True), (self._result_type, True)], None)[0]

    def check(self, columns: Sequence[pa.Array], rows: int, size: int) -> None:
        """Ask the gate.

        Raises:
            RefusedError: it refuses the call.
        """
        gate = self.host.gate
        if gate is None:
            return
        arguments = pa.RecordBatch.from_arrays(self._cast(columns), schema=pa.schema(self._fields))
        try:
            allowed = gate(HostCall(self.name, rows, size, arguments))
        except Exception as error:
            msg = f"the gate of {self.name} raised {type(error).__name__}: {error}"
            raise RefusedError(msg) from error
        if allowed is False:
            msg = f"the gate of {self.name} refused the call"
            raise RefusedError(msg)

    def call(self, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        """Call the function.

        Args:
            columns: the arguments, each of the type the guest built.
            rows: how many of each.

        Returns:
            As many results.

        Raises:
            BaseException: the function's own.
            pyarrow.ArrowException: it returned what its type can't hold.
            TypeError: likewise.
            ValueError: likewise, or it returned too many or too few.
        """
        host = self.host
        given = [
            column if argument.as_array else _values(column, argument)
            for column, argument in zip(self._cast(columns), host.arguments, strict=True)
        ]
        if host.batched:
            returned = host(*given)
        elif len(given) == 1:
            returned = [host(value) for value in given[0]]
        else:
            returned = (
                [host(*values) for values in zip(*given, strict=True)] if given else [host() for _ in range(rows)]
            )
        result = self._array(returned)
        if len(result) != rows:
            msg = f"{self.name} returned {len(result)} values for {rows} rows"
            raise ValueError(msg)
        return result

    def _cast(self, columns: Sequence[pa.Array]) -> list[pa.Array]:
        """The columns under the types that were declared, which may be narrower than what guests build."""
        return [
            column if column.type == kind else column.cast(kind)
            for column, kind in zip(columns, self._types, strict=True)
        ]

    def _array(self, returned: Any) -> pa.Array:
        """What the function returned, as an array of the result's type."""
        kind = self._result_type
        if isinstance(returned, pa.ChunkedArray):
            returned = pa.concat_arrays(returned.chunks) if returned.num_chunks else pa.array([], returned.type)
        if isinstance(returned, pa.Array):
            return returned if returned.type == kind else returned.cast(kind)
        if isinstance(returned, (str, bytes, dict)) or not hasattr(returned, "__len__"):
            msg = (
                f"{self.name} returned a {type(returned).__name__}, not a list or Arrow array with a value for each row"
            )
            raise TypeError(msg)
        if self.host.result.parsed:
            returned = [value if value is None else json.dumps(value) for value in returned]
        elif self.host.result.convert is not None or pa.types.is_struct(kind):
            returned = [_plain(value) for value in returned]
        if pa.types.is_integer(kind):  # pa.array(values, kind) would cut 2.5 down to 2
            inferred = pa.array(returned)
            return inferred if inferred.type == kind else inferred.cast(kind)
        return pa.array(returned, kind)


def _values(column: pa.Array, argument: HostValue) -> list[Any]:
    values: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
    convert = json.loads if argument.parsed else argument.convert
    return values if convert is None else [value if value is None else convert(value) for value in values]


def _plain(value: Any) -> Any:
    """A value with dicts in place of dataclass instances and named tuples."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _is_opaque(data_type: pa.DataType) -> bool:
    """Whether values of the type, or inside it, are ones that Python's Arrow has no objects for, or can't make."""
    if isinstance(data_type, pa.OpaqueType) or pa.types.is_union(data_type):
        return True
    inside = [data_type.field(i).type for i in range(data_type.num_fields)]
    return any(map(_is_opaque, inside))


class Grants:
    """All host functions of a sandbox, with what is kept of their calls.

    Attributes:
        functions: in the order of their numbers.
        audit: the record of their calls.
        query: what was used of the quotas.
        threads: those on which functions with a time-out run.
    """

    def __init__(self, functions: Iterable[HostFunction], arrow_type_of: Callable[[str], pa.DataType]) -> None:
        """Take the functions.

        Args:
            functions: what is granted.
            arrow_type_of: looks up a SQL type, or raises KeyError.

        Raises:
            SignatureError: two have one name, one is no host function, or a type can't be passed.
        """
        self.functions: list[Granted] = []
        for function in functions:
            if not isinstance(function, HostFunction):
                msg = f"host_functions are made with @host_function or HostFunction(...), got {function!r}"
                raise SignatureError(msg)
            if function.name in [granted.name for granted in self.functions]:
                msg = f"two host functions are called {function.name}; give one another name="
                raise SignatureError(msg)
            self.functions.append(Granted(function, arrow_type_of))
        self.audit = Audit()
        self.query = Query(len(self.functions))
        self.threads = Threads()
        self._description = json.dumps([granted.description for granted in self.functions]).encode()

    def find(self, name: str, base: int) -> bytes | None:
        """What guests find by name of host functions: see `_host_calls.Finder`; schemas are for the address `base`."""
        if name == DESCRIPTION:
            return self._description
        number = name.removeprefix(TYPES)
        if number == name or not number.isdecimal() or len(number) > 9 or int(number) >= len(self.functions):
            return None
        return self.functions[int(number)].schemas(base)
