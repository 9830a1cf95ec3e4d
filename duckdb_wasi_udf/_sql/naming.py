"""Names of functions in a database: given, taken over by another function, and freed."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, NamedTuple

import duckdb
from duckdb.func import ARROW

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._sql.connections import in_transaction, one_transaction
from duckdb_wasi_udf._sql.macros import Schema, current_schema, drop_macro
from duckdb_wasi_udf._sql.native_aggregates import NotPossibleError, aggregate_callback, check_registering
from duckdb_wasi_udf._sql.native_tables import fits, has_scalar, is_free, lead, register_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
    from duckdb_wasi_udf._functions.registered import RegisteredFunction
    from duckdb_wasi_udf._sql.database import Database, NamedFunction
    from duckdb_wasi_udf._sql.native_aggregates import AggregateTypes
    from duckdb_wasi_udf._sql.native_tables import Forms
    from duckdb_wasi_udf._sql.registration import RegisteredCallback


class Creation(NamedTuple):
    """A function that is defined, but has no name in a database yet.

    Attributes:
        function: The function.
        register: Hands it to DuckDB through a connection, and returns what is to be called when the database is gone.
        create_macro: Creates the macro of a table function; None for other kinds.
        replace: Once it is registered, replaces what DuckDB has by a function of the native library, if that can be
            done; None for functions that aren't scalar.
        aggregate: Of an aggregate function of DuckDB's own, its types, and what makes what DuckDB calls. Such a
            function isn't registered otherwise.
        table: Makes a table function DuckDB's own; None for other kinds.
    """

    function: RegisteredFunction
    register: Callable[[duckdb.DuckDBPyConnection], Callable[[], None]]
    create_macro: Callable[[duckdb.DuckDBPyConnection, Schema], None] | None = None
    replace: Callable[[duckdb.DuckDBPyConnection], None] | None = None
    aggregate: tuple[AggregateTypes, Callable[[], RegisteredCallback]] | None = None
    table: TableCreation | None = None


class TableCreation(NamedTuple):
    """What it takes to make a table function DuckDB's own.

    Attributes:
        forms: Its parameters.
        callback: Returns what binds a call of it, and what is to be called when the database is gone.
    """

    forms: Forms
    callback: Callable[[], tuple[Callable[..., ArrowStream], Callable[[], None]]]


def enter(
    database: Database,
    con: duckdb.DuckDBPyConnection,
    name: str,
    creation: Creation,
    schema: Schema | None = None,
    *,
    native: bool = False,
) -> None:
    """Register a function with a connection under a name.

    Args:
        database: the database.
        con: a connection of it.
        name: the name.
        creation: the function.
        schema: where the macro of a table function goes; None for where unqualified names are.
        native: a table function gets no macro, and loses that which a file has kept.

    Raises:
        duckdb.Error: DuckDB refused the registration, as when the name is taken.
    """
    if creation.table is not None and name.lower() not in database.native_tables and not is_free(con, name):
        _refuse_own(con, name, tables=True)
    try:
        database.at_end(creation.register(con))
    except duckdb.CatalogException:
        _refuse_own(con, name)
        raise
    if creation.create_macro is None:
        return
    try:
        if native and is_free(con, name):
            return
        if native:
            drop_macro(con, name, schema or current_schema(con))
        else:
            creation.create_macro(con, schema or current_schema(con))
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # the transaction is aborted, and the function gone with it
            con.remove_function(name)
        raise


def name_function(
    database: Database,
    con: duckdb.DuckDBPyConnection,
    name: str,
    creation: Creation,
    named: NamedFunction,
    *,
    replace: bool,
) -> None:
    """Give a function its name in a database, in place of the one of ours that has it if that is asked for.

    Others see either the old function or the new one. Queries that are running go on with the old one.

    Args:
        database: where.
        con: the connection that the user passed.
        name: the SQL name.
        creation: the function.
        named: what the database keeps of it.
        replace: another function of ours may have the name. One of the same origin may have it anyway.

    Raises:
        duckdb.Error: DuckDB refused the registration, as when the name is taken.
    """
    key = name.lower()
    with database.lock:
        before = database.functions.get(key)
        same = before is not None and named.origin is not None and before.origin == named.origin
        replace = before is not None and (replace or same)
        native = creation.table is not None and fits(database, con, {name: creation.table.forms})
        exists = False
        if before is not None:
            with con.cursor() as cursor:
                exists = has_scalar(cursor, name)
        installed = database.installation is not None and key in database.installation.reserved
        if creation.aggregate is not None and before is not None and key in database.aggregates:
            exists = True
        if installed or (exists and not replace):
            # DuckDB itself refuses this only sometimes: from another connection it adds an overload.
            raise _taken(name, "choose another name" if installed else "pass replace=True to replace it")
        if creation.aggregate is not None:
            _enter_aggregate(database, con, name, creation, exists=exists)
        elif key in database.aggregates:
            msg = (
                f"Catalog Error: there is an aggregate function {name} in this database, which DuckDB keeps until it "
                "is closed; choose another name"
            )
            raise duckdb.CatalogException(msg)
        elif not exists:
            try:
                enter(database, con, name, creation, native=native)
            except duckdb.NotImplementedException:  # this connection has registered the name
                if before is None:
                    raise
                _check_again(con, name, replace=replace)
                exists = True
        if creation.aggregate is None and exists and before is not None:
            _replace(database, con, name, before.function, creation, native=native)
        enter_native(database, con, name, creation, native=native)
        database.functions[key] = named
        if before is not None:
            before.function.retire()  # queries that are running it go on, with instances that aren't kept
            database.let_go(before.owner)
        if creation.replace is not None:
            creation.replace(con)


def _taken(name: str, hint: str) -> duckdb.CatalogException:
    return duckdb.CatalogException(
        f"Catalog Error: there is a function {name} of a sandbox in this database already; {hint}"
    )


def _check_again(con: duckdb.DuckDBPyConnection, name: str, *, replace: bool) -> None:
    """Check that a name that a connection has registered can be registered again.

    DuckDB's client keeps the name even if the registration was rolled back, or another connection has removed the
    function. It takes the name from another connection then, but not from this one.

    Raises:
        duckdb.CatalogException: the name is taken, or would have to be registered through this connection.
    """
    if has_scalar(con, name):  # maybe in this transaction
        if not replace:
            raise _taken(name, "pass replace=True to replace it")
    elif in_transaction(con):
        msg = (
            f"Catalog Error: DuckDB remembers that this connection has registered a function {name}, which is gone: "
            "its transaction was rolled back, or another connection has removed it; register it outside of a "
            "transaction, or through another connection, con.cursor() for example"
        )
        raise duckdb.CatalogException(msg)


def _enter_aggregate(
    database: Database, con: duckdb.DuckDBPyConnection, name: str, creation: Creation, *, exists: bool
) -> None:
    """Have an aggregate function of DuckDB's lead to a function.

    Raises:
        SignatureError: there can be none of the name here.
    """
    assert creation.aggregate is not None
    types, make = creation.aggregate
    try:
        if name.lower() not in database.aggregates:
            check_registering(con)
        callback = aggregate_callback(database, con, name, types, is_taken=exists)
    except NotPossibleError as reason:
        msg = (
            f"{name}: {reason}; so there can be no aggregate function {name}(x) here: choose another name, or leave "
            f"out lists=False and write {name}(list(x))"
        )
        raise SignatureError(msg) from reason
    callback.target = make()
    database.at_end(callback.target.release)


def _refuse_own(con: duckdb.DuckDBPyConnection, name: str, *, tables: bool = False) -> None:
    """Refuse the name of a function of DuckDB's own or a macro, in words that say so.

    A table function would hide DuckDB's own, which macros use, also ours. Of scalar functions DuckDB takes some names,
    as for `con.create_function`.

    Args:
        con: a connection, whose transaction may be aborted.
        name: the name.
        tables: whether only DuckDB's own table functions and their macros count.

    Raises:
        duckdb.CatalogException: there is one of the name.
    """
    query = "SELECT function_type, internal FROM duckdb_functions() WHERE lower(function_name) = lower($1)"
    query += " AND internal AND starts_with(function_type, 'table')" if tables else ""
    with con.cursor() as cursor:
        found = cursor.execute(f"{query} ORDER BY ALL LIMIT 1", [name]).fetchall()
    for kind, internal in found:
        called = {"scalar": "a function", "aggregate": "an aggregate function", "table": "a table function"}
        whose = "DuckDB's own" if internal else "this database"
        msg = f"Catalog Error: {name} is {called.get(kind, 'a macro')} of {whose}; choose another name"
        raise duckdb.CatalogException(msg)


def enter_native(
    database: Database, con: duckdb.DuckDBPyConnection, name: str, creation: Creation, *, native: bool
) -> None:
    """Make a table function that was entered DuckDB's own, if it can be; otherwise it gets a macro after all.

    Args:
        database: the database.
        con: a connection of it, in no transaction if `native`.
        name: the name.
        creation: the function.
        native: see `enter`.
    """
    if creation.table is None or creation.create_macro is None:
        if not in_transaction(con):
            lead(database, {name: None})
        return
    if not native and name.lower() not in database.native_tables:
        return
    callback, release = creation.table.callback()
    database.at_end(release)
    if not native:  # it has other parameters and a macro, or will be there once the transaction is committed
        if not in_transaction(con):
            lead(database, {name: callback})
    elif not register_tables(database, con, {name: creation.table.forms}, {name: callback}):
        creation.create_macro(con, current_schema(con))


def _replace(
    database: Database,
    con: duckdb.DuckDBPyConnection,
    name: str,
    before: RegisteredFunction,
    creation: Creation,
    *,
    native: bool,
) -> None:
    """Put a function in the place of another."""
    schema = current_schema(con) if creation.create_macro is not None or before.kind == "table" else None
    with one_transaction(con) as cursor:
        remove(cursor, name, before, schema)
        enter(database, cursor, name, creation, schema, native=native)
    if cursor is not con and schema and schema.read_only and creation.create_macro is not None and not native:
        creation.create_macro(con, schema)  # which only this connection sees, not the cursor


def remove(
    con: duckdb.DuckDBPyConnection, name: str, function: RegisteredFunction, schema: Schema | None = None
) -> None:
    """Take a function of ours out of DuckDB's catalog, with its macro, in the connection's transaction.

    Args:
        con: the connection.
        name: the SQL name.
        function: the function.
        schema: where the macro of a table function is; None for where unqualified names are.
    """
    remove_name(con, name, function.signature.declared_types)
    if function.kind == "table":
        drop_macro(con, name, schema or current_schema(con))


def remove_name(con: duckdb.DuckDBPyConnection, name: str, parameters: list[str] | None) -> None:
    """Take a scalar function out of DuckDB's catalog, in the connection's transaction.

    A connection removes only names that it has registered itself, but then the entry as a whole: so if it hasn't, it
    registers one more function of the name, with other parameters, which DuckDB takes for an overload.

    Args:
        con: the connection.
        name: the SQL name.
        parameters: the SQL types of the parameters; None for any.
    """
    with contextlib.suppress(duckdb.InvalidInputException):
        con.remove_function(name)
        return
    positions = range(len(parameters or []) + 1)

    def never() -> None:
        raise AssertionError  # gone before anyone else sees it

    visible = [inspect.Parameter(f"p{i}", inspect.Parameter.POSITIONAL_ONLY) for i in positions]
    never.__signature__ = inspect.Signature(visible)  # type: ignore[attr-defined]
    con.create_function(name, never, ["BOOLEAN" for _ in positions], "BOOLEAN", type=ARROW)
    con.remove_function(name)
