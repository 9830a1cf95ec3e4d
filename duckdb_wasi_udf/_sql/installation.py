"""The `py_*` SQL functions, and what registers them in a database."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._functions.aggregate import InlineAggregate
from duckdb_wasi_udf._functions.inline import InlineFunction
from duckdb_wasi_udf._functions.signature import VARIANT
from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._sql import stored_functions
from duckdb_wasi_udf._sql.catalog import Catalog
from duckdb_wasi_udf._sql.connections import own_transaction
from duckdb_wasi_udf._sql.database import open_database
from duckdb_wasi_udf._sql.macros import (
    Schema,
    create_macro,
    create_macros,
    current_schema,
    drop_ours,
    kept_macros,
    qualified,
)
from duckdb_wasi_udf._sql.map_batches import InlineMap
from duckdb_wasi_udf._sql.naming import remove_name
from duckdb_wasi_udf._sql.native_aggregates import AggregateTypes, NotPossibleError, aggregate_callback
from duckdb_wasi_udf._sql.native_path import replace_inline_by_native
from duckdb_wasi_udf._sql.native_tables import lead, register_tables, taken_names
from duckdb_wasi_udf._sql.registration import callback_of, ignoring_context, register
from duckdb_wasi_udf._sql.streams import Streams
from duckdb_wasi_udf._sql.table_functions import InlineTable
from duckdb_wasi_udf._sql.types import types_through

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._sql.database import Database
    from duckdb_wasi_udf._sql.function_registry import FunctionRegistry
    from duckdb_wasi_udf._sql.native_tables import Forms

# The inline functions and the SQL type of their results; None: by annotation, or inferred.
INLINE_FUNCTIONS: dict[str, str | None] = {
    "py_udf": None,
    "py_agg": None,
    "py_udf_bigint": "BIGINT",
    "py_udf_blob": "BLOB",
    "py_udf_boolean": "BOOLEAN",
    "py_udf_date": "DATE",
    "py_udf_double": "DOUBLE",
    "py_udf_json": "JSON",
    "py_udf_timestamp": "TIMESTAMP",
    "py_udf_varchar": "VARCHAR",
}

# The aggregate function of DuckDB's own, whose first argument is code.
AGGREGATE = "py_aggregate"


@functools.cache
def _type(text: str) -> DuckDBPyType:
    """Return a type of DuckDB's own, which it parses only once."""
    return DuckDBPyType(text)


class Installation:
    """The `py_*` functions of one sandbox in one database."""

    def __init__(
        self, registry: FunctionRegistry, database: Database, owner: object, *, allow_inline: bool, allow_create: bool
    ) -> None:
        """Make the functions; `register` hands them to DuckDB.

        Args:
            registry: the functions of the sandbox.
            database: where they are to be installed.
            owner: the sandbox.
            allow_inline: queries may bring code along.
            allow_create: queries may create and drop functions, and those stored are restored.
        """
        self._domain = domain = registry.domain
        self._streams = streams = Streams(database)
        self.catalog = Catalog(registry, database, owner, streams, allow_create=allow_create)
        self.macros = Catalog.macros()
        # The same tables, if they are DuckDB's own: parameters, and what binds calls.
        self._streams_by_name = self.catalog.streams()
        self.forms: dict[str, Forms] = dict.fromkeys(self._streams_by_name, ((),))
        # By name of a macro, arguments and the columns that it returns for them if it leads to our function.
        self.tests = {name: ("", columns) for name, columns in Catalog.columns().items()}
        self._aggregate: InlineAggregate | None = None
        # Name, function, types of the parameters, type of the result, and whether equal calls are made anew.
        self._functions: list[tuple[str, Callable[..., Any], list[str] | None, str, bool]] = []
        if allow_inline:
            for name, return_type in INLINE_FUNCTIONS.items():
                kind = InlineAggregate if name == "py_agg" else InlineFunction
                inline = kind(domain, name, return_type, types_through(streams.cursor))
                domain.hold(inline)
                self._functions.append((name, inline, None, return_type or VARIANT, False))
            self._aggregate = InlineAggregate(domain, AGGREGATE, None, types_through(streams.cursor))
            inline_table = InlineTable(domain, "py_table", streams)
            domain.hold(inline_table)
            inline_map = InlineMap(registry.map_functions, "py_map_batches", streams)
            self._functions.append(("py_table", inline_table, None, "VARCHAR", False))
            self._functions.append(("py_map_batches", inline_map, None, "VARCHAR", False))
            test = f"'{state.MARK}'"
            self.tests |= {"py_table": (test, [state.MARK]), "py_map_batches": (f"{test}, {test}", [state.MARK])}
            self.macros |= {"py_table": inline_table.macro, "py_map_batches": inline_map.macro}
            self._streams_by_name |= {"py_table": inline_table.bind, "py_map_batches": inline_map.bind}
            self.forms |= {"py_table": inline_table.forms, "py_map_batches": inline_map.forms}
        self._functions += [(*function, True) for function in self.catalog.sql_functions()]
        self.names = [name for name, *_ in self._functions]
        self.reserved = {*self.names, AGGREGATE}
        self._positions: dict[str, int] = {}
        self.has_tables = False

    def register(self, con: duckdb.DuckDBPyConnection, database: Database) -> None:
        """Register the functions, but for their macros."""
        for name, function, parameters, result, side_effects in self._functions:
            types = None if parameters is None else [_type(parameter) for parameter in parameters]
            callback = register(self._domain, con, name, function, types, _type(result), side_effects=side_effects)
            self._positions[name] = callback.position
            database.at_end(callback.release)

    def enter_aggregate(self, con: duckdb.DuckDBPyConnection, database: Database) -> Callable[[], None]:
        """Register the inline aggregate function, or a function that says why it can't be registered.

        Returns:
            What has it run by this installation.
        """
        types = AggregateTypes(None, VARIANT, inline=True)
        if self._aggregate is None:
            known = database.aggregates.get(AGGREGATE)
            target = None
        else:
            try:
                known = aggregate_callback(database, con, AGGREGATE, types, is_taken=False)
            except NotPossibleError as reason:
                self._explain(str(reason))
                return lambda: None
            self._domain.hold(self._aggregate)
            target = callback_of(self._domain, self._aggregate)
            database.at_end(target.release)

        def lead_here() -> None:
            if known is not None:
                known.target = target

        return lead_here

    def _explain(self, reason: str) -> None:
        """Have a scalar function say why there is no aggregate function."""
        msg = f"{AGGREGATE}: {reason}; so there is no {AGGREGATE}(code, x) here: write py_agg(code, list(x))"

        def refuse(*_columns: Any) -> Any:
            raise SignatureError(msg)

        self._functions.append((AGGREGATE, ignoring_context(refuse), None, VARIANT, False))
        self.names.append(AGGREGATE)

    def register_tables(self, con: duckdb.DuckDBPyConnection, database: Database) -> bool:
        """Make the table functions DuckDB's own; return whether that was done. `taken_names` comes before."""
        callbacks = {name: callback_of(self._domain, bind) for name, bind in self._streams_by_name.items()}
        for callback in callbacks.values():
            database.at_end(callback.release)
        return register_tables(database, con, self.forms, callbacks)

    def replace_by_native(self, con: duckdb.DuckDBPyConnection) -> None:
        """Replace the inline functions with a type by some of the native library, if that can be done."""
        if self._domain.gate is None:
            return
        inline = {
            name: (self._positions[name], result)
            for name, result in INLINE_FUNCTIONS.items()
            if result is not None and name in self._positions
        }
        if inline:
            replace_inline_by_native(con, inline)


def install_functions(
    context: CallContext,
    registry: FunctionRegistry,
    con: duckdb.DuckDBPyConnection,
    owner: Any,
    *,
    allow_inline: bool,
    allow_create: bool,
    replace: bool,
) -> None:
    """Register the `py_*` SQL functions: see `Sandbox.install`.

    Args:
        context: the call that restores stored functions.
        registry: the functions of the sandbox.
        con: a connection of the database.
        owner: the sandbox.
        allow_inline: queries may bring code along.
        allow_create: queries may create and drop functions, and those stored are restored.
        replace: another sandbox may be installed already.

    Raises:
        SignatureError: another sandbox is installed, or something else has one of the names.
    """
    database = open_database(con)
    with database.lock:
        before = database.installed
        if before is owner:
            _complete_macros(database, con)
            return
        if before is not None and not before.closed and not replace:
            msg = (
                f"another sandbox is installed in this database already: {before!r}; install that one, on any of its "
                "connections, or replace it with install(con, replace=True)"
            )
            raise SignatureError(msg)
        new = Installation(registry, database, owner, allow_inline=allow_inline, allow_create=allow_create)
        with con.cursor() as cursor:  # installing is no part of a transaction of the user's
            lead_here = new.enter_aggregate(cursor, database)
        taken = taken_names(database, con, new.forms)
        native = taken is not None
        stored = _put(database, con, new) if taken is None else _put_without_macros(database, con, new, taken)
        if native and not new.register_tables(con, database):
            create_macros(con, new.macros, current_schema(con))
            native = False
        new.has_tables = native
        if database.installation is not None:
            lead(database, dict.fromkeys(database.installation.forms.keys() - new.forms.keys()))
        lead_here()
        if database.installation is not None:
            database.installation.catalog.leave(database)
        with con.cursor() as cursor:
            new.replace_by_native(cursor)
        database.installed, database.installation = owner, new
        if before is not None:
            database.let_go(before)
        if stored:
            new.catalog.restore(context)


def _put(database: Database, con: duckdb.DuckDBPyConnection, new: Installation) -> bool:
    """Register functions and macros, in place of those that are installed, all at once.

    Args:
        database: the database.
        con: a connection of it.
        new: the functions.

    Returns:
        Whether the database has stored functions.
    """
    schema = _schema(con)
    try:
        with own_transaction(con) as cursor:
            _put_functions(database, cursor, new, schema)
            # Are the names free, and is the database writable? To ask DuckDB takes 20 ms, and mostly they are.
            for name, form in new.macros.items():
                create_macro(cursor, name, form, schema, replace=schema in database.macro_schemas)
            stored = stored_functions.exists(cursor)
    except duckdb.Error:
        schema = current_schema(con)
        try:
            ours = not schema.read_only and _has_kept(database, con, new, schema)
            with own_transaction(con) as cursor:
                _put_functions(database, cursor, new, schema)
                if ours:
                    for name, form in new.macros.items():
                        create_macro(cursor, name, form, schema, replace=True)
                elif not schema.read_only:
                    create_macros(cursor, new.macros, schema)
                stored = stored_functions.exists(cursor)
        except (duckdb.CatalogException, duckdb.NotImplementedException) as error:
            msg = f"one of the names {', '.join(new.names)} is something else's in this database: {error}"
            raise SignatureError(msg) from error
        if schema.read_only:
            create_macros(con, new.macros, schema)
    if not schema.read_only:
        database.macro_schemas.add(schema)
    return stored


def _put_without_macros(
    database: Database, con: duckdb.DuckDBPyConnection, new: Installation, taken: list[str]
) -> bool:
    """Register functions, and drop macros of the same names that a file has kept.

    Args:
        database: the database.
        con: a connection of it.
        new: the functions.
        taken: the names that table functions or macros of ours have.

    Returns:
        Whether the database has stored functions.
    """
    # Nothing of ours is in a schema of the first sandbox's database, so DuckDB isn't asked for one.
    schema = _schema(con) if taken or database.macro_schemas else None
    try:
        with own_transaction(con) as cursor:
            kept = kept_macros(cursor, schema, taken) if schema is not None else []
            if schema is not None and kept and not current_schema(cursor).read_only:
                drop_ours(cursor, kept, schema)
                database.macro_schemas.discard(schema)
            _put_functions(database, cursor, new, schema)
            return stored_functions.exists(cursor)
    except (duckdb.CatalogException, duckdb.NotImplementedException) as error:
        msg = f"one of the names {', '.join(new.names)} is something else's in this database: {error}"
        raise SignatureError(msg) from error


def _has_kept(database: Database, con: duckdb.DuckDBPyConnection, new: Installation, schema: Schema) -> bool:
    """Return whether a database file has kept the macros: they lead to our functions, which answer a test."""
    cursor = con.cursor()
    cursor.begin()
    try:
        _put_functions(database, cursor, new, schema)
        return all(
            cursor.sql(f"FROM {qualified(schema, name)}({arguments})").columns == columns
            for name, (arguments, columns) in new.tests.items()
        )
    except duckdb.Error:
        return False
    finally:
        cursor.close()  # and nothing has changed


def _put_functions(
    database: Database, cursor: duckdb.DuckDBPyConnection, new: Installation, schema: Schema | None
) -> None:
    before = database.installation
    if before is not None:
        for name in before.names:
            remove_name(cursor, name, None)
        before.catalog.remove_from(cursor)
        if schema is not None and schema in database.macro_schemas:
            drop_ours(cursor, before.macros.keys() - new.macros.keys(), schema)
    new.register(cursor, database)


def _complete_macros(database: Database, con: duckdb.DuckDBPyConnection) -> None:
    """Create the macros where this connection looks for them, if another schema than before, or a read-only one."""
    assert database.installation is not None
    if database.installation.has_tables:
        return
    schema = _schema(con)
    if schema in database.macro_schemas:
        return
    schema = current_schema(con)
    create_macros(con, database.installation.macros, schema)
    if not schema.read_only:
        database.macro_schemas.add(schema)


def _schema(con: duckdb.DuckDBPyConnection) -> Schema:
    """Return the schema that unqualified names are in, on the assumption that it can be written to."""
    query = "SELECT current_database(), current_schema()"
    try:
        return Schema(*con.sql(query).fetchall()[0])
    except (duckdb.ResourceInUseException, duckdb.TransactionException):  # a result isn't fetched yet, or all is lost
        with con.cursor() as cursor:
            return Schema(*cursor.sql(query).fetchall()[0])
