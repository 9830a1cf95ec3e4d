"""Table functions in SQL: what gives a query its rows when DuckDB's Python client registers scalar functions only.

DuckDB's `query(text)` makes a table of a query whose text is computed while another is bound
(https://duckdb.org/docs/stable/guides/sql_features/query_and_query_table_functions). So a table function is a
scalar function that is called then, puts an Arrow stream where DuckDB finds it, and returns the query that scans it. A
macro of the same name hides the call of `query`. The plan keeps the stream, which starts anew for every scan.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.inline import inline_definition
from duckdb_wasi_udf._functions.lru_cache import LruCache
from duckdb_wasi_udf._functions.table import define_table
from duckdb_wasi_udf._native.layouts import ParameterKind
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.bind_arguments import (
    arguments_by_name,
    arguments_of,
    constant,
    constant_row_type,
    constant_text,
    inline_arguments,
    one_struct,
)
from duckdb_wasi_udf._sql.macros import create_macros
from duckdb_wasi_udf._sql.native_tables import NativeParameter
from duckdb_wasi_udf._sql.types import types_through

if TYPE_CHECKING:
    import duckdb

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._functions.table import TableFunction
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._sql.macros import Schema
    from duckdb_wasi_udf._sql.native_tables import Forms
    from duckdb_wasi_udf._sql.streams import Streams

# What a macro passes for no arguments at all: DuckDB wants one where any are allowed.
_NO_ARGUMENTS = "duckdb_wasi_udf: no arguments"

# The number of arguments of `*args` that a macro takes, because it has a fixed number of parameters.
# `query(name(...))` takes any number.
_REST_PARAMETERS = 16


# With more parameters that have defaults than this, a form for each choice of them would be too many.
_MOST_CHOSEN = 4


class NamedTable:
    """What DuckDB calls to bind a named table function."""

    def __init__(self, name: str, function: TableFunction, streams: Streams) -> None:
        self._name = name
        self.function = function
        self._streams = streams
        self._registering: int | None = None  # the thread that creates the macro

    def __call__(self, context: CallContext, *chunks: pa.ChunkedArray) -> pa.Array:
        """Return the query that scans a call with these arguments, each of one value."""
        if self._registering == threading.get_ident():  # DuckDB binds a macro's text when it is created
            return pa.array(["SELECT NULL"])
        arguments = [constant(self._name, chunk) for chunk in chunks]
        if len(arguments) == 1 and arguments[0].equals(pa.array([_NO_ARGUMENTS])):
            arguments = []
        return pa.array([self._streams.scan(self.function.stream(context, arguments, self._name))])

    def bind(self, context: CallContext, arguments: pa.RecordBatch) -> ArrowStream:
        """Return a call with these arguments, for the native library."""
        return self.function.stream(context, arguments_of(self.function.signature, arguments), self._name)

    @property
    def forms(self) -> Forms:
        """Parameters for each number of arguments that it takes, and each choice of those with defaults."""
        signature = self.function.signature
        taken = [
            NativeParameter(parameter.name, parameter.sql_type and parameter.sql_type.name)
            for parameter in signature.parameters
        ]
        forms = [tuple(taken[:count]) for count in range(signature.required, len(taken) + 1)]
        if signature.rest is not None:
            sql_type = signature.rest.sql_type and signature.rest.sql_type.name
            forms[-1] += (NativeParameter(signature.rest.name, sql_type, ParameterKind.ARGS),)
            return tuple(forms)
        optional = taken[signature.required :]
        if len(optional) > _MOST_CHOSEN:  # what comes by name has any type then, so DuckDB doesn't cast it
            by_position = [[p._replace(kind=ParameterKind.POSITIONAL_ONLY) for p in form] for form in forms[1:]]
            any_named = NativeParameter("arguments", kind=ParameterKind.KWARGS)
            return tuple((*form, any_named) for form in (forms[0], *by_position))
        for count in range(1, len(optional)):
            for chosen in map(list, itertools.combinations(optional, count)):
                before = next((i for i in range(count) if chosen[i] != optional[i]), count)
                if before < count:  # what comes after one that is left out is passed by name
                    named = [parameter._replace(kind=ParameterKind.NAMED) for parameter in chosen[before:]]
                    forms.append((*taken[: signature.required], *chosen[:before], *named))
        return tuple(forms)

    def close(self) -> None:
        """Close the instances."""
        self.function.close()

    def create_macro(self, con: duckdb.DuckDBPyConnection, schema: Schema) -> None:
        """Create the macro that names the function in FROM, with a form for each number of arguments it takes."""
        signature = self.function.signature
        rest = [] if signature.rest is None else [signature.rest] * _REST_PARAMETERS
        parameters = [*signature.parameters, *rest]
        names = [quote_identifier(parameter.name) for parameter in signature.parameters]
        names += [quote_identifier(f"{parameter.name}{i}") for i, parameter in enumerate(rest, 1)]
        types = [parameter.sql_type.name if parameter.sql_type else "" for parameter in parameters]
        forms = []
        for count in range(signature.required, len(parameters) + 1):
            declared = ", ".join(
                f"{name} {sql_type}" for name, sql_type in zip(names[:count], types[:count], strict=True)
            )
            passed = ", ".join(names[:count]) or f"'{_NO_ARGUMENTS}'"
            forms.append(f"({declared}) AS TABLE (FROM query({quote_identifier(self._name)}({passed})))")
        self._registering = threading.get_ident()
        try:
            create_macros(con, {self._name: ", ".join(forms)}, schema)
        finally:
            self._registering = None


class InlineTable:
    """`py_table`: the first argument is the code."""

    def __init__(self, domain: TrustDomain, name: str, streams: Streams) -> None:
        """Prepare the function.

        Args:
            domain: whose engine and limits apply.
            name: the SQL function's name.
            streams: where its streams go.
        """
        self._domain = domain
        self._name = name
        self._streams = streams
        self._functions: LruCache[TableFunction] = LruCache(lambda function: function.retire())

    def __call__(
        self,
        context: CallContext,
        code: pa.ChunkedArray,
        args: pa.ChunkedArray | None = None,
        schema: pa.ChunkedArray | None = None,
        *others: pa.ChunkedArray,
    ) -> pa.Array:
        """Return the query that scans a call of `code`."""
        if others:
            msg = f"{self._name} takes code, args and schema; the arguments of the function go into args"
            raise SignatureError(msg)
        text = constant_text(self._name, "code", code)
        if text == state.MARK:  # a test of whether a macro leads here
            return pa.array([f"SELECT 1 AS {quote_identifier(text)}"])
        given = None if args is None else constant(self._name, args)
        return pa.array([self._streams.scan(self._stream(context, text, given, schema))])

    # Code, further arguments by position, and any by name.
    forms: Forms = (
        (
            NativeParameter("code"),
            NativeParameter("more", kind=ParameterKind.ARGS),
            NativeParameter("arguments", kind=ParameterKind.KWARGS),
        ),
    )

    def bind(self, context: CallContext, arguments: pa.RecordBatch) -> ArrowStream:
        """Return a call with these arguments, for the native library.

        Those by other names than `args` and `schema` are the function's.
        """
        given, own = inline_arguments(self._name, arguments)
        args = given.get("args")
        if own and args is not None and args[0].as_py() is not None:
            msg = f"{self._name}: pass the arguments of the function by name or in args, not both"
            raise SignatureError(msg)
        text = constant_text(self._name, "code", given["code"])
        return self._stream(context, text, one_struct(own) if own else args, given.get("schema"))

    def _stream(
        self, context: CallContext, code: str, args: pa.Array | None, schema: pa.ChunkedArray | None
    ) -> ArrowStream:
        declared = constant_row_type(self._name, schema, self._streams.cursor)
        function = self._functions.get((code, declared), lambda: self._define(context, code, declared))
        return function.stream(context, arguments_by_name(function.signature, args), self._name)

    def close(self) -> None:
        """Close the functions with their instances."""
        self._functions.close()

    @property
    def macro(self) -> str:
        """Parameters and body of the macro that names the function in FROM."""
        name = quote_identifier(self._name)
        return f"(code, args := NULL, schema := NULL) AS TABLE (FROM query({name}(code, args, schema)))"

    def _define(self, context: CallContext, code: str, declared: str | None) -> TableFunction:
        types = types_through(self._streams.cursor)
        return define_table(context, self._domain, inline_definition(self._name, code), declared, types, types)
