"""Arrow streams for the queries that scan them."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

import duckdb
from duckdb.sqltypes import DuckDBPyType

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.signature import VARIANT
from duckdb_wasi_udf._shared.identifiers import quote_identifier

if TYPE_CHECKING:
    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream


class Streams:
    """Where the streams of one database are put for the queries that scan them."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        """Remember the connection, but don't keep its database open."""
        self._con = weakref.ref(con)
        # By thread, until it binds the next one: DuckDB looks a stream up before the thread does anything else.
        self._bound: dict[int, duckdb.DuckDBPyRelation] = {}

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of the connection, which itself is busy, perhaps with the very query that is being bound.

        Raises:
            SignatureError: the connection is closed.
        """
        con = self._con()
        if con is not None:
            with contextlib.suppress(duckdb.ConnectionException):
                return con.cursor()
        msg = (
            "table functions need the connection they were registered with, which is closed; keep it as long as others "
            "of the database use them"
        )
        raise SignatureError(msg)

    def scan(self, stream: ArrowStream) -> str:
        """Return the query that scans a stream.

        Raises:
            SignatureError: the connection is closed.
        """
        cursor = self.cursor()
        relation = cursor.from_arrow(stream)
        cursor.close()  # or the relation would keep the database open
        self._bound[threading.get_ident()] = relation
        columns = casts(stream)
        return f"SELECT {columns} FROM ({relation.sql_query()})"  # noqa: S608 - of quoted names and DuckDB's types


def casts(stream: ArrowStream) -> str:
    """Return the select list that gives the columns of a stream the declared types; without any it leaves them."""
    if stream.declared == VARIANT:
        return "*"
    sql_type = DuckDBPyType(stream.declared)
    types = [inside for _, inside in sql_type.children] if sql_type.id == "struct" else [sql_type]
    names = [quote_identifier(name) for name in stream.schema.names]
    return ", ".join(f"CAST({name} AS {column}) AS {name}" for name, column in zip(names, types, strict=True))
