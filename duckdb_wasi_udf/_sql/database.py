"""An open DuckDB database, known from any of its connections, with what belongs to it.

DuckDB's Python client has no object for a database, reports no end of one, and calls functions after the connection
that registered them is gone (duckdb-python#530). So each database that a sandbox is used with gets a mark: a hidden
in-memory database is attached to it, and in that there is a view over an Arrow stream. The catalog keeps the stream,
which keeps our record of the database, and both are gone when DuckDB's database is.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._shared.identifiers import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb_wasi_udf._functions.registered import RegisteredFunction
    from duckdb_wasi_udf._sql.macros import Schema

_VIEW = "database"

# Sandboxes that nobody refers to any more, but whose functions may run in a query that began before they were
# replaced. DuckDB doesn't report the end of a query, so the oldest is dropped when there are more.
REPLACED_KEPT = 4


@dataclass(frozen=True, slots=True)
class NamedFunction:
    """A function that a database has by a name.

    Attributes:
        function: The function.
        owner: The sandbox that runs it, which stays open as long as the function is here.
        origin: Where a user's code has it, to recognize it when that is run again: see `origins`.
    """

    function: RegisteredFunction
    owner: object
    origin: tuple[str, str] | None = None


class Database:
    """One open database. It lives as long as DuckDB's does, and the sandboxes in it as long as it does at least.

    Attributes:
        key: Number that the mark holds. Others can't guess it.
        lock: Held while the functions in the database are changed.
        functions: The named functions, by name in lower case.
        installed: The sandbox whose `py_*` functions it has; None before `install`.
        default: The sandbox that `install(con)` has made for it.
        installation: These functions, an `installation.Installation`; None before `install`.
        native_tables: The `native_tables.NativeTable`s that DuckDB has, by name in lower case.
        macro_schemas: Databases and schemas that have the macros of the `py_*` table functions.
        aggregates: The aggregate functions that DuckDB has got from C, by name in lower case: `AggregateCallback`s.
    """

    def __init__(self) -> None:
        self.key = secrets.randbits(62)
        self.lock = threading.RLock()
        self.functions: dict[str, NamedFunction] = {}
        self.installed: Any = None
        self.default: Any = None
        self.installation: Any = None
        self.native_tables: dict[str, Any] = {}
        self.macro_schemas: set[Schema] = set()
        self.aggregates: dict[str, Any] = {}
        self._endings: list[Callable[[], None]] = []
        weakref.finalize(self, _end, self._endings).atexit = False
        self._replaced: deque[object] = deque(maxlen=REPLACED_KEPT)
        self._connections: list[weakref.ref[duckdb.DuckDBPyConnection]] = []

    def at_end(self, release: Callable[[], None]) -> None:
        """Have something called when the database is gone."""
        self._endings.append(release)

    def add_connection(self, con: duckdb.DuckDBPyConnection) -> None:
        """Remember a connection of the database, weakly."""
        state.database_keys[con] = self.key
        self._connections = [ref for ref in self._connections if ref() not in (None, con)] + [weakref.ref(con)]

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor of any open connection, which itself may be busy, even with the query that wants this.

        A connection of our own would keep the database open after the user's are closed.

        Raises:
            SignatureError: none is found, as when the database is about to end.
        """
        for ref in self._connections:
            con = ref()
            with contextlib.suppress(duckdb.ConnectionException):  # closed
                if con is not None:
                    return con.cursor()
        for con in self._others():
            with contextlib.suppress(duckdb.Error):  # closed, or of a database without a mark
                cursor = con.cursor()
                if (state.database_keys.get(con) or _read_mark(cursor)) == self.key:
                    self.add_connection(con)
                    return cursor
                cursor.close()
        msg = "no open connection of the database is left to run this on"
        raise SignatureError(msg)

    @staticmethod
    def _others() -> Iterator[duckdb.DuckDBPyConnection]:
        """Return all connections there are, which Python's garbage collector knows, but for the default one."""
        yield from [item for item in gc.get_objects() if type(item) is duckdb.DuckDBPyConnection]
        yield duckdb.default_connection()

    def let_go(self, owner: object) -> None:
        """Let go of a sandbox one of whose functions was replaced or dropped, if it was the last."""
        if owner is self.installed or any(named.owner is owner for named in self.functions.values()):
            return
        if owner not in self._replaced:
            self._replaced.append(owner)


def _end(endings: list[Callable[[], None]]) -> None:
    """Release what a database has had, in sandboxes that outlive it."""
    for release in endings:
        release()


class _Mark:
    """What DuckDB's catalog keeps of us: an Arrow stream of the record's key."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._table = pa.table({"key": [database.key]})

    def __arrow_c_schema__(self) -> object:
        return self._table.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def open_database(con: duckdb.DuckDBPyConnection) -> Database:
    """Return the database of a connection.

    Raises:
        duckdb.ConnectionException: the connection is closed.
    """
    known: Database | None = state.databases.get(state.database_keys.get(con, 0))
    if known is not None:
        return known
    with state.database_lookup, con.cursor() as cursor:
        marked = _attach(cursor)
        key = _read_mark(cursor) if marked else None
        database = None if key is None else state.databases.get(key)
        if database is None:
            database = Database()
            cursor.execute(f"USE {quote_identifier(state.MARK)}")
            # A relation's view keeps the object, unlike one that SQL creates (`AS FROM mark`), which would crash.
            cursor.from_arrow(_Mark(database)).create_view(_VIEW, replace=True)
            state.databases[database.key] = database
    database.add_connection(con)
    return database


def _attach(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Attach what marks the database of a cursor, which is seen in no list and no file; return whether it was there."""
    try:
        cursor.execute(f"ATTACH ':memory:' AS {quote_identifier(state.MARK)} (HIDDEN, READ_WRITE)")
    except duckdb.BinderException:
        return True
    return False


def _read_mark(cursor: duckdb.DuckDBPyConnection) -> int | None:
    """Return the key that the mark of a cursor's database holds; None if it has no mark."""
    try:
        return int(cursor.execute(f"FROM {quote_identifier(state.MARK)}.main.{_VIEW}").fetchall()[0][0])
    except duckdb.CatalogException:  # neither, or attached only, after an interrupt at that very place
        return None
