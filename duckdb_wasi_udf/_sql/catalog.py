"""Functions that SQL creates, and lists for SQL: `py_create_function`, `py_drop_function`, `py_functions`,
`py_host_calls`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import logging
import threading
import weakref
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from duckdb.func import ARROW

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._errors import SignatureError, WasiUdfError
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql import stored_functions
from duckdb_wasi_udf._sql.create_options import LONGEST_NAME, check_name_and_code, checked_options, stored_options
from duckdb_wasi_udf._sql.macros import drop_macro, is_ours
from duckdb_wasi_udf._sql.registration import ignoring_context
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.registered import RegisteredFunction
    from duckdb_wasi_udf._sql.function_registry import FunctionRegistry
    from duckdb_wasi_udf._sql.streams import Streams

logger = logging.getLogger("duckdb_wasi_udf.functions")

_LISTING = {
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "signature": "VARCHAR",
    "language": "VARCHAR",
    "source_hash": "VARCHAR",
    "created_by": "VARCHAR",
    "persisted": "BOOLEAN",
    "problem": "VARCHAR",
    "calls": "BIGINT",
    "rows": "BIGINT",
    "errors": "BIGINT",
    "failed_rows": "BIGINT",
    "guest_seconds": "DOUBLE",
    "host_seconds": "DOUBLE",
    "peak_memory_bytes": "BIGINT",
    "instances": "BIGINT",
    "compiled": "BOOLEAN",
    "interpreted_because": "VARCHAR",
    "compiled_rows": "BIGINT",
    "bailed_rows": "BIGINT",
}
# The fields of `HostCallRecord`.
_HOST_CALLS = {
    "called_at": "TIMESTAMP",
    "host_function": "VARCHAR",
    "called_by": "VARCHAR",
    "rows": "BIGINT",
    "bytes_in": "BIGINT",
    "bytes_out": "BIGINT",
    "seconds": "DOUBLE",
    "outcome": "VARCHAR",
    "detail": "VARCHAR",
}
_ARROW = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
}


def _sql_type(columns: dict[str, str]) -> str:
    """Return the SQL type of a table with these columns, in one value."""
    return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in columns.items())})[]"


def _in_one_value(columns: dict[str, str], rows: list[dict[str, Any]]) -> pa.Array:
    return pa.array([rows], pa.list_(pa.struct([(name, _ARROW[kind]) for name, kind in columns.items()])))


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

    DuckDB is changed through connections of its own, made of the one the sandbox was installed through for a moment:
    that one is busy with the query that creates a function, and a connection kept open would keep the database open.
    """

    SQL_FUNCTIONS = ("py_create_function", "py_drop_function", "py_functions", "py_host_calls")

    def __init__(
        self, registry: FunctionRegistry, con: duckdb.DuckDBPyConnection, streams: Streams, *, allow_create: bool
    ) -> None:
        """Prepare a catalog; `enter` puts it to use.

        Args:
            registry: the functions of the sandbox.
            con: the connection that the sandbox is installed through.
            streams: where the streams of table functions go.
            allow_create: queries may create and drop functions, and those stored are restored.
        """
        self._registry = registry
        self._allow_create = allow_create
        self._con = weakref.ref(con)
        self._streams = streams
        # For changes of the database, which would otherwise conflict with each other.
        self._lock = threading.RLock()
        self._created: dict[str, RegisteredFunction] = {}
        self._persisted: set[str] = set()
        self._lost: list[_Lost] = []
        self._language = f"CPython {artifact.find().manifest['versions']['python']}"

    @classmethod
    def leave(cls, con: duckdb.DuckDBPyConnection) -> None:
        """Take what was created since the last `install` on a connection out of DuckDB, though not out of the table."""
        catalog = state.catalogs.pop(con, None)
        if catalog is not None:
            with catalog._lock, catalog._changing() as cursor:
                for key, function in catalog._created.items():
                    _remove(cursor, function)
                    catalog._registry.functions.pop(key, None)

    def sql_functions(self) -> Iterator[tuple[str, Callable[..., pa.Array], list[str] | None, str]]:
        """Return name, function, parameters and return type of each SQL function that queries may use."""
        if self._allow_create:
            yield "py_create_function", self._create_rows, None, "VARCHAR"
            yield "py_drop_function", ignoring_context(self._drop_rows), ["VARCHAR"], "VARCHAR"
        yield "py_functions", ignoring_context(self._list), [], _sql_type(_LISTING)
        yield "py_host_calls", ignoring_context(self._list_host_calls), [], _sql_type(_HOST_CALLS)

    def enter(self, context: CallContext, con: duckdb.DuckDBPyConnection) -> None:
        """Make tables of the SQL functions that list, which are registered, and restore what is stored."""
        for name in ("py_functions", "py_host_calls"):
            con.execute(f"CREATE OR REPLACE TEMP MACRO {name}() AS TABLE SELECT unnest({name}(), max_depth := 2)")
        state.catalogs[con] = self
        self._restore(context)

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
        for key, function in sorted(self._registry.functions.items()):
            if present is not None and key not in present:
                continue  # removed with `remove_function`, or rolled back
            usage, compiled = function.usage, function.compiled
            rows.append(
                {
                    "name": function.signature.label,
                    "kind": function.kind,
                    "signature": str(function.signature),
                    "language": self._language,
                    "source_hash": function.source_hash,
                    "created_by": "sql" if self._created.get(key) is function else "python",
                    "persisted": key in self._persisted,
                    "problem": None,
                    "calls": usage.calls,
                    "rows": usage.rows,
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
            )
        for lost in self._lost:
            known = {"created_by": "sql", "persisted": True, "instances": 0}
            rows.append(dict.fromkeys(_LISTING) | known | asdict(lost))
        return _in_one_value(_LISTING, rows)

    def _list_host_calls(self) -> pa.Array:
        return _in_one_value(_HOST_CALLS, [record._asdict() for record in self._registry.domain.audit()])

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
        create: Callable[..., object] = functools.partial(registry.create_table, streams=self._streams)
        if kind != "table":
            create = registry.create_scalar if kind == "scalar" else registry.create_aggregate
        with self._lock:
            before, kept = self._created.get(key), registry.functions.get(key)
            if not replace and (before is not None or (not stored and self._is_lost(key))):
                msg = f"{label}: there is a function {name} already; add {{'replace': true}} to replace it"
                raise SignatureError(msg)
            try:
                with self._changing() as cursor:
                    if before is not None:
                        _remove(cursor, before)
                    else:
                        _check_free(cursor, name)
                    create(context, cursor, name, source, **given)
                    function = registry.functions[key]
                    if persist:
                        row = [name, kind, source, str(function.signature), json.dumps(given), self._language]
                        stored_functions.write(cursor, row)
                    elif not stored:
                        stored_functions.delete(cursor, name)
            except BaseException:
                if kept is None:
                    registry.functions.pop(key, None)
                else:
                    registry.functions[key] = kept
                raise
            self._created[key] = function
            if before is not None:
                before.retire()  # queries that are running it go on, with instances that aren't kept
            if not stored:
                self._lost = [lost for lost in self._lost if lost.name.lower() != key]
            (self._persisted.add if persist or stored else self._persisted.discard)(key)
        return f"{name}{function.signature}"

    def _drop(self, name: str | None) -> str | None:
        """Drop one function, wherever it is."""
        if name is None:
            return None
        key = name.lower()
        with self._lock:
            function = self._created.get(key)
            if function is None and not self._is_lost(key):
                msg = (
                    f"py_drop_function: {readable(name)[:LONGEST_NAME]!r} is no function created with "
                    f"py_create_function; there are: {', '.join(sorted(self._created))}"
                )
                raise SignatureError(msg)
            with self._changing() as cursor:
                if function is not None:
                    _remove(cursor, function)
                stored_functions.delete(cursor, name)
            self._lost = [lost for lost in self._lost if lost.name.lower() != key]
            self._persisted.discard(key)
            if function is not None:
                del self._created[key]
                self._registry.functions.pop(key, None)
                function.retire()
        return name

    def _is_lost(self, key: str) -> bool:
        return any(lost.name.lower() == key for lost in self._lost)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Return a connection in a transaction of its own."""
        con = self._con()
        try:
            if con is None:
                raise duckdb.ConnectionException  # noqa: TRY301 - the same as one that was closed
            cursor = con.cursor()
        except duckdb.ConnectionException:
            msg = (
                "the connection through which the sandbox was installed is closed; keep it open for as long as "
                "functions are to be created or dropped"
            )
            raise SignatureError(msg) from None
        with cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:
                with contextlib.suppress(duckdb.Error):  # none is left after a commit that failed
                    cursor.rollback()
                raise

    def _present(self) -> set[str] | None:
        """Return the names of the functions of the database, in lower case; None when they can't be read any more."""
        with contextlib.suppress(SignatureError), self._changing() as cursor:
            query = "SELECT lower(function_name) FROM duckdb_functions() WHERE schema_name = 'main'"
            found = cursor.execute(f"{query} AND function_type = 'scalar'")  # a table function's macro may be left
            return {name for (name,) in found.fetchall()}
        return None

    # ---- restoring -----------------------------------------------------------------------------------------------

    def _restore(self, context: CallContext) -> None:
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


def _check_free(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Refuse a name that is taken. DuckDB would take the function for one more overload; macros of ours may be left."""
    found = cursor.execute(
        "SELECT function_type, macro_definition FROM duckdb_functions() WHERE lower(function_name) = lower(?)", [name]
    )
    if not all(kind == "table_macro" and is_ours(definition) for kind, definition in found.fetchall()):
        msg = f"py_create_function: {name} is the name of a function that was not created with py_create_function"
        raise SignatureError(msg)


def _remove(cursor: duckdb.DuckDBPyConnection, function: RegisteredFunction) -> None:
    """Take a function out of DuckDB's catalog, in the cursor's transaction.

    A connection removes only names that it has registered itself, but then the entry as a whole: so it registers one
    more function of the name, with other parameters, which DuckDB takes for an overload.
    """
    name = function.signature.label
    positions = range(len(function.signature.declared_types or []) + 1)

    def never() -> None:
        raise AssertionError  # gone before anyone else sees it

    parameters = [inspect.Parameter(f"p{i}", inspect.Parameter.POSITIONAL_ONLY) for i in positions]
    never.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    cursor.create_function(name, never, ["BOOLEAN" for _ in positions], "BOOLEAN", type=ARROW)
    cursor.remove_function(name)
    if function.kind == "table":
        drop_macro(cursor, name)
