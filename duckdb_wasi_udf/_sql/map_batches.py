"""Table in, table out, in SQL: `py_map_batches` over a query, `Sandbox.map_batches` over a relation."""

from __future__ import annotations

import contextlib
import types
import weakref
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

import duckdb
import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.inline import inline_definition
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._functions.table_map import MapFunction
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.bind_arguments import constant_row_type, constant_text
from duckdb_wasi_udf._sql.native_tables import NativeParameter
from duckdb_wasi_udf._sql.running_query import in_the_same_query
from duckdb_wasi_udf._sql.streams import casts
from duckdb_wasi_udf._sql.types import types_of, types_through

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._sql.native_tables import Forms
    from duckdb_wasi_udf._sql.streams import Streams

    _Argument: TypeAlias = pa.ChunkedArray | pa.Array

_P = ParamSpec("_P")
_R = TypeVar("_R")


class MapFunctions:
    """The functions of a sandbox that are called for the rows of queries."""

    def __init__(self, domain: TrustDomain) -> None:
        """Prepare for any.

        Args:
            domain: whose engine and limits apply.
        """
        self._domain = domain
        self._functions: weakref.WeakSet[MapFunction] = weakref.WeakSet()
        domain.hold(self)

    def stream(
        self,
        context: CallContext,
        definition: Definition,
        query: str,
        cursor: Callable[[], duckdb.DuckDBPyConnection],
        declared: str | None,
        column: str,
        sql_type_of: SqlTypeOf,
    ) -> ArrowStream:
        """Return what a function makes of the rows of a query.

        Args:
            context: the call that binds the query.
            definition: the function, or a class with `process` and `finish`.
            query: a SELECT.
            cursor: makes what the query is run on.
            declared: the SQL type of the function's rows; None to go by annotation, or to infer it.
            column: the name of the column when rows aren't STRUCTs.
            sql_type_of: looks SQL types up.

        Raises:
            SignatureError: the query can't be run, or the function doesn't fit.
            GuestError: the code doesn't compile, or raised.
        """
        label = definition.label
        try:
            with cursor() as con:
                input_types = _select(con, query).limit(0).to_arrow_table().schema.types
        except duckdb.Error as error:
            msg = (
                f"{label}: the input can't be read: {error}\n(it is read through a cursor, which knows neither "
                "temporary tables, changes that aren't committed nor the parameters of a relation)"
            )
            raise SignatureError(msg) from error
        function = MapFunction(
            context,
            self._domain,
            definition,
            lambda instance: resolve(label, instance.description, sql_type_of, return_type=declared),
            input_types,
        )
        self._functions.add(function)
        return function.stream(context, lambda: _read(self._domain, cursor, query), column)

    def close(self) -> None:
        """Close the instances."""
        for function in list(self._functions):
            function.close()


class InlineMap:
    """`py_map_batches`: the first argument is the code, the second the query whose rows it gets."""

    def __init__(self, functions: MapFunctions, name: str, streams: Streams) -> None:
        """Prepare the function.

        Args:
            functions: where its functions belong.
            name: the SQL function's name.
            streams: where its streams go.
        """
        self._functions = functions
        self._name = name
        self._streams = streams

    def __call__(
        self,
        context: CallContext,
        code: pa.ChunkedArray,
        query: pa.ChunkedArray | None = None,
        schema: pa.ChunkedArray | None = None,
        *others: pa.ChunkedArray,
    ) -> pa.Array:
        """Return the query that scans what `code` makes of the rows of `query`."""
        if others or query is None:
            msg = f"{self._name} takes code, query and schema"
            raise SignatureError(msg)
        if constant_text(self._name, "query", query) == state.MARK:  # a test of whether a macro leads here
            return pa.array([f"SELECT 1 AS {quote_identifier(state.MARK)}"])
        return pa.array([self._streams.scan(self._stream(context, code, query, schema))])

    # The schema may be left out.
    forms: Forms = tuple([tuple(map(NativeParameter, ("code", "query", "schema")[:count])) for count in (2, 3)])

    def bind(self, context: CallContext, arguments: pa.RecordBatch) -> ArrowStream:
        """Return a call with these arguments, for the native library."""
        return self._stream(context, *arguments.columns)

    def _stream(
        self, context: CallContext, code: _Argument, query: _Argument, schema: _Argument | None = None
    ) -> ArrowStream:
        definition = inline_definition(self._name, constant_text(self._name, "code", code))
        text = constant_text(self._name, "query", query)
        declared = constant_row_type(self._name, schema, self._streams.cursor)
        cursor = self._streams.cursor
        return self._functions.stream(context, definition, text, cursor, declared, self._name, types_through(cursor))

    @property
    def macro(self) -> str:
        """Parameters and body of the macro that names the function in FROM."""
        name = quote_identifier(self._name)
        return f"(code, query, schema := NULL) AS TABLE (FROM query({name}(code, query, schema)))"


def map_relation(
    context: CallContext,
    functions: MapFunctions,
    relation: duckdb.DuckDBPyRelation,
    definition: Definition,
    declared: str | None,
    owner: object,
) -> duckdb.DuckDBPyRelation:
    """Return what a function makes of the rows of a relation, on the same connection: see `MapFunctions.stream`.

    The result keeps `owner` alive, the sandbox.
    """
    con = relation._con  # the client has no public name for it

    def cursor() -> duckdb.DuckDBPyConnection:
        assert relation is not None  # whose objects the query reads, kept for as long as this is
        assert owner is not None  # likewise: without it, its sandbox would be closed
        return con.cursor()

    stream = functions.stream(
        context, definition, relation.sql_query(), cursor, declared, definition.label, types_of(con)
    )
    return con.from_arrow(stream).project(casts(stream))


def _select(con: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    if [statement.type for statement in con.extract_statements(query)] != [duckdb.StatementType.SELECT]:
        msg = "the query has to be one SELECT"
        raise duckdb.InvalidInputException(msg)
    with contextlib.suppress(duckdb.InvalidInputException):  # the configuration is locked
        con.execute("SET python_enable_replacements = false")
    return _bind(con.sql, query)


def _without_names(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that has no global names.

    DuckDB takes the name of a table that doesn't exist for that of a variable where it is called from. In a query of a
    user's that must not find anything of ours, even if the setting that forbids it can't be set.
    """
    return types.FunctionType(function.__code__, {"__builtins__": {}})


@_without_names
def _bind(_wasi_udf_call: Callable[[str], duckdb.DuckDBPyRelation], _wasi_udf_query: str) -> duckdb.DuckDBPyRelation:
    return _wasi_udf_call(_wasi_udf_query)


def _read(
    domain: TrustDomain, cursor: Callable[[], duckdb.DuckDBPyConnection], query: str
) -> Generator[pa.RecordBatch, None, None]:
    """Return the rows of a query, in batches."""
    with cursor() as con, in_the_same_query(domain, con):
        yield from _select(con, query).to_arrow_reader(_abi.VECTOR_ROWS)
