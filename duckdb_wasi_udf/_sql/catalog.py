"""Functions that SQL creates, and lists for SQL: `py_create_function`, `py_drop_function`, `py_functions`,
`py_host_calls`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import weakref
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._errors import SignatureError, WasiUdfError
from duckdb_wasi_udf._sql import stored_functions
from duckdb_wasi_udf._sql.connections import own_transaction
from duckdb_wasi_udf._sql.create_options import LONGEST_NAME, check_name_and_code, checked_options, stored_options
from duckdb_wasi_udf._sql.database import NamedFunction
from duckdb_wasi_udf._sql.listings import HOST_CALLS, LISTING, in_one_value, sql_type, stream_of
from duckdb_wasi_udf._sql.macros import is_ours
from duckdb_wasi_udf._sql.naming import enter, enter_native, remove
from duckdb_wasi_udf._sql.native_tables import fits, lead
from duckdb_wasi_udf._sql.registration import ignoring_context
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._functions.registered import RegisteredFunction
    from duckdb_wasi_udf._sql.database import Database
    from duckdb_wasi_udf._sql.function_registry import FunctionRegistry
    from duckdb_wasi_udf._sql.naming import Creation
    from duckdb_wasi_udf._sql.native_tables import NativeTable
    from duckdb_wasi_udf._sql.streams import Streams

logger = logging.getLogger("duckdb_wasi_udf.functions")


@dataclass(frozen=True, slots=True)
class _Lost:
    """A row of the table, and why no function came of it."""

    name: str
    kind: str
    signature: str
    language: str
    problem: str


class Catalog:
    """The functions created from SQL in one database.

    DuckDB is changed through cursors of its own, made for a moment: the connection is busy with the query that creates
    a function.
    """

    LISTS = ("py_functions", "py_host_calls")

    def __init__(
        self, registry: FunctionRegistry, database: Database, owner: object, streams: Streams, *, allow_create: bool
    ) -> None:
        """Prepare a catalog; `restore` puts it to use.

        Args:
            registry: the functions of the sandbox.
            database: what the sandbox is installed in.
            owner: the sandbox.
            streams: where the streams of table functions go.
            allow_create: queries may create and drop functions, and those stored are restored.
        """
        self._registry = registry
        self._allow_create = allow_create
        self._database = weakref.ref(database)
        self._owner = weakref.ref(owner)
        self._streams = streams
        # For changes of the database, which would otherwise conflict with each other.
        self._lock = database.lock
        self._created: dict[str, RegisteredFunction] = {}
        self._persisted: set[str] = set()
        self._lost: list[_Lost] = []
        self._language = f"CPython {artifact.find().manifest['versions']['python']}"

    def remove_from(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Take what SQL has created out of DuckDB, in the cursor's transaction, though not out of the table."""
        for key in list(self._created):
            function = self._own(key)
            if function is not None:
                remove(cursor, function.signature.label, function)

    def leave(self, database: Database) -> None:
        """Forget what was taken out of DuckDB. Queries that are running it go on."""
        for key, function in self._created.items():
            self._registry.functions.pop(key, None)
            database.functions.pop(key, None)
            lead(database, {key: None})
            function.retire()
        self._created.clear()

    @classmethod
    def macros(cls) -> dict[str, str]:
        """Return parameters and bodies of the macros that make tables of the functions that list."""
        return {name: f"() AS TABLE SELECT unnest({name}(), max_depth := 2)" for name in cls.LISTS}

    @classmethod
    def columns(cls) -> dict[str, list[str]]:
        """Return the columns of these tables."""
        return dict(zip(cls.LISTS, (list(LISTING), list(HOST_CALLS)), strict=True))

    def sql_functions(self) -> Iterator[tuple[str, Callable[..., pa.Array], list[str] | None, str]]:
        """Return name, function, parameters and return type of each SQL function that queries may use."""
        if self._allow_create:
            yield "py_create_function", self._create_rows, None, "VARCHAR"
            yield "py_drop_function", ignoring_context(self._drop_rows), ["VARCHAR"], "VARCHAR"
        yield "py_functions", ignoring_context(self._list), [], sql_type(LISTING)
        yield "py_host_calls", ignoring_context(self._list_host_calls), [], sql_type(HOST_CALLS)

    # ---- what SQL calls ------------------------------------------------------------------------------------------

    def _create_rows(self, context: CallContext, *columns: pa.ChunkedArray) -> pa.Array:
        if len(columns) not in (2, 3):
            msg = f"py_create_function takes a name, the code and, if need be, options; the query passes {len(columns)}"
            raise SignatureError(msg)
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([self._create(context, *row) for row in rows], pa.string())

    def _drop_rows(self, names: pa.ChunkedArray) -> pa.Array:
        return pa.array([self._drop(name) for name in names.to_pylist()], pa.string())

    def _list(self) -> pa.Array:
        present = self._present()
        rows = []
        for key, function in sorted(self._functions().items()):
            if present is not None and key not in present:
                continue  # removed with `remove_function`, or rolled back
            created_by = "sql" if self._created.get(key) is function else "python"
            rows.append(self._listed(function, created_by, persisted=key in self._persisted))
        inline = [function for function in self._registry.domain.counters.functions() if function.inline]
        rows += [
            self._listed(function, "query", persisted=False)
            for function in sorted(inline, key=lambda function: function.signature.label)
        ]
        for lost in self._lost:
            known = {"created_by": "sql", "persisted": True, "instances": 0}
            rows.append(dict.fromkeys(LISTING) | known | asdict(lost))
        return in_one_value(LISTING, rows)

    def _functions(self) -> dict[str, RegisteredFunction]:
        """Return the named functions of the database, of whichever sandbox."""
        database = self._database()
        return {} if database is None else {key: named.function for key, named in database.functions.items()}

    def _listed(self, function: RegisteredFunction, created_by: str, *, persisted: bool) -> dict[str, Any]:
        usage, compiled = function.usage, function.compiled
        return {
            "name": function.signature.label,
            "kind": function.kind,
            "signature": str(function.signature),
            "language": self._language,
            "source_hash": function.source_hash,
            "created_by": created_by,
            "persisted": persisted,
            "problem": None,
            "calls": usage.calls,
            "rows": usage.rows,
            "native_rows": usage.native_rows,
            "errors": usage.errors,
            "failed_rows": function.failed_rows,
            "guest_seconds": usage.guest_seconds,
            "host_seconds": usage.seconds - usage.guest_seconds,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "instances": function.instances,
            "compiled": compiled.compiled,
            "interpreted_because": compiled.why_not,
            "compiled_rows": compiled.rows,
            "bailed_rows": compiled.bailed,
        }

    def _list_host_calls(self) -> pa.Array:
        return in_one_value(HOST_CALLS, [record._asdict() for record in self._registry.domain.audit()])

    def streams(self) -> dict[str, Callable[..., ArrowStream]]:
        """Return what binds the tables of what is listed, for the native library."""
        domain = self._registry.domain
        return {
            "py_functions": lambda *_: stream_of(domain, "py_functions", LISTING, self._list),
            "py_host_calls": lambda *_: stream_of(domain, "py_host_calls", HOST_CALLS, self._list_host_calls),
        }

    # ---- creating and dropping -----------------------------------------------------------------------------------

    def _create(
        self, context: CallContext, name: Any, source: Any, options: Any = None, *, stored: bool = False
    ) -> str:
        """Create one function; return its name and signature."""
        label = "py_create_function"
        check_name_and_code(label, name, source)
        given = checked_options(f"{label}({name!r})", options)
        kind, persist, replace = given.pop("kind", "scalar"), given.pop("persist", False), given.pop("replace", False)
        registry, key = self._registry, name.lower()
        create: Callable[..., Creation] = functools.partial(registry.create_table, streams=self._streams)
        if kind != "table":
            create = registry.create_scalar if kind == "scalar" else registry.create_aggregate
        with self._lock:
            before = self._own(key)
            if not replace and (before is not None or (not stored and self._is_lost(key))):
                msg = f"{label}: there is a function {name} already; add {{'replace': true}} to replace it"
                raise SignatureError(msg)
            with self._streams.cursor() as con:
                creation = create(context, con, name, source, **given)
            function = creation.function
            database = self._database()
            assert database is not None  # it runs the query that wants this
            with self._streams.cursor() as con:
                native = creation.table is not None and fits(database, con, {name: creation.table.forms})
            with registry.entering(name, creation), self._changing() as cursor:
                if before is not None:
                    remove(cursor, name, before)
                else:
                    _check_free(cursor, name, database.native_tables)
                enter(database, cursor, name, creation, native=native)
                if persist:
                    row = [name, kind, source, str(function.signature), json.dumps(given), self._language]
                    stored_functions.write(cursor, row)
                elif not stored:
                    stored_functions.delete(cursor, name)
            with self._streams.cursor() as con:
                enter_native(database, con, name, creation, native=native)
                if creation.replace is not None:
                    creation.replace(con)
            self._created[key] = function
            self._keep(key, function)
            if before is not None:
                before.retire()  # queries that are running it go on, with instances that aren't kept
            if not stored:
                self._lost = [lost for lost in self._lost if lost.name.lower() != key]
            (self._persisted.add if persist or stored else self._persisted.discard)(key)
        return f"{name}{function.signature}"

    def _own(self, key: str) -> RegisteredFunction | None:
        """Return the function that SQL has created under a name, unless Python has replaced it since."""
        function = self._created.get(key)
        if function is not None and self._functions().get(key) is not function:
            del self._created[key]
            return None
        return function

    def _keep(self, key: str, function: RegisteredFunction) -> None:
        """Have the database keep a function with its sandbox."""
        database, owner = self._database(), self._owner()
        if database is not None and owner is not None:  # neither ends while a query of it runs
            database.functions[key] = NamedFunction(function, owner)

    def _drop(self, name: str | None) -> str | None:
        """Drop one function, wherever it is."""
        if name is None:
            return None
        key = name.lower()
        with self._lock:
            function = self._own(key)
            if function is None and not self._is_lost(key):
                msg = (
                    f"py_drop_function: {readable(name)[:LONGEST_NAME]!r} is no function created with "
                    f"py_create_function; there are: {', '.join(sorted(self._created))}"
                )
                raise SignatureError(msg)
            with self._changing() as cursor:
                if function is not None:
                    remove(cursor, name, function)
                stored_functions.delete(cursor, name)
            self._lost = [lost for lost in self._lost if lost.name.lower() != key]
            self._persisted.discard(key)
            if function is not None:
                del self._created[key]
                self._registry.functions.pop(key, None)
                database = self._database()
                if database is not None:
                    database.functions.pop(key, None)
                    lead(database, {name: None})
                function.retire()
        return name

    def _is_lost(self, key: str) -> bool:
        return any(lost.name.lower() == key for lost in self._lost)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Return a cursor in a transaction of its own."""
        with self._streams.cursor() as con, own_transaction(con) as cursor:
            yield cursor

    def _present(self) -> set[str] | None:
        """Return the names of the functions of the database, in lower case; None when they can't be read any more."""
        with contextlib.suppress(SignatureError), self._changing() as cursor:
            query = "SELECT lower(function_name) FROM duckdb_functions() WHERE schema_name = 'main'"
            # A macro of a table function may be left.
            found = cursor.execute(f"{query} AND function_type IN ('scalar', 'aggregate')")
            return {name for (name,) in found.fetchall()}
        return None

    # ---- restoring -----------------------------------------------------------------------------------------------

    def restore(self, context: CallContext) -> None:
        """Define what is stored; what can't be defined is logged and listed."""
        with self._changing() as cursor:
            try:
                rows = stored_functions.read(cursor)
            except duckdb.BinderException as error:
                self._lose(f"{stored_functions.SCHEMA}.{stored_functions.TABLE}", None, None, None, str(error))
                return
        for name, kind, source, signature, options, language in rows:
            try:
                if not self._allow_create:
                    msg = "the sandbox doesn't let SQL create functions (allow_create=False)"
                    raise SignatureError(msg)
                self._create(context, name, source, {**stored_options(options), "kind": kind}, stored=True)
            except (WasiUdfError, duckdb.Error) as error:
                self._lose(name, kind, signature, language, str(error))

    def _lose(self, *texts: str | None) -> None:
        lost = _Lost(*[readable(text or "") for text in texts])
        self._lost.append(lost)
        logger.warning("the stored function %s is not restored: %s", lost.name, lost.problem)


# ---- DuckDB ------------------------------------------------------------------------------------------------------


def _check_free(cursor: duckdb.DuckDBPyConnection, name: str, native_tables: Mapping[str, NativeTable]) -> None:
    """Refuse a name that is taken. DuckDB would take the function for one more overload; macros of ours may be left."""
    found = cursor.execute(
        "SELECT function_type, macro_definition FROM duckdb_functions() WHERE lower(function_name) = lower(?)", [name]
    )
    ours = {"table"} if name.lower() in native_tables else set()  # DuckDB drops none
    if not all(kind in ours or (kind == "table_macro" and is_ours(text)) for kind, text in found.fetchall()):
        msg = f"py_create_function: {name} is the name of a function that was not created with py_create_function"
        raise SignatureError(msg)
