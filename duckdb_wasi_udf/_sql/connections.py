"""Connections as users pass them, and the transactions that they are in."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import duckdb

from duckdb_wasi_udf._errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator


def connection_of(con: Any, example: str = "it as in sandbox.create_function(con, ...)") -> duckdb.DuckDBPyConnection:
    """Return DuckDB's own connection of what a user passes as one.

    Args:
        con: a connection or cursor; the module `duckdb`, whose default connection is meant; or an object around a
            connection that passes its methods on, as those of SQLAlchemy's pools do.
        example: how the call is written, for the error.

    Raises:
        SignatureError: it is none of these.
    """
    if isinstance(con, duckdb.DuckDBPyConnection):
        return con
    if con is duckdb:
        return duckdb.default_connection()
    inner = None if isinstance(con, type) else getattr(getattr(con, "create_function", None), "__self__", None)
    if isinstance(inner, duckdb.DuckDBPyConnection):
        return inner
    what = f"the function {con.__name__}" if callable(con) and hasattr(con, "__name__") else f"{con!r:.100}"
    msg = f"the first argument is a DuckDB connection, got {what}; write {example}"
    raise SignatureError(msg)


@contextlib.contextmanager
def own_transaction(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a cursor of a connection, in a transaction that is committed at the end of the context."""
    with con.cursor() as cursor:
        cursor.begin()
        try:
            yield cursor
            cursor.commit()
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # none is left after a commit that failed
                cursor.rollback()
            raise


@contextlib.contextmanager
def one_transaction(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return where changes become visible to others all at once.

    That is the connection itself while its user has a transaction open, which then decides. Otherwise it is a cursor in
    a transaction of its own.
    """
    if in_transaction(con):
        yield con
    else:
        with own_transaction(con) as cursor:
            yield cursor


def in_transaction(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the user of a connection has begun a transaction: then two queries are in the same one.

    `begin` would do as a test, but for what it does to an open transaction (aborts it) and to a result that isn't
    fetched yet (drops it).
    """
    try:
        first, second = (con.sql("SELECT txid_current()").fetchall() for _ in range(2))
    except duckdb.TransactionException:  # it is aborted
        return True
    except duckdb.Error:  # busy with another query or with its result
        return False
    return first == second
