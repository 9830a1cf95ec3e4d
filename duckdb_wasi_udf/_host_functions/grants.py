"""The host functions of a sandbox: how guests see them, and how one is called with what a guest passed."""

from __future__ import annotations

import inspect
import itertools
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._arrow.types import rebuilt, with_small_offsets
from duckdb_wasi_udf._arrow.write_schema import encode_schemas
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._host_functions.audit import Audit
from duckdb_wasi_udf._host_functions.function import HostCall, HostFunction
from duckdb_wasi_udf._host_functions.quota import QueryUsage
from duckdb_wasi_udf._host_functions.values import given, returned, wire_type
from duckdb_wasi_udf._process.abandonable_calls import AbandonableCalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._host_functions.annotations import HostValue

# What guests find the description under, and with a function's number its types.
DESCRIPTION = "host:functions"
TYPES = "host:types:"


class RefusedError(Exception):
    """The gate refused a call."""


class Granted:
    """A host function with the types that its values have in the guest's memory.

    Attributes:
        name: what guests call it.
        function: the function.
        types: the Arrow type of each argument, as the function receives it.
        result_type: the Arrow type of the result.
        returned: makes the column of what the function returned; raises ArrowException, TypeError or ValueError.
        wire_types: of each argument.
    """

    def __init__(self, function: HostFunction, sql_type_of: SqlTypeOf) -> None:
        """Find the types.

        Raises:
            SignatureError: one is not known, or can't be passed.
        """
        self.name = function.name
        self.function = function
        self.types = [self._find(argument, sql_type_of) for argument in function.arguments]
        typed = list(zip(function.arguments, self.types, strict=True))
        self.wire_types = [self._wire(argument, data_type) for argument, data_type in typed]
        self._given = [given(argument, data_type) for argument, data_type in typed]
        self.result_type = self._find(function.result, sql_type_of)
        self._wire(function.result, self.result_type)
        self.returned = returned(function.name, function.result, self.result_type)

    def _find(self, value: HostValue, sql_type_of: SqlTypeOf) -> pa.DataType:
        if isinstance(value.type, pa.DataType):
            return with_small_offsets(value.type)
        try:
            found = sql_type_of(value.type).arrow_type
        except KeyError as error:
            msg = f"{self.name}: the type {value.type!r} of {value.name} is not one DuckDB knows"
            raise SignatureError(msg) from error
        return rebuilt(found, _as_host_has_it)

    def _wire(self, value: HostValue, data_type: pa.DataType) -> pa.DataType:
        wire = wire_type(data_type)
        if wire is None:
            msg = f"{self.name}: values of the type {value.type} can't be passed ({value.name}); pass VARCHAR instead"
            raise SignatureError(msg)
        return wire

    @property
    def description(self) -> dict[str, Any]:
        """Description from which the guest's module `host` makes the function."""
        parameters = [
            {"name": argument.name, "type": str(argument.type), "default": argument.default}
            for argument in self.function.arguments
        ]
        return {
            "name": self.name,
            "doc": self.function.doc,
            "parameters": parameters,
            "returns": str(self.function.result.type),
        }

    @property
    def signature(self) -> str:
        """Name, parameters and result as text, and the first line of its documentation."""
        taken = [
            f"{argument.name}: {argument.type}" + ("" if argument.default is None else f" = {argument.default}")
            for argument in self.function.arguments
        ]
        said = self.function.doc.partition("\n")[0]
        return f"{self.name}({', '.join(taken)}) -> {self.function.result.type}" + (f" ({said})" if said else "")

    def schemas(self, base: int) -> bytes:
        """Return the types as Arrow schemas for the address `base`: a struct of the arguments, and the result."""
        fields = zip(self.function.arguments, self.wire_types, strict=True)
        arguments = pa.struct([pa.field(argument.name, wire) for argument, wire in fields])
        return encode_schemas(base, [(arguments, True), (self.result_type, True)], None)[0]

    def check(self, columns: Sequence[pa.Array], rows: int, size: int) -> None:
        """Ask the gate.

        Raises:
            RefusedError: it refuses the call.
        """
        gate = self.function.gate
        if gate is None:
            return
        names = [argument.name for argument in self.function.arguments]
        arguments = pa.RecordBatch.from_arrays(list(columns), names=names)
        try:
            allowed = gate(HostCall(self.name, rows, size, arguments))
        except Exception as error:
            msg = f"the gate of {self.name} raised {type(error).__name__}: {error}"
            raise RefusedError(msg) from error
        if allowed is False:
            msg = f"the gate of {self.name} refused the call"
            raise RefusedError(msg)

    def run(self, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        """Call the function.

        Args:
            columns: the arguments, each of the type the guest built.
            rows: the number of each.

        Returns:
            As many results.

        Raises:
            BaseException: the function's own.
            pyarrow.ArrowException: it returned what its type can't hold.
            TypeError: likewise.
            ValueError: likewise, or it returned too many or too few.
        """
        function = self.function.function
        arguments = [make(column) for make, column in zip(self._given, columns, strict=True)]
        if self.function.batched:
            result = self.returned(function(*arguments))
        else:
            calls = zip(*arguments, strict=True) if arguments else itertools.repeat((), rows)
            result = self.returned([function(*values) for values in calls])
        if len(result) != rows:
            msg = f"{self.name} returned {len(result)} values for {rows} rows"
            raise ValueError(msg)
        return result


def _as_host_has_it(data_type: pa.DataType) -> pa.DataType:
    """Return the type that a host function's values have, for a type without fields."""
    if pa.types.is_dictionary(data_type):
        return data_type.value_type  # an ENUM's values are strings
    return pa.bool_() if data_type == pa.bool8() else data_type


class Grants:
    """All host functions of a sandbox, with what is kept of their calls.

    Attributes:
        functions: in the order of their numbers.
        audit: the record of their calls.
        query: what was used of the quotas.
        calls: makes the calls of functions with a timeout.
    """

    def __init__(self, functions: Iterable[HostFunction], sql_type_of: SqlTypeOf) -> None:
        """Take the functions.

        Args:
            functions: what is granted.
            sql_type_of: looks up a SQL type, or raises KeyError.

        Raises:
            SignatureError: two have one name, one is no host function, or a type can't be passed.
        """
        self.functions: list[Granted] = []
        for function in functions:
            if not isinstance(function, HostFunction):
                msg = f"host_functions are made with @host_function or HostFunction(...), got {function!r}"
                raise SignatureError(msg)
            if inspect.iscoroutinefunction(function.function):
                msg = (
                    f"the host function {function.name} is an async def, which a sandbox doesn't await; wrap it as in "
                    "docs/guide/scaling-host-functions.md"
                )
                raise SignatureError(msg)
            if function.name in [granted.name for granted in self.functions]:
                msg = f"two host functions are called {function.name}; give one another name="
                raise SignatureError(msg)
            self.functions.append(Granted(function, sql_type_of))
        self.audit = Audit()
        self.query = QueryUsage(len(self.functions))
        self.calls = AbandonableCalls()
        self._description = json.dumps([granted.description for granted in self.functions]).encode()

    def find(self, name: str, base: int) -> bytes | None:
        """Return what guests find by name of host functions. Schemas are for the address `base`."""
        if name == DESCRIPTION:
            return self._description
        number = name.removeprefix(TYPES)
        if number == name or not number.isdecimal() or len(number) > 9 or int(number) >= len(self.functions):
            return None
        return self.functions[int(number)].schemas(base)
