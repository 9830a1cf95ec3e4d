"""Table in, table out, in SQL: `py_map_batches` over a query, `Sandbox.map_batches` over a relation."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._functions.table_map import Map
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.macros import create_macro
from duckdb_wasi_udf._sql.streams import Streams, casts
from duckdb_wasi_udf._sql.table_functions import constant_row_type, constant_text, inline_definition

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._functions.table import TableFunction
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain


class Maps:
    """The functions of a sandbox that are called for the rows of queries."""

    def __init__(self, sandbox: TrustDomain, sql_type_of: SqlTypeOf) -> None:
        """Prepare for any.

        Args:
            sandbox: whose engine and limits apply.
            sql_type_of: looks SQL types up.
        """
        self._sandbox = sandbox
        self._sql_type_of = sql_type_of
        self._functions: weakref.WeakSet[TableFunction] = weakref.WeakSet()
        sandbox.hold(self)

    def rows(
        self,
        definition: Definition,
        query: str,
        cursor: Callable[[], duckdb.DuckDBPyConnection],
        declared: str | None,
        column: str,
    ) -> ArrowStream:
        """What a function makes of the rows of a query.

        Args:
            definition: the function, or a class with `process` and `finish`.
            query: a SELECT.
            cursor: makes what the query is run on.
            declared: the SQL type of the function's rows; None to go by annotation, or to infer it.
            column: the name of the column when rows aren't STRUCTs.

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
        mapped = Map(
            self._sandbox,
            definition,
            lambda instance: resolve(label, instance.description, self._sql_type_of, return_type=declared),
            input_types,
        )
        self._functions.add(mapped.function)
        return mapped.rows(lambda: _read(cursor, query), column)

    def close(self) -> None:
        """Drop the instances."""
        for function in list(self._functions):
            function.close()


class InlineMap:
    """`py_map_batches`: the first argument is the code, the second the query whose rows it gets."""

    def __init__(self, maps: Maps, name: str, streams: Streams) -> None:
        """Prepare the function.

        Args:
            maps: where its functions belong.
            name: the SQL function's name.
            streams: where its streams go.
        """
        self._maps = maps
        self._name = name
        self._streams = streams

    def __call__(
        self,
        _stops: int,
        code: pa.ChunkedArray,
        query: pa.ChunkedArray | None = None,
        schema: pa.ChunkedArray | None = None,
        *others: pa.ChunkedArray,
    ) -> pa.Array:
        """The query that scans what `code` makes of the rows of `query`."""
        if others or query is None:
            msg = f"{self._name} takes code, query and schema"
            raise SignatureError(msg)
        definition = inline_definition(self._name, constant_text(self._name, "code", code))
        text = constant_text(self._name, "query", query)
        declared = constant_row_type(self._name, schema)
        rows = self._maps.rows(definition, text, self._streams.cursor, declared, self._name)
        return pa.array([self._streams.scan(rows)])

    def close(self) -> None:
        """Nothing: its functions are held by `Maps`."""

    def create_macro(self, con: duckdb.DuckDBPyConnection) -> None:
        """Give the function its name in FROM."""
        name = quote_identifier(self._name)
        create_macro(
            con, self._name, f"(code, query, schema := NULL) AS TABLE (FROM query({name}(code, query, schema)))"
        )


def map_relation(
    maps: Maps, relation: duckdb.DuckDBPyRelation, definition: Definition, declared: str | None
) -> duckdb.DuckDBPyRelation:
    """The relation of what a function makes of the rows of another, on the same connection: see `Maps.rows`."""
    con = relation._con  # the client has no public name for it

    def cursor() -> duckdb.DuckDBPyConnection:
        assert relation is not None  # whose objects the query reads, kept for as long as this is
        return con.cursor()

    rows = maps.rows(definition, relation.sql_query(), cursor, declared, definition.label)
    return con.from_arrow(rows).project(casts(rows))


def _select(con: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    if [statement.type for statement in con.extract_statements(query)] != [duckdb.StatementType.SELECT]:
        msg = "the query has to be one SELECT"
        raise duckdb.InvalidInputException(msg)
    con.execute("SET python_enable_replacements = false")  # a table's name doesn't mean a variable of ours
    return con.sql(query)


def _read(cursor: Callable[[], duckdb.DuckDBPyConnection], query: str) -> Generator[pa.RecordBatch, None, None]:
    """The rows of a query, in batches."""
    with cursor() as con:
        yield from _select(con, query).to_arrow_reader(_abi.CURSOR_ROWS)
