"""Arrow streams for the queries that scan them."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.signature import VARIANT
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.connections import connection_of
from duckdb_wasi_udf._sql.database import open_database
from duckdb_wasi_udf._sql.types import column_types

if TYPE_CHECKING:
    import duckdb

    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._sql.database import Database


class Streams:
    """Where the streams of one database are put for the queries that scan them."""

    def __init__(self, database: Database) -> None:
        """Remember the database, weakly."""
        self._database = weakref.ref(database)
        # By thread, until it binds the next one: DuckDB looks a stream up before the thread does anything else.
        self._bound: dict[int, duckdb.DuckDBPyRelation] = {}

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection) -> Streams:
        """Return a place for streams in the database of a connection that a user passes."""
        return cls(open_database(connection_of(con)))

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of one of the database's connections.

        Raises:
            SignatureError: no open one is found.
        """
        database = self._database()
        if database is None:  # it ends at this moment
            msg = "the database is closed"
            raise SignatureError(msg)
        return database.cursor()

    def scan(self, stream: ArrowStream) -> str:
        """Return the query that scans a stream.

        Raises:
            SignatureError: no open connection is found.
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
    names = [quote_identifier(name) for name in stream.schema.names]
    types = column_types(stream.declared)
    return ", ".join(f"CAST({name} AS {column}) AS {name}" for name, column in zip(names, types, strict=True))
